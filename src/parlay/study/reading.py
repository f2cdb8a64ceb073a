"""The one reader of kept trials: a study, or the trials.csv of one; every cost in a table is counted again."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from parlay.errors import InputError, StudyError
from parlay.families import get_family
from parlay.study.plan import UNRECORDED, Trial
from parlay.study.row import COMPLETE, COSTS, KEPT, STATUSES, Row, split_kinds
from parlay.study.schema import FILE, has_study
from parlay.study.store import Reader
from parlay.study.trial_network import TrialNetwork, layout_costs
from parlay.study.trials_csv import COLUMNS, TABLE
from parlay.train.recipe import Recipe

__all__ = ["Trials", "read_csv", "read_trials"]

# fmt: off
NEEDED = (
    "trial", "kinds", "layout", "seed", "steps", "accuracy", "status", "data", "data_sha256", "recipe",
    "recipe_numbers", "family", "depth", "kernel_sizes", "in_channels", "image", "classes",
)
"""Columns without which a line is no trial; every table that parlay ever wrote has them."""
# fmt: on
SAME = 1e-9
"""Relative difference up to which two energies are one: the logarithms of two machines differ in their last bits."""

OF_A_MODEL = "of a model, which the study itself knows, or evaluate --model"

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What a folder holds of a study.

    Attributes:
        path: the file that was read: a study.sqlite or a trials.csv.
        rows: every trial of a study; of a table those of the paper's families.
        left_out: why a line of a table is not among them -> how many such lines.
    """

    path: Path
    rows: tuple[Row, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def required(self) -> tuple[Row, ...]:
        """The rows.

        Raises:
            StudyError: where there is none, saying what was left out.
        """
        if self.rows:
            return self.rows
        if self.is_study:
            raise StudyError(f"study {self.path.parent} holds no trial; 'parlay study new' plans some")
        why = "; ".join(f"{count:,} {reason}" for reason, count in self.left_out.items()) or "no line"
        raise StudyError(f"{self.path} holds no trial that can be read back ({why})")

    @property
    def is_study(self) -> bool:
        """Whether it is a study, which can be resumed and knows learning curves; a table does not."""
        return self.path.name == FILE


def read_trials(folder: Path, *, model: Callable[..., TrialNetwork] | None = None) -> Trials:
    """The trials of a folder: those of its study.sqlite, or else of its trials.csv.

    Args:
        folder: where.
        model: as ``read_csv`` takes it, for a table.

    Raises:
        InputError: for a folder that has neither, a file instead of a folder, or as ``read_csv``.
        StudyError: for a study that cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> from parlay.families import plain
    >>> from parlay.study import Kind, csv_text, make_plan
    >>> from parlay.train import get_recipe
    >>> [planned] = make_plan(plain(2), {(4, 6): frozenset({Kind.GIVEN})}, data="d" * 64, recipe=get_recipe("fast"))
    >>> row = Row(trial=planned.trial, kinds=planned.kinds, data_name="cifar10", status="complete", accuracy=0.5)
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "trials.csv").write_text(csv_text([row]))
    ...     read_trials(Path(folder)).rows[0].trial == row.trial
    True
    """
    if folder.is_file():
        raise InputError("study", given=str(folder), allowed="a folder", remedy=f"the file's own is {folder.parent}")
    if has_study(folder):
        with Reader(folder) as reader:
            return Trials(path=folder / FILE, rows=tuple(reader.rows()))
    if not (folder / TABLE).exists():
        raise InputError(
            "study",
            given=str(folder),
            allowed=f"a folder with a {FILE} or a {TABLE}",
            remedy="'parlay study run' writes both",
        )
    return read_csv(folder / TABLE, model=model)


def read_csv(
    path: Path, *, precision: str = UNRECORDED, note: str = "", model: Callable[..., TrialNetwork] | None = None
) -> Trials:
    """The trials of a trials.csv, of networks of a family or of a model that is named; what is left out is counted.

    Every trial's identity is computed again and must be the one in the file, and what its layout costs is counted
    again. Tables written before precision was a column are read too; the identity that they state was made in another
    way, so it is not compared, and the trial gets the one it has now.

    Args:
        path: the file, as ``csv_text`` writes it.
        precision: ``fp32`` or ``bf16``, of a table without that column.
        note: kept in ``versions`` of every row under ``note``: where a table comes from that does not say so itself.
        model: makes the network of trials of a model from ``in_channels``, ``image`` and ``classes``; without it they
            are left out.

    Raises:
        InputError: for a file that cannot be read or lacks columns, a value that cannot be read, an identity or a cost
            that does not belong to its layout: with path, line, column, what is there and what should be.
    """
    records = _records(path)
    columns = records[0].cells.keys() if records else ()
    rows: list[Row] = []
    lines: dict[str, int] = {}
    make_model = None if model is None else cache(model)  # traced once for each shape of images
    left_out: Counter[str] = Counter()
    for record in records:
        if record.cells["status"] not in STATUSES:
            raise record.wrong("status", ", ".join(STATUSES))
        if not record.cells["family"] and make_model is None:
            left_out[OF_A_MODEL] += 1
            continue
        row = _row(record, precision, note, make_model)
        identity = row.trial.identity
        if "precision" in columns and identity != record.cells["trial"]:
            raise record.wrong("trial", f"{identity}, which its configuration makes")
        if identity in lines:
            raise InputError(
                record.where,
                given=f"the trial of line {lines[identity]} again",
                allowed="each trial once",
                remedy="remove one of the two lines",
            )
        lines[identity] = record.line
        rows.append(row)
    return Trials(path=path, rows=tuple(rows), left_out=left_out)


@dataclass(frozen=True, kw_only=True)
class _Record:
    """One line of a table.

    Attributes:
        path: of the table.
        line: its number, from 1; the header is the first.
        cells: column -> text.
    """

    path: Path
    line: int
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        return f"{self.path}, line {self.line}"

    def wrong(self, column: str, allowed: str) -> InputError:
        """What is said of a cell."""
        return InputError(
            f"{self.where}, column {column}",
            given=self.cells[column] or "nothing",
            allowed=allowed,
            remedy="restore the file",
        )

    def known(self, column: str) -> Any:
        """The value of a cell; None for an empty one, and for a column that the table has not.

        Raises:
            InputError: for a text that is none of its kind.
        """
        item = COLUMNS[column]
        try:
            return item.parse(self.cells.get(column, ""))
        except ValueError:
            raise self.wrong(column, item.allowed) from None

    def value(self, column: str) -> Any:
        """The same of a cell that may not be empty."""
        found = self.known(column)
        if found is None:
            raise self.wrong(column, COLUMNS[column].allowed)
        return found

    def made(self, column: str, make: Callable[[str], Value], allowed: str) -> Value:
        """What is made of a cell's text.

        Raises:
            InputError: for a text that it cannot be made of.
        """
        try:
            return make(self.cells[column])
        except (ValueError, KeyError, TypeError):
            raise self.wrong(column, allowed) from None


def _records(path: Path) -> list[_Record]:
    """The lines of a table.

    Raises:
        InputError: for a file that is no whole table of trials.
    """
    allowed = f"a {TABLE} of parlay's, as 'parlay study export' writes it"
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        columns = reader.fieldnames or ()
        missing = [name for name in NEEDED if name not in columns]
        if missing:
            raise InputError(str(path), given=f"no column {', '.join(missing)}", allowed=allowed)
        records = [_Record(path=path, line=line, cells=cells) for line, cells in enumerate(reader, start=2)]
    except OSError as error:
        raise InputError(str(path), given=error.strerror or str(error), allowed="a file that can be read") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(str(path), given=str(error), allowed=allowed) from None
    for record in records:
        if None in record.cells.values() or None in record.cells:
            raise InputError(
                record.where,
                given="too few or too many cells",
                allowed=f"{len(columns)}, one a column",
                remedy="restore the file",
            )
    return records


def _row(record: _Record, precision: str, note: str, model: Callable[..., TrialNetwork] | None) -> Row:
    """A trial, its costs counted again."""
    trial = _trial(record, precision, model)
    costs = layout_costs(trial.network, trial.layout)
    for item in COSTS:
        if item.name in record.cells:
            _check_cost(record, item.name, costs[item.name])
    kept = {item.name: record.known(item.name) for item in KEPT if item.is_exported}
    is_complete = kept["status"] == COMPLETE
    if is_complete and kept["accuracy"] is None and kept["mean_average_precision"] is None:
        raise record.wrong("accuracy", "a number in a complete trial")
    return Row(
        trial=trial,
        kinds=record.made("kinds", split_kinds, "reasons joined by +, such as top+all"),
        data_name=record.cells["data"],
        counted=costs,
        versions={**_versions(record.cells.get("versions", "")), **({"note": note} if note else {})},
        **{**kept, "attempts": kept["attempts"] or int(is_complete)},
    )


def _check_cost(record: _Record, name: str, counted: float | None) -> None:
    """Refuse a cost that is not the one of the line's layout."""
    stated = record.known(name)
    same = stated == counted or (
        stated is not None and isinstance(counted, float) and math.isclose(stated, counted, rel_tol=SAME)
    )
    if not same:
        counted_text = "nothing" if counted is None else f"{counted:,}"
        raise record.wrong(name, f"{counted_text}, which {record.cells['layout']} costs")


def _trial(record: _Record, precision: str, model: Callable[..., TrialNetwork] | None) -> Trial:
    steps = record.value("steps")
    recipe = record.made(
        "recipe_numbers", lambda text: _recipe(record.cells["recipe"], steps, text), "key=value joined by spaces"
    )
    layout = record.value("layout")
    shape = {name: record.value(name) for name in ("in_channels", "image", "classes")}
    seed, validation = record.value("seed"), record.known("validation") or 0
    if record.cells["family"]:
        shape |= {"depth": record.value("depth"), "kernel_size": record.value("kernel_sizes")}
    try:
        make = get_family(record.cells["family"]) if record.cells["family"] else model
        assert make is not None
        return Trial(
            network=make(**shape),
            layout=layout,
            data=record.cells["data_sha256"],
            recipe=recipe,
            steps=steps,
            seed=seed,
            validation=validation,
            precision=record.cells.get("precision") or precision,
        )
    except InputError as error:
        named = "" if record.cells["family"] else "name the model that was trained, or "
        raise InputError(f"{record.where}: {error}", remedy=f"{named}restore the file") from None


def _recipe(name: str, steps: int, text: str) -> Recipe:
    """The recipe from its numbers as the table has them: ``key=value`` joined by spaces, lists joined by commas."""
    settings = dict(item.split("=", 1) for item in text.split(" "))
    settings["milestones"] = settings.get("milestones", "").strip("[]")
    plain = Recipe(name=name, steps=steps).with_settings(settings)
    return Recipe.from_numbers(name, steps, plain.numbers())


def _versions(text: str) -> dict[str, str]:
    """``key=value`` joined by spaces, where values may hold spaces too."""
    parts = re.split(r"(?:^| )(parlay|torch|python|cpu|system|note)=", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
