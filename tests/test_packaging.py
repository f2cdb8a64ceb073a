"""What a user gets: the wheel, installed with the base dependencies alone, and what importing costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hang import HANG
from parlay import __version__

ROOT = Path(__file__).resolve().parent.parent

# One worker builds the wheel once (pytest --dist loadgroup).
pytestmark = pytest.mark.xdist_group("wheel")


def run(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=HANG, check=False, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = folder.glob("*.whl")
    return path


def base_distributions(wheel):
    """Names of everything that the wheel needs without extras, by the metadata it carries."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        headers = archive.read(name).decode().split("\n\n")[0]
    open_names = [line.removeprefix("Requires-Dist: ") for line in headers.splitlines() if "Requires-Dist" in line]
    found = set()
    while open_names:
        requirement = Requirement(open_names.pop())
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if requirement.name not in found:
            found.add(requirement.name)
            open_names += metadata.requires(requirement.name) or []
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of a virtual environment that holds the wheel and its base dependencies, nothing else."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    outcome = run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--no-compile", wheel
    )
    assert outcome.returncode == 0, outcome.stderr
    [site] = home.glob("lib/python*/site-packages")
    for name in base_distributions(wheel):
        # Linked, not copied: what is installed here, but visible by name only.
        for top in {Path(file).parts[0] for file in metadata.files(name) or ()} - {"..", "__pycache__"}:
            source = Path(metadata.distribution(name).locate_file(top))
            if not (site / top).exists():
                (site / top).symlink_to(source)
    return home / "bin"


def test_wheel_holds_what_it_needs(wheel):
    """The wheel carries the typing marker, the printed tables and the licence, and no tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"parlay/py.typed", "parlay/paper/printed.csv", "parlay/cli/main.py"} <= set(names)
    page = ("page.html", "page.css", "page.js", "scatter.js")
    assert {f"parlay/report/page/{name}" for name in page} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"parlay"}


def test_base_dependencies_are_few(wheel):
    """Without extras come numpy, scipy, click, rich and what these need; torch and matplotlib do not."""
    base = base_distributions(wheel)
    assert {"numpy", "scipy", "click", "rich"} <= base
    assert not {"torch", "torchvision", "matplotlib", "scikit-learn"} & base
    assert len(base) <= 8


def test_torch_is_absent_from_the_installed_wheel(installed):
    """The environment of these tests has no torch, so what passes here needs none."""
    outcome = run(installed / "python", "-c", "import torch")
    assert "No module named 'torch'" in outcome.stderr


COMMANDS = {
    "version": ["--version"],
    "describe": ["describe", "35-36-37-43"],
    "solve": ["solve", "--family", "plain", "--depth", "4", "--kernels", "4288", "--top-k", "6", "--json"],
    "scores": ["scores", "--json"],
    "paper": ["paper", "check"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_installed_commands_run_without_torch(installed, tmp_path, arguments):
    """The solver's commands of the installed wheel exit 0, print something and complain of nothing."""
    outcome = run(installed / "parlay", *arguments, cwd=tmp_path)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.strip()
    if "--json" in arguments:
        assert json.loads(outcome.stdout)["schema_version"] == 1


def test_installed_solver_finds_table_5(installed, tmp_path):
    """The installed wheel gives the six layouts of Table 5, proven."""
    outcome = run(installed / "parlay", *COMMANDS["solve"], cwd=tmp_path)
    content = json.loads(outcome.stdout)
    assert content["status"] == "OPTIMAL"
    layouts = [tuple(solution["layout"]) for solution in content["solutions"]]
    assert layouts[0] == (35, 36, 37, 43)
    assert layouts[-1] == (28, 29, 32, 77)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "35-36-37-43", "--data", "digits", "--steps", "1"],
        ["study", "run", "--study", "s", "--depth", "3", "--kernels", "500", "--layouts", "top:1", "--data", "digits"],
        ["demo"],
    ],
    ids=["train", "study", "demo"],
)
def test_installed_training_says_that_torch_is_missing(installed, tmp_path, arguments):
    """Without torch, training is refused in one line that says how to get it, and leaves nothing behind."""
    outcome = run(installed / "parlay", *arguments, cwd=tmp_path)
    assert outcome.returncode != 0
    assert outcome.stdout == ""
    assert len(outcome.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert re.search(r"needs (torch|sklearn|scikit-learn)\b.*pip install '\.\[train\]'", outcome.stderr)


def test_importing_parlay_loads_nothing_heavy(record_property):
    """``import parlay`` loads no torch, scipy, matplotlib, rich or scikit-learn; its time is reported, not judged."""
    heavy = ("torch", "torchvision", "scipy", "matplotlib", "rich", "sklearn")
    code = f"import sys, parlay; print([name for name in {heavy} if name in sys.modules])"
    start = time.perf_counter()
    outcome = run(sys.executable, "-c", code)
    seconds = time.perf_counter() - start
    record_property("seconds", seconds)
    print(f"python -c 'import parlay' took {seconds:.2f} s")
    assert (outcome.returncode, outcome.stdout.strip(), outcome.stderr) == (0, "[]", "")


def test_command_line_starts_without_heavy_imports():
    """``parlay --help`` loads no torch, scipy, matplotlib or scikit-learn."""
    code = (
        "import sys; from parlay.cli.main import run; code = run(['--help']);"
        "print(code, [n for n in ('torch', 'scipy', 'matplotlib', 'sklearn') if n in sys.modules])"
    )
    outcome = run(sys.executable, "-c", code)
    assert outcome.stdout.splitlines()[-1] == "0 []"


def test_conflicts_are_told_without_torch():
    """An infeasible size names the options at fault and what would do, where there is no torch."""
    code = (
        "import sys; sys.modules['torch'] = None; from parlay.cli.main import run;"
        "print(run(['solve', '--depth', '3', '--max-kernels', '400', '--max-params', '10']))"
    )
    outcome = run(sys.executable, "-c", code)
    assert outcome.stdout.splitlines()[-1] == "1" and "would do: " in outcome.stdout


@pytest.mark.parametrize("path", ["pyproject.toml", "CITATION.cff", "CHANGELOG.md"])
def test_one_version_everywhere(path):
    """The version is the same in the package, its metadata, the citation file and the changelog."""
    text = (ROOT / path).read_text(encoding="utf-8")
    stated = re.search(r'^(?:version = "|version: |## )(\d+\.\d+\.\d+)', text, re.MULTILINE)
    assert stated is not None
    assert stated.group(1) == __version__


def test_every_dependency_is_justified():
    """docs/dependencies.md has one line for every package that pyproject.toml names."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *(x for group in project["optional-dependencies"].values() for x in group)]
    packages = {Requirement(text).name for text in named} - {"parlay"}
    documented = re.findall(r"^\| ([\w-]+) \|", (ROOT / "docs" / "dependencies.md").read_text("utf-8"), re.MULTILINE)
    assert set(documented) - {"package"} == packages
