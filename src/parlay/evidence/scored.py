"""Scores of whole tables: a name and a population give one number a network, higher for the better."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from parlay.errors import InputError
from parlay.evidence.table import Population

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["RECOMMENDED", "SCORE_NAMES", "default_scores", "score_values"]

RECOMMENDED = "energy-layer"
"""The score that a verdict is about, fixed beforehand; the others stand beside it."""


def _log_log(population: Population) -> FloatArray:
    import numpy as np

    with np.errstate(divide="ignore"):
        return np.log(np.log(population.widths))


def _energy_layer(population: Population) -> FloatArray:
    import numpy as np

    return (_log_log(population) * np.array(population.layers)).sum(1)


def _energy_group(population: Population) -> FloatArray:
    return _log_log(population).sum(1)


def _sum_log(population: Population) -> FloatArray:
    import numpy as np

    return (np.log(population.widths) * np.array(population.layers)).sum(1)


def _params(population: Population) -> FloatArray:
    return population.params.astype(float)


def _macs(population: Population) -> FloatArray:
    return population.macs.astype(float)


def _min_width(population: Population) -> FloatArray:
    return population.widths.min(1).astype(float)


def _peak_memory(population: Population) -> FloatArray:
    if population.peak_memory is None:
        raise InputError(
            "score", given="'peak-memory'", allowed="a table that has it", remedy="name its column with --peak-memory"
        )
    return population.peak_memory.astype(float)


_TABLE: dict[str, Callable[[Population], FloatArray]] = {
    "energy-layer": _energy_layer,
    "energy-group": _energy_group,
    "sum-log": _sum_log,
    "params": _params,
    "macs": _macs,
    "min-width": _min_width,
    "peak-memory": _peak_memory,
}

SCORE_NAMES = tuple(_TABLE)


def default_scores(population: Population) -> tuple[str, ...]:
    """Every score that the population has the numbers for."""
    return tuple(name for name in SCORE_NAMES if name != "peak-memory" or population.peak_memory is not None)


def score_values(name: str, population: Population) -> FloatArray:
    """The score of every network, (n,), higher for what it takes to be better; -inf is legal (a width of 1).

    Raises:
        InputError: when there is no such score, or the population lacks what it needs.
    """
    if name not in _TABLE:
        near = get_close_matches(name, SCORE_NAMES, n=1)
        remedy = f"did you mean {near[0]}?" if near else ""
        raise InputError("score", given=repr(name), allowed=", ".join(SCORE_NAMES), remedy=remedy)
    return _TABLE[name](population)
