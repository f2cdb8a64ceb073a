"""Trials grouped by the question that they answer: trained the same way, on the same data, and of about one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from parlay.families import Family
from parlay.layout import Layout
from parlay.study import Row

__all__ = ["Panel", "log_path_energy", "make_panels", "size_words"]

SIZE_STEP = 1.05
"""Sizes are sorted; where the next is larger by more than this factor, another panel begins."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The trials of one study that can be compared.

    Attributes:
        study: name of the study.
        rows: every trial, whatever its status; at least one.
    """

    study: str
    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """The trial planned first."""
        return self.rows[0]

    @cached_property
    def complete(self) -> tuple[Row, ...]:
        """The trials with an accuracy."""
        return tuple(row for row in self.rows if row.accuracy is not None)

    @cached_property
    def accuracies(self) -> dict[Layout, tuple[float, ...]]:
        """Layout -> accuracy of each of its runs, 0 to 1; layouts without one are not there."""
        found: dict[Layout, list[float]] = {}
        for row in self.complete:
            if row.accuracy is not None:
                found.setdefault(row.trial.layout, []).append(row.accuracy)
        return {layout: tuple(values) for layout, values in found.items()}

    @cached_property
    def means(self) -> dict[Layout, float]:
        """Layout -> mean accuracy of its runs, 0 to 1."""
        return {layout: math.fsum(values) / len(values) for layout, values in self.accuracies.items()}

    @cached_property
    def by_layout(self) -> dict[Layout, Row]:
        """Layout -> one of its complete trials, for what does not change from seed to seed."""
        return {row.trial.layout: row for row in self.complete}

    @property
    def name(self) -> str:
        """What tells it from the other panels, in a few words."""
        row = self.first
        return f"{row.trial.network.title}, {size_words(self.rows)}, {row.data_name}"

    @property
    def training(self) -> str:
        """How its trials are trained, in a few words."""
        trial = self.first.trial
        parts = [f"{trial.steps:,} steps", f"recipe {trial.recipe.name}"]
        if trial.validation:
            parts.append(f"{trial.validation:,} images held out")
        if trial.precision != "fp32":
            parts.append(trial.precision)
        return ", ".join(parts)

    @property
    def question(self) -> str:
        """What it asks, as a sentence."""
        row = self.first
        return (
            f"Among layouts of {row.trial.network.title} with {size_words(self.rows)}, does a higher energy go with a"
            f" higher test accuracy on {row.data_name} after {self.training}?"
        )

    @cached_property
    def size_range(self) -> tuple[int, int]:
        """Smallest and largest size, in weights or, where these are not counted, parameters."""
        sizes = [_size(row) for row in self.rows]
        return min(sizes), max(sizes)


def make_panels(study: str, rows: Sequence[Row], *, any_size: bool = False) -> list[Panel]:
    """The panels of a study, in the order in which they were planned.

    Trials of one panel agree in everything but layout and seed, and their sizes have no gap of more than 5 %: across
    sizes, a coefficient mostly says that larger networks are better.

    Args:
        study: its name.
        rows: its trials.
        any_size: keep trials of all sizes together: arms of a fit share limits, not a size.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        config = {key: value for key, value in row.trial.config.items() if key not in ("layout", "seed")}
        groups.setdefault(repr(sorted(config.items())), []).append(row)
    parts = (some for group in groups.values() for some in ([group] if any_size else _by_size(group)))
    return [Panel(study=study, rows=tuple(some)) for some in parts]


def size_words(rows: Sequence[Row]) -> str:
    """The size of trials, or its range, in the most telling unit.

    Kernels where all have them, as the paper counts; else weights; else parameters.
    """
    for unit in ("kernels", "weights", "params"):
        values = sorted({row.costs[unit] for row in rows if row.costs[unit] is not None})
        if values and all(row.costs[unit] is not None for row in rows):
            word = "parameters" if unit == "params" else unit
            span = f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
            return f"{span} {word}"
    return "an unknown size"


def log_path_energy(row: Row) -> float | None:
    """ln of the path energy of a trial's layout; None where it is not known without tracing a model.

    -inf where a width is 1.
    """
    network = row.trial.network
    if not isinstance(network, Family):
        return None
    from parlay.energy import get_score

    return get_score("path-energy").terms(network.space)(row.trial.layout)


def _size(row: Row) -> int:
    weights = row.costs["weights"]
    return row.costs["params"] if weights is None else weights


def _by_size(rows: list[Row]) -> list[list[Row]]:
    """Split where sizes have a gap; each part keeps the order of planning, and parts the order of their first trial."""
    sizes = sorted({_size(row) for row in rows})
    part = dict.fromkeys(sizes[:1], 0)
    for below, size in pairwise(sizes):
        part[size] = part[below] + (size > below * SIZE_STEP)
    parts: dict[int, list[Row]] = {}
    for row in rows:
        parts.setdefault(part[_size(row)], []).append(row)
    return list(parts.values())
