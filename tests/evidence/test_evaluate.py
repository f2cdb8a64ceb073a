"""``parlay evaluate``: tables and studies read, scores judged, verdicts by rule."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from parlay.cli.main import run
from parlay.energy import get_score
from parlay.errors import InputError
from parlay.evidence import (
    Binning,
    JudgedScore,
    Measured,
    Outcome,
    Population,
    bins,
    evaluate,
    largest,
    measure,
    populations,
    ranking,
    read_study,
    read_table,
    relate,
    score_values,
)
from parlay.evidence.verdict_words import verdict
from parlay.families import plain
from parlay.graph import WidthGraph, trace
from parlay.graph.specs import load_model
from parlay.layout import WidthGroup, WidthSpace
from parlay.report.scatter import scatter_data
from parlay.study import Kind, Row, Trial, csv_text
from parlay.train import get_recipe

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "networks.csv"
COLUMNS = {"widths": ("a", "b", "c"), "accuracy": ("first", "second"), "params": "params", "macs": "macs"}
FLAGS = "--widths a,b,c --accuracy first,second --params params --macs macs".split()


def population(*, sizes: int = 12, networks: int = 40, runs: int = 3, signal: float = 1.0, seed: int = 0) -> Population:
    """Networks of two widths in bins far apart whose accuracy follows their energy as strongly as ``signal`` says."""
    draw = np.random.default_rng(seed)
    widths = draw.integers(3, 60, (sizes * networks, 2))
    energy = np.log(np.log(widths)).sum(1)
    truth = signal * (energy - energy.mean()) / energy.std()
    params = np.repeat(1000 * 2 ** np.arange(sizes), networks)
    return Population(
        name="made",
        group_names=("a", "b"),
        structure=WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b"))),
        widths=widths,
        accuracy=truth[:, None] + draw.normal(size=(len(truth), runs)),
        params=params,
        macs=draw.integers(1000, 9000, len(truth)),
    )


def test_a_table_is_read(tmp_path: Path):
    """Widths, runs and costs as they stand; plain and gzipped files say the same; order is kept."""
    found = read_table(TABLE, **COLUMNS)
    with TABLE.open() as stream:
        rows = list(csv.DictReader(stream))
    assert found.widths.tolist() == [[int(row[name]) for name in "abc"] for row in rows]
    assert found.accuracy[:, 1].tolist() == [float(row["second"]) for row in rows]
    assert (found.structure, found.runs, len(found), found.left_out) == (None, 2, len(rows), 0)
    packed = tmp_path / "networks.csv.gz"
    packed.write_bytes(gzip.compress(TABLE.read_bytes()))
    assert (read_table(packed, **COLUMNS).params == found.params).all()


def test_missing_runs_and_repeated_rows(tmp_path: Path):
    """An empty cell is no run, a network without runs is left out and counted, a repeated network has more runs."""
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,first,second,params,macs\n1,2,3,5,,9,9\n4,5,6,,nan,9,9\n1,2,3,7,8,9,9\n7,8,9,1,2,9,9\n")
    found = read_table(path, **COLUMNS)
    assert found.left_out == 1
    assert found.widths.tolist() == [[1, 2, 3], [7, 8, 9]]
    assert found.accuracy[1].tolist()[:2] == [1.0, 2.0]
    assert sorted(found.accuracy[0][~np.isnan(found.accuracy[0])]) == [5.0, 7.0, 8.0]
    assert found.mean_accuracy.tolist() == [pytest.approx(20 / 3), 1.5]


HEAD = "a,b,c,first,second,params,macs\n"


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (HEAD + "1,2,3,4,5,6,7\n", {"params": "parms"}, "did you mean params"),
        (HEAD + "1.5,2,3,4,5,6,7\n", {}, "line 2, column a: got '1.5'; allowed: a whole number of at least 1"),
        (HEAD + "1,2,3,4,5,0,7\n", {}, "column params: got '0'"),
        (HEAD + "1,2,3,high,5,6,7\n", {}, "column first: got 'high'"),
        (HEAD + "1,2,3,inf,5,6,7\n", {}, "column first: got 'inf'"),
        (HEAD + "1,2,3,4,5,6\n", {}, "line 2: got 6 cells"),
        (HEAD, {}, "no row"),
        ("", {}, "empty"),
        (HEAD + "1,2,3,,,6,7\n", {}, "no network with an accuracy"),
        (HEAD + "1,2,3,4,5,6,7\n", {"macs": None}, "both, or a network that counts them"),
        ("a,a,b,c,first,second,params,macs\n", {}, "twice"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, changes: dict[str, object], message: str):
    """Every wrong input is met with one line that says where it is and what is allowed."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        read_table(path, **{**COLUMNS, **changes})  # type: ignore[arg-type]
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"), [("t.txt", b"a"), ("none.csv", None), ("t.csv.gz", b"no gzip"), ("t.csv", b"\xff\xfea,b")]
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None):
    """Another kind of file, none at all, a broken archive and broken text are one line each."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"^table: got [^\n]*$"):
        read_table(tmp_path / name, **COLUMNS)


def test_bins_have_their_width():
    """Bins hold what lies between two multiples of the width in ln size; width 0 takes equal sizes only."""
    found = read_table(TABLE, **COLUMNS)
    for width in (0.01, 0.1, 1.0):
        for rows in bins(found, width):
            assert len({math.floor(math.log(size) / width) for size in found.params[rows]}) == 1
        assert sorted(np.concatenate(bins(found, width)).tolist()) == list(range(len(found)))
    assert [len(rows) for rows in bins(found, 0)] == [12, 12, 12]
    assert bins(found, 0, least=13) == []
    with pytest.raises(InputError, match=r"0 \(equal sizes\) to 1"):
        bins(found, -1)


def test_scores_by_hand():
    """Every score of widths 8-16-4 with 3, 1 and 2 layers, worked out by hand."""
    layers = {"a": 3, "b": 1, "c": 2}
    groups = tuple(WidthGroup(name=name, multiplicity=count) for name, count in layers.items())
    one = Population(
        name="one",
        group_names=("a", "b", "c"),
        structure=WidthSpace(groups=groups),
        widths=np.array([[8, 16, 4]]),
        accuracy=np.array([[1.0]]),
        params=np.array([77]),
        macs=np.array([88]),
        peak_memory=np.array([99]),
    )
    ln = math.log
    expected = {
        "energy-layer": 3 * ln(ln(8)) + ln(ln(16)) + 2 * ln(ln(4)),
        "energy-group": ln(ln(8) * ln(16) * ln(4)),
        "sum-log": 17 * ln(2),
        "params": 77,
        "macs": 88,
        "min-width": 4,
        "peak-memory": 99,
    }
    assert {name: score_values(name, one)[0] for name in expected} == pytest.approx(expected)
    with pytest.raises(InputError, match="did you mean energy-layer"):
        score_values("energy-laye", one)
    with pytest.raises(InputError, match="the peak activation memory"):
        score_values("peak-memory", replace(one, peak_memory=None))


def test_figures_are_weighted_means_over_bins():
    """Spearman, Kendall and Pearson are scipy's, bin by bin, averaged with the bins' numbers of networks."""
    made = population(sizes=3, networks=40)
    made = made.take(np.arange(90))  # the last bin is smaller
    score = score_values("energy-layer", made)
    panel = evaluate([made], resamples=100).panels[0]
    for key, theirs in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau), ("pearson", stats.pearsonr)):
        parts = [theirs(score[rows], made.mean_accuracy[rows]).statistic for rows in np.split(np.arange(90), [40, 80])]
        assert panel["energy-layer"][key] == pytest.approx(np.average(parts[:2], weights=[40, 40]))
    assert (panel.bins, panel.in_bins, panel.networks, panel.least) == (2, 80, 90, 40)
    wider = evaluate([made], binning=Binning(least=10), resamples=100).panels[0]
    assert wider["energy-layer"]["pearson"] == pytest.approx(np.average(parts, weights=[40, 40, 10]))


def test_the_document_has_its_fixed_form(capsys: pytest.CaptureFixture[str]):
    """The named keys are there, one number each; seeds fix everything."""
    arguments = ["evaluate", str(TABLE), *FLAGS, "--bin", "0.01", "--resamples", "100", "--json"]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert list(found)[:7] == ["schema_version", "scores", "one_run", "ceiling", "bins", "networks", "verdict"]
    named = "spearman ci_low ci_high kendall pearson partial_params partial_macs partial_params_macs concordance"
    for figures in found["scores"].values():
        assert {*named.split(), "gain_top1", "gain_top5", "p_value", "p_holm"} <= set(figures)
    assert list(found["scores"]) == "energy-group params macs min-width".split()
    assert (found["bins"], found["networks"]) == (2, 36)
    assert found["scores"]["params"]["partial_params"] is None
    assert isinstance(found["one_run"], float) and isinstance(found["ceiling"], float)
    run(arguments)
    assert capsys.readouterr().out == text
    assert run([*arguments, "--seed", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] != found["scores"]


def test_the_tables_are_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Without --json: every score in two tables that fit 80 columns, one training run, the ceiling, the verdict."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["evaluate", str(TABLE), *FLAGS, "--resamples", "100"]) == 0
    text = capsys.readouterr().out
    words = ("energy-group", "min-width", "one training run", "ceiling", "2 bins", "pairs of exactly equal params")
    assert [word for word in words if word not in text] == []
    assert "…" not in text and max(len(line) for line in text.splitlines()) <= 80
    assert run(["evaluate", str(TABLE), *FLAGS, "--resamples", "100", "--score", "macs"]) == 0
    assert "min-width" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(TABLE)], "--widths, --accuracy, --params, --macs"),
        ([str(TABLE), *FLAGS, "--score", "energie"], "energy-layer"),
        ([str(TABLE), *FLAGS, "--bin", "7"], "0.01"),
        ([str(TABLE), *FLAGS, "--min-bin", "20", "--bin", "0"], "none with 20 networks"),
        ([str(TABLE), *FLAGS, "--min-bin", "1"], "at least 3"),
        ([str(TABLE), *FLAGS, "--resamples", "5"], "from 100"),
        ([str(TABLE), *FLAGS, "--seed", "-1"], "--seed"),
        ([str(TABLE), *FLAGS, "--score", "energy-layer"], "name the model of a table with --model"),
        ([str(TABLE), *FLAGS, "--input", "3x8x8"], "without --model"),
        ([str(TABLE), *FLAGS, "--model", "net.py:net"], "without --input"),
        (["."], "trials.csv"),
        (["nowhere"], "got nowhere; allowed: a study's folder, or a .csv or .csv.gz file, that exists"),
        ([str(TABLE), "--widths", "c0", "--accuracy", "run0"], "--model SPEC --input 3x32x32 counts params and macs"),
        ([".", "--params", "p"], "a study names its own columns"),
    ],
)
def test_wrong_questions_are_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Exit 2, nothing on stdout, one line on stderr that says what is allowed."""
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert message in err


