"""Cells of widths along a chain, and the passes over them that bound scores.

A cell is a range of widths of one group. It takes the best score and the smallest cost (at a negative price: the
largest) of the widths it contains, so whatever is bounded over cells is bounded for every width in them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.chain.chain import Chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["INFEASIBLE", "DualPoint", "Grid", "best_partners"]

INFEASIBLE = -math.inf

DENSE_PAIRS = 150_000
"""Pairs of cells from which the sparse search for the best partner is the faster one. Measured: always sparse takes 3
times as long on eight free layers, never sparse 1.4 times on VGG-16's chain."""

STORE = 800 << 20
"""Bytes of matrices that a grid keeps, so that a solve stays below 1 GiB; what does not fit is made at every pass."""


@dataclass(frozen=True, kw_only=True)
class DualPoint:
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
        edges = list(accumulate(map(len, low), initial=0))
        self._parts = [slice(a, b) for a, b in pairwise(edges)]
        self._stored: dict[tuple[str, int], FloatArray] = {}
        self._bytes = 0
        self._last: tuple[tuple[int, float, bool], FloatArray] | None = None

    @cached_property
    def scores(self) -> list[FloatArray]:
        """Score bound of every cell."""
        whole = self._score
        return [whole[part] for part in self._parts]

    @cached_property
    def _score(self) -> FloatArray:
        low, high = np.concatenate(self.low), np.concatenate(self.high)
        return self.chain.scores_upper(low, low if self.is_single else high, [len(cells) for cells in self.low])

    @cached_property
    def is_single(self) -> bool:
        """Whether every cell is one width."""
        return all(a is b or np.array_equal(a, b) for a, b in zip(self.low, self.high, strict=True))

    @property
    def size(self) -> int:
        """Products of neighbouring cells, summed over the chain."""
        return sum(len(a) * len(b) for a, b in pairwise(self.low))

    @property
    def largest_table(self) -> int:
        """Products of neighbouring cells of one pair of groups, at most, where all of them are needed at once."""
        dense = (g for g in range(self.chain.groups - 1) if not self._is_bare(g, scored=True))
        return max((len(self.low[g]) * len(self.low[g + 1]) for g in dense), default=0)

    @cached_property
    def _kinds(self) -> list[int]:
        """A number for each pair of neighbouring groups, equal where cells, product and terms are."""
        names: dict[object, int] = {}
        kinds: list[int] = []
        ends = [(a.tobytes(), b.tobytes()) for a, b in zip(self.low, self.high, strict=True)]
        for g in range(self.chain.groups - 1):
            name = (ends[g], ends[g + 1], self.chain.product[g], self.chain.pair_terms[g])
            kinds.append(names.setdefault(name, len(names)))
        return kinds

    def evaluate(self, price: float) -> DualPoint:
        """The dual at one price, by a backward Viterbi pass; bound -inf when no path exists."""
        unary = self.unary(price)
        values = [unary[-1]]  # of the last group, the last but one, ...
        for g in range(self.chain.groups - 2, -1, -1):
            values.append(unary[g] + self._onward(g, price, values[-1]))
        place = int(values[-1].argmax())
        bound = float(values[-1][place])
        path = [place]
        for g in range(self.chain.groups - 1):
            place = int((self._row(g, place, price) + values[-2 - g]).argmax())
            path.append(place)
        ends = self.low if price >= 0 else self.high
        cost = _total_cost(self.chain, [int(ends[g][i]) for g, i in enumerate(path)])
        return DualPoint(price=price, bound=bound + self._budget(price), path=tuple(path), cost=cost)

    def marginals(self, price: float) -> list[FloatArray]:
        """For every cell, a bound on the score of the layouts that pass through it."""
        budget = self._budget(price)
        return [total + budget for total in self._through(self.unary(price), price, scored=True)]

    def suffixes(self, price: float) -> list[FloatArray]:
        """For every cell, the best score minus price x cost of what follows it (its own part left out)."""
        unary = self.unary(price)
        after: list[FloatArray] = [np.zeros(len(unary[-1]))]
        for g in range(self.chain.groups - 2, -1, -1):
            after.append(self._onward(g, price, unary[g + 1] + after[-1]))
        return after[::-1]

    def unary(self, price: float) -> list[FloatArray]:
        """Score minus price x cost of every cell."""
        whole = self._score - price * self._own_cost(price >= 0)
        return [whole[part] for part in self._parts]

    def _budget(self, price: float) -> float:
        return price * (self.chain.high if price >= 0 else self.chain.low)

    def transition(self, g: int, price: float, *, scored: bool = True) -> FloatArray:
        """Pair score minus price x pair cost between groups g and g + 1; -inf where fences bar the pair.

        Callers must not change it. Without ``scored`` the pair score is left out.
        """
        key = (self._kinds[g], price, scored)
        if self._last is None or self._last[0] != key:
            joint = self._joint(g, price >= 0)
            matrix = joint * -price if price else np.where(np.isinf(joint), INFEASIBLE, 0.0)
            if scored and self.chain.pair_terms[g]:
                matrix += self._pairs(g)
            self._last = (key, matrix)
        return self._last[1]

    def affordable(self) -> Grid | None:
        """The grid without cells that no layout within low..high passes through; None when nothing is left."""
        chain = self.chain
        cheap, dear = self._own_cost(True), self._own_cost(False)
        cheapest = self._through([-cheap[part] for part in self._parts], 1.0, scored=False)
        keep = [-values <= chain.high * (1 + 1e-12) + 0.5 for values in cheapest]
        if chain.low > 0:
            dearest = self._through([dear[part] for part in self._parts], -1.0, scored=False)
            keep = [a & (b >= chain.low * (1 - 1e-12) - 0.5) for a, b in zip(keep, dearest, strict=True)]
        return self.kept(keep)

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

    def _through(self, unary: list[FloatArray], price: float, *, scored: bool) -> list[FloatArray]:
        """Best total of the paths through every cell: forward and backward Viterbi values added."""
        groups = len(unary)
        before: list[FloatArray] = [unary[0]]
        after: list[FloatArray] = [np.zeros(len(unary[-1]))]
        for g in range(groups - 1):
            before.append(unary[g + 1] + self._onward(g, price, before[-1], scored=scored, reverse=True))
        for g in range(groups - 2, -1, -1):
            after.append(self._onward(g, price, unary[g + 1] + after[-1], scored=scored))
        return [b + a for b, a in zip(before, reversed(after), strict=True)]

    def _onward(
        self, g: int, price: float, value: FloatArray, *, scored: bool = True, reverse: bool = False
    ) -> FloatArray:
        """For every cell of group g the best of transition + value over group g + 1.

        With ``reverse``, for every cell of group g + 1 over group g.
        """
        if len(self.low[g]) * len(self.low[g + 1]) > DENSE_PAIRS and self._is_bare(g, scored=scored):
            ends = self.low if price >= 0 else self.high
            here, there = (ends[g + 1], ends[g]) if reverse else (ends[g], ends[g + 1])
            return best_partners(value, here.astype(float) * (price * self.chain.product[g]), there.astype(float))[0]
        matrix = self.transition(g, price, scored=scored)
        if reverse:
            return (matrix + value[:, None]).max(axis=0)
        return (matrix + value).max(axis=1)

    def _row(self, g: int, place: int, price: float) -> FloatArray:
        """One row of ``transition``."""
        ends = self.low if price >= 0 else self.high
        row = ends[g + 1].astype(float) * (-price * self.chain.product[g] * int(ends[g][place]))
        for term in self.chain.pair_terms[g]:
            here = (self.low[g][place : place + 1], self.high[g][place : place + 1])
            row = row + term.upper(here, (self.low[g + 1], self.high[g + 1]))
        if self._bars[g]:
            earliest, latest = self._successors[g]
            barred = (self.high[g + 1] < earliest[place]) | (self.low[g + 1] > latest[place])
            row[barred] = INFEASIBLE
        return row

    def _is_bare(self, g: int, *, scored: bool) -> bool:
        """Whether neighbours cost a product and nothing else: no fence bars a pair, no term scores one."""
        return (not scored or not self.chain.pair_terms[g]) and not self._bars[g]

    @cached_property
    def _bars(self) -> list[bool]:
        """Whether some pair of neighbouring cells is barred; successors grow with the width, so the corners tell."""
        if not self.chain.is_fenced:
            return [False] * (self.chain.groups - 1)
        return [
            bool(earliest[-1] > high[0] or latest[0] < low[-1])
            for (earliest, latest), low, high in zip(self._successors, self.low[1:], self.high[1:], strict=True)
        ]

    @cached_property
    def _successors(self) -> list[tuple[IntArray, IntArray]]:
        """Smallest width that may follow each cell's smallest, largest that may follow its largest."""
        earliest = self.chain.successors(np.concatenate(self.low))[0]
        latest = self.chain.successors(np.concatenate(self.high))[1]
        return [(earliest[part], latest[part]) for part in self._parts[:-1]]

    @cached_property
    def child_ranges(self) -> list[tuple[IntArray, IntArray]]:
        """For single widths: positions in the next group's widths where the successors of each begin and end."""
        if not self.chain.is_fenced:
            counts = [len(cells) for cells in self.low]
            return [(np.zeros(a, dtype=np.int64), np.full(a, b, dtype=np.int64)) for a, b in pairwise(counts)]
        return [
            (np.searchsorted(following, low, side="left"), np.searchsorted(following, high, side="right"))
            for (low, high), following in zip(self._successors, self.low[1:], strict=True)
        ]

    def _own_cost(self, cheap: bool) -> FloatArray:
        """Cost of every cell of every group, one after the other."""
        return self._cheap_cost if cheap or self.is_single else self._dear_cost

    @cached_property
    def _cheap_cost(self) -> FloatArray:
        return self._cost_at(self.low)

    @cached_property
    def _dear_cost(self) -> FloatArray:
        return self._cost_at(self.high)

    def _cost_at(self, ends: list[IntArray]) -> FloatArray:
        width = np.concatenate(ends).astype(float)
        counts = [len(cells) for cells in ends]
        linear = np.repeat(np.array(self.chain.linear, dtype=float), counts)
        if not any(self.chain.square):
            return linear * width
        return (linear + np.repeat(np.array(self.chain.square, dtype=float), counts) * width) * width

    def _joint(self, g: int, cheap: bool) -> FloatArray:
        """Cost of pairs of neighbouring cells; where fences bar one, infinite: always the worse at its price."""
        cheap = cheap or (self.is_single and not self._bars[g])
        ends = self.low if cheap else self.high
        name = ("cheap" if cheap else "dear", self._kinds[g])
        stored = self._stored.get(name)
        if stored is not None:
            return stored
        made = np.multiply.outer(ends[g] * float(self.chain.product[g]), ends[g + 1].astype(float))
        if self._bars[g]:
            earliest, latest = self._successors[g]
            worst = math.inf if cheap else -math.inf
            made[earliest[:, None] > self.high[g + 1]] = worst
            if self.chain.problem.space.max_step is not None:
                made[latest[:, None] < self.low[g + 1]] = worst
        self._store(name, made)
        return made

    def _pairs(self, g: int) -> FloatArray:
        """Score bound of neighbouring cells."""
        name = ("pairs", self._kinds[g])
        stored = self._stored.get(name)
        if stored is not None:
            return stored
        first = (self.low[g][:, None], self.high[g][:, None])
        second = (self.low[g + 1][None, :], self.high[g + 1][None, :])
        total = np.zeros((len(self.low[g]), len(self.low[g + 1])))
        for term in self.chain.pair_terms[g]:
            total = total + term.upper(first, second)
        self._store(name, total)
        return total

    def _store(self, name: tuple[str, int], matrix: FloatArray) -> None:
        if self._bytes + matrix.nbytes <= STORE:
            self._bytes += matrix.nbytes
            self._stored[name] = matrix


