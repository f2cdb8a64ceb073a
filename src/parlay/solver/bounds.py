"""Upper bounds by Lagrangian duality, over ranges of widths instead of single ones.

For a price lambda of one unit of cost, the best score minus lambda x cost is found by one Viterbi pass along the
chain, and
adding lambda x budget gives a bound for every layout that keeps the budget. The same holds when each group's widths are
collected in cells (ranges): a cell takes the best score and the smallest cost it contains. So widths by the million are
excluded a cell at a time, without a cap that somebody would have to believe in: cells are small around the best layout
and grow with the distance from it, those whose bound is too low are dropped, those left are split until single widths
remain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.chain import Chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Dual", "Grid", "Windows", "bounded_windows", "minimise_dual"]

GRADING = 0.04
"""A cell at distance d (in logs) from the centre spans about GRADING d^2, so its slack stays below what d itself
costs."""

LARGEST_GRID = 60_000_000
"""Products of neighbouring cells, summed over the chain, that one grid may hold."""

DUAL_TOLERANCE = 2e-7
INFEASIBLE = -math.inf


@dataclass(frozen=True, kw_only=True)
class Dual:
    """One evaluation of the dual.

    Attributes:
        price: lambda.
        bound: no layout in the cells scores more.
        path: index of the best cell of each group.
        cost: cost of that path as the bound counts it.
    """

    price: float
    bound: float
    path: tuple[int, ...]
    cost: float


class Grid:
    """Cells of every group, with what neighbouring cells cost and score together.

    ``low[g]`` and ``high[g]`` are the smallest and largest width of each cell, ascending and disjoint.
    """

    def __init__(self, chain: Chain, low: list[IntArray], high: list[IntArray]) -> None:
        self.chain = chain
        self.low = low
        self.high = high
        self._joint: dict[bool, list[FloatArray]] = {}
        self._own: dict[bool, list[FloatArray]] = {}

    @cached_property
    def scores(self) -> list[FloatArray]:
        """Score bound of every cell."""
        return [self.chain.score_upper(g, self.low[g], self.high[g]) for g in range(self.chain.groups)]

    @cached_property
    def _pairs(self) -> list[FloatArray | None]:
        return [self._pair_bounds(g) for g in range(self.chain.groups - 1)]

    @property
    def is_single(self) -> bool:
        """Whether every cell is one width."""
        return all(np.array_equal(a, b) for a, b in zip(self.low, self.high, strict=True))

    @property
    def size(self) -> int:
        """Products of neighbouring cells, summed over the chain."""
        return sum(len(a) * len(b) for a, b in zip(self.low, self.low[1:], strict=False))

    def _pair_bounds(self, g: int) -> FloatArray | None:
        """Score bound of neighbouring cells, -inf where order or step allow no pair; None where all is 0."""
        low, high = self.low[g], self.high[g]
        earliest, latest = self.chain.successors(low)[0], self.chain.successors(high)[1]
        barred = (earliest[:, None] > self.high[g + 1][None, :]) | (latest[:, None] < self.low[g + 1][None, :])
        terms = self.chain.pair_terms[g]
        if not terms and not barred.any():
            return None
        total = np.where(barred, INFEASIBLE, 0.0)
        for term in terms:
            first = (low[:, None], high[:, None])
            second = (self.low[g + 1][None, :], self.high[g + 1][None, :])
            total = total + term.upper(first, second)
        return total

    def _ends(self, price: float) -> tuple[bool, list[IntArray]]:
        """Widths at which costs are taken so that score minus price x cost is bounded from above."""
        return (True, self.low) if price >= 0 else (False, self.high)

    def _unary(self, price: float) -> list[FloatArray]:
        key, ends = self._ends(price)
        if key not in self._own:
            self._own[key] = [_own_cost(self.chain, g, ends[g]) for g in range(self.chain.groups)]
        return [score - price * cost for score, cost in zip(self.scores, self._own[key], strict=True)]

    def _joint_costs(self, price: float) -> list[FloatArray]:
        key, ends = self._ends(price)
        if key not in self._joint:
            self._joint[key] = [
                self.chain.product[g] * np.multiply.outer(ends[g].astype(float), ends[g + 1].astype(float))
                for g in range(self.chain.groups - 1)
            ]
        return self._joint[key]

    def _transition(self, g: int, price: float, joint: list[FloatArray]) -> FloatArray:
        matrix = joint[g] * -price
        pairs = self._pairs[g]
        if pairs is not None:
            matrix += pairs
        return matrix

    def evaluate(self, price: float) -> Dual:
        """The dual at one price, by a backward Viterbi pass; bound -inf when no path exists."""
        unary, joint = self._unary(price), self._joint_costs(price)
        choices: list[IntArray] = []
        value = unary[-1]
        for g in range(self.chain.groups - 2, -1, -1):
            matrix = self._transition(g, price, joint)
            matrix += value[None, :]
            best = matrix.argmax(axis=1)
            choices.append(best)
            value = unary[g] + matrix[np.arange(len(best)), best]
        index = int(value.argmax())
        path = [index]
        for best in reversed(choices):
            index = int(best[index])
            path.append(index)
        _, ends = self._ends(price)
        layout = [int(ends[g][i]) for g, i in enumerate(path)]
        cost = _total_cost(self.chain, layout)
        bound = float(value.max()) + price * (self.chain.high if price >= 0 else self.chain.low)
        return Dual(price=price, bound=bound, path=tuple(path), cost=cost)

    def marginals(self, price: float) -> list[FloatArray]:
        """For every cell, a bound on the score of the layouts that pass through it."""
        unary, joint = self._unary(price), self._joint_costs(price)
        budget = price * (self.chain.high if price >= 0 else self.chain.low)
        return _through(unary, lambda g: self._transition(g, price, joint), budget)

    def suffixes(self, price: float) -> list[FloatArray]:
        """For every cell, the best score minus price x cost of what follows it (its own part left out)."""
        unary, joint = self._unary(price), self._joint_costs(price)
        after: list[FloatArray] = [np.zeros(len(unary[-1]))]
        for g in range(self.chain.groups - 2, -1, -1):
            matrix = self._transition(g, price, joint)
            matrix += (unary[g + 1] + after[0])[None, :]
            after.insert(0, matrix.max(axis=1))
        return after

    def transition(self, g: int, price: float) -> FloatArray:
        """Pair score minus price x pair cost between groups g and g + 1; -inf where fences bar the pair."""
        return self._transition(g, price, self._joint_costs(price))

    def unary(self, price: float) -> list[FloatArray]:
        """Score minus price x cost of every cell."""
        return self._unary(price)

    def affordable(self) -> Grid | None:
        """The grid without cells that no layout within low..high passes through; None when nothing is left."""
        chain = self.chain
        cheapest = _through(
            [-_own_cost(chain, g, self.low[g]) for g in range(chain.groups)],
            lambda g: self._barred(g) - self._joint_costs(1.0)[g],
            0.0,
        )
        keep = [-values <= chain.high * (1 + 1e-12) + 0.5 for values in cheapest]
        if chain.low > 0:
            dearest = _through(
                [_own_cost(chain, g, self.high[g]) for g in range(chain.groups)],
                lambda g: self._barred(g) + self._joint_costs(-1.0)[g],
                0.0,
            )
            keep = [a & (b >= chain.low * (1 - 1e-12) - 0.5) for a, b in zip(keep, dearest, strict=True)]
        return self.kept(keep)

    def _barred(self, g: int) -> FloatArray:
        pairs = self._pairs[g]
        if pairs is None:
            return np.zeros((len(self.low[g]), len(self.low[g + 1])))
        return np.where(np.isneginf(pairs), INFEASIBLE, 0.0)

    def kept(self, keep: list[NDArray[np.bool_]]) -> Grid | None:
        """The grid of the cells marked; None when a group has none left."""
        if not all(mask.any() for mask in keep):
            return None
        if all(mask.all() for mask in keep):
            return self
        low = [a[mask] for a, mask in zip(self.low, keep, strict=True)]
        high = [a[mask] for a, mask in zip(self.high, keep, strict=True)]
        return Grid(self.chain, low, high)

    def split(self, parts: int, around: tuple[int, ...] | None = None) -> Grid:
        """Cells of several widths cut into ``parts``, or into single widths where they hold few.

        Args:
            parts: pieces a cell is cut into.
            around: one cell a group; only these and their neighbours are cut. None: every cell is.
        """
        low: list[IntArray] = []
        high: list[IntArray] = []
        for g in range(self.chain.groups):
            stride = self.chain.stride[g]
            cut = self.low[g] < self.high[g]
            if around is not None:
                cut &= abs(np.arange(len(cut)) - around[g]) <= 1
            cells = zip(self.low[g][cut].tolist(), self.high[g][cut].tolist(), strict=True)
            pieces = [(self.low[g][~cut], self.high[g][~cut]), *(_pieces(a, b, stride, parts) for a, b in cells)]
            low.append(np.sort(np.concatenate([start for start, _ in pieces])))
            high.append(np.sort(np.concatenate([stop for _, stop in pieces])))
        return Grid(self.chain, low, high)


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
    dual: Dual
    threshold: float
    bound: float


def minimise_dual(grid: Grid, start: float, *, tolerance: float = DUAL_TOLERANCE, passes: int = 40) -> Dual:
    """The price of the lowest bound: the dual is convex and piecewise linear, so tangents bracket its minimum."""
    chain = grid.chain
    scale = start if start > 0 else 1.0 / max(chain.high, 1)
    best = now = grid.evaluate(scale)
    if now.bound == INFEASIBLE:
        return now
    furthest = 1e9 * max(scale, abs(best.bound) / max(chain.high, 1))
    left: Dual | None = None  # too cheap: costs more than allowed
    right: Dual | None = None  # too dear: costs less than allowed
    factor = 1.3
    for _ in range(passes):
        if now.bound < best.bound:
            best = now
        excess = now.cost - (chain.high if now.price >= 0 else chain.low)
        if excess == 0 or (now.price == 0 and chain.low <= now.cost <= chain.high):
            return now
        if excess > 0:
            left = now
        else:
            right = now
        if left is not None and right is not None:
            price, floor = _crossing(left, right, chain)
            if best.bound - floor <= tolerance or right.price - left.price <= 1e-13 * abs(right.price):
                return best
        elif left is not None:
            price = left.price * factor if left.price > 0 else left.price / factor if left.price < 0 else scale * 1e-6
            price = 0.0 if left.price < 0 and abs(left.price) < scale * 1e-9 else price
            factor = min(factor**1.5, 1e3)
        else:
            assert right is not None
            price = (
                right.price / factor if right.price > 0 else right.price * factor if right.price < 0 else -scale * 1e-6
            )
            if 0 < price < scale * 1e-9:
                price = 0.0
            if right.price == 0 and chain.low <= 0:
                return best
            factor = min(factor**1.5, 1e3)
        if abs(price) > furthest:
            return best
        now = grid.evaluate(price)
    return now if now.bound < best.bound else best


def _crossing(left: Dual, right: Dual, chain: Chain) -> tuple[float, float]:
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
        slack: in log-energy; inf keeps every width that the budget affords.
        tick: called between passes; may raise to stop.

    Raises:
        MemoryError: when the windows would be too wide to hold.
    """
    grid = _coarse_grid(chain)
    grid = grid.affordable() if grid is not None else None
    if grid is None:
        return None
    if math.isinf(slack):
        return _every_width(grid, tick)
    # A first idea of price and centre, then cells graded around it until the best path runs through single widths.
    dual = minimise_dual(grid, _guess_price(chain), tolerance=1e-3)
    if dual.bound == INFEASIBLE:
        return None
    for attempt in range(16):
        tick()
        if attempt < 3:
            grid = _graded_grid(chain, [_centre(grid, g, i) for g, i in enumerate(dual.path)])
        else:
            grid = grid.split(6, around=dual.path)
        _check_size(grid)
        dual = minimise_dual(grid, dual.price)
        if dual.bound == INFEASIBLE:
            return None
        if all(grid.low[g][i] == grid.high[g][i] for g, i in enumerate(dual.path)):
            break
    threshold = dual.bound - slack
    while True:
        tick()
        keep = [values >= threshold - 1e-9 for values in grid.marginals(dual.price)]
        kept = grid.kept(keep)
        kept = None if kept is None else kept.affordable()
        if kept is None:
            return Windows(grid=None, dual=dual, threshold=threshold, bound=threshold)
        grid = kept
        if grid.is_single:
            break
        grid = grid.split(4)
        _check_size(grid)
    dual = minimise_dual(grid, dual.price)
    return Windows(grid=grid, dual=dual, threshold=threshold, bound=max(dual.bound, threshold))


