"""Upper bounds by Lagrangian duality, over ranges of widths instead of single ones.

For a price lambda of one unit of cost, the best score minus lambda x cost is found by one Viterbi pass along the chain,
and adding lambda x budget gives a bound for every layout that keeps the budget. The same holds when each group's widths
are collected in cells (ranges): a cell takes the best score and the smallest cost it contains. So widths by the million
are excluded a cell at a time, without a cap that somebody would have to believe in: cells are small around the best
layout and grow with the distance from it, those whose bound is too low are dropped, those left are split until single
widths remain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from parlay.layout import Order
from parlay.solver.chain.cells import INFEASIBLE, DualPoint, Grid
from parlay.solver.chain.chain import Chain
from parlay.solver.chain.newton import Relaxation, relaxed_optimum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Windows", "bounded_windows", "minimise_dual", "quick_bound"]

GRADING = 0.04
"""A cell at distance d (in logs) from the centre spans about GRADING d^2: its slack stays below what d costs. With 0.01
four free layers with a largest step take 3 times as long, with 0.2 as long as now, measured."""

SAFETY, STEEPNESS = 1.2, {Order.FREE: 0.1, Order.NONDECREASING: 0.3, Order.INCREASING: 0.3}
"""Around a relaxed optimum: single widths so many times as far as the slack should reach, and the growth of cells.
Measured: 0.8 and 2 take as long; growth of 0.03 takes 1.9 times as long on 100 layers, 1 takes 1.5 times on 13."""

QUICK_SLACK = 1e-4
"""How far below the root a bound in haste looks at single widths: one pass, whose bound is off by about as much."""

LARGEST_GRID = 400_000_000
"""Products of neighbouring cells, summed over the chain, that one grid may hold: a pass over them takes seconds."""

LARGEST_TABLE = 25_000_000
"""The same for one pair of groups, where fences or terms need them all at once: 200 MB."""

LARGEST_WIDTHS = 5_000_000
"""Widths of all groups together that may be listed one by one: 40 MB a column."""

DUAL_TOLERANCE = 2e-7
"""How far above its minimum, in units of the score, the dual may be left; 1e-9 and 1e-5 took as long, measured."""

NO_PRICE, NO_PRICE_YET = 1e-9, 1e-6
"""Prices, as parts of a typical one, below which 0 is tried, and from which steps go on after it."""

FURTHEST_PRICE = 1e9
"""Times a typical price beyond which none is tried: no width is worth so much, so the budget cannot be met."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Single widths that every layout scoring at least ``threshold`` consists of.

    Attributes:
        grid: the widths, one a cell; None when no layout reaches the threshold.
        dual: the dual at its best price, over these widths.
        threshold: layouts below it may have been lost; -inf when nothing was.
        bound: no layout that keeps the budget scores more, inside the windows or outside.
    """

    grid: Grid | None
    dual: DualPoint
    threshold: float
    bound: float


def minimise_dual(
    grid: Grid,
    start: float,
    *,
    tolerance: float = DUAL_TOLERANCE,
    passes: int = 40,
    tick: Callable[[], None] = lambda: None,
) -> DualPoint:
    """The price of the lowest bound: the dual is convex and piecewise linear, so tangents bracket its minimum."""
    chain = grid.chain
    scale = start if start > 0 else 1.0 / max(chain.high, 1)
    best = now = grid.evaluate(scale)
    if now.bound == INFEASIBLE:
        return now
    bracket = _Bracket(chain=chain, scale=scale)
    furthest = FURTHEST_PRICE * max(scale, abs(best.bound) / max(chain.high, 1))
    for _ in range(passes):
        tick()
        if now.bound < best.bound:
            best = now
        excess = now.cost - (chain.high if now.price >= 0 else chain.low)
        if excess == 0 or (now.price == 0 and chain.low <= now.cost <= chain.high):
            return now
        if now.price * excess * excess <= tolerance * chain.high and now.price > 0:
            return best  # cost falls about like 1 / price, so that much could still be gained
        price = bracket.next_price(now, excess, best.bound - tolerance)
        if price is None or abs(price) > furthest:
            return best
        now = grid.evaluate(price)
    return now if now.bound < best.bound else best


@dataclass(kw_only=True)
class _Bracket:
    """Prices on either side of the dual's minimum, or steps that grow until there is one on each side.

    Attributes:
        chain: the problem.
        scale: a typical price.
        left: the dearest price known to be too cheap: its path costs more than allowed.
        right: the cheapest price known to be too dear.
        factor: ratio of the next step; 1 before the first.
    """

    chain: Chain
    scale: float
    left: DualPoint | None = None
    right: DualPoint | None = None
    factor: float = 1.0

    def next_price(self, now: DualPoint, excess: float, enough: float) -> float | None:
        """Where to look next; None when no price gives a bound below ``enough``."""
        if excess > 0:
            self.left = now
        else:
            self.right = now
        if self.factor == 1.0:  # cost falls about like 1 / price: a step as long as the excess tells, and half more
            self.factor = min(1.3, 1.0005 + 1.5 * abs(excess) / max(1.0, float(self.chain.high)))
        if self.left is not None and self.right is not None:
            price, floor = _crossing(self.left, self.right, self.chain)
            is_narrow = self.right.price - self.left.price <= 1e-13 * abs(self.right.price)
            return None if floor >= enough or is_narrow else price
        price = self._dearer(self.left.price) if self.left is not None else self._cheaper(now.price)
        self.factor = min(self.factor**2, 1e3)
        return price

    def _dearer(self, price: float) -> float:
        if price > 0:
            return price * self.factor
        if price == 0:
            return self.scale * NO_PRICE_YET
        return 0.0 if abs(price) < self.scale * NO_PRICE else price / self.factor

    def _cheaper(self, price: float) -> float | None:
        """A smaller price; None where even a negative one is of no use, as nothing has to be spent."""
        if price == 0:
            return None if self.chain.low <= 0 else -self.scale * NO_PRICE_YET
        if price < 0:
            return price * self.factor
        cheaper = price / self.factor
        return 0.0 if cheaper < self.scale * NO_PRICE else cheaper


def _crossing(left: DualPoint, right: DualPoint, chain: Chain) -> tuple[float, float]:
    """Where the tangents of two evaluations meet: (price, value there, which no dual value undercuts)."""
    left_slope = (chain.high if left.price >= 0 else chain.low) - left.cost
    right_slope = (chain.high if right.price >= 0 else chain.low) - right.cost
    if left.price < 0 < right.price:  # the budget's own kink
        return 0.0, INFEASIBLE
    span = right.price - left.price
    price = left.price + (left.bound - right.bound + right_slope * span) / (right_slope - left_slope)
    floor = left.bound + left_slope * (price - left.price)
    inner = min(max(price, left.price + 1e-3 * span), right.price - 1e-3 * span)
    return inner, floor


def bounded_windows(chain: Chain, slack: float, *, tick: Callable[[], None] = lambda: None) -> Windows | None:
    """The widths of all layouts that score within ``slack`` of the dual bound; None when there is no layout at all.

    Args:
        chain: the problem.
        slack: in units of the score; inf keeps every width that the budget affords.
        tick: called between passes; may raise to stop.

    Raises:
        MemoryError: when the windows would be too wide to hold.
    """
    if chain.is_empty:
        return None
    if math.isinf(slack):
        if sum(chain.choice_count(g) for g in range(chain.groups)) > LARGEST_WIDTHS:
            raise MemoryError("too many widths to list")
        grid = _coarse_grid(chain).affordable()
        return None if grid is None else _every_width(grid, tick)
    guess = relaxed_optimum(chain)
    if guess is not None:
        windows = _windowed(*_relaxed_grid(chain, guess, slack), slack, tick)
        if windows.grid is not None and windows.dual.bound > windows.threshold:
            return windows
    started = _coarsely(chain, tick)  # no guess, or a wrong one: it expected more than there is
    return None if started is None else _windowed(*started, slack, tick)


def _windowed(grid: Grid, price: float, root: float, slack: float, tick: Callable[[], None]) -> Windows:
    """Cells that cannot reach ``slack`` below the root dropped, the others split, until single widths are left."""
    threshold = root - slack  # any threshold is valid; this one leaves about as much as the slack asks for
    while True:
        tick()
        kept = grid.kept([values >= threshold - 1e-9 for values in grid.marginals(price)])
        if kept is None:
            return Windows(grid=None, dual=grid.evaluate(price), threshold=threshold, bound=threshold)
        grid = kept
        if grid.is_single:
            break
        grid = grid.split(4)
        _check_size(grid)
    dual = minimise_dual(grid, price, tolerance=max(DUAL_TOLERANCE, 1e-3 * slack), tick=tick)
    return Windows(grid=grid, dual=dual, threshold=threshold, bound=max(dual.bound, threshold))


def quick_bound(chain: Chain, guess: Relaxation) -> float:
    """A bound on every layout's score from one pass over cells around the guess, at its price."""
    return _relaxed_grid(chain, guess, QUICK_SLACK)[0].evaluate(guess.price).bound


