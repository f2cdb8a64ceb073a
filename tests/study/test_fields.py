"""One table of a trial's fields: files, trials.csv and the docs say what it says, and old files stay good."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from doc_blocks import ROOT
from parlay.families import plain
from parlay.study import COLUMNS, Kind, Reader, Row, Store, make_plan, table_row
from parlay.study.fields import Field, kept, kept_fields
from parlay.study.row import KEPT, MEASURED
from parlay.train import get_recipe
from parlay.train.loop import History


def test_the_docs_print_every_column():
    """docs/studies.md has a line for every column of trials.csv, in order: its name, what it is, its unit."""
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    table = page.split("| column | what | unit |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [f"| `{item.name}` | {item.meaning} | {item.unit} |" for item in COLUMNS.values()]


def test_a_field_is_declared_once():
    """Name, kind and whether it may be missing are the attribute's; what is not declared so is no field."""

    @dataclass
    class Kept:
        plain: int = 0
        flips: int = kept("pictures that were mirrored", default=0)
        energy_used: float | None = kept("from the socket", unit="J", is_measured=True)

    assert kept_fields(Kept) == (
        Field(name="flips", kind=int, meaning="pictures that were mirrored", is_optional=False),
        Field(name="energy_used", kind=float, meaning="from the socket", unit="J", is_measured=True),
    )
    assert [item.sql for item in kept_fields(Kept)] == ["flips INTEGER NOT NULL", "energy_used REAL"]


def test_what_training_measures_is_what_a_history_has():
    """Every measured field is one of the history of a training, so that it is kept where it is measured."""
    assert set(MEASURED) <= set(dir(History)) | set(History.__dataclass_fields__)
    assert {"accuracy", "train_loss", "images_per_second"} <= set(MEASURED)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(int, "7", 7), (float, "0.25", 0.25), (str, "fp32", "fp32"), (tuple, "4-6", (4, 6)), (float, "", None)],
)
def test_texts_and_values(kind: type, text: str, value: object):
    """A field's text is read as its kind; an empty one is no value; what is written is read back."""
    item = Field(name="x", kind=kind, meaning="")
    assert item.parse(text) == value
    assert value is None or item.parse(str(item.text(value))) == value


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (int, "1.5", "invalid literal"),
        (int, "x", "invalid literal"),
        (float, "x", "could not convert"),
        (float, "nan", "nan is no finite number"),
        (float, "-inf", "-inf is no finite number"),
        (tuple, "4-", "positive integers"),
    ],
)
def test_texts_of_another_kind_are_refused(kind: type, text: str, words: str):
    """Half numbers, numbers that are none and half layouts."""
    with pytest.raises(ValueError, match=words):
        Field(name="x", kind=kind, meaning="").parse(text)


def test_a_file_without_a_column_that_came_later_is_read_and_widened(tmp_path: Path):
    """A reader takes the missing field for unknown and changes nothing; who writes adds the column."""
    chosen = {layout: frozenset({Kind.GIVEN}) for layout in ((4, 6), (5, 5))}
    plan = make_plan(plain(2), chosen, data="d" * 64, recipe=get_recipe("fast"))
    rows = [
        Row(trial=p.trial, kinds=p.kinds, data_name="toy", status="complete", accuracy=0.5, images_per_second=9.0)
        for p in plan
    ]
    with Store(tmp_path) as store:
        for row in rows:
            store.write(row, [2.0, 1.0])
    connection = sqlite3.connect(tmp_path / "study.sqlite")
    connection.execute("ALTER TABLE trials DROP COLUMN images_per_second")
    connection.commit()
    connection.close()
    before = (tmp_path / "study.sqlite").read_bytes()
    with Reader(tmp_path) as reader:
        assert [(row.trial, row.accuracy, row.images_per_second) for row in reader.rows()] == [
            (row.trial, 0.5, None) for row in rows
        ]
    assert (tmp_path / "study.sqlite").read_bytes() == before
    with Store(tmp_path) as store:
        store.write(rows[0])
        assert [row.images_per_second for row in store.rows()] == [9.0, None]


def test_a_row_goes_to_the_file_and_back(tmp_path: Path):
    """Every kept field of a row, whatever its kind, and the same JSON."""
    [planned] = make_plan(plain(2), {(4, 6): frozenset({Kind.GIVEN})}, data="d" * 64, recipe=get_recipe("fast"))
    values = {int: 3, float: 0.5, str: "text"}
    kept_values = {item.name: values[item.kind] for item in KEPT if item.name != "status"}
    row = Row(trial=planned.trial, kinds=planned.kinds, data_name="toy", status="failed", **kept_values)  # pyright: ignore[reportArgumentType]
    with Store(tmp_path) as store:
        store.write(row)
        [found] = store.rows()
    assert {item.name: getattr(found, item.name) for item in KEPT} == {"status": "failed", **kept_values}
    assert table_row(found) == table_row(row) and list(table_row(row)) == list(COLUMNS)