def _every_width(grid: Grid, tick: Callable[[], None]) -> Windows | None:
    while not grid.is_single:
        tick()
        finer = grid.split(8)
        _check_size(finer)
        kept = finer.affordable()
        if kept is None:
            return None
        grid = kept
    dual = minimise_dual(grid, _guess_price(grid.chain), tolerance=1e-5)
    if dual.bound == INFEASIBLE:
        return None
    return Windows(grid=grid, dual=dual, threshold=-math.inf, bound=dual.bound)


def _check_size(grid: Grid) -> None:
    if grid.size > LARGEST_GRID:
        raise MemoryError(f"{grid.size} pairs of neighbouring widths")


def _guess_price(chain: Chain) -> float:
    """With terms ln ln w and a cost of products, two factors share each unit: lambda is near sum 1 / ln w / 2C."""
    groups = chain.groups
    width = max(3.0, math.sqrt(max(chain.high, 1) / max(1, sum(chain.square) + sum(chain.product) or 1)))
    return groups / math.log(width) / (2.0 * max(chain.high, 1))


def _centre(grid: Grid, g: int, index: int) -> float:
    return math.sqrt(float(grid.low[g][index]) * float(grid.high[g][index]))


def _coarse_grid(chain: Chain) -> Grid | None:
    """About 40 cells a factor of e: enough to find the centre; narrow groups at once width by width."""
    if chain.is_empty:
        return None
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
    low = np.unique(first + ((inside - first) / stride).round().astype(np.int64) * stride)
    low = low[(low >= first) & (low <= last)]
    if len(low) == 0 or low[0] != first:
        low = np.concatenate([[first], low]).astype(np.int64)
    high = np.concatenate([low[1:] - stride, [last]]).astype(np.int64)
    return low, high


