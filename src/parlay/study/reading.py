"""trials.csv read back into trials, so that a study goes on from what another machine has trained."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from typing import Any

from parlay.errors import InputError
from parlay.families import get_family
from parlay.layout import parse_layout
from parlay.study.network import FamilyNetwork
from parlay.study.plan import Trial
from parlay.study.row import COMPLETE, Row, split_kinds
from parlay.train.recipe import Recipe

__all__ = ["rows_from_csv"]

FLOATS = (
    "accuracy",
    "loss",
    "mean_average_precision",
    "validation_accuracy",
    "validation_loss",
    "train_loss",
    "seconds",
    "images_per_second",
)
COSTS = ("kernels", "weights", "params", "macs", "peak_activation_bytes")


def rows_from_csv(text: str, *, precision: str | None = None, note: str = "") -> list[Row]:
    """The complete trials of a trials.csv, of networks of a family; failed ones and traced models are left out.

    Every trial's identity is computed again and must be the one in the file, and what its layout costs is counted
    again. Tables written before precision was a column are read too, if ``precision`` says what it was: the identity
    that they state was made in another way, so it is not compared, and the trial gets the one it has now.

    Args:
        text: the file's content, as ``csv_text`` writes it.
        precision: ``fp32`` or ``bf16``, of a table without that column.
        note: kept in ``versions`` of every row under ``note``: where a table comes from that does not say so itself.

    Raises:
        InputError: for a table that lacks columns, a value that cannot be read, an identity or a cost that does not
            fit.

    >>> from parlay.families import plain
    >>> from parlay.study import Kind, csv_text, make_plan
    >>> from parlay.train import get_recipe
    >>> [planned] = make_plan(plain(2), {(4, 6): frozenset({Kind.GIVEN})}, data="d" * 64, recipe=get_recipe("fast"))
    >>> row = Row(trial=planned.trial, kinds=planned.kinds, data_name="cifar10", status="complete", accuracy=0.5)
    >>> rows_from_csv(csv_text([row]))[0].trial == row.trial
    True
    """
    reader = csv.DictReader(io.StringIO(text))
    try:
        columns, records = set(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise InputError("trials table", given=str(error), allowed="a trials.csv of parlay's") from None
    needed = {"trial", "layout", "seed", "steps", "accuracy", "status", "recipe_numbers", "data_sha256", "family"}
    if not needed <= columns:
        raise InputError(
            "trials table",
            given=f"no column {', '.join(sorted(needed - columns))}",
            allowed="a trials.csv, as 'parlay study export' writes it",
        )
    if "precision" not in columns and precision is None:
        raise InputError(
            "trials table", given="no column precision", allowed="tables that have one, or a precision said besides"
        )
    rows: list[Row] = []
    for line, record in enumerate(records, start=2):
        if None in record.values() or None in record:
            raise InputError(
                f"line {line} of the trials table",
                given="too few or too many cells",
                allowed=f"{len(columns)}, one a column",
                remedy="restore the file",
            )
        if record["status"] != COMPLETE or not record["family"]:
            continue
        try:
            row = _row(record, precision, note)
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"line {line} of the trials table", given=reason, allowed="a line that parlay wrote"
            ) from None
        if "precision" in columns and row.trial.identity != record["trial"]:
            raise InputError(
                f"line {line} of the trials table",
                given=f"trial {record['trial'][:12]}",
                allowed=f"{row.trial.identity[:12]}, which its configuration makes",
                remedy="restore the file",
            )
        rows.append(row)
    return rows


def _row(record: Mapping[str, str], precision: str | None, note: str) -> Row:
    family = get_family(record["family"])(
        int(record["depth"]),
        kernel_size=tuple(parse_layout(record["kernel_sizes"])),
        in_channels=int(record["in_channels"]),
        image=int(record["image"]),
        classes=int(record["classes"]),
    )
    trial = Trial(
        network=FamilyNetwork(family=family),
        layout=parse_layout(record["layout"]),
        data=record["data_sha256"],
        recipe=_recipe(record["recipe"], int(record["steps"]), record["recipe_numbers"]),
        steps=int(record["steps"]),
        seed=int(record["seed"]),
        validation=int(record.get("validation") or 0),
        precision=record.get("precision") or precision or "",
    )
    figures = trial.network.figures(trial.layout)
    for name in COSTS:
        if record.get(name) and int(record[name]) != figures[name]:
            raise ValueError(f"{name} {record[name]}, but {record['layout']} has {figures[name]}")
    measured: dict[str, Any] = {name: _number(record, name) for name in FLOATS}
    if measured["accuracy"] is None and measured["mean_average_precision"] is None:
        raise ValueError("a complete trial without an accuracy")
    return Row(
        trial=trial,
        kinds=split_kinds(record["kinds"]),
        data_name=record["data"],
        status=COMPLETE,
        attempts=int(record.get("attempts") or 1),
        figures=figures,
        threads=int(record["threads"]) if record.get("threads") else None,
        device=record.get("device") or None,
        host=record.get("host") or None,
        started=record.get("started") or None,
        finished=record.get("finished") or None,
        versions={**_versions(record.get("versions") or ""), **({"note": note} if note else {})},
        **measured,
    )


def _number(record: Mapping[str, str], name: str) -> float | None:
    value = float(record[name]) if record.get(name) else None
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    return value


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