def _coarsely(chain: Chain, tick: Callable[[], None]) -> tuple[Grid, float, float] | None:
    """Price and centre found on coarse cells, then cells graded around it until the best path is of single widths."""
    grid = _coarse_grid(chain).affordable()
    if grid is None:
        return None
    dual = minimise_dual(grid, _guess_price(chain), tolerance=1e-3, tick=tick)
    for attempt in range(16):
        if dual.bound == INFEASIBLE:
            return None
        tick()
        if attempt < 3:
            grid = _graded_grid(chain, [_centre(grid, g, i) for g, i in enumerate(dual.path)])
        else:
            grid = grid.split(6, around=dual.path)
        _check_size(grid)
        dual = minimise_dual(grid, dual.price, tick=tick)
        if all(grid.low[g][i] == grid.high[g][i] for g, i in enumerate(dual.path)):
            break
    return None if dual.bound == INFEASIBLE else (grid, dual.price, dual.bound)


def _relaxed_grid(chain: Chain, guess: Relaxation, slack: float) -> tuple[Grid, float, float]:
    """Single widths as far as the slack is expected to reach, then cells that grow with the distance."""
    reach = math.sqrt(2.0 * slack)
    spans = [min(max(SAFETY * reach * spread, 1.5 / centre), 1.0) for centre, spread in guess.both]
    starts = [_spaced(chain, g, c, near) for g, (c, near) in enumerate(zip(guess.centres, spans, strict=True))]
    cells = [_cells_from(start, chain, g) for g, start in enumerate(starts)]
    grid = Grid(chain, [low for low, _ in cells], [high for _, high in cells])
    _check_size(grid)
    return grid, guess.price, _priced_value(chain, guess)


