"""The house's own rules: names, sizes, JSON documents, help. What README and docs show is held by test_docs.py."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import click
import pytest

from parlay.cli.group import CommandTable
from parlay.cli.main import cli, run

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "parlay"


def test_no_module_is_a_drawer():
    """No module is called utils, helpers, common or misc: every file says what it is about."""
    banned = {"utils", "util", "helpers", "helper", "common", "misc"}
    named = {path.stem for folder in (PACKAGE, ROOT / "tests") for path in folder.rglob("*.py")}
    named |= {path.name for path in PACKAGE.rglob("*") if path.is_dir()}
    assert named & banned == set()


def test_no_file_is_too_long():
    """No source file has more than 500 lines."""
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > 500} == {}


def test_every_module_says_what_it_is():
    """Every module of the package begins with a docstring."""
    silent = [str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py") if not p.read_text("utf-8").startswith('"""')]
    assert silent == []


def class_definitions():
    """Every class of the package with the file that it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield path.relative_to(PACKAGE).as_posix(), node


ONE_OF_EACH_CLI = {
    "check": ["cli/check.py", "cli/paper/check.py"],
    "run": ["cli/paper/run.py", "cli/study/run.py"],
}
"""Modules of the command line that share a name: the last words of two commands are the same."""


def test_one_name_is_one_module():
    """A name stands for one module, in whatever room; a command, or its options, is called as what it calls."""
    library, commands = {}, {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem not in ("__init__", "__main__"):
            place = path.relative_to(PACKAGE).as_posix()
            (commands if place.startswith("cli/") else library).setdefault(path.stem, []).append(place)
    assert {name: places for name, places in library.items() if len(places) > 1} == {}
    assert {name: places for name, places in commands.items() if len(places) > 1} == ONE_OF_EACH_CLI


def test_every_test_file_has_a_name_of_its_own():
    """Test files are imported by their last name alone, so two of the same name end the whole run."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert sorted(names) == sorted(set(names))