def test_a_real_signal_is_found():
    """Accuracy that follows the energy: it ranks, better than one run, below the ceiling; multiply-adds do not."""
    names = ("energy-layer", "energy-group", "macs", "min-width")
    panel = evaluate([population(signal=1.0)], scores=names, resamples=400).panels[0]
    energy, macs = panel["energy-layer"], panel["macs"]
    assert energy.outcome is Outcome.HOLDS and macs.outcome is not Outcome.HOLDS
    assert energy["ci_low"] < energy["spearman"] < energy["ci_high"]
    assert panel.ceiling["spearman"] - 0.1 < energy["spearman"] < panel.ceiling["spearman"]
    assert panel.one_run["spearman"] < energy["spearman"] - 0.1
    assert macs["difference_high"] < 0 == energy["difference"]
    assert panel.resampled == "sizes"
    text = verdict(panel)
    assert text.startswith("holds: energy-layer ranks networks of one size: Spearman 0.78 [0.7")
    assert "MACs do less well" in text and "training each once ranks them worse" in text


def permuted(seed: int, resamples: int = 199) -> str:
    """The verdict on accuracies that were exchanged inside bins."""
    made = population(networks=30, runs=2, seed=seed)
    draw = np.random.default_rng([1, seed])
    order = np.concatenate([draw.permutation(rows) for rows in bins(made, 0)])
    names = ("energy-layer", "sum-log", "macs", "min-width")
    return evaluate([replace(made, accuracy=made.accuracy[order])], scores=names, resamples=resamples).verdict


