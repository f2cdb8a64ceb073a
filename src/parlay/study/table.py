"""trials.csv: one line per trial that ended, with everything needed to tell trials apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from parlay.documents import SCHEMA_VERSION, finite
from parlay.families import Family
from parlay.layout import Layout, format_layout
from parlay.problem import Solution
from parlay.study.plan import strongest
from parlay.study.store import Row

__all__ = ["COLUMNS", "csv_text", "figures", "table_row"]

# fmt: off
COLUMNS: tuple[str, ...] = (
    "trial", "kind", "kinds", "layout", "energy", "log_energy", "kernels", "weights", "params", "macs",
    "peak_activation_bytes", "seed", "steps", "accuracy", "loss", "train_loss", "seconds", "status", "error",
    "data", "data_sha256", "recipe", "recipe_numbers", "family", "depth", "kernel_sizes", "in_channels", "image",
    "classes", "threads", "finished", "schema_version",
)
# fmt: on
"""Columns of trials.csv, in order; docs/training.md says what each is."""


def figures(family: Family, layout: Layout) -> dict[str, Any]:
    """What a layout is and costs, in the words of every JSON document; null where there is no number.

    >>> from parlay.families import plain
    >>> figures(plain(4), (35, 36, 37, 43))["weights"]
    38592
    """
    log_energy = family.energy(layout)
    return {
        "layout": list(layout),
        "energy": finite(Solution(layout=layout, log_energy=log_energy).energy),
        "log_energy": finite(log_energy),
        **family.amounts(layout),
        "peak_activation_bytes": family.peak_activation_bytes()(layout),
    }


def table_row(row: Row) -> dict[str, Any]:
    """A trial as JSON values under the names of ``COLUMNS``."""
    trial, family = row.trial, row.trial.family
    return {
        "trial": trial.identity,
        "kind": str(strongest(row.kinds)),
        "kinds": "+".join(sorted(row.kinds)),
        **figures(family, trial.layout),
        "seed": trial.seed,
        "steps": trial.steps,
        "accuracy": row.accuracy,
        "loss": row.loss,
        "train_loss": row.train_loss,
        "seconds": row.seconds,
        "status": row.status,
        "error": row.error,
        "data": row.data_name,
        "data_sha256": trial.data,
        "recipe": trial.recipe.name,
        "recipe_numbers": " ".join(f"{key}={value}" for key, value in trial.recipe.numbers().items()),
        "family": family.name,
        "depth": family.depth,
        "kernel_sizes": list(family.kernel_sizes),
        "in_channels": family.in_channels,
        "image": family.image,
        "classes": family.classes,
        "threads": row.threads,
        "finished": row.finished,
        "schema_version": SCHEMA_VERSION,
    }


def csv_text(rows: Sequence[Row]) -> str:
    """The whole of trials.csv; widths and kernel sizes are joined by ``-``, what is not known is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = table_row(row)
        for key in ("layout", "kernel_sizes"):
            values[key] = format_layout(values[key])
        writer.writerow(values)
    return stream.getvalue()
