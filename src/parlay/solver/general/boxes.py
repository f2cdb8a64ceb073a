"""Boxes of widths: drawn together by the constraints, cut in two, listed layout by layout when they are small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.general.dual import Separated
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

__all__ = [
    "about_how_many",
    "cut",
    "keeps_fences",
    "list_box",
    "may_keep_rows",
    "solved_group",
    "tightened",
    "volume",
]

ROUNDS = 4
"""Passes over rows and fences, at most: most boxes come to rest in two, and a wider box is a box, too."""

BINS = 65
"""Losses are rounded to so many steps of the slack: an estimate of a listing's size to some per cent is enough."""

WORTH_TRYING = 20
"""Pairs of partial layout and next width that are looked at, times the layouts kept: most die at once."""

DISAGREEING = 6
"""Layouts at nearby prices, the latest ones, that are compared: the first ones are far from the best."""


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
        limited = np.isfinite(general.highs)
        squares = general.squares.astype(float)[limited]
        least = general.amounts(low[None])[0].astype(float)[limited]
        slopes = (general.slopes(low)[limited] - 2 * squares * low).astype(float)
        budget = general.highs[limited, None] - (least[:, None] - slopes * low - squares * low**2)
        largest = _root(squares, slopes, budget).min(axis=0, initial=math.inf)
        down = np.floor(np.minimum(largest, high)).astype(np.int64) // stride * stride
        high = np.minimum(high, down)
        if (low > high).any():
            return low, high
        bounded = np.isfinite(general.lows)
        if bounded.any():
            squares = general.squares.astype(float)[bounded]
            most = general.amounts(high[None])[0].astype(float)[bounded]
            slopes = (general.slopes(high)[bounded] - 2 * squares * high).astype(float)
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


def about_how_many(separated: Separated, slacks: FloatArray, skip: int | None = None) -> FloatArray:
    """Roughly how many layouts the bound lets come within each of some distances of it.

    What each width loses against the best of its group is rounded to a bin; the bins of all groups are convolved.

    Args:
        separated: the bound.
        slacks: distances below it, at least 0, shape (slacks,).
        skip: a group whose width follows from the others.
    """
    counts: list[float] = []
    for slack in slacks.tolist():
        total = np.zeros(BINS)
        total[0] = 1.0
        for g, gain in enumerate(separated.gains):
            if g == skip:
                continue
            lost = (float(gain.max()) - gain) * ((BINS - 1) / max(slack, 1e-300))
            each = np.bincount(np.rint(np.minimum(lost, BINS)).astype(np.int64), minlength=BINS)[:BINS]
            total = np.convolve(total, each)[:BINS] if each[1:].any() else total * each[0]
        counts.append(float(total.sum()))
    return np.array(counts)


def solved_group(general: General) -> tuple[int, int] | None:
    """An equality and the group with the most widths in it, whose width follows from all others; None without one."""
    best: tuple[int, int, int] | None = None
    for row in np.flatnonzero(general.lows == general.highs).tolist():
        costs = general.slopes(general.high)[row] > 0
        group = int(np.where(costs, general.counts, 0).argmax())
        if costs[group] and (best is None or general.counts[group] > best[0]):
            best = int(general.counts[group]), row, group
    return None if best is None else (best[1], best[2])


