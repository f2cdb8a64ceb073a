"""A bound on any graph that anyone can recompute: prices, a point, and a maximum per group.

For prices of at least 0, score minus price times excess is at least the score of every layout that keeps the
constraints. Products of two groups are what keeps the groups together; e^s >= e^c (1 + s - c) with s = ln w_g + ln w_h
replaces each by a sum of one function a group (a secant over the bounds where a product counts negatively). What is
left is maximised group by group over the widths allowed, whole numbers and multiples included.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parlay.problem import Dual
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Separated", "recorded", "joint_prices", "separate", "varied"]

LARGEST_GROUP = 20_000
"""Widths of a group from which neighbouring ones are bounded together: a bound then takes some hundred microseconds."""

CELL = 1.005
"""Ratio of the ends of such a cell: half a per cent of a width costs the bound little beside what a cut gains."""

PRICED_ROWS, FACTORS = 3, (0.75, 1.3)
"""Rows whose prices are varied in further bounds of a listing, the dearest, and by how much. Without any a proof takes
15 % longer; one row, six, and factors from 0.5 to 2 are as good, measured on eleven traced and plain networks and 70
random graphs."""

LEAST_WORTH = 1e-6
"""Rows whose whole limit is worth less of the score are not varied: it would change nothing."""


@dataclass(frozen=True, kw_only=True)
class Separated:
    """One concave-free bound: score(layout) <= constant + sum over groups of gain_g(width).

    Attributes:
        constant: what no width changes.
        linear, square, log: the gain of group g at width w is score - linear w - square w^2 - log ln w; (groups,) each.
        shifts: (group, shift, price): the gain also falls by price x ln(w + shift).
        low, high: cells of every group, one array each: the widths they contain go from low to high.
        gains: an upper bound of the gain over every cell.
        bound: constant + sum of the largest gains.
    """

    constant: float
    linear: FloatArray
    square: FloatArray
    log: FloatArray
    shifts: tuple[tuple[int, int, float], ...]
    low: tuple[IntArray, ...]
    high: tuple[IntArray, ...]
    gains: tuple[FloatArray, ...]
    bound: float

    def windows(self, threshold: float) -> tuple[IntArray, IntArray] | None:
        """Smallest and largest width of every group that a layout scoring ``threshold`` or more may have."""
        lows: list[int] = []
        highs: list[int] = []
        for low, high, gains in zip(self.low, self.high, self.gains, strict=True):
            kept = np.flatnonzero(gains >= gains.max() - (self.bound - threshold))
            if not len(kept) or self.bound < threshold:
                return None
            lows.append(int(low[kept[0]]))
            highs.append(int(high[kept[-1]]))
        return np.array(lows, dtype=np.int64), np.array(highs, dtype=np.int64)


def _cells(general: General) -> tuple[tuple[IntArray, ...], tuple[IntArray, ...]]:
    """Every width of every group, or ranges of them where a group has very many."""
    lows: list[IntArray] = []
    highs: list[IntArray] = []
    for g, count in enumerate(general.counts.tolist()):
        if count <= LARGEST_GROUP:
            low = high = general.choices(g)
        else:
            places = [0]
            first, stride = int(general.low[g]), int(general.stride[g])
            while places[-1] < count:
                width = first + places[-1] * stride
                places.append(places[-1] + max(1, int(width * (CELL - 1) / stride)))
            starts = np.array(places[:-1], dtype=np.int64)
            stops = np.minimum(np.array(places[1:], dtype=np.int64), count) - 1
            low, high = first + starts * stride, first + stops * stride
        lows.append(low)
        highs.append(high)
    return tuple(lows), tuple(highs)


def separate(
    general: General,
    relaxed: Relaxed,
    *,
    weight: int = 1,
    exact: Sequence[tuple[int, int]] = (),
    scored: Collection[tuple[int, int]] = (),
) -> Separated:
    """The bound that prices and a point give within the bounds of ``general``.

    Args:
        general: the problem.
        relaxed: point and prices; any will do, good ones give low bounds.
        weight: factor of the score; 0 leaves the constraints alone, whose bound below 0 proves that none is feasible.
        exact: products to leave out, which somebody else counts; without them the bound is none.
        scored: pairs whose terms of the score are left out likewise.
    """
    centre = np.log(np.clip(relaxed.widths, general.low, general.high))
    net = relaxed.upper - relaxed.lower
    finite_high = np.where(np.isfinite(general.highs), general.highs, 0.0)
    finite_low = np.where(np.isfinite(general.lows), general.lows, 0.0)
    constant = float(relaxed.upper @ finite_high - relaxed.lower @ finite_low - net @ general.constants.astype(float))
    linear = net @ general.linear.astype(float)
    joint = joint_prices(general, relaxed)
    square = np.diag(joint) / 2
    np.fill_diagonal(joint, 0.0)
    for g, h in exact:
        joint[g, h] = joint[h, g] = 0.0
    log, offset = _linearised(joint, centre, np.log(general.low), np.log(general.high))
    constant += offset
    offset, shifts = _priced_fences(general, relaxed, log)
    constant += offset
    for (g, h), parts in general.problem.terms.pairs.items() if weight else ():
        for term in parts if (g, h) not in scored else ():
            at = math.exp(centre[g]), math.exp(centre[h])
            a, b = term.slopes(*at)
            constant += term.at(*at) - a * centre[g] - b * centre[h]
            log[g] -= a
            log[h] -= b
    lows, highs = _cells(general)
    gains: list[FloatArray] = []
    for g, (low, high) in enumerate(zip(lows, highs, strict=True)):
        gain = _score_upper(general, g, low, high) if weight else np.zeros(len(low))
        gain -= linear[g] * (low if linear[g] >= 0 else high)
        gain -= square[g] * (low if square[g] >= 0 else high) ** 2
        gain -= log[g] * np.log(low if log[g] >= 0 else high)
        for place, shift, price in shifts:
            if place == g:
                gain -= price * np.log(low + shift)
        gains.append(gain)
    bound = constant + math.fsum(float(gain.max()) for gain in gains)
    return Separated(
        constant=constant,
        linear=linear,
        square=square,
        log=log,
        shifts=shifts,
        low=lows,
        high=highs,
        gains=tuple(gains),
        bound=bound,
    )


def joint_prices(general: General, relaxed: Relaxed) -> FloatArray:
    """The price of every product of two groups: (groups, groups), symmetric."""
    net = relaxed.upper - relaxed.lower
    joint = np.zeros((general.groups, general.groups))
    for index, matrix in general.products.items():
        if net[index]:
            joint += net[index] * matrix
    return joint


def _priced_fences(
    general: General, relaxed: Relaxed, log: FloatArray
) -> tuple[float, tuple[tuple[int, int, float], ...]]:
    """Add the prices of fences to slopes by ln w, in place; a constant, and what is no line in ln w as ``shifts``."""
    constant = 0.0
    shifts: list[tuple[int, int, float]] = []
    for fence, price in zip(general.fences, relaxed.fences.tolist(), strict=True):
        constant += price * math.log(fence.up / fence.down)
        log[fence.second] -= price
        if fence.shift and price:
            shifts.append((fence.first, fence.shift, price))
        else:
            log[fence.first] += price
    return constant, tuple(shifts)


def _score_upper(general: General, group: int, low: IntArray, high: IntArray) -> FloatArray:
    """The most that the group's own terms are over each cell of widths, shape (cells,)."""
    total = np.zeros(len(low))
    for term in general.problem.terms.groups[group]:
        total += term.values(low) if low is high else term.upper(low, high)
    return total