def test_one_noun_is_one_class():
    """A class name, private or public, stands for one thing in the whole package."""
    places = {}
    for place, node in class_definitions():
        places.setdefault(node.name.lstrip("_"), []).append(f"{place}: {node.name}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_what_becomes_json_is_a_dict_made_by_to_json():
    """to_json() is the one method that gives JSON values, always in a dict; text is made of them at the edge."""
    methods = [
        (place, node.name, method)
        for place, node in class_definitions()
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    ]
    others = {"document", "content", "as_json", "as_dict", "to_dict", "json"}
    assert [(place, name, method.name) for place, name, method in methods if method.name in others] == []
    found = {
        f"{place}: {name}": ast.unparse(method.returns) for place, name, method in methods if method.name == "to_json"
    }
    assert len(found) > 10 and set(found.values()) == {"dict[str, Any]"}


def tracked_files():
    """Paths that git tracks or would track; the source tree where there is no git."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0 and listing.stdout:
        return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]
    folders = [ROOT / name for name in ("src", "tests", "docs")]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_no_machine_paths_or_registry_hosts_in_tracked_files():
    """No tracked text names a folder of the machine it was written on, nor a host of a package registry."""
    # Written in pieces, so that this file does not find itself.
    patterns = [rf"(?<![\w.])/{name}/" for name in ("work", "root", "home")] + [
        r"pypi\.(?:org|python)",
        "python" + "hosted",
    ]
    pattern = re.compile("|".join(patterns))
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [
            f"{path.relative_to(ROOT)}: {line.strip()[:80]}" for line in text.splitlines() if pattern.search(line)
        ]
    assert found == []


QUICK = ["--depth", "3", "--kernels", "500", "--top-k", "2"]
TRIAL = ["--depth", "2", "--kernels", "60", "--layouts", "top:1", "--data", "digits", "--steps", "2"]
JSON_COMMANDS = {
    "describe": ["35-36-37-43"],
    "solve": QUICK,
    "pareto": ["--depth", "3", "--kernels", "400", "--levels", "2"],
    "scores": [],
    "score": ["4-6-8"],
    "list": ["--depth", "3", "--kernels", "4288", "--limit", "3"],
    "count": ["--depth", "3", "--kernels", "4288"],
    "sample": ["--depth", "3", "--kernels", "4288", "--n-samples", "3"],
    "trace": ["torchvision/squeezenet1_1", "--input", "3x32x32"],
    "retrofit": ["torchvision/squeezenet1_1", "--input", "3x32x32", "--time-limit", "5"],
    "fit": None,  # trains; test_fit_runs.py has it
    "check": None,  # of a file that is there; test_check.py has it
    "devices": ["nrf"],
    "prune": None,  # trains; test_prune_runs.py has it
    "evaluate": [
        str(ROOT / "tests" / "networks.csv"),
        *"--widths a,b,c --accuracy first,second --params params --macs macs --resamples 100".split(),
    ],
    "calibrate": [
        str(ROOT / "tests" / "networks.csv"),
        *"--widths a,b,c --accuracy first,second --params params --macs macs --prior energy-group".split(),
    ],
    "paper check": [],
    "paper run": None,  # trains; test_paper_runs.py has it
    "paper figures": None,  # test_paper_figures.py has it
    "paper claims": [],
    "train": ["4-6-8", "--data", "digits", "--steps", "2"],
    "study new": ["study", *TRIAL],
    "study run": ["study", *TRIAL],
    "study status": None,  # of a study that is there; test_cli_studies.py has it
    "study export": None,
    "study compare": None,
    "report": None,  # test_report_page.py has it
    "demo": None,  # trains for a minute; its document is the study's
}
"""Command -> arguments of a quick run; None where there is none."""


def json_commands(command, name=""):
    """Names of all commands that take --json."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            yield from json_commands(command.get_command(context, child), f"{name} {child}".strip())
    elif any("--json" in parameter.opts for parameter in command.params):
        yield name


def command_modules(table, name=""):
    """Every command with the module that it is read from."""
    for command, place in table.items():
        module, attribute = place.split(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, CommandTable):
            yield from command_modules(found.table, f"{name}{command}.")
        else:
            yield f"{name}{command}", module


def test_every_command_has_a_file_of_its_name():
    """parlay study run is src/parlay/cli/study/run.py, and so on; the rest of cli is shared by several."""
    modules = dict(command_modules(cli.table))
    assert {name: f"parlay.cli.{name}" for name in modules} == modules


def test_every_json_command_is_tested():
    """A new command with --json has to be added to the table above."""
    assert set(json_commands(cli)) == set(JSON_COMMANDS)


@pytest.mark.parametrize("name", [name for name, arguments in JSON_COMMANDS.items() if arguments is not None])
def test_json_commands_print_one_document_with_a_schema_version(name, capsys, tmp_path, monkeypatch):
    """--json prints one JSON document on stdout, nothing else there, and the document says its version first."""
    monkeypatch.chdir(tmp_path)
    assert run([*name.split(), *JSON_COMMANDS[name], "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert next(iter(content.items())) == ("schema_version", 1)
    assert len(content) > 1


@pytest.mark.parametrize(
    "arguments", [["--help"], *([name, "--help"] for name in cli.list_commands(click.Context(cli)))]
)
def test_every_command_has_help(arguments, capsys):
    """--help of every command exits 0 and says in a sentence what it does."""
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: parlay")
    assert len(text.splitlines()) > 4


SHELVES = ("evidence", "fit", "paper", "solver", "study")
"""Packages whose docstring is a list of what they hold."""


@pytest.mark.parametrize("name", SHELVES)
def test_what_a_package_says_it_holds_is_there(name: str):
    """Every name in the docstring of such a package is a module of it, or something that it exports."""
    module = importlib.import_module(f"parlay.{name}")
    named = re.findall(r"``([a-z_]+)``", module.__doc__ or "")
    inside = {path.stem for path in (PACKAGE / name).iterdir()}
    assert [word for word in named if word not in inside and not hasattr(module, word)] == []


NAMES_A_PLACE = re.compile(r"(?:(?<!this )parlay(?: [a-z]+)+|--model|--score|--study) $")
"""Text of a command that goes on with something of the user's."""
SAFE = {"quote", "format_layout", "join"}
"""Calls whose text a shell reads as one word, or as the words that were meant."""


def test_commands_that_are_shown_can_be_pasted():
    """Wherever a message shows a command with a file, folder or model in it, blanks in its name are quoted."""
    bare = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for text in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.JoinedStr)):
            for before, value in pairwise(text.values):
                if not isinstance(value, ast.FormattedValue) or not isinstance(before, ast.Constant):
                    continue
                is_safe = isinstance(value.value, ast.Call) and ast.unparse(value.value.func).split(".")[-1] in SAFE
                if NAMES_A_PLACE.search(str(before.value)) and not is_safe:
                    bare.append(f"{path.relative_to(PACKAGE)}:{value.lineno} {{{ast.unparse(value.value)}}}")
    assert bare == []
