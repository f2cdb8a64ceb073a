"""``parlay paper run``: train, keep as text, go on from text; and tables of an earlier parlay."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.adopt_trials import adopt
from click.testing import CliRunner

from parlay.cli.main import run
from parlay.errors import InputError
from parlay.families import plain, resnet
from parlay.paper.experiments import get_experiment
from parlay.paper.results import belongs, read_results, write_results
from parlay.paper.runs import Protocol, plan_panel
from parlay.study import Kind, Reader, Row, csv_text, make_plan
from parlay.study.reading import read_csv
from parlay.train import get_recipe

TWO = ("--layouts", "2", "--steps", "2", "--threads", "1")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images of ten classes, of CIFAR's shape."""
    path = tmp_path_factory.mktemp("data") / "images.npz"
    draw = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 128), ("test", 40)):
        arrays[f"x_{part}"] = draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"y_{part}"] = (np.arange(count) % 10).astype(np.uint8)
    np.savez(path, **arrays)
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    """The one JSON document that a command prints."""
    found = run([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert found == code, captured.err
    return json.loads(captured.out)


def test_trials_are_kept_as_text_and_another_machine_goes_on_from_there(images, tmp_path, capsys):
    """Two trials are trained and kept; another study with these results trains none of them again, only a third."""
    results = tmp_path / "results"
    here = ("paper", "run", "--panel", "3a", "--data-file", images, "--results", results)
    first = answer(capsys, *here, "--study", tmp_path / "one", *TWO)["panels"]
    assert first == [
        {"panel": "3a", "planned": 2, "reused": 0, "trained": 2, "failed": 0, "adopted": 0, "kept": 2},
    ]
    before = (results / "3a" / "trials.csv").read_text()
    again = answer(capsys, *here, "--study", tmp_path / "two", *TWO)["panels"]
    assert [(p["reused"], p["trained"], p["adopted"], p["kept"]) for p in again] == [(2, 0, 2, 2)]
    assert (results / "3a" / "trials.csv").read_text() == before
    more = answer(capsys, *here, "--study", tmp_path / "two", "--layouts", 3, *TWO[2:])["panels"]
    assert [(p["reused"], p["trained"], p["adopted"], p["kept"]) for p in more] == [(2, 1, 0, 3)]
    readme = (results / "3a" / "README.md").read_text()
    command = "parlay paper run --panel 3a --recipe fast --steps 2 --layouts 3 --study runs/paper --results results"
    assert f"`{command}`" in readme
    assert "host" in before and str(tmp_path) not in before + readme
    with Reader(tmp_path / "two") as reader:
        rows = reader.rows()
    assert {row.data_name for row in rows} == {"cifar10"} and all(belongs(r, get_experiment("3a")) for r in rows)
    assert {row.trial.identity for row in rows} == {row.trial.identity for row in read_results(results)}


def test_results_keep_what_a_study_does_not_have(tmp_path):
    """Writing other trials adds to a folder; nothing that was there goes, failed ones and strangers stay out."""
    panel = get_experiment("3a")
    rows = finished(plan_panel(panel, Protocol(layouts=4), data="d" * 64))
    assert write_results(tmp_path, rows[:2], ["3a"]) == {"3a": 2}
    assert write_results(tmp_path, rows[2:], ["3a"]) == {"3a": 4}
    failed = Row(trial=rows[0].trial, kinds=rows[0].kinds, data_name="cifar10", status="failed", error="no")
    other = Row(**{**vars_of(rows[1]), "data_name": "svhn"})
    assert write_results(tmp_path / "new", [failed, other]) == {}
    assert {row.trial.identity for row in read_results(tmp_path)} == {row.trial.identity for row in rows}


def test_a_trial_is_a_point_of_every_panel_that_has_its_layout(tmp_path):
    """35-36-37-43 stands in 3b and in free4, on CIFAR-10, and not in 3d."""
    [planned] = plan_panel(get_experiment("3b"), Protocol(layouts=1), data="d" * 64)
    assert write_results(tmp_path, finished([planned])) == {"3b": 1, "free4": 1}
    assert len(read_results(tmp_path)) == 1


@pytest.mark.parametrize(
    ("family", "layout", "recipe", "precision"),
    [
        (plain(4), (35, 36, 37, 43), "fast", "fp32"),
        (plain(3, classes=100), (8, 8, 525), "paper", "bf16"),
        (resnet(32), (16, 16, 32, 64), "paper", "fp32"),
        (plain(2, kernel_size=(3, 5), in_channels=1, image=8), (4, 6), "digits", "fp32"),
    ],
)
def test_trials_csv_is_read_back_whole(family, layout, recipe, precision, tmp_path):
    """Every trial that is written is read back as the same trial, with the same figures, and writes the same line."""
    plan = make_plan(
        family,
        {layout: frozenset({Kind.TOP, Kind.ALL})},
        data="d" * 64,
        recipe=get_recipe(recipe, family=family.name),
        seeds=(0, 7),
        validation=5,
        precision=precision,
    )
    rows = finished(plan)
    (tmp_path / "trials.csv").write_text(csv_text(rows))
    again = read_csv(tmp_path / "trials.csv").rows
    assert [row.trial for row in again] == [row.trial for row in rows]
    assert csv_text(again) == csv_text(rows)
    assert again[0].versions == rows[0].versions


def test_damaged_tables_are_refused(tmp_path):
    """A number changed by hand, an identity of other numbers and a missing column are one line with path and line."""
    rows = finished(plan_panel(get_experiment("3a"), Protocol(layouts=2), data="d" * 64))
    text = csv_text(rows)
    place = tmp_path / "3a"
    place.mkdir()
    for changed, words in (
        (text.replace(",plain,3,", ",plain,4,"), r"3a/trials.csv, line 2: kernel sizes"),
        (text.replace("lr=0.2", "lr=0.3"), r"3a/trials.csv, line 2, column trial: got .* which its configuration"),
        ("a,b\n1,2\n", r"3a/trials.csv: got no column trial"),
    ):
        (place / "trials.csv").write_text(changed)
        with pytest.raises(InputError, match=words):
            read_results(tmp_path)


def test_tables_of_an_earlier_parlay_are_adopted_with_a_note(tmp_path):
    """Columns that were not there yet are filled in; the precision is unrecorded unless it is said; nothing changes on
    a second call.
    """
    rows = finished(plan_panel(get_experiment("free3"), Protocol(layouts=3, steps=1000), data="d" * 64))
    records = list(csv.DictReader(io.StringIO(csv_text(rows))))
    old = [name for name in records[0] if name not in ("precision", "validation", "versions", "device", "attempts")]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, old, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**record, "trial": "0" * 64} for record in records)
    table = tmp_path / "trials.csv"
    table.write_text(stream.getvalue())
    assert {row.trial.precision for row in read_csv(table).rows} == {"unrecorded precision"}
    arguments = [str(table), "--precision", "bf16", "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(adopt, arguments)
    assert (done.exit_code, done.output.split(";")[0]) == (0, "3 complete trials"), done.output
    found = read_results(tmp_path / "results")
    assert {row.trial.precision for row in found} == {"bf16"} and "earlier parlay" in found[0].versions["note"]
    before = (tmp_path / "results" / "free3" / "trials.csv").read_bytes()
    assert CliRunner().invoke(adopt, arguments).exit_code == 0
    assert (tmp_path / "results" / "free3" / "trials.csv").read_bytes() == before


def test_wrong_options_are_one_line(images, tmp_path, capsys):
    """No panel, no study, a panel that there is not, data of another kind: one line, exit 2, nothing trained."""
    study = ("--study", str(tmp_path / "s"))
    for arguments, said in (
        ((*study,), "--panel"),
        (("--panel", "3a"), "--study"),
        (("--panel", "3x", *study), "allowed: 3a"),
        (("--panel", "3a", "--data", "cifar100", *study), "allowed: cifar10"),
        (("--panel", "3c", "--data-file", str(images), *study), "100 classes"),
        (("--panel", "3a", "--panel", "3c", "--data-file", str(images), *study), "cifar10=PATH"),
        (("--panel", "3a", "--data-file", str(images), "--recipe", "quick", *study), "recipe"),
    ):
        assert run(["paper", "run", *arguments]) == 2
        captured = capsys.readouterr()
        assert said in captured.err and len(captured.err.splitlines()) == 1, captured.err


def finished(plan) -> list[Row]:
    """The trials of a plan as if they had been trained."""
    return [
        Row(
            trial=planned.trial,
            kinds=planned.kinds,
            data_name="cifar10",
            status="complete",
            attempts=1,
            accuracy=0.5 + place / 100,
            loss=1.25,
            train_loss=1.5,
            seconds=12.5,
            threads=1,
            device="cpu",
            versions={"cpu": "Some CPU @ 2.80GHz", "parlay": "0.1.0", "python": "3.12.1", "torch": "2.9.1"},
            finished="2017-10-23T00:00:00+00:00",
        )
        for place, planned in enumerate(plan)
    ]


def vars_of(row: Row) -> dict[str, Any]:
    """The fields of a row."""
    return {name: getattr(row, name) for name in Row.__dataclass_fields__}