def test_permuted_accuracies_give_a_negative_verdict():
    """Of 12 tables whose accuracies were exchanged inside bins at most 2 have a score that holds."""
    verdicts = [permuted(seed) for seed in range(12)]
    assert sum(not text.startswith("holds") and "what does rank" not in text for text in verdicts) >= 10


@pytest.mark.slow
def test_permuted_accuracies_give_a_negative_verdict_in_190_of_200():
    """The same in at least 95 % of 200 tables."""
    verdicts = [permuted(seed) for seed in range(200)]
    assert sum(not text.startswith("holds") and "what does rank" not in text for text in verdicts) >= 190


def judged(name: str, **numbers: float) -> JudgedScore:
    """A score with numbers that rank, but for those given."""
    usual = dict.fromkeys(
        "partial_params partial_params_low partial_macs partial_macs_low gain_top1 difference difference_low "
        "difference_high".split(),
        math.nan,
    )
    found = {"spearman": 0.7, "ci_low": 0.6, "ci_high": 0.8, "p_holm": 0.01, **usual, **numbers}
    return JudgedScore(name=name, numbers=found, outcome=ranking(80, found["ci_low"], found["ci_high"]))


WIDE = {"ci_low": 0.1, "ci_high": 0.8}
WRONG = {"spearman": -0.7, "ci_low": -0.8, "ci_high": -0.6}


