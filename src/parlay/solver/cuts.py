"""Where a box is cut in two, and how large it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.dual import Separated
from parlay.solver.general import General
from parlay.solver.relax import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["cut", "volume"]

DISAGREEING = 6
"""Layouts at nearby prices, the latest ones, that are compared."""


def cut(general: General, relaxed: Relaxed, separated: Separated, met: Sequence[IntArray]) -> tuple[int, int]:
    """Group and last width of the first half: where the best layouts at nearby prices disagree most, in what they
    pay, or else where the bound loses most.
    """
    if len(met) > 1:
        table = np.clip(np.array(met[-DISAGREEING:]), general.low, general.high)
        apart = np.log(table).std(axis=0) * np.abs(separated.log + separated.linear * table.mean(axis=0))
        group = int(apart.argmax())
        if apart[group] > 0:
            width = int(table[:, group].mean() - general.low[group]) // int(general.stride[group])
            width = int(general.low[group]) + width * int(general.stride[group])
            return group, min(width, int(general.high[group] - general.stride[group]))
    centre = np.clip(relaxed.widths, general.low, general.high)
    worst, choice = -1.0, (0, 0)
    for g, count in enumerate(general.counts.tolist()):
        if count < 2:
            continue
        low, stride = int(general.low[g]), int(general.stride[g])
        first = int((centre[g] - low) // stride)
        first = min(max(first, 0), count - 2)
        width = low + first * stride
        # the products bend, the bound does not: what whole widths off the point may lose, and the box as a whole
        apart = min(abs(math.log(width / centre[g])), abs(math.log((width + stride) / centre[g])))
        at = _gain_at(general, separated, g, float(centre[g]))
        bent = max(0.0, float(separated.gains[g].max()) - at)
        span = math.log(general.high[g] / low)
        loss = bent + 0.5 * abs(separated.log[g]) * (apart**2 + 0.02 * span**2)
        if loss > worst:
            worst, choice = loss, (g, width)
    return choice


def _gain_at(general: General, separated: Separated, group: int, width: float) -> float:
    """The gain of one group at a real width."""
    value = float(general.score(group, np.array([width]))[0])
    value -= separated.linear[group] * width + separated.square[group] * width**2
    value -= separated.log[group] * math.log(width)
    return value - sum(price * math.log(width + shift) for g, shift, price in separated.shifts if g == group)


def volume(general: General) -> float:
    """ln of how many layouts the box has."""
    return float(np.log(np.maximum(general.counts, 1)).sum())
