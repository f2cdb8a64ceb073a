"""trials.csv: one line per trial, with everything needed to tell trials apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from parlay.documents import SCHEMA_VERSION
from parlay.layout import format_layout
from parlay.study.network import network_columns
from parlay.study.plan import strongest
from parlay.study.row import PLAIN, Row

__all__ = ["COLUMNS", "TABLE", "csv_text", "table_row"]

TABLE = "trials.csv"
"""Name of the file in a study's folder."""

# fmt: off
COLUMNS: tuple[str, ...] = (
    "trial", "kind", "kinds", "layout", "energy", "log_energy", "kernels", "weights", "params", "macs",
    "peak_activation_bytes", "seed", "steps", "accuracy", "loss", "train_loss", "seconds", "status", "error",
    "data", "data_sha256", "recipe", "recipe_numbers", "family", "depth", "kernel_sizes", "in_channels", "image",
    "classes", "threads", "finished", "schema_version", "network", "validation", "validation_accuracy",
    "validation_loss", "mean_average_precision", "precision", "attempts", "images_per_second", "device", "host",
    "started", "versions",
)
# fmt: on
"""Columns of trials.csv, in order; docs/studies.md says what each is."""


def table_row(row: Row) -> dict[str, Any]:
    """A trial as JSON values under the names of ``COLUMNS``."""
    trial = row.trial
    plain = {name: getattr(row, name) for name in COLUMNS if name in PLAIN}
    return {
        "trial": trial.identity,
        "kind": str(strongest(row.kinds)),
        "kinds": "+".join(sorted(row.kinds)),
        **row.costs,
        **plain,
        "seed": trial.seed,
        "steps": trial.steps,
        "validation": trial.validation,
        "precision": trial.precision,
        "data": row.data_name,
        "data_sha256": trial.data,
        "recipe": trial.recipe.name,
        "recipe_numbers": " ".join(f"{key}={_plain(value)}" for key, value in trial.recipe.numbers().items()),
        **network_columns(trial.network),
        "schema_version": SCHEMA_VERSION,
        "versions": " ".join(f"{key}={value}" for key, value in sorted(row.versions.items())),
    }


def csv_text(rows: Sequence[Row]) -> str:
    """The whole of trials.csv; widths and kernel sizes are joined by ``-``, what is not known is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = table_row(row)
        for key in ("layout", "kernel_sizes"):
            values[key] = None if values[key] is None else format_layout(values[key])
        writer.writerow(values)
    return stream.getvalue()


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
