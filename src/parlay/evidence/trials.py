"""Studies as populations: one for every group of trials that differ in layout and seed only."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from parlay.errors import InputError
from parlay.evidence.table import Network, Population, population_from
from parlay.families import Family, get_family
from parlay.layout import Order, parse_layout
from parlay.study import Row, table_row

__all__ = ["from_rows", "read_study"]

ALIKE = (
    "family",
    "depth",
    "kernel_sizes",
    "in_channels",
    "image",
    "classes",
    "data_sha256",
    "recipe_numbers",
    "steps",
)
"""Columns of trials.csv in which comparable trials agree."""
USED = (*ALIKE, "layout", "weights", "params", "macs", "peak_activation_bytes", "seed", "accuracy", "status", "data")


def read_study(folder: Path | str) -> list[Population]:
    """The populations of a study, from the trials.csv in its folder; the largest comes first.

    Raises:
        InputError: when there is no trials.csv, or not one of parlay's, or no trial is complete.
    """
    path = Path(folder) / "trials.csv"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in USED if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError("study", given=f"{path} without {missing[0]}", allowed="a trials.csv of parlay's")
            records = [dict(record) for record in reader]
    except OSError as error:
        raise InputError(
            "study",
            given=str(folder),
            allowed="a folder with a trials.csv, which 'parlay study run' writes",
            remedy=error.strerror or str(error),
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("study", given=str(path), allowed="a trials.csv of parlay's", remedy=str(error)) from None
    try:
        return _populations(records, name=Path(folder).name or str(folder))
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("study", given=str(path), allowed="a trials.csv of parlay's", remedy=str(error)) from None


def from_rows(rows: Iterable[Row], *, name: str = "study") -> list[Population]:
    """The populations of trials at hand; the largest comes first.

    Runs of a layout are its seeds, in order. Sizes are compared in weights (Eq. 1) or in parameters, whichever takes
    fewer values: a study holds one of the two equal. Accuracies are shares, 0 to 1, as in trials.csv.

    Raises:
        InputError: when no trial is complete.
    """
    records: list[dict[str, Any]] = []
    for row in rows:
        record = table_row(row)
        for key in ("layout", "kernel_sizes"):
            record[key] = "-".join(map(str, record[key]))
        records.append(record)
    return _populations(records, name=name)


def _populations(records: Sequence[dict[str, Any]], name: str) -> list[Population]:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for record in records:
        if record["status"] == "complete" and record["accuracy"] not in (None, ""):
            groups.setdefault(tuple(str(record[key]) for key in ALIKE), []).append(record)
    if not groups:
        raise InputError("study", given=f"{name} without a complete trial", allowed="at least one complete trial")
    found = [_population(group, name if len(groups) == 1 else "") for group in groups.values()]
    return sorted(found, key=lambda population: -len(population))


def _population(records: Sequence[dict[str, Any]], name: str) -> Population:
    first = records[0]
    family = _family(first)
    title = f"{family.name}-{family.depth} on {first['data']}, {first['steps']} steps"
    counted = "weights" if len({r["weights"] for r in records}) <= len({r["params"] for r in records}) else "params"
    seeds = sorted({int(record["seed"]) for record in records})
    runs: dict[str, dict[int, float]] = {}
    for record in records:
        runs.setdefault(str(record["layout"]), {})[int(record["seed"])] = float(record["accuracy"])
    by_layout = {str(record["layout"]): record for record in records}
    networks = [
        Network(
            widths=parse_layout(layout),
            accuracy=tuple(runs[layout].get(seed, math.nan) for seed in seeds),
            params=int(record["params"]),
            macs=int(record["macs"]),
            peak_memory=int(record["peak_activation_bytes"]),
            size=int(record[counted]),
        )
        for layout, record in by_layout.items()
    ]
    groups = family.space(order=Order.FREE).groups
    return population_from(
        networks,
        name=name or title,
        group_names=[group.name for group in groups],
        layers=[group.multiplicity for group in groups],
        size_name=counted,
        unit="share, 0 to 1",
    )


def _family(record: dict[str, Any]) -> Family:
    factory = get_family(str(record["family"]))
    return factory(
        int(record["depth"]),
        kernel_size=tuple(int(size) for size in str(record["kernel_sizes"]).split("-")),
        in_channels=int(record["in_channels"]),
        image=int(record["image"]),
        classes=int(record["classes"]),
    )