def _linearised(joint: FloatArray, centre: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, float]:
    """Slopes by ln w and an offset with sum over pairs of q w_g w_h >= slopes @ ln w - offset within the bounds.

    ``joint`` is symmetric with a zero diagonal; all else in logs.
    """
    grown = joint * np.exp(centre[:, None] + centre[None, :])
    rising = np.where(joint > 0, grown, 0.0)
    slopes = rising.sum(axis=1)
    offset = float(slopes @ centre - rising.sum() / 2)
    for g, h in zip(*np.nonzero(np.triu(joint) < 0), strict=True):
        bottom, top = low[g] + low[h], high[g] + high[h]
        steepness = math.exp(bottom) if top - bottom < 1e-9 else (math.exp(top) - math.exp(bottom)) / (top - bottom)
        slopes[g] += joint[g, h] * steepness
        slopes[h] += joint[g, h] * steepness
        offset -= joint[g, h] * (math.exp(bottom) - steepness * bottom)
    return slopes, float(offset)


def recorded(
    general: General,
    relaxed: Relaxed,
    *,
    weight: int = 1,
    exact: tuple[tuple[int, int], ...] = (),
    order: tuple[int, ...] = (),
    grid: int = 0,
) -> Dual:
    """What a proof keeps of one bound: the box, the point, prices by constraint, and products that are kept exact."""

    def priced(prices: FloatArray) -> tuple[tuple[int, int, float], ...]:
        rows = zip(general.rows, prices.tolist(), strict=True)
        return tuple((row.constraint, row.point, price) for row, price in rows if price)

    return Dual(
        low=tuple(general.low.tolist()),
        high=tuple(general.high.tolist()),
        centre=tuple(np.clip(relaxed.widths, general.low, general.high).tolist()),
        upper=priced(relaxed.upper),
        lower=priced(relaxed.lower),
        fences=tuple(
            (fence.kind, min(fence.first, fence.second), price)
            for fence, price in zip(general.fences, relaxed.fences.tolist(), strict=True)
            if price
        ),
        weight=weight,
        exact=exact,
        order=order,
        grid=grid,
    )


def varied(general: General, relaxed: Relaxed) -> Iterator[Relaxed]:
    """Prices with one of the dearest rows cheaper or dearer: bounds at these see what leaves a limit unspent."""
    worth = relaxed.upper * np.where(np.isfinite(general.highs), general.highs, 0.0)
    for row in np.argsort(-worth)[:PRICED_ROWS].tolist():
        if worth[row] > LEAST_WORTH:
            for factor in FACTORS:
                upper = relaxed.upper.copy()
                upper[row] *= factor
                yield replace(relaxed, upper=upper)
