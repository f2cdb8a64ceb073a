"""The exact part: labels (partial layouts) pushed along the chain, dropped when their bound is too low.

A label stands for a layout of the first groups; two labels that end at the same width and have used the same
budget have the
same future, so only the best k of them are kept. What follows a label is bounded for several prices at once.
Budgets are 64-bit integers throughout; floats bound scores only, with a tolerance far above their rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parlay.errors import InputError
from parlay.layout import Layout
from parlay.solver.chain.cells import Grid
from parlay.solver.chain.chain import Chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

__all__ = ["EPSILON", "LARGEST_LAYER", "LabelLimitError", "LabelPass", "Lattice", "push_labels"]

EPSILON = 1e-9
"""Scores closer than this are told apart by exact comparison, never by floats."""

CHUNK = 2_000_000
"""Successors made at once: about 100 MB. 50,000 and 50,000,000 took as long, measured."""

LARGEST_LAYER = 12_000_000
"""Labels of one group: about 500 MB in five columns of 8 bytes."""

DENSE = 100_000
"""So many pairs of label and width are simply all looked at. Without, 31 layers take 1.3 times as long, measured."""

WORTH_MERGING = 2_000
"""Merging changes no answer; below so many labels it costs more than it saves. It is for listing without a threshold,
where layers would outgrow memory: the problems of benchmarks/RESULTS.md take 18 % less time without it, measured."""


class LabelLimitError(Exception):
    """More labels than memory allows would be needed."""


@dataclass(frozen=True, kw_only=True)
class LabelPass:
    """The complete layouts that one pass generated.

    Attributes:
        layouts, values: the best of them, in no particular order, with float scores.
        labels: partial layouts kept.
    """

    layouts: list[Layout]
    values: FloatArray
    labels: int


class Lattice:
    """Single widths of every group, with costs, scores and the cheapest and dearest completion of each, in integers.

    Raises:
        InputError: when an amount would not fit 64-bit integers.
    """

    def __init__(self, grid: Grid) -> None:
        chain = grid.chain
        self.grid = grid
        self.chain = chain
        self.widths: list[IntArray] = grid.low
        tops = [int(w[-1]) for w in self.widths]
        ceiling = sum(chain.linear[g] * t + chain.square[g] * t * t for g, t in enumerate(tops))
        ceiling += sum(c * a * b for c, a, b in zip(chain.product, tops, tops[1:], strict=False))
        longest = max(len(w) for w in self.widths)
        if ceiling >= 1 << 62 or longest * (chain.high + 1) >= 1 << 62:
            raise InputError(
                "size", given="too large for exact 64-bit sums", allowed="smaller sizes", remedy="set a largest width"
            )
        self.own = [chain.cost(g, w) for g, w in enumerate(self.widths)]
        self.scores = grid.scores
        self.ranges = grid.child_ranges
        self.cheapest, self.dearest = self._completions()
        self._suffixes: dict[float, list[FloatArray]] = {}

    def suffixes(self, price: float) -> list[FloatArray]:
        """``Grid.suffixes``, kept for the next pass."""
        if price not in self._suffixes:
            self._suffixes[price] = self.grid.suffixes(price)
        return self._suffixes[price]

    @classmethod
    def whole(cls, chain: Chain) -> Lattice | None:
        """The lattice of every width that fences and budget leave.

        Raises:
            MemoryError: when these are too many to list.
        """
        if chain.is_empty:
            return None
        if sum(chain.choice_count(g) for g in range(chain.groups)) > LARGEST_LAYER:
            raise MemoryError
        choices = [chain.choices(g) for g in range(chain.groups)]
        return cls.of(Grid(chain, choices, choices))

    @classmethod
    def of(cls, grid: Grid) -> Lattice | None:
        """The lattice of a grid of single widths, without widths that no neighbour may stand beside."""
        while grid.chain.is_fenced:
            keep = [np.ones(len(w), dtype=bool) for w in grid.low]
            for g, (start, stop) in enumerate(grid.child_ranges):
                some = start < stop
                keep[g] &= some
                reached = np.zeros(len(grid.low[g + 1]) + 1, dtype=np.int64)
                np.add.at(reached, start[some], 1)
                np.add.at(reached, stop[some], -1)
                keep[g + 1] &= np.cumsum(reached)[:-1] > 0
            kept = grid.kept(keep)
            if kept is None:
                return None
            if kept is grid:
                break
            grid = kept
        return cls(grid)

    def _completions(self) -> tuple[list[IntArray], list[IntArray]]:
        """Cost of the cheapest and dearest widths after each width.

        Costs grow in every width and a larger width never allows a smaller successor, so always taking the smallest
        (largest) successor is cheapest (dearest).
        """
        last = np.zeros(len(self.widths[-1]), dtype=np.int64)
        cheapest, dearest = [last], [last]
        for g in range(self.chain.groups - 2, -1, -1):
            start, stop = self.ranges[g]
            for values, child in ((cheapest, start), (dearest, stop - 1)):
                joint = self.chain.product[g] * self.widths[g] * self.widths[g + 1][child]
                values.insert(0, joint + self.own[g + 1][child] + values[0][child])
        return cheapest, dearest

    def successors_within(self, g: int, choice: IntArray, used: IntArray) -> tuple[IntArray, IntArray]:
        """Positions begin..end in the next group's widths that a layout of groups 0..g may go on with.

        Successors stand together in the list of widths and cost grows along it, so two binary searches find those that
        can still meet the budget: in the last group exactly those that do.

        Args:
            g: group of the last width chosen.
            choice: position of that width, shape (n,).
            used: cost so far, shape (n,).
        """
        chain = self.chain
        start, stop = (ends[choice] for ends in self.ranges[g])
        factor = chain.product[g] * self.widths[g][choice]
        following = self.widths[g + 1]
        if g + 1 == chain.groups - 1 and chain.square[g + 1] == 0:
            price = factor + chain.linear[g + 1]  # the last width follows from the budget by division
            if (price > 0).all():
                end = np.searchsorted(following, (chain.high - used) // price, side="right")
                begin = np.searchsorted(following, -((used - chain.low) // price), side="left")
                begin = np.maximum(begin, start)
                return begin, np.maximum(np.minimum(end, stop), begin)

        def first_above(values: IntArray, limit: int, low: IntArray, high: IntArray) -> IntArray:
            """Smallest position in low..high whose total cost exceeds ``limit``; high when none does."""
            low, high = low.copy(), high.copy()
            while (low < high).any():
                middle = (low + high) // 2
                probe = np.minimum(middle, len(following) - 1)
                above = used + factor * following[probe] + values[probe] > limit
                active = low < high
                high = np.where(active & above, middle, high)
                low = np.where(active & ~above, middle + 1, low)
            return low

        end = first_above(self.own[g + 1] + self.cheapest[g + 1], chain.high, start, stop)
        begin = first_above(self.own[g + 1] + self.dearest[g + 1], chain.low - 1, start, end)
        return begin, end


@dataclass(kw_only=True)
class _Layer:
    """Labels of one group: their last width, score so far, cost so far, bound, and where they come from."""

    choice: IntArray
    value: FloatArray
    used: IntArray
    bound: FloatArray
    parent: IntArray
    tag: BoolArray | None

    def __len__(self) -> int:
        return len(self.choice)

    def taken(self, index: IntArray | BoolArray) -> _Layer:
        if index.dtype == np.bool_ and index.all():
            return self
        return _Layer(
            choice=self.choice[index],
            value=self.value[index],
            used=self.used[index],
            bound=self.bound[index],
            parent=self.parent[index],
            tag=None if self.tag is None else self.tag[index],
        )


def push_labels(
    lattice: Lattice,
    *,
    k: int | None,
    threshold: float = -math.inf,
    prices: Sequence[float] = (),
    beam: int | None = None,
    tagged: Sequence[BoolArray] | None = None,
    largest_layer: int = LARGEST_LAYER,
    tick: Callable[[], None] = lambda: None,
) -> LabelPass:
    """Generate every layout within the budget that scores at least ``threshold``, up to k for each equal future.

    Args:
        lattice: the widths.
        k: layouts wanted; of labels with one future the best k are kept, and all that tie with the k-th. None
        keeps all.
        threshold: labels bounded below it are dropped; -inf drops none.
        prices: prices of the dual for bounds, the best first; not needed without a threshold.
        beam: keep at most so many labels a group, the best bounds first; the pass is then not exact.
        tagged: when given, scores count nothing: of equal futures the first k in order of widths are kept, and only
            layouts with at least one marked width are returned.
        largest_layer: labels a group may have.
        tick: called between steps; may raise to stop.

    Raises:
        LabelLimitError: when a group would have more labels than ``largest_layer``.
    """
    pusher = _Pusher(
        lattice=lattice,
        k=k,
        threshold=threshold,
        prices=() if math.isinf(threshold) else tuple(prices),
        beam=beam,
        tagged=tagged,
        largest_layer=largest_layer,
        tick=tick,
    )
    return pusher.run()


@dataclass(kw_only=True)
class _Pusher:
    """One pass; ``push_labels`` says what the fields are."""

    lattice: Lattice
    k: int | None
    threshold: float
    prices: tuple[float, ...]
    beam: int | None
    tagged: Sequence[BoolArray] | None
    largest_layer: int
    tick: Callable[[], None]

    def __post_init__(self) -> None:
        self.chain, self.grid = self.lattice.chain, self.lattice.grid
        self.is_bounded = bool(self.prices)
        self.suffixes = [self.lattice.suffixes(price) for price in self.prices]
        self.budgets = [self.chain.high if price >= 0 else self.chain.low for price in self.prices]

    def run(self) -> LabelPass:
        layers = [self._filtered(self._first())]
        for g in range(self.chain.groups - 1):
            if len(layers[-1]) == 0:
                return LabelPass(layouts=[], values=np.zeros(0), labels=sum(map(len, layers)))
            is_last = g == self.chain.groups - 2
            pieces: list[_Layer] = []
            for chunk in self._chunks(layers[-1], g, by_range=not self.is_bounded or (is_last and self._is_equality)):
                self.tick()
                pieces.append(self._filtered(chunk, g + 1, is_last=is_last))
                if sum(map(len, pieces)) > 2 * self.largest_layer:
                    raise LabelLimitError
            layer = _joined(pieces)
            if not is_last and not (g == self.chain.groups - 3 and self._is_determined):
                layer = self._merged(layer)
                if self.beam is not None and len(layer) > self.beam:
                    layer = layer.taken(np.argpartition(-layer.bound, self.beam)[: self.beam])
            if len(layer) > self.largest_layer:
                raise LabelLimitError
            layers.append(layer)
        return self._collected(layers)

    @property
    def _is_equality(self) -> bool:
        return self.chain.low == self.chain.high

    @property
    def _is_determined(self) -> bool:
        """Whether the budget leaves at most one last width to a label: then merging before it saves nothing."""
        return self._is_equality and self.chain.linear[-1] + self.chain.product[-1] > 0

    def _first(self) -> _Layer:
        count = len(self.lattice.widths[0])
        scores = np.zeros(count) if self.tagged is not None else self.lattice.scores[0]
        return _Layer(
            choice=np.arange(count),
            value=scores,
            used=self.lattice.own[0],
            bound=np.zeros(count),
            parent=np.full(count, -1, dtype=np.int64),
            tag=None if self.tagged is None else self.tagged[0],
        )

    def _filtered(self, layer: _Layer, g: int = 0, *, is_last: bool = False) -> _Layer:
        """The labels that can still meet the budget and reach the threshold, with their bounds."""
        chain, lattice = self.chain, self.lattice
        keep = layer.used + lattice.cheapest[g][layer.choice] <= chain.high
        keep &= layer.used + lattice.dearest[g][layer.choice] >= chain.low
        layer = layer.taken(keep)
        if is_last and self._is_equality:
            layer.bound = layer.value
            return layer  # complete layouts below the threshold are welcome as incumbents
        for number, (price, suffix, budget) in enumerate(zip(self.prices, self.suffixes, self.budgets, strict=True)):
            bound = layer.value + suffix[g][layer.choice] + price * (budget - layer.used)
            if number == 0:
                layer.bound = bound
            layer = layer.taken(bound >= self.threshold - EPSILON)
        return layer

    def _chunks(self, layer: _Layer, g: int, *, by_range: bool) -> Iterator[_Layer]:
        """The successors of all labels, a few million at a time, in order of their labels."""
        if not by_range and len(layer) * len(self.lattice.widths[g + 1]) <= DENSE:
            yield self._made(layer, g, *self._close_enough(layer, g))
            return
        count, child = self._children_by_range(layer, g) if by_range else self._children_by_bound(layer, g)
        total = np.cumsum(count)
        if by_range and g < self.chain.groups - 2 and total[-1] > 8 * self.largest_layer:
            raise LabelLimitError  # merging seldom saves more than that, so nothing needs to be tried
        stops = np.searchsorted(total, np.arange(CHUNK, int(total[-1]) + CHUNK, CHUNK), side="left") + 1
        edges = np.unique(np.minimum(np.concatenate([[0], stops, [len(layer)]]), len(layer)))
        for start, stop in zip(edges.tolist(), edges[1:].tolist(), strict=False):
            yield self._extended(layer, g, np.arange(start, stop, dtype=np.int64), count[start:stop], child)

    def _close_enough(self, layer: _Layer, g: int) -> tuple[IntArray, IntArray]:
        """Labels and successors, every pair looked at, whose bound at the best price reaches the threshold."""
        price, suffix = self.prices[0], self.suffixes[0]
        onward = self.grid.unary(price)[g + 1] + suffix[g + 1]
        bound = self.grid.transition(g, price)[layer.choice] + onward
        least = self.threshold - 2 * EPSILON - price * (self.budgets[0] - layer.used) - layer.value
        parent, choice = np.nonzero(bound >= least[:, None])
        return parent, choice

    def _children_by_range(self, layer: _Layer, g: int) -> tuple[IntArray, Callable[[IntArray, IntArray], IntArray]]:
        begin, end = self.lattice.successors_within(g, layer.choice, layer.used)
        return end - begin, lambda parent, offset: begin[parent] + offset

    def _children_by_bound(self, layer: _Layer, g: int) -> tuple[IntArray, Callable[[IntArray, IntArray], IntArray]]:
        """Successors sorted by how much they lower the bound: each label takes those its slack affords."""
        price, suffix = self.prices[0], self.suffixes[0]
        rows, row_of = np.unique(layer.choice, return_inverse=True)
        slack = np.maximum(layer.bound - self.threshold, 0.0) + 2 * EPSILON
        most = np.zeros(len(rows))
        np.maximum.at(most, row_of, slack)
        onward = self.grid.unary(price)[g + 1] + suffix[g + 1]
        loss = suffix[g][rows][:, None] - (self.grid.transition(g, price)[rows] + onward[None, :])
        row, column = np.nonzero(loss <= most[:, None])
        amount = loss[row, column]
        order = np.lexsort((amount, row))
        row, column, amount = row[order], column[order], amount[order]
        step = float(most.max()) + 1.0
        key = row * step + np.maximum(amount, 0.0)
        offset = np.searchsorted(row, np.arange(len(rows)))
        count = np.searchsorted(key, row_of * step + slack, side="right") - offset[row_of]
        return count, lambda parent, place: column[offset[row_of[parent]] + place]

    def _extended(
        self, layer: _Layer, g: int, labels: IntArray, count: IntArray, child: Callable[[IntArray, IntArray], IntArray]
    ) -> _Layer:
        parent = np.repeat(labels, count)
        place = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
        return self._made(layer, g, parent, child(parent, place))

    def _made(self, layer: _Layer, g: int, parent: IntArray, choice: IntArray) -> _Layer:
        """Labels of group g + 1 from their parents and last widths."""
        lattice = self.lattice
        before = lattice.widths[g][layer.choice[parent]]
        now = lattice.widths[g + 1][choice]
        used = layer.used[parent] + self.chain.product[g] * before * now + lattice.own[g + 1][choice]
        if self.tagged is not None:
            value, tag = np.zeros(len(parent)), self.tagged[g + 1][choice]
            tag = tag if layer.tag is None else tag | layer.tag[parent]
        else:
            value = layer.value[parent] + lattice.scores[g + 1][choice] + self.chain.pair_score(g, before, now)
            tag = None
        return _Layer(choice=choice, value=value, used=used, bound=value, parent=parent, tag=tag)

    def _merged(self, layer: _Layer) -> _Layer:
        """Of labels with one future the best k and their ties; with tags, the first k in order of widths."""
        if self.k is None or len(layer) < WORTH_MERGING:
            return layer
        key = layer.choice * (self.chain.high + 1) + layer.used
        if layer.tag is not None:
            order = np.lexsort((np.arange(len(key)), layer.tag, key))
            fresh = np.concatenate([[True], (np.diff(key[order]) != 0) | (np.diff(layer.tag[order].astype(int)) != 0)])
        elif self.k == 1:
            order = np.argsort(key, kind="stable")
            fresh = np.concatenate([[True], np.diff(key[order]) != 0])
        else:
            order = np.lexsort((-layer.value, key))
            fresh = np.concatenate([[True], np.diff(key[order]) != 0])
        starts = np.flatnonzero(fresh)
        sizes = np.diff(np.concatenate([starts, [len(order)]]))
        group = np.repeat(np.arange(len(starts)), sizes)
        if layer.tag is not None:
            keep = np.arange(len(order)) - starts[group] < self.k
        else:
            value = layer.value[order]
            last = starts + np.minimum(sizes, self.k) - 1
            worst = np.maximum.reduceat(value, starts) if self.k == 1 else value[last]
            keep = layer.value[order] >= worst[group] - EPSILON
        return layer.taken(np.sort(order[keep]))

    def _collected(self, layers: list[_Layer]) -> LabelPass:
        last = layers[-1]
        index = np.arange(len(last)) if last.tag is None else np.flatnonzero(last.tag)
        if self.k is not None and len(index) > self.k:
            if last.tag is None:
                worst = np.partition(-last.value[index], self.k - 1)[self.k - 1]
                index = index[-last.value[index] <= worst + EPSILON]
            else:
                index = index[: self.k]  # labels stand in order of their widths
        columns: list[IntArray] = []
        labels = index
        for g in range(self.chain.groups - 1, -1, -1):
            columns.append(self.lattice.widths[g][layers[g].choice[labels]])
            labels = layers[g].parent[labels]
        table = np.stack(columns[::-1], axis=1)
        layouts = [tuple(row) for row in table.tolist()]
        total = sum(map(len, layers))
        return LabelPass(layouts=layouts, values=last.value[index], labels=total)


def _joined(pieces: list[_Layer]) -> _Layer:
    tags = [piece.tag for piece in pieces if piece.tag is not None]
    return _Layer(
        choice=np.concatenate([piece.choice for piece in pieces]),
        value=np.concatenate([piece.value for piece in pieces]),
        used=np.concatenate([piece.used for piece in pieces]),
        bound=np.concatenate([piece.bound for piece in pieces]),
        parent=np.concatenate([piece.parent for piece in pieces]),
        tag=np.concatenate(tags) if tags else None,
    )
