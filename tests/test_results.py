"""What README and docs say of our own trainings is what results/ says: tables, counts and sentences are made again."""

from __future__ import annotations

import importlib.util
import json
import re
from types import ModuleType

import pytest

pytest.importorskip("torch")

from benchmarks.fits import tables

from doc_blocks import ROOT
from parlay.cli.main import run


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """docs/claims_table.py as a module."""
    spec = importlib.util.spec_from_file_location("claims_table", ROOT / "docs" / "claims_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_claims_of_the_docs_are_those_of_the_results(made: ModuleType) -> None:
    """docs/paper.md has every claim with an estimate, with the numbers that results/ gives, and no others."""
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    lines = made.claims()
    assert len(lines) > 15
    for line in lines:
        assert line in page.splitlines(), line
    shown = [line for line in page.splitlines() if re.match(r"\| (4\.\d|ours) \| .* \| \*\*", line)]
    assert len(shown) == len([line for line in lines if line.startswith("|")]) - 2


def test_the_fits_of_the_docs_are_those_of_the_results() -> None:
    """docs/fit.md has the table and the verdict of every fit under results/fit."""
    page = " ".join((ROOT / "docs" / "fit.md").read_text(encoding="utf-8").split())  # sentences run on
    fits = tables()
    assert len(fits) >= 3
    for name, lines in fits.items():
        for line in lines:
            assert " ".join(line.split()) in page, f"{name}: {line}"


def test_the_readme_tells_the_claims_as_they_were_judged(made: ModuleType) -> None:
    """Every estimate with an interval in README's section on our trainings is one of a claim."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## What our own trainings say")[1].split("\n## ")[0]
    told = re.findall(r"([+-]?\d+\.\d\d) \[([+-]?\d+\.\d\d), ([+-]?\d+\.\d\d)\]", section)
    assert len(told) >= 3
    known = {
        tuple(f"{value:.2f}" for value in (one.estimate.value, one.estimate.low, one.estimate.high))
        for one in made.judged()
        if one.estimate.low is not None
    }
    for numbers in told:
        assert tuple(number.removeprefix("+") for number in numbers) in known, numbers


SPACES = ("Inverted", "PreActivation", "Streams", "Hybrid")
JUDGED = ("energy-layer", "sum-log", "path-energy", "energy-group", "macs")


@pytest.mark.parametrize("space", SPACES)
def test_the_spaces_of_the_docs_are_those_of_the_results(space: str, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/evidence.md has each score's rank and the place of its optimum as results/spaces gives them."""
    section = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8").split("### What came")[1]
    rows = [[cell.strip() for cell in line.replace("**", "").strip("|").split("|")] for line in section.splitlines()]
    ranks = {row[0]: row[1 + SPACES.index(space)] for row in rows if len(row) == 5}
    optima = {row[0]: row[1 + 2 * SPACES.index(space) :][:2] for row in rows if len(row) == 9}
    name = space.lower()
    command = ["evaluate", f"results/spaces/{name}", "--model", f"benchmarks/spaces/{name}.py:{space}", "--json"]
    assert run([str(ROOT / word) if "/" in word else word for word in command]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    for score in ("step-energy", *JUDGED):
        told = ranks["step-energy as it is now" if score == "step-energy" else score]
        if told == "the same":
            told = ranks["step-energy as committed before the space was trained"]
        found = [scores[score][key] for key in ("spearman", "ci_low", "ci_high")]
        assert told == "{:.2f} ({:.2f} to {:.2f})".format(*found), score
    for score in ("step-energy", *JUDGED[:-1]):
        told = optima["step-energy as it is now" if score == "step-energy" else score]
        if told[0] == "the same":
            told = optima["step-energy as committed"]
        optimum = scores[score]["optimum"]
        assert told == [f"{100 * optimum['accuracy']:.2f}", str(optimum["beats"])], score