def _pieces(low: int, high: int, stride: int, parts: int) -> tuple[IntArray, IntArray]:
    count = (high - low) // stride + 1
    if count <= 2 * parts:
        single = np.arange(low, high + 1, stride, dtype=np.int64)
        return single, single
    starts = low + (np.arange(parts, dtype=np.int64) * count // parts) * stride
    stops = np.concatenate([starts[1:] - stride, [high]]).astype(np.int64)
    return starts, stops


def _own_cost(chain: Chain, g: int, widths: IntArray) -> FloatArray:
    width = widths.astype(float)
    return chain.linear[g] * width + chain.square[g] * width * width


def _total_cost(chain: Chain, layout: list[int]) -> float:
    own = sum(chain.linear[g] * w + chain.square[g] * w * w for g, w in enumerate(layout))
    return float(own + sum(c * a * b for c, a, b in zip(chain.product, layout, layout[1:], strict=False)))


def _through(unary: list[FloatArray], transition: Callable[[int], FloatArray], budget: float) -> list[FloatArray]:
    """Best total of the paths through every cell: forward and backward Viterbi values added."""
    groups = len(unary)
    before: list[FloatArray] = [np.zeros(len(unary[0]))]
    after: list[FloatArray] = [np.zeros(len(unary[-1]))]
    for g in range(groups - 1):
        before.append((transition(g) + (before[g] + unary[g])[:, None]).max(axis=0))
    for g in range(groups - 2, -1, -1):
        after.insert(0, (transition(g) + (unary[g + 1] + after[0])[None, :]).max(axis=1))
    return [b + u + a + budget for b, u, a in zip(before, unary, after, strict=True)]