def _priced_value(chain: Chain, guess: Relaxation) -> float:
    """Score minus price x (cost - budget) next to the relaxed optimum: about the bound at that price."""
    strides = zip(guess.centres, chain.first, chain.last, chain.stride, strict=True)
    widths = np.array([min(max(round(c / stride) * stride, a), b) for c, a, b, stride in strides], dtype=np.int64)
    own = sum(chain.linear[g] * w + chain.square[g] * w * w for g, w in enumerate(widths.tolist()))
    joint = sum(c * a * b for c, (a, b) in zip(chain.product, pairwise(widths.tolist()), strict=True))
    return float(chain.scores_upper(widths, widths, [1] * chain.groups).sum()) - guess.price * (
        own + joint - chain.high
    )


def _spaced(chain: Chain, g: int, centre: float, near: float) -> FloatArray:
    """Starting points of cells: single widths up to ``near`` (in logs), then steps that grow with d^2 - near^2."""
    first, last, stride = chain.first[g], chain.last[g], chain.stride[g]
    _check_singles(near * centre / stride)
    singles = np.arange(
        max(first, centre * math.exp(-near)) - stride, min(last, centre * math.exp(near)) + stride, stride
    )
    reach = max(math.log(last / centre), math.log(centre / first), near)
    distances: list[float] = []
    distance, least, steepness = near, stride / centre, STEEPNESS[chain.problem.space.order]
    while distance < reach:
        distances.append(distance)
        distance += min(0.4, max(least, steepness * (distance * distance - near * near)))
    away = np.exp(np.array(distances))
    return np.concatenate([centre / away, singles, centre * away, [float(first)]])


def _check_singles(count: float) -> None:
    if count > LARGEST_WIDTHS:
        raise MemoryError(f"{count:.0f} single widths around the centre of a group")