@pytest.mark.parametrize(
    ("energy", "macs", "words"),
    [
        ({}, {"difference": -0.03, "difference_low": -0.04, "difference_high": -0.01}, "MACs do nearly as well (0.70)"),
        ({}, {"difference": -0.2, "difference_low": -0.3, "difference_high": -0.1}, "MACs do less well (0.70)"),
        ({}, {"difference": 0.0, "difference_low": -0.1, "difference_high": 0.1}, "do not tell the two apart"),
        ({}, {"difference": 0.2, "difference_low": 0.1, "difference_high": 0.3}, "MACs do better (0.70)"),
        ({}, {}, "holds: energy-layer ranks networks of one size: Spearman 0.70 [0.60, 0.80] inside"),
        (
            WIDE,
            {},
            "not enough data whether energy-layer ranks networks of one size: Spearman 0.70 [0.10, 0.80] inside",
        ),
        (WRONG, {}, "does not hold: energy-layer does not rank networks of one size: Spearman -0.70"),
        (WRONG, {}, "what does rank them: macs (0.70)"),
        (
            WIDE,
            {**WIDE, "spearman": 0.8},
            "no score is shown to rank them: the highest of 2 is macs, 0.80 [0.10, 0.80]",
        ),
        (WIDE, WRONG, "the wrong way round: macs (-0.70)"),
        ({"partial_params": 0.1, "partial_params_low": -0.1}, {}, "0.10 given params, which chance alone may give"),
    ],
)
def test_the_verdict_follows_its_rules(energy: dict[str, float], macs: dict[str, float], words: str):
    """Every rule of the verdict, on numbers made for it."""
    base = evaluate([population(sizes=2)], scores=("energy-layer",), resamples=100).panels[0]
    panel = replace(base, scores=(judged("energy-layer", **energy), judged("macs", **macs)))
    assert words in verdict(panel)


def test_one_rule_turns_an_interval_into_a_word():
    """The whole interval above 0.3 holds, below does not hold, else and with fewer than 8 layouts nothing is said."""
    assert [ranking(8, *ends) for ends in ((0.31, 0.9), (0.29, 0.9), (-0.2, 0.29), (math.nan, math.nan))] == [
        Outcome.HOLDS,
        Outcome.OPEN,
        Outcome.FAILS,
        Outcome.OPEN,
    ]
    assert ranking(7, 0.9, 1.0) is Outcome.OPEN


FAMILY = plain(2, in_channels=1, image=8)
RECIPE = get_recipe("digits")


def trial_row(layout: tuple[int, int], seed: int, accuracy: float | None, steps: int = 100) -> Row:
    """A trial that ended."""
    trial = Trial(network=FAMILY, layout=layout, data="a" * 64, recipe=RECIPE, steps=steps, seed=seed)
    status = "failed" if accuracy is None else "complete"
    return Row(
        trial=trial,
        kinds=frozenset({Kind.GIVEN}),
        data_name="toy",
        status=status,
        seconds=1.0,
        finished="",
        accuracy=accuracy,
        loss=None if accuracy is None else 1.0,
        error="no luck" if accuracy is None else None,
    )


