"""Boxes of widths: drawn together by the constraints, and listed layout by layout when they are small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.dual import Separated
from parlay.solver.general import General

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["list_box", "tightened"]

ROUNDS = 4
CHECKED = 30_000_000
"""Multiplications that testing partial layouts against the rows may cost at once."""


def tightened(general: General) -> General:
    """The same problem, its bounds drawn together by rows and fences; never too narrow, perhaps empty."""
    low, high = general.low, general.high
    for _ in range(ROUNDS):
        new_low, new_high = _pass(general, low, high)
        if (new_low > new_high).any():
            return general.narrowed(new_low, new_high)
        if (new_low == low).all() and (new_high == high).all():
            break
        low, high = new_low, new_high
    return general.narrowed(low, high)


def _pass(general: General, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    stride = general.stride
    if len(general.rows):
        squares = general.squares.astype(float)
        least = general.amounts(low[None])[0].astype(float)
        slopes = general.slopes(low).astype(float) - 2 * squares * low
        budget = general.highs[:, None] - (least[:, None] - slopes * low - squares * low**2)
        largest = _root(squares, slopes, budget).min(axis=0)
        down = np.floor(np.minimum(largest, high)).astype(np.int64) // stride * stride
        high = np.minimum(high, down)
        if (low > high).any():
            return low, high
        bounded = np.isfinite(general.lows)
        if bounded.any():
            squares = squares[bounded]
            most = general.amounts(high[None])[0].astype(float)[bounded]
            slopes = general.slopes(high).astype(float)[bounded] - 2 * squares * high
            missing = general.lows[bounded, None] - (most[:, None] - slopes * high - squares * high**2)
            # the smallest width that still reaches the limit: just above the largest that does not
            reached = np.where(missing > 0, _root(squares, slopes, missing * (1 - 1e-12)) * (1 - 1e-12) - 1e-6, 0.0)
            smallest = np.minimum(np.ceil(reached.max(axis=0)), high + stride)
            low = np.maximum(low, -(-smallest.astype(np.int64) // stride) * stride)
    for fence in general.fences:
        a, b = fence.first, fence.second
        least_width = -(-(int(low[a]) + fence.shift) * fence.down // fence.up)
        most_width = int(high[b]) * fence.up // fence.down - fence.shift
        low, high = low.copy(), high.copy()
        low[b] = max(int(low[b]), -(-least_width // int(stride[b])) * int(stride[b]))
        high[a] = min(int(high[a]), most_width // int(stride[a]) * int(stride[a]))
    return low, high


def _root(squares: FloatArray, slopes: FloatArray, budget: FloatArray) -> FloatArray:
    """The largest w with squares w^2 + slopes w <= budget, rounded up a little; -1 when there is none."""
    room = np.maximum(budget, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        straight = np.where(slopes > 0, room / np.where(slopes > 0, slopes, 1.0), math.inf)
        bent = 2 * room / (slopes + np.sqrt(slopes**2 + 4 * squares * room))
        found = np.where(squares > 0, np.where(room > 0, bent, 0.0), straight)
    return np.where(budget < 0, -1.0, found * (1 + 1e-12) + 1e-6)


def list_box(general: General, separated: Separated | None, threshold: float, limit: int) -> IntArray | None:
    """Every layout of the box that keeps everything and may score ``threshold``; None when that takes too many.

    Group by group, partial layouts go on only if the bound leaves them a chance and the rows can still be kept.

    Returns:
        The layouts, one a row, shape (found, groups).
    """
    groups = general.groups
    order = np.argsort(general.counts, kind="stable")
    table = np.repeat(general.low[None], 1, axis=0)
    reach = np.zeros(1)
    rest = 0.0
    if separated is not None:
        rest = math.fsum(float(gain.max()) for gain in separated.gains) + separated.constant
    done: set[int] = set()
    for place, g in enumerate(order.tolist()):
        widths = general.choices(g)
        if separated is None:
            gains = np.zeros(len(widths))
        else:
            gains = separated.gains[g]
            if len(gains) != len(widths):
                return None
            rest -= float(gains.max())
            kept = float(reach.max(initial=-math.inf)) + gains + rest >= threshold
            widths, gains = widths[kept], gains[kept]
        if len(table) * len(widths) > 20 * limit:
            return None
        total = reach[:, None] + gains[None, :]
        row, column = np.nonzero(total + rest >= threshold) if separated is not None else np.nonzero(total == total)
        table, reach = table[row], total[row, column]
        table[:, g] = widths[column]
        done.add(g)
        good = np.ones(len(table), dtype=bool)
        for fence in general.fences:
            if fence.first in done and fence.second in done and g in (fence.first, fence.second):
                good &= fence.holds(table[:, fence.first], table[:, fence.second])
        table, reach = table[good], reach[good]
        last = place == groups - 1
        if len(general.rows) and (last or (len(table) > 64 and len(table) * groups * len(general.rows) < CHECKED)):
            good = (general.amounts(table) <= general.highs).all(axis=1)
            if np.isfinite(general.lows).any():
                full = table.copy()
                behind = [h for h in range(groups) if h not in done]
                full[:, behind] = general.high[behind]
                good &= (general.amounts(full) >= general.lows).all(axis=1)
            table, reach = table[good], reach[good]
        if len(table) > limit:
            return None
    return table
