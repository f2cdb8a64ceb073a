"""The same trials get the same answer from every command: estimate, interval, number of layouts and word."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from parlay.cli.main import run
from parlay.evidence import measure, relate
from parlay.study.reading import read_trials

RESULTS = Path(__file__).resolve().parents[2] / "results"
EVERY = sorted(path.parent for path in RESULTS.glob("**/trials.csv"))
FOLDERS = [folder for folder in EVERY if read_trials(folder).rows]


def asked(*arguments: str) -> dict[str, Any]:
    """The JSON document that a command prints."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        assert run([*arguments, "--json"]) == 0
    return json.loads(stream.getvalue())


def rounded(value: float | None, ends: Any, n: int, left_out: int, word: str) -> tuple[Any, ...]:
    """An answer as what two commands must agree on: numbers to nine digits."""
    known = value is not None and ends is not None and ends[0] is not None
    return (f"{value:.9f} {ends[0]:.9f} {ends[1]:.9f}" if known else "", n, left_out, word)


def by_evaluate(folder: Path) -> list[tuple[Any, ...]]:
    """What ``parlay evaluate`` says of the energy, protocol by protocol."""
    found = asked("evaluate", str(folder), "--score", "energy-group")
    answers = []
    for panel in found.get("panels", [found] if found["scores"] else []):
        score = panel["scores"]["energy-group"]
        ends = (score["ci_low"], score["ci_high"])
        answers.append(rounded(score["spearman"], ends, panel["networks"], panel["networks_chosen"], score["verdict"]))
    return sorted(answers)


def by_page(folder: Path, out: Path) -> list[tuple[Any, ...]]:
    """What ``parlay report`` says of it."""
    answers = []
    for panel in asked("report", str(folder), "--out", str(out))["panels"]:
        energy = panel["correlations"][0]
        assert energy["between"] == "energy and accuracy"
        answers.append(rounded(energy["value"], energy["interval"], energy["n"], panel["left_out"], panel["verdict"]))
    return sorted(answers)


def by_study(folder: Path) -> list[tuple[Any, ...]]:
    """What ``parlay study run`` says when it ends, which is the relation over its rows."""
    answers = []
    for group in measure(read_trials(folder).rows):
        found = relate(group).to_json()
        energy = found["energy_accuracy"]
        answers.append(rounded(energy["value"], energy["interval"], energy["n"], found["left_out"], found["verdict"]))
    return sorted(answers)


@pytest.fixture(scope="module")
def claimed() -> dict[str, tuple[Any, ...]]:
    """Panel -> what ``parlay paper claims`` says of "accuracy rises with energy"."""
    claims = asked("paper", "claims", "--results", str(RESULTS))["claims"]
    return {
        claim["panel"]: rounded(claim["estimate"], claim["interval"], claim["n"], claim["left_out"], claim["verdict"])
        for claim in claims
        if claim["rule"] == "rises"
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(RESULTS)))
def test_every_command_gives_the_same_answer(folder: Path, claimed: dict[str, tuple[Any, ...]], tmp_path: Path):
    """Evaluate, page, study and claims agree on every folder of results that has trials of a family."""
    studied, evaluated = by_study(folder), by_evaluate(folder)
    # fewer than three layouts have no coefficient: evaluate names such protocols instead of judging them
    assert evaluated == [answer for answer in studied if answer[1] >= 3]
    assert by_page(folder, tmp_path / "page.html") == studied
    if folder.name in claimed:
        assert claimed[folder.name] in studied


@pytest.mark.parametrize(
    "folder", sorted(set(EVERY) - set(FOLDERS)), ids=lambda folder: str(folder.relative_to(RESULTS))
)
def test_trials_of_a_model_without_its_study_are_refused_alike(folder: Path, tmp_path: Path, capsys: Any):
    """The arms of a fit kept as text have no network to score: every command says so in one line."""
    for arguments in (["evaluate", str(folder)], ["report", str(folder), "--out", str(tmp_path / "page.html")]):
        assert run(arguments) == 2
        _, err = capsys.readouterr()
        assert "of a model" in err and len(err.splitlines()) == 1