def study_rows(accuracy: Callable[[int, int], float | None], steps: int = 100) -> list[Row]:
    """13 layouts of 500 weights per k^2 or nearly, two seeds each."""
    layouts = [(width, 500 // width - 1) for width in range(6, 19)]
    return [trial_row(layout, seed, accuracy(layout[0], seed), steps) for layout in layouts for seed in (0, 1)]


def test_a_small_study_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """13 layouts of about one size: seeds are runs, failed trials are missing, and the interval is honestly wide."""
    rows = study_rows(lambda width, seed: None if (width, seed) == (9, 1) else 0.5 + (width * 7 % 13 + width) / 90)
    (tmp_path / "trials.csv").write_text(csv_text(rows))
    [read] = read_study(tmp_path)
    [held] = populations(measure(rows), name=tmp_path.name)
    assert np.array_equal(read.accuracy, held.accuracy, equal_nan=True) and (read.widths == held.widths).all()
    assert (len(read), read.runs, int(np.isnan(read.accuracy).sum())) == (13, 2, 1)
    assert (len(read.space), read.unit, read.size_name) == (2, "share, 0 to 1", "weights")
    assert run(["evaluate", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    energy = found["scores"]["min-width"]
    assert (found["resampled"], found["networks"], found["bins"]) == ("networks", 13, 1)
    assert energy["ci_high"] - energy["ci_low"] > 0.4
    assert "peak-memory" in found["scores"]


def test_a_study_of_two_kinds_has_two_panels(tmp_path: Path):
    """Trials of other numbers of steps are another panel, never mixed; Holm counts the scores of both."""
    rows = study_rows(lambda width, seed: width / 30) + study_rows(lambda width, seed: 1 - width / 30, steps=200)
    (tmp_path / "trials.csv").write_text(csv_text(rows))
    found = evaluate(read_study(tmp_path), scores=("min-width", "macs"), resamples=100)
    content = found.to_json()
    assert [panel["networks"] for panel in content["panels"]] == [13, 13]
    assert [panel["scores"]["min-width"]["spearman"] for panel in content["panels"]] == pytest.approx([1, -1])
    lowest = min(p["scores"][name]["p_value"] for p in content["panels"] for name in ("min-width", "macs"))
    assert content["scores"]["min-width"]["p_holm"] == pytest.approx(min(1, 4 * lowest), abs=0.03)
    assert found.verdict.count("plain of depth 2, 486 to 500 kernels, toy") == 2


def test_what_is_too_small_to_judge_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Two layouts of another protocol keep nobody from being judged and are named; alone they decide nothing."""
    few = study_rows(lambda width, seed: width / 30, steps=200)[:4]
    (tmp_path / "trials.csv").write_text(csv_text(study_rows(lambda width, seed: width / 30) + few))
    command = ["evaluate", str(tmp_path), "--score", "min-width", "--resamples", "100"]
    assert run(command) == 0
    assert "200 steps, fp32: left out, 2 networks" in " ".join(capsys.readouterr().out.split())
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["networks"] for entry in found["too_small"]] == [2] and found["networks"] == 13
    alike = [replace(row, trial=replace(row.trial, precision="bf16", steps=100)) for row in few]
    (tmp_path / "trials.csv").write_text(csv_text(study_rows(lambda width, seed: width / 30) + alike))
    assert [population.name[-4:] for population in read_study(tmp_path)] == ["fp32", "bf16"]
    (tmp_path / "trials.csv").write_text(csv_text(few))
    assert run(command) == 0
    assert "not enough data" in capsys.readouterr().out and run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"].startswith("not enough data: ")
    assert run([*command, "--bin", "0"]) == 2 and "bins: got none" in capsys.readouterr().err


def kinds_of(rows: list[Row], *kinds: set[Kind]) -> list[Row]:
    """The rows with the reasons given, layout by layout in turns."""
    layouts = sorted({row.trial.layout for row in rows})
    return [replace(row, kinds=frozenset(kinds[layouts.index(row.trial.layout) % len(kinds)])) for row in rows]


@pytest.mark.parametrize(
    ("kinds", "judging"),
    [
        (({Kind.GIVEN},), 13),
        (({Kind.TOP}, {Kind.SPREAD}), 6),
        (({Kind.TOP, Kind.SPREAD}, {Kind.SPREAD}), 13),
        (({Kind.TOP}, {Kind.SAMPLE}), 6),
        (({Kind.GIVEN}, {Kind.SAMPLE}), 6),
        (({Kind.TOP, Kind.SAMPLE}, {Kind.SAMPLE}), 13),
        (({Kind.TOP, Kind.ALL}, {Kind.ALL}), 13),
    ],
)
def test_layouts_that_a_score_chose_do_not_judge(kinds: tuple[set[Kind], ...], judging: int, tmp_path: Path):
    """Where some were drawn these alone judge; where none was, all but the best by score; each count is told."""
    rows = kinds_of(study_rows(lambda width, seed: width / 30), *kinds)
    [measured] = measure(rows)
    assert (len(measured.layouts), len(measured.judging), measured.left_out) == (13, judging, 13 - judging)
    (tmp_path / "trials.csv").write_text(csv_text(rows))
    found = evaluate(read_study(tmp_path), scores=("min-width",), resamples=100).to_json()
    assert (found["networks"], found["networks_chosen"]) == (judging, 13 - judging)


def test_optima_are_placed_beside_the_layouts_that_judge(tmp_path: Path):
    """Of the layouts that were chosen, the one a score puts above all that judge, and how many of these it beats."""
    rows = study_rows(lambda width, seed: width / 30)
    widths = sorted({row.trial.layout for row in rows})
    highest = max(widths, key=min)
    top = [replace(row, kinds=frozenset({Kind.TOP})) for row in rows if row.trial.layout == highest]
    drawn = [replace(row, kinds=frozenset({Kind.SAMPLE})) for row in rows if row.trial.layout != highest]
    (tmp_path / "trials.csv").write_text(csv_text([*top, *drawn]))
    panel = evaluate(read_study(tmp_path), resamples=100).panels[0]
    mean = measure(top)[0].layouts[0].accuracy
    others = [one.accuracy for one in measure(drawn)[0].layouts]
    best = panel["min-width"].optimum
    assert best is not None
    assert (best.layout, best.accuracy, best.beats) == (highest, pytest.approx(mean), sum(a < mean for a in others))
    assert panel["min-width"].to_json()["optimum"]["beats"] == best.beats
    lowest = score_values("macs", read_study(tmp_path)[0]).max() > top[0].costs["macs"]
    assert (panel["macs"].optimum is None) == lowest


def test_a_table_knows_what_its_study_knows(tmp_path: Path):
    """Failed trials are missing, whether they are read from the study's rows or from its trials.csv."""
    rows = study_rows(lambda width, seed: None if (width, seed) == (9, 1) else width / 30)
    (tmp_path / "trials.csv").write_text(csv_text(rows))
    assert [one.missing for one in populations(measure(rows))] == [one.missing for one in read_study(tmp_path)] == [1]


def test_groups_without_a_complete_trial_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Trials of another protocol, of which none is complete or all others were chosen, are counted under its name."""
    done = study_rows(lambda width, seed: width / 30)
    waiting = study_rows(lambda width, seed: None, steps=200)
    chosen = study_rows(lambda width, seed: width / 30 if seed else None, steps=300)
    (tmp_path / "trials.csv").write_text(csv_text([*done, *waiting, *kinds_of(chosen, {Kind.TOP})]))
    assert run(["evaluate", str(tmp_path), "--score", "macs", "--json", "--resamples", "100"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["networks"], found["trials_missing"]) == (13, 26 + 13)
    assert "panels" not in found and "too_small" not in found
    assert run(["evaluate", str(tmp_path), "--score", "macs", "--resamples", "100"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for steps, trials in ((200, 26), (300, 13)):
        assert f"{steps} steps, fp32: {trials} trials are not complete" in said
    (tmp_path / "trials.csv").write_text(csv_text(waiting))
    assert run(["evaluate", str(tmp_path)]) == 2
    assert "without a complete trial, of 26;" in capsys.readouterr().err


def test_sizes_are_judged_apart_everywhere(tmp_path: Path):
    """Layouts of many sizes, larger ones better: the figure and the study's summary find no trend either."""
    rows = [trial_row((width, width), 0, width / 100) for width in range(4, 60, 2)]
    groups = measure(rows)
    assert {len(group.layouts) for group in groups} < {1, 2, 3, 4}
    assert relate(largest(rows)).outcome is Outcome.OPEN and scatter_data(rows).relation == relate(largest(rows))
    assert relate(Measured(rows=tuple(rows))).outcome is Outcome.HOLDS  # what pooling them would have said


def test_layouts_all_chosen_by_a_score_judge_nothing(tmp_path: Path):
    """A study of the best alone is refused in one line that says what to add."""
    (tmp_path / "trials.csv").write_text(csv_text(kinds_of(study_rows(lambda width, seed: 0.5), {Kind.TOP})))
    with pytest.raises(InputError, match=r"all chosen by a score.*sample:24"):
        read_study(tmp_path)


def test_the_order_of_rows_changes_nothing(tmp_path: Path):
    """Trials in another order give the same estimates, intervals and p-values to the last bit."""
    rows = study_rows(lambda width, seed: 0.5 + (width * 7 % 13 + width + seed) / 90)
    found = []
    for some in (rows, rows[::-1], rows[7:] + rows[:7]):
        (tmp_path / "trials.csv").write_text(csv_text(some))
        found.append(evaluate(read_study(tmp_path), resamples=200).to_json()["scores"])
    assert found[0] == found[1] == found[2]


MODEL = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.inner = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 1))
        self.last = nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU())
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        x = (x + self.inner(x)).relu()
        return self.head(self.last(x).mean((2, 3)))
"""


@pytest.fixture
def modelled(tmp_path: Path) -> tuple[WidthGraph, list[str]]:
    """A small model, and the options that name it."""
    (tmp_path / "net.py").write_text(MODEL)
    spec = f"{tmp_path / 'net.py'}:Net"
    return trace(load_model(spec), torch.zeros(1, 3, 8, 8)), ["--model", spec, "--input", "3x8x8"]


def modelled_table(path: Path, graph: WidthGraph, names: Sequence[str], *, count: int = 40, extra: int = 0) -> None:
    """Layouts of the model near one size, each with two runs and its costs; ``extra`` parameters more in the table."""
    draw = np.random.default_rng(3)
    lines = [",".join((*names, "first", "second", "params", "macs"))]
    for layout in graph.space.sample(count, 5, low=0.5):
        runs = (f"{np.log(np.log(np.array(layout) + 1)).sum() + draw.normal(0, 0.1):.4f}" for _ in range(2))
        lines.append(",".join(map(str, (*layout, *runs, graph.params(layout) + extra, graph.macs(layout)))))
    path.write_text("\n".join(lines) + "\n")


def test_a_models_structure_is_traced(
    modelled: tuple[WidthGraph, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """With --model every score that its graph says something of is judged, and costs need no columns."""
    graph, model = modelled
    path = tmp_path / "nets.csv"
    modelled_table(path, graph, ("a", "b", "c"))
    columns = ["--widths", "a,b,c", "--accuracy", "first,second", "--bin", "1", "--resamples", "100", "--json"]
    costs = ["--params", "params", "--macs", "macs"]
    assert run(["evaluate", str(path), *columns, *costs, *model]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores_left_out"] == {}
    assert {"path-energy", "energy-layer", "entropy", "peak-memory"} <= set(found["scores"])
    assert run(["evaluate", str(path), *columns, *model]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == found["scores"]
    assert run(["evaluate", str(path), *columns, *costs]) == 0
    bare = json.loads(capsys.readouterr().out)
    assert {"energy-layer", "sum-log", "path-energy", "pair-harmonic", "entropy"} <= set(bare["scores_left_out"])
    assert not set(bare["scores"]) & set(bare["scores_left_out"])


def test_columns_are_matched_by_name_or_order(modelled: tuple[WidthGraph, list[str]], tmp_path: Path):
    """Columns called as the groups are found in any order; others are taken in the order given."""
    graph, _ = modelled
    names = [group.name for group in graph.space.groups]
    modelled_table(tmp_path / "named.csv", graph, names)
    modelled_table(tmp_path / "other.csv", graph, ("a", "b", "c"))
    columns: dict[str, Any] = {"accuracy": ("first", "second"), "params": "params", "network": graph}
    named = read_table(tmp_path / "named.csv", widths=names[::-1], **columns)
    other = read_table(tmp_path / "other.csv", widths=("a", "b", "c"), **columns)
    assert named.widths.tolist() == other.widths.tolist()
    assert named.group_names == tuple(names)
    for score in ("path-energy", "energy-layer"):
        terms = get_score(score).terms(graph.space)
        assert score_values(score, other) == pytest.approx([terms(tuple(row)) for row in other.widths.tolist()])


def test_another_network_is_refused(
    modelled: tuple[WidthGraph, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Columns in another order, too few of them, and widths that the model cannot have: one line, and why."""
    graph, model = modelled
    path = tmp_path / "nets.csv"
    modelled_table(path, graph, ("a", "b", "c"))
    rest = ["--accuracy", "first,second", "--params", "params", "--macs", "macs", *model]
    for widths, message in (
        ("c,b,a", "name --widths in the order of the groups"),
        ("a,b", "2 columns; allowed: 3, the groups of Net: stem.0, inner.0, last.0"),
    ):
        assert run(["evaluate", str(path), "--widths", widths, *rest]) == 2
        line = capsys.readouterr().err
        assert message in line and line.count("\n") == 1
    modelled_table(path, graph, ("a", "b", "c"), extra=4)  # counted a little otherwise, as tables do
    assert run(["evaluate", str(path), "--widths", "a,b,c", *rest, "--bin", "1", "--resamples", "100"]) == 0


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_a_folder_that_is_no_study(tmp_path: Path, text: str):
    """A trials.csv of something else, and one without a complete trial, are refused in one line."""
    (tmp_path / "trials.csv").write_text(text)
    with pytest.raises(InputError, match=r"trials\.csv of parlay's"):
        read_study(tmp_path)
    (tmp_path / "trials.csv").write_text(csv_text([trial_row((5, 5), 0, None)]))
    with pytest.raises(InputError, match="without a complete trial"):
        read_study(tmp_path)


CHANNEL_BENCH = ROOT.parent / "shared" / "data" / "channel_bench" / "resnet.csv.gz"


@pytest.mark.data
@pytest.mark.skipif(not CHANNEL_BENCH.exists(), reason="the shared research data is not beside the checkout")
def test_channel_bench_is_reproduced(capsys: pytest.CaptureFixture[str]):
    """Figures published for 16,384 trained ResNets: 127 bins of 30 or more, 58 of 100 or more, each to 0.006.

    Score: Spearman inside bins, rank-partial given params, concordance at exactly equal sizes.
    """
    expected = {
        "energy-group": (0.55, 0.63, 0.26),
        "energy-layer": (0.77, 0.65, 0.26),
        "sum-log": (0.76, 0.65, 0.26),
        "macs": (0.73, 0.60, 0.25),
    }
    flags = (
        "--widths c0,c1,c2,c3,c4,c5,c6 --accuracy acc1,acc2,acc3 --params params --macs flops --bin 0.01 --json"
        f" --model {ROOT / 'benchmarks' / 'channel_bench.py'}:resnet --input 3x32x32"
    )
    assert run(["evaluate", str(CHANNEL_BENCH), *flags.split()]) == 0
    found = json.loads(capsys.readouterr().out)
    for name, figures in expected.items():
        score = found["scores"][name]
        assert (score["spearman"], score["partial_params"], score["concordance"]) == pytest.approx(figures, abs=0.006)
    assert (found["bins"], found["pick_bins"], found["networks"]) == (127, 58, 16384)
    assert found["exact_pairs"] == 150_128
    assert found["one_run"] == pytest.approx(0.57, abs=0.006)
    assert found["one_run_details"]["concordance"] == pytest.approx(0.15, abs=0.006)
    assert 0.865 <= found["ceiling"] <= 0.895
    assert found["scores"]["energy-layer"]["gain_top1"] == pytest.approx(0.19, abs=0.01)
    assert found["ceiling_details"]["gain_top1"] == pytest.approx(0.34, abs=0.01)
    assert found["scores"]["params"]["spearman"] == pytest.approx(0.50, abs=0.006)
    assert found["scores"]["energy-layer"]["verdict"] == "holds"
    assert "MACs do less well (0.73)" in found["verdict"]
