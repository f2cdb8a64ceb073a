"""The one reader of trials.csv: what it refuses, under every command, what it leaves out, and tables of old."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parlay.cli.main import run
from parlay.errors import InputError, StudyError
from parlay.families import plain
from parlay.study import Kind, ModelNetwork, Row, Store, Trial, csv_text, make_plan
from parlay.study.reading import read_trials
from parlay.train import get_recipe

LAYOUTS = ((8, 9, 10, 11), (7, 9, 11, 11), (9, 9, 9, 11), (6, 10, 11, 11))

COMMANDS = {
    "evaluate": "evaluate {one} --bin 0.5".split(),
    "calibrate": "calibrate {one}".split(),
    "report": "report {one} --out {out}/page.html".split(),
    "paper claims": "paper claims --results {all}".split(),
    "paper figures": "paper figures --results {all} --out {out}/figures".split(),
    "paper run": "paper run --panel 3b --data-file {out}/images.npz --results {all} --study {out}/study".split(),
}
"""Every command that reads a trials.csv -> its arguments; {one}: a study's folder, {all}: a folder of such folders."""


def rows_of(layouts: tuple[tuple[int, ...], ...] = LAYOUTS, seeds: tuple[int, ...] = (0, 1)) -> list[Row]:
    """Complete trials of plain networks."""
    plan = make_plan(
        plain(4),
        {layout: frozenset({Kind.TOP}) for layout in layouts},
        data="d" * 64,
        recipe=get_recipe("fast"),
        seeds=seeds,
    )
    return [
        Row(
            trial=planned.trial,
            kinds=planned.kinds,
            data_name="cifar10",
            status="complete",
            attempts=1,
            accuracy=0.5 + place / 100,
            loss=1.0,
        )
        for place, planned in enumerate(plan)
    ]