def _every_width(grid: Grid, tick: Callable[[], None]) -> Windows | None:
    while not grid.is_single:
        tick()
        finer = grid.split(8)
        _check_size(finer)
        kept = finer.affordable()
        if kept is None:
            return None
        grid = kept
    dual = minimise_dual(grid, _guess_price(grid.chain), tolerance=1e-5, tick=tick)
    if dual.bound == INFEASIBLE:
        return None
    return Windows(grid=grid, dual=dual, threshold=-math.inf, bound=dual.bound)


def _check_size(grid: Grid) -> None:
    if grid.size > LARGEST_GRID or grid.largest_table > LARGEST_TABLE:
        raise MemoryError(f"{grid.size} pairs of neighbouring widths")


def _guess_price(chain: Chain) -> float:
    """With terms ln ln w and a cost of products, two factors share each unit: lambda is near sum 1 / ln w / 2C."""
    groups = chain.groups
    width = max(3.0, math.sqrt(max(chain.high, 1) / max(1, sum(chain.square) + sum(chain.product) or 1)))
    return groups / math.log(width) / (2.0 * max(chain.high, 1))


def _centre(grid: Grid, g: int, index: int) -> float:
    return math.sqrt(float(grid.low[g][index]) * float(grid.high[g][index]))


def _coarse_grid(chain: Chain) -> Grid:
    """About 40 cells a factor of e: enough to find the centre; narrow groups at once width by width."""
    ratio = 1.1 if chain.groups <= 64 else 1.2
    cells = [_cells_from(_geometric(chain, g, ratio), chain, g) for g in range(chain.groups)]
    return Grid(chain, [low for low, _ in cells], [high for _, high in cells])


def _geometric(chain: Chain, g: int, ratio: float) -> FloatArray:
    first, last = float(chain.first[g]), float(chain.last[g])
    count = math.ceil(math.log(last / first) / math.log(ratio)) if last > first else 0
    return first * ratio ** np.arange(count + 1, dtype=float)


def _graded_grid(chain: Chain, centres: list[float]) -> Grid:
    cells = [_cells_from(_graded(chain, g, centre), chain, g) for g, centre in enumerate(centres)]
    return Grid(chain, [low for low, _ in cells], [high for _, high in cells])


def _graded(chain: Chain, g: int, centre: float) -> FloatArray:
    """Starting points of cells: single widths near the centre, then steps of GRADING d^2 in logs, at most 0.3."""
    first, last, stride = chain.first[g], chain.last[g], chain.stride[g]
    centre = min(max(centre, first), last)
    near = math.sqrt(stride / (GRADING * centre))  # here a step of GRADING d^2 is one width
    if near > 1.0:
        near = 1.0
    _check_singles(near * centre / stride)
    singles = np.arange(
        max(first, centre * math.exp(-near)) - stride, min(last, centre * math.exp(near)) + stride, stride
    )
    far = math.sqrt(0.3 / GRADING)
    count = int((1 / near - 1 / far) / GRADING) + 1 if near < far else 0
    distances = 1.0 / (1.0 / near - GRADING * np.arange(1, count, dtype=float)) if count > 1 else np.zeros(0)
    distances = distances[distances < far]
    reach = max(math.log(last / centre), math.log(centre / first), far)
    distances = np.concatenate([[near], distances, np.arange(far, reach + 0.3, 0.3)])
    return np.concatenate([centre * np.exp(-distances), singles, centre * np.exp(distances), [float(first)]])


def _cells_from(starts: FloatArray, chain: Chain, g: int) -> tuple[IntArray, IntArray]:
    """Cells that begin at the choices next to ``starts``; together they hold every choice of the group once."""
    first, last, stride = chain.first[g], chain.last[g], chain.stride[g]
    inside = starts[(starts >= first) & (starts <= last)]
    low = first + ((inside - first) / stride).round().astype(np.int64) * stride
    low.sort()
    low = low[(low >= first) & (low <= last)]
    if len(low) > 1:
        low = low[np.concatenate([[True], low[1:] != low[:-1]])]
    if len(low) == 0 or low[0] != first:
        low = np.concatenate([[first], low]).astype(np.int64)
    high = np.concatenate([low[1:] - stride, [last]]).astype(np.int64)
    return low, high
