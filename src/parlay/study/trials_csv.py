"""trials.csv: one line per trial, with everything needed to tell trials apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parlay.documents import SCHEMA_VERSION
from parlay.study.fields import Field
from parlay.study.plan import Kind, strongest
from parlay.study.row import COSTS, KEPT, Row
from parlay.study.trial_network import network_columns

__all__ = ["COLUMNS", "TABLE", "csv_text", "table_row"]

TABLE = "trials.csv"
"""Name of the file in a study's folder."""

DECIDED: Mapping[str, tuple[Callable[[Row], Any], Field]] = {
    item.name: (of, item)
    for of, item in (
        (
            lambda row: row.trial.identity,
            Field(name="trial", kind=str, meaning="identity: SHA-256 of the configuration"),
        ),
        (
            lambda row: str(strongest(row.kinds)),
            Field(name="kind", kind=str, meaning="the strongest reason", is_on_page=True, heading="Chosen as"),
        ),
        (
            lambda row: "+".join(sorted(row.kinds)),
            Field(
                name="kinds",
                kind=str,
                meaning=f"all reasons, joined by `+`: {', '.join(Kind)}",
            ),
        ),
        (
            lambda row: list(row.trial.layout),
            Field(name="layout", kind=tuple, meaning="widths, joined by `-`", is_on_page=True, heading="Layout"),
        ),
        (
            lambda row: row.trial.seed,
            Field(
                name="seed",
                kind=int,
                meaning="of initial weights, order of the data and augmentation",
                is_on_page=True,
                heading="Seed",
            ),
        ),
        (lambda row: row.trial.steps, Field(name="steps", kind=int, meaning="batches")),
        (
            lambda row: row.data_name,
            Field(name="data", kind=str, meaning="name of the data: of a file or a folder its own"),
        ),
        (
            lambda row: row.trial.data,
            Field(name="data_sha256", kind=str, meaning="its content, which tells data sets of one name apart"),
        ),
        (lambda row: row.trial.recipe.name, Field(name="recipe", kind=str, meaning="name of the recipe")),
        (
            lambda row: " ".join(f"{key}={_plain(value)}" for key, value in row.trial.recipe.numbers().items()),
            Field(name="recipe_numbers", kind=str, meaning="its numbers, as `key=value`"),
        ),
        (lambda _: SCHEMA_VERSION, Field(name="schema_version", kind=int, meaning="of this file")),
        (
            lambda row: row.trial.validation,
            Field(name="validation", kind=int, meaning="training images that were set aside"),
        ),
        (
            lambda row: row.trial.precision,
            Field(name="precision", kind=str, meaning="arithmetic of the training, fp32 or bf16"),
        ),
        (
            lambda row: " ".join(f"{key}={value}" for key, value in sorted(row.versions.items())),
            Field(name="versions", kind=str, meaning="of parlay, torch, Python, the system, and the CPU's model"),
        ),
    )
}
"""What configuration and reasons decide: how it is had from a row, and the field."""

NETWORK = (
    Field(name="network", kind=str, meaning="the network but for its widths, in words"),
    Field(name="family", kind=str, meaning="the paper's plain networks or ResNets; empty for models"),
    Field(name="depth", kind=int, meaning="its layers; empty for models"),
    Field(
        name="kernel_sizes",
        kind=tuple,
        meaning="of each width group, joined by `-`; empty for models",
        unit="pixels",
    ),
    Field(name="in_channels", kind=int, meaning="of the images"),
    Field(name="image", kind=int, meaning="side of the images", unit="pixels"),
    Field(name="classes", kind=int, meaning="outputs"),
)
"""What ``network_columns`` says of the network."""

# fmt: off
ORDER = (
    "trial", "kind", "kinds", "layout", "energy", "log_energy", "kernels", "weights", "params", "macs",
    "peak_activation_bytes", "seed", "steps", "accuracy", "loss", "train_loss", "seconds", "status", "error",
    "data", "data_sha256", "recipe", "recipe_numbers", "family", "depth", "kernel_sizes", "in_channels", "image",
    "classes", "threads", "finished", "schema_version", "network", "validation", "validation_accuracy",
    "validation_loss", "mean_average_precision", "precision", "attempts", "images_per_second", "device", "host",
    "started", "versions",
)
# fmt: on
"""How tables have been written so far, so that old and new ones can be compared line by line; a field that is not here
comes last."""

_ALL = {
    item.name: item
    for item in (
        *(item for _, item in DECIDED.values()),
        *NETWORK,
        *COSTS,
        *(item for item in KEPT if item.is_exported),
    )
}
COLUMNS: Mapping[str, Field] = {name: _ALL[name] for name in dict.fromkeys((*ORDER, *_ALL))}
"""Columns of trials.csv, in order; docs/studies.md prints them."""


def table_row(row: Row) -> dict[str, Any]:
    """A trial as JSON values under the names of ``COLUMNS``."""
    values = {
        **{name: of(row) for name, (of, _) in DECIDED.items()},
        **row.costs,
        **network_columns(row.trial.network),
        **{item.name: getattr(row, item.name) for item in KEPT},
    }
    return {name: values[name] for name in COLUMNS}


def csv_text(rows: Sequence[Row]) -> str:
    """The whole of trials.csv; widths and kernel sizes are joined by ``-``, what is not known is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: COLUMNS[name].text(value) for name, value in table_row(row).items()})
    return stream.getvalue()


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
