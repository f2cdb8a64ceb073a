"""The same trials get the same answer from every command: estimate, interval, number of layouts and word."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parlay.cli.main import run
from parlay.energy import get_score
from parlay.evidence import measure, relate
from parlay.families import plain
from parlay.solver import Sampler
from parlay.study import Kind, Reader, Store, make_plan
from parlay.study.reading import read_trials
from parlay.train import get_recipe

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


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """Twelve layouts of one size whose accuracy falls with the path energy, in a study planned by that score."""
    network = plain(3, in_channels=1, image=8)
    layouts = Sampler(network.problem(kernels=500)).draw(12, seed=0)
    values = {layout: get_score("path-energy").terms(network.space)(layout) for layout in layouts}
    chosen = {layout: frozenset({Kind.SAMPLE}) for layout in layouts}
    plan = make_plan(network, chosen, data="d" * 64, recipe=get_recipe("fast"), score="path-energy")
    with Store(tmp_path / "study") as store:
        store.add(plan, data_name="mine")
        for row in store.rows():
            store.write(replace(row, status="complete", accuracy=0.9 - values[row.trial.layout] / 20, loss=1.0))
    return tmp_path / "study"


def test_a_study_judges_the_score_it_was_planned_by(planned: Path, tmp_path: Path, capsys: Any):
    """Reference of evaluate, question and verdict of the page, summary and numbers of study run; alike from a table."""
    done = asked("study", "run", str(planned))["correlations"]
    assert (done["score"], done["score_accuracy"]["value"], done["verdict"]) == ("path-energy", -1.0, "does not hold")
    assert run(["study", "run", str(planned)]) == 0
    assert "accuracy rises with path-energy: does not hold, Spearman -1.00" in capsys.readouterr().out
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "trials.csv").write_text((planned / "trials.csv").read_text())
    for folder in (planned, tmp_path / "table"):
        found = asked("evaluate", str(folder))
        assert found["reference"] == "path-energy" and found["verdict"].startswith("does not hold: path-energy")
        assert asked("evaluate", str(folder), "--score", "macs")["reference"] == "macs"
        [panel] = asked("report", str(folder), "--out", str(tmp_path / "page.html"))["panels"]
        assert "does a higher path-energy go with" in panel["question"]
        assert panel["headline"] == "Layouts of higher path-energy are not more accurate here."
        first = panel["correlations"][0]
        assert (first["between"], first["value"]) == ("path-energy and accuracy", -1.0)
        numbers = found["scores"]["path-energy"]
        assert [numbers["ci_low"], numbers["ci_high"]] == first["interval"] == done["score_accuracy"]["interval"]


@pytest.mark.parametrize(
    ("choices", "score"),
    [
        (["top:2"], "energy-group"),
        (["sample:3", "top:1", "--score", "path-energy"], "path-energy"),
        (["spread:2@sum-log", "top:2@pair-harmonic"], "pair-harmonic"),
        (["spread:2@sum-log"], "sum-log"),
        (["sample:2"], None),
    ],
)
def test_the_score_is_kept_when_planned(choices: list[str], score: str | None, tmp_path: Path):
    """That of the best layouts, else that of a spread; more seeds keep it, and so does another plan of the same."""
    size = ["--depth", "3", "--kernels", "400"]
    plan = ["study", "new", str(tmp_path), *size, "--data", "digits", "--precision", "fp32"]
    words = [word for one in choices for word in (("--layouts", one) if ":" in one else (one,))]
    assert run([*plan, *words]) == 0
    assert run(["study", "new", str(tmp_path), "--n-seeds", "2"]) == 0
    with Reader(tmp_path) as study:
        before = study.rows()
    assert {row.score for row in before} == {score}
    assert run([*plan, "--layouts", "all", "--layouts", "top:1@energy-layer"]) == 0
    with Reader(tmp_path) as study:
        kept = {row.score for row in study.rows()[: len(before)]}
    assert kept == {score} if score else kept <= {None, "energy-layer"}
