"""Studies as populations: one for every group of trials that differ in layout and seed only."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parlay.errors import InputError, StudyError
from parlay.evidence.table import Population, TrainedLayout, population_from
from parlay.families import Family, get_family
from parlay.layout import Layout, parse_layout
from parlay.study import Row
from parlay.study.network import TrialNetwork
from parlay.study.store import Reader

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
    "validation",
    "precision",
)
"""Columns of trials.csv in which comparable trials agree; one that a file has not is the same for all of it."""

USED = ("family", "layout", "weights", "params", "macs", "peak_activation_bytes", "seed", "accuracy", "status", "data")


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One complete trial.

    Attributes:
        alike: equal for trials that can be compared.
        network: everything but the widths.
        layout, seed, accuracy: of the trial.
        costs: weights, params, macs, peak_activation_bytes; None where there is no number.
        data, steps: for the title.
        training: what may tell two populations of the same title apart.
    """

    alike: str
    network: TrialNetwork
    layout: Layout
    seed: int
    accuracy: float
    costs: Mapping[str, int | None]
    data: str
    steps: int
    training: str


def read_study(folder: Path | str) -> list[Population]:
    """The populations of a study; the largest comes first.

    A folder that holds only the trials.csv of a study is read as well, as far as the paper's families go.

    Raises:
        InputError: when there is neither study nor trials.csv of parlay's, or no trial is complete.
    """
    place = Path(folder)
    name = place.resolve().name
    if (place / "study.sqlite").exists():
        try:
            with Reader(place) as study:
                return from_rows(study.rows(), name=name)
        except StudyError as error:
            raise InputError("study", given=str(folder), allowed="a study of parlay's", remedy=str(error)) from None
    return _populations(_csv_runs(place / "trials.csv", str(folder)), name)


def from_rows(rows: Iterable[Row], *, name: str = "study") -> list[Population]:
    """The populations of trials at hand; the largest comes first.

    Runs of a layout are its seeds, in order. Sizes are compared in weights (Eq. 1) or in parameters, whichever takes
    fewer values: a study holds one of the two equal. Accuracies are shares, 0 to 1, on the test images.

    Raises:
        InputError: when no trial is complete.
    """
    runs: list[_Run] = []
    for row in rows:
        if row.status != "complete" or row.accuracy is None:
            continue
        trial = row.trial
        alike = {key: value for key, value in trial.config.items() if key not in ("layout", "seed")}
        run = _Run(
            alike=json.dumps(alike, sort_keys=True),
            network=trial.network,
            layout=trial.layout,
            seed=trial.seed,
            accuracy=row.accuracy,
            costs=row.costs,
            data=row.data_name,
            steps=trial.steps,
            training=_training(trial.recipe.name, trial.precision, trial.validation),
        )
        runs.append(run)
    return _populations(runs, name)


def _csv_runs(path: Path, folder: str) -> list[_Run]:
    """The complete trials of a trials.csv."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in USED if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError("study", given=f"{path} without {missing[0]}", allowed="a trials.csv of parlay's")
            records = [record for record in reader if record["status"] == "complete" and record["accuracy"]]
        return [_csv_run(record) for record in records]
    except OSError as error:
        raise InputError(
            "study",
            given=folder,
            allowed="a folder with a study.sqlite or a trials.csv, which 'parlay study run' writes",
            remedy=error.strerror or str(error),
        ) from None
    except (UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("study", given=str(path), allowed="a trials.csv of parlay's", remedy=str(error)) from None


def _csv_run(record: dict[str, str]) -> _Run:
    costs = ("weights", "params", "macs", "peak_activation_bytes")
    return _Run(
        alike=json.dumps([record.get(key) for key in ALIKE]),
        network=_family(record),
        layout=parse_layout(record["layout"]),
        seed=int(record["seed"]),
        accuracy=float(record["accuracy"]),
        costs={name: int(record[name]) if record[name] else None for name in costs},
        data=record["data"],
        steps=int(record["steps"]),
        training=_training(record.get("recipe"), record.get("precision"), int(record.get("validation") or 0)),
    )


def _training(recipe: str | None, precision: str | None, validation: int) -> str:
    """Recipe, precision and held out images in words, as far as they are known."""
    held = f"{validation:,} images held out" if validation else ""
    return ", ".join(part for part in (f"recipe {recipe}" if recipe else "", precision, held) if part)


def _family(record: dict[str, str]) -> Family:
    if not record["family"]:
        raise InputError("trials.csv", given="trials of a model", allowed="the study itself, which knows the model")
    factory = get_family(record["family"])
    return factory(
        int(record["depth"]),
        kernel_size=tuple(int(size) for size in record["kernel_sizes"].split("-")),
        in_channels=int(record["in_channels"]),
        image=int(record["image"]),
        classes=int(record["classes"]),
    )


def _populations(runs: Sequence[_Run], name: str) -> list[Population]:
    groups: dict[str, list[_Run]] = {}
    for run in runs:
        groups.setdefault(run.alike, []).append(run)
    if not groups:
        raise InputError("study", given=f"{name} without a complete trial", allowed="at least one complete trial")
    found = [_population(group, name if len(groups) == 1 else "") for group in groups.values()]
    repeated = Counter(population.name for population in found)
    found = [
        replace(population, name=f"{population.name}, {group[0].training}")
        if repeated[population.name] > 1
        else population
        for population, group in zip(found, groups.values(), strict=True)
    ]
    return sorted(found, key=lambda population: -len(population))


def _population(runs: Sequence[_Run], name: str) -> Population:
    first = runs[0]
    weights, params = ({run.costs[key] for run in runs} for key in ("weights", "params"))
    counted = "weights" if None not in weights and len(weights) <= len(params) else "params"
    seeds = sorted({run.seed for run in runs})
    accuracies: dict[Layout, dict[int, float]] = {}
    for run in runs:
        accuracies.setdefault(run.layout, {})[run.seed] = run.accuracy
    networks = [
        TrainedLayout(
            widths=layout,
            accuracy=tuple(accuracies[layout].get(seed, math.nan) for seed in seeds),
            params=run.costs["params"] or 0,
            macs=run.costs["macs"] or 0,
            peak_memory=run.costs["peak_activation_bytes"],
            size=run.costs[counted],
        )
        for layout, run in {run.layout: run for run in runs}.items()
    ]
    groups = first.network.space.groups
    return population_from(
        networks,
        name=name or f"{first.network.title} on {first.data}, {first.steps} steps",
        group_names=[group.name for group in groups],
        layers=[group.multiplicity for group in groups],
        size_name=counted,
        unit="share, 0 to 1",
        network=first.network,
    )