def changed(rows: list[Row], change: dict[str, str | None], line: int = 2) -> str:
    """Their table with cells of a line replaced; None takes a column out of the whole table."""
    records = list(csv.DictReader(io.StringIO(csv_text(rows))))
    records[line - 2].update({name: value for name, value in change.items() if value is not None})
    gone = {name for name, value in change.items() if value is None}
    out = io.StringIO()
    writer = csv.DictWriter(
        out, [name for name in records[0] if name not in gone], extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


@pytest.mark.parametrize("name", COMMANDS)
def test_costs_that_are_not_the_layouts_are_refused_by_every_command(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """8-9-10-11 with macs of 1: exit 2 and one line with path, line, column, given, expected and remedy."""
    place = tmp_path / "results" / "3b"
    place.mkdir(parents=True)
    (place / "trials.csv").write_text(changed(rows_of(), {"macs": "1"}), encoding="utf-8")
    draw = np.random.default_rng(0)
    images = {f"x_{part}": draw.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8) for part in ("train", "test")}
    labels = {f"y_{part}": (np.arange(40) % 10).astype(np.uint8) for part in ("train", "test")}
    np.savez(tmp_path / "images.npz", **images, **labels)
    names = {"one": place, "all": place.parent, "out": tmp_path}
    assert run([part.format(**names) for part in COMMANDS[name]]) == 2
    [line] = capsys.readouterr().err.splitlines()
    counted = plain(4).amounts((8, 9, 10, 11))["macs"]
    assert f"{place / 'trials.csv'}, line 2, column macs: got 1; allowed: {counted:,}, which 8-9-10-11 costs" in line
    assert line.endswith("restore the file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy": "7.5"}, "column energy: got 7.5; allowed: "),
        ({"log_energy": ""}, "column log_energy: got nothing; allowed: "),
        ({"kernels": "9"}, "column kernels: got 9; allowed: "),
        ({"weights": "9"}, "column weights: got 9; allowed: "),
        ({"params": "9"}, "column params: got 9; allowed: "),
        ({"peak_activation_bytes": "many"}, "column peak_activation_bytes: got many; allowed: a whole number"),
        ({"layout": "8-9-10-12"}, "which 8-9-10-12 costs"),
        ({"layout": "8-9-10"}, "line 3: layout"),
        ({"seed": "7"}, "column trial: got "),
        ({"seed": "one"}, "column seed: got one; allowed: a whole number"),
        ({"accuracy": "nan"}, "column accuracy: got nan; allowed: a finite number"),
        ({"accuracy": ""}, "column accuracy: got nothing; allowed: a number in a complete trial"),
        ({"kinds": "best"}, "column kinds: got best; allowed: "),
        ({"status": "done"}, "column status: got done; allowed: planned, running, complete, failed"),
        ({"family": "vgg"}, "line 3: family: got 'vgg'"),
        ({"recipe_numbers": "lr"}, "column recipe_numbers: got lr; allowed: key=value"),
        ({"precision": "fp8"}, "line 3: precision: got 'fp8'"),
        ({"error": "x" * 140_000}, "field larger than field limit"),
        ({"steps": None}, "got no column steps; allowed: a trials.csv of parlay's"),
    ],
)
def test_a_cell_that_cannot_be_is_named(tmp_path: Path, change: dict[str, str | None], words: str):
    """Path, line and column, what is there, what should be."""
    (tmp_path / "trials.csv").write_text(changed(rows_of(), change, line=3), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_trials(tmp_path)
    assert str(refused.value).startswith(str(tmp_path / "trials.csv")) and words in str(refused.value)


def test_lines_left_out_are_counted(tmp_path: Path):
    """Failed and planned trials are rows as in the study; those of traced models are not, and how many is told."""
    first, second, *rest = rows_of()
    model = ModelNetwork(
        spec="net.py:net",
        kwargs="{}",
        in_channels=3,
        image=32,
        classes=10,
        group_names=("a",),
        multiples=(1,),
        today=(4,),
        structure="0" * 64,
    )
    costs = {"layout": [4], "energy": 4.0, "log_energy": 1.4, "params": 9, "macs": 9, "peak_activation_bytes": 9}
    traced = Row(
        trial=Trial(network=model, layout=(4,), data="d" * 64, recipe=get_recipe("fast"), steps=9, seed=0),
        kinds=frozenset({Kind.ORIGINAL}),
        data_name="cifar10",
        status="complete",
        counted={**costs, "kernels": None, "weights": None},
        accuracy=0.5,
    )
    failed = Row(trial=first.trial, kinds=first.kinds, data_name="cifar10", status="failed", error="no luck")
    planned = Row(trial=second.trial, kinds=second.kinds, data_name="cifar10")
    (tmp_path / "trials.csv").write_text(csv_text([failed, planned, traced, *rest]), encoding="utf-8")
    found = read_trials(tmp_path)
    assert [row.trial for row in found.rows] == [row.trial for row in (failed, planned, *rest)] and not found.is_study
    assert [(row.status, row.error, row.accuracy) for row in found.rows[:2]] == [
        ("failed", "no luck", None),
        ("planned", None, None),
    ]
    assert found.left_out == {"of a model, which the study itself knows, or evaluate --model": 1}


def test_a_trial_without_a_reason_is_refused(tmp_path: Path):
    """An empty cell of kinds would let a layout that a score chose judge it."""
    (tmp_path / "trials.csv").write_text(changed(rows_of(), {"kinds": ""}), encoding="utf-8")
    with pytest.raises(InputError, match="line 2, column kinds: got nothing; allowed: reasons joined by"):
        read_trials(tmp_path)


def test_a_study_comes_before_its_table(tmp_path: Path):
    """study.sqlite is read where it is there, every trial of it, whatever the table says."""
    plan = make_plan(plain(2), {(4, 6): frozenset({Kind.GIVEN})}, data="d" * 64, recipe=get_recipe("fast"))
    with Store(tmp_path) as store:
        store.add(plan, data_name="toy")
    (tmp_path / "trials.csv").write_text("nothing", encoding="utf-8")
    found = read_trials(tmp_path)
    assert [row.trial for row in found.rows] == [plan[0].trial]
    assert found.is_study and found.path == tmp_path / "study.sqlite" and not found.left_out


def test_tables_of_an_earlier_parlay_are_read(tmp_path: Path):
    """Columns that came later are missing: no validation, an unrecorded precision, identities of another making."""
    later = "network validation validation_accuracy validation_loss mean_average_precision precision attempts"
    later += " images_per_second device host started versions"
    rows = rows_of()
    old = changed(rows, {"trial": "0" * 64, **dict.fromkeys(later.split())})
    (tmp_path / "trials.csv").write_text(old, encoding="utf-8")
    found = read_trials(tmp_path).rows
    assert [(row.trial.layout, row.trial.seed, row.accuracy) for row in found] == [
        (row.trial.layout, row.trial.seed, row.accuracy) for row in rows
    ]
    assert {(row.trial.precision, row.trial.validation) for row in found} == {("unrecorded precision", 0)}
    with pytest.raises(InputError, match="precision"):
        make_plan(plain(2), {}, data="d" * 64, recipe=get_recipe("fast"), precision="unrecorded precision")


def test_energies_of_another_machine_are_the_same(tmp_path: Path):
    """The last bits of a logarithm differ between machines; that is no other energy."""
    [row, *_] = rows_of()
    nearly = {"energy": repr(row.costs["energy"] * (1 + 1e-13)), "log_energy": repr(row.log_energy * (1 - 1e-13))}
    (tmp_path / "trials.csv").write_text(changed([row], nearly), encoding="utf-8")
    assert read_trials(tmp_path).rows[0].costs == row.costs


def no_study(folder: Path) -> Path:
    return folder


def a_file(folder: Path) -> Path:
    (folder / "trials.csv").write_text("", encoding="utf-8")
    return folder / "trials.csv"


def twice(folder: Path) -> Path:
    text = csv_text(rows_of())
    (folder / "trials.csv").write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
    return folder


def cut(folder: Path) -> Path:
    (folder / "trials.csv").write_text(csv_text(rows_of())[:-20], encoding="utf-8")
    return folder


def binary(folder: Path) -> Path:
    (folder / "trials.csv").write_bytes(b"\xff\xfe\x00")
    return folder


def no_database(folder: Path) -> Path:
    (folder / "study.sqlite").write_text("nothing of the kind", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_study, "allowed: a folder with a study.sqlite or a trials.csv"),
        (a_file, "the file's own is"),
        (twice, "line 10: got the trial of line 2 again; allowed: each trial once"),
        (cut, "too few or too many cells"),
        (binary, "a trials.csv of parlay's"),
        (no_database, "is not a study of parlay's, or is damaged"),
    ],
)
def test_a_folder_that_is_none_is_one_line(tmp_path: Path, make: Callable[[Path], Path], words: str):
    """Nothing there, a file, a trial twice, half a table, another file: named with its path."""
    with pytest.raises((InputError, StudyError)) as refused:
        read_trials(make(tmp_path))
    assert words in str(refused.value) and str(tmp_path) in str(refused.value)