def best_partners(value: FloatArray, price: FloatArray, width: FloatArray) -> tuple[FloatArray, IntArray]:
    """max over j of value[j] - price[i] width[j] for every i, and where it is, in O(n log n).

    ``width`` ascends and ``price`` is monotone: the dearer, the narrower the best partner. So the middle row's best
    partner splits the search for the rows on either side, and all parts of one depth are searched together.
    """
    if len(price) > 1 and price[0] > price[-1]:
        best, index = best_partners(value, price[::-1], width)
        return best[::-1], index[::-1]
    best, index = np.empty(len(price)), np.empty(len(price), dtype=np.int64)
    top, bottom = np.array([0]), np.array([len(price) - 1])
    left, right = np.array([0]), np.array([len(width) - 1])
    while len(top):
        middle = (top + bottom) // 2
        count = right - left + 1
        offset = np.cumsum(count) - count
        column = np.arange(int(count.sum())) + np.repeat(left - offset, count)
        total = value[column] - np.repeat(price[middle], count) * width[column]
        most = np.maximum.reduceat(total, offset)
        hits = np.flatnonzero(total == np.repeat(most, count))
        found = column[hits[np.searchsorted(hits, offset)]]
        best[middle], index[middle] = most, found
        top, bottom, left, right = (
            np.concatenate(parts) for parts in ((top, middle + 1), (middle - 1, bottom), (found, left), (right, found))
        )
        some = top <= bottom
        top, bottom, left, right = top[some], bottom[some], left[some], right[some]
    return best, index


def _pieces(low: int, high: int, stride: int, parts: int) -> tuple[IntArray, IntArray]:
    count = (high - low) // stride + 1
    if count <= 2 * parts:
        single = np.arange(low, high + 1, stride, dtype=np.int64)
        return single, single
    starts = low + (np.arange(parts, dtype=np.int64) * count // parts) * stride
    stops = np.concatenate([starts[1:] - stride, [high]]).astype(np.int64)
    return starts, stops


def _total_cost(chain: Chain, layout: list[int]) -> float:
    own = sum(chain.linear[g] * w + chain.square[g] * w * w for g, w in enumerate(layout))
    return float(own + sum(c * a * b for c, a, b in zip(chain.product, layout, layout[1:], strict=False)))