def list_box(general: General, bounds: Sequence[Separated], threshold: float, limit: int) -> IntArray | None:
    """Every layout of the box that keeps everything and may score ``threshold``; None when that takes too many.

    Group by group, partial layouts go on only if every one of the bounds leaves them a chance and the rows can still
    be kept; where there is an equality, the last width follows from it.

    Returns:
        The layouts, one a row, shape (found, groups).
    """
    solved = solved_group(general)
    order = np.argsort(general.counts, kind="stable").tolist()
    if solved is not None:
        order.remove(solved[1])
        order.append(solved[1])
    table, reach = general.low[None].copy(), np.zeros((len(bounds), 1))
    rest = np.array([bound.bound for bound in bounds])
    done: list[int] = []
    for g in order:
        gains: FloatArray = np.array([bound.gains[g] for bound in bounds], dtype=np.float64)
        if gains.shape[1] != general.counts[g]:  # cells of several widths are no list
            return None
        done.append(g)
        if len(done) == general.groups and solved is not None:
            table = _solve_last(general, solved[0], g, table)
            return table[general.within(table)]
        rest -= gains.max(axis=1)
        longer = _reaching(reach, gains, threshold - rest, most=WORTH_TRYING * limit)
        if longer is None:
            return None
        row, column, reach = longer
        table = table[row]
        table[:, g] = general.choices(g)[column]
        if len(done) == general.groups:
            return table[general.within(table)]
        good = keeps_fences(general, table, done) & may_keep_rows(general, table, done)
        table, reach = table[good], reach[:, good]
        if len(table) > limit:
            return None
    return table


def _reaching(
    reach: FloatArray, gains: FloatArray, least: FloatArray, *, most: int
) -> tuple[IntArray, IntArray, FloatArray] | None:
    """Pairs of a partial layout and a next width at which every bound reaches enough; None when there are too many.

    Args:
        reach: what each partial layout has by each bound, shape (bounds, layouts).
        gains: what each width adds, shape (bounds, widths).
        least: what is enough, shape (bounds,).
        most: pairs that are looked at.

    Returns:
        Places of layout and width, and what the pairs have, shape (bounds, pairs).
    """
    kept = np.flatnonzero((reach.max(axis=1, initial=-math.inf)[:, None] + gains >= least[:, None]).all(axis=0))
    if reach.shape[1] * len(kept) > most:
        return None
    row, place = np.nonzero(reach[0][:, None] + gains[0][kept][None, :] >= least[0])
    column = kept[place]
    longer = reach[:, row] + gains[:, column]
    good = (longer[1:] >= least[1:, None]).all(axis=0)
    return row[good], column[good], longer[:, good]


def keeps_fences(general: General, table: IntArray, done: Sequence[int]) -> BoolArray:
    """Which partial layouts keep the fences of the group fixed last, ``done[-1]``, to others that are fixed."""
    good = np.ones(len(table), dtype=bool)
    for fence in general.fences:
        if done[-1] in (fence.first, fence.second) and fence.first in done and fence.second in done:
            good &= fence.holds(table[:, fence.first], table[:, fence.second])
    return good


def may_keep_rows(general: General, table: IntArray, done: Sequence[int]) -> BoolArray:
    """Which partial layouts can still keep every row; all groups but ``done`` stand at their smallest widths."""
    good: BoolArray = np.asarray((general.amounts(table) <= general.highs).all(axis=1))
    if np.isfinite(general.lows).any():
        full = table.copy()
        behind = [g for g in range(general.groups) if g not in done]
        full[:, behind] = general.high[behind]
        good &= (general.amounts(full) >= general.lows).all(axis=1)
    return good


def _solve_last(general: General, row: int, group: int, table: IntArray) -> IntArray:
    """Layouts whose last width, which the equality gives, is allowed; the caller tests them exactly."""
    table = table.copy()
    table[:, group] = 0
    missing = general.highs[row] - general.amounts(table)[:, row].astype(float)
    slope = table.astype(float) @ general.products[row][group].astype(float) if row in general.products else 0.0
    slope = slope + float(general.linear[row, group])
    square = float(general.squares[row, group])
    if square:
        width = (np.sqrt(np.maximum(slope**2 + 4 * square * missing, 0.0)) - slope) / (2 * square)
    else:
        width = missing / np.maximum(slope, 1e-300)
    low, stride = int(general.low[group]), int(general.stride[group])
    steps = np.rint((np.clip(width, 0, general.high[group] + stride) - low) / stride).astype(np.int64)
    kept = (steps >= 0) & (steps < general.counts[group]) & (np.abs(low + steps * stride - width) < 1e-6 * (1 + width))
    table = table[kept]
    table[:, group] = low + steps[kept] * stride
    return table


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
