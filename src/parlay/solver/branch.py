"""Branch and bound on any graph: bounds by prices within boxes of widths, the best box first.

A box is bounded, narrowed to the widths that may still hold a better layout, listed when it is small and cut in two
otherwise. What is cut off is only what scores below the k-th best layout known, so an empty queue proves the list.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from parlay.layout import Layout
from parlay.problem import Dual, End, Split
from parlay.solver.boxes import about_how_many, list_box, solved_group, tightened
from parlay.solver.dual import Separated, document_of, separate
from parlay.solver.general import General
from parlay.solver.moves import Climber
from parlay.solver.relax import Relaxed, relax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Search"]

TIE = 1e-9
"""Scores closer than this may be equal; what might tie with the k-th best is kept."""

LISTED = 100_000
"""Partial layouts that listing one box may hold."""

FEW_GROUPS = 8

LARGEST_PROOF = 5_000
"""Steps from which a proof is not kept."""

REFUTED = 1e-9
"""By how much, in ln of a limit, prices must show a box to be infeasible."""

NARROWINGS = 4
PRICED_ROWS, FACTORS = 3, (0.75, 1.3)
"""Rows whose prices are varied in further bounds of a listing, and by how much."""

CLIMBS = 12
"""Boxes from whose relaxation a layout is sought in any case; later ones only while no layout is known."""


@dataclass(eq=False)
class _Node:
    """What is known of a box, for the proof."""

    duals: list[Dual] = field(default_factory=list[Dual])
    split: Split | None = None
    halves: list[_Node] = field(default_factory=list["_Node"])
    listed: float | None = None


@dataclass(order=True)
class _Box:
    """A box that waits: the highest bound first, and among equal ones the newest."""

    key: tuple[float, int]
    general: General = field(compare=False)
    start: FloatArray | None = field(compare=False)
    node: _Node = field(compare=False)


@dataclass(kw_only=True)
class Search:
    """One branch and bound.

    Attributes:
        general: the problem, without widths whose score is -inf.
        top_k: how many layouts are wanted.
        tick: called now and then; may raise to stop.
        pool: layouts found that keep everything, with their scores.
        boxes: how many boxes were bounded.
    """

    general: General
    top_k: int
    tick: Callable[[], None]
    pool: dict[Layout, float] = field(default_factory=dict[Layout, float])
    boxes: int = 0
    prices: tuple[FloatArray, FloatArray] | None = None
    root: float = math.inf
    queue: list[_Box] = field(default_factory=list[_Box])
    current: float = -math.inf
    climbs: int = 0
    seen: set[Layout] = field(default_factory=set[Layout])
    climber: Climber | None = None
    starts: list[Layout] = field(default_factory=list[Layout])
    tree: _Node = field(default_factory=_Node)

    @property
    def threshold(self) -> float:
        """What a box must reach to matter: the k-th best score known, less a margin for ties."""
        if len(self.pool) < self.top_k:
            return -math.inf
        if self.top_k == 1:
            return max(self.pool.values()) - TIE
        return heapq.nlargest(self.top_k, self.pool.values())[-1] - TIE

    @property
    def bound(self) -> float:
        """No layout scores more: the highest bound of a box that waits or is being worked on."""
        waiting = -self.queue[0].key[0] if self.queue else -math.inf
        return max(waiting, self.current)

    def add(self, table: IntArray) -> None:
        """Keep layouts that satisfy everything."""
        assert self.climber is not None
        scores = self.climber.score(table)
        if len(self.pool) >= self.top_k:
            better = scores >= self.threshold
            table, scores = table[better], scores[better]
        for row, score in zip(table.tolist(), scores.tolist(), strict=True):
            layout = tuple(row)
            if layout not in self.pool and (not self.general.has_peak_minimum or self.general.allowed(layout)):
                self.pool[layout] = score
        if len(self.pool) > 4 * self.top_k + 1_000:
            least = self.threshold
            self.pool = {layout: score for layout, score in self.pool.items() if score >= least}

    def run(self, starts: Iterable[Layout] = ()) -> None:
        """Search until nothing is left; ``tick`` may end it by raising, when ``bound`` and ``pool`` stand."""
        root = tightened(self.general)
        if root.is_empty:
            return
        self.current = math.inf
        relaxed = relax(root)
        self.climber = Climber(root, relaxed.upper, relaxed.lower, self.tick)
        self.prices = relaxed.upper, relaxed.lower
        self.starts = list(starts)
        for layout in self.starts:
            row = np.array(layout, dtype=np.int64)
            if ((row >= root.low) & (row <= root.high)).all() and root.within(row[None])[0]:
                self.add(row[None])
        self.queue = [_Box(key=(-math.inf, 0), general=root, start=relaxed.widths, node=self.tree)]
        count = 0
        while self.queue:
            self.tick()
            box = heapq.heappop(self.queue)
            self.current = -box.key[0]
            if self.current >= self.threshold:
                for part, start, bound in self._halves(box):
                    count += 1
                    node = _Node()
                    box.node.halves.append(node)
                    key = -min(bound, self.current), -count
                    heapq.heappush(self.queue, _Box(key=key, general=part, start=start, node=node))
            self.current = -math.inf

    def _halves(self, box: _Box) -> list[tuple[General, FloatArray | None, float]]:
        """Bound one box; nothing is left of it, or two boxes are."""
        general, start = tightened(box.general), box.start
        relaxed: Relaxed | None = None
        for _ in range(NARROWINGS):
            if general.is_empty:
                return []
            relaxed = relax(general, start=start)
            self.boxes += 1
            separated = self._bounded(box.node, general, relaxed)
            if box.key[1] == 0:
                self.root = min(self.root, separated.bound)
            if separated.bound < self.threshold or self._hopeless(box.node, general, relaxed):
                return []
            start = relaxed.widths
            if not self.climbs:
                self._seek(general, relaxed, self.starts)
            if self.threshold == -math.inf:
                break
            windows = separated.windows(self.threshold)
            if windows is None:
                return []
            size = _volume(general)
            general = tightened(general.narrowed(*windows))
            if general.is_empty:
                return []
            if _volume(general) > size - 0.7:
                break
        assert relaxed is not None
        separated = self._bounded(box.node, general, relaxed)
        if separated.bound < self.threshold:
            return []
        bound = separated.bound
        threshold = self._reachable(general, separated)
        if threshold is not None:
            table = list_box(general, [separated, *self._others(general, relaxed)], threshold, LISTED)
            if table is not None:
                self.add(table)
                box.node.listed = threshold
                if threshold <= self.threshold:
                    return []
                bound = min(bound, threshold)
        if self.climbs < CLIMBS or not self.pool or self.boxes % 10 == 0:
            self._seek(general, relaxed, ())
        group, width = self._cut(general, relaxed, separated)
        box.node.split = Split(group=group, width=width)
        below, above = general.high.copy(), general.low.copy()
        below[group], above[group] = width, width + general.stride[group]
        return [
            (general.narrowed(general.low, below), start, bound),
            (general.narrowed(above, general.high), start, bound),
        ]

    def _reachable(self, general: General, separated: Separated) -> float | None:
        """A score down to which the box can be listed; None when that hardly lowers its bound."""
        solved = solved_group(general)
        skip = None if solved is None else solved[1]
        threshold = self.threshold
        if threshold == -math.inf:
            sizes = general.counts.astype(float)
            few = general.groups <= FEW_GROUPS  # then limits cut most partial layouts off early
            if float(np.prod(sizes)) / (1.0 if skip is None else sizes[skip]) <= LISTED * (50 if few else 1):
                return threshold
            return None
        slacks = max(separated.bound - threshold, 0.0) * np.array([1.0, 0.7, 0.4, 0.2])
        fits = np.flatnonzero(about_how_many(separated, slacks, skip) <= LISTED / 2)
        if not len(fits):
            return None
        return threshold if fits[0] == 0 else separated.bound - float(slacks[fits[0]])

    def _others(self, general: General, relaxed: Relaxed) -> list[Separated]:
        """Bounds at other prices: they see what leaves a limit unspent."""
        worth = relaxed.upper * np.where(np.isfinite(general.highs), general.highs, 0.0)
        found: list[Separated] = []
        for row in np.argsort(-worth)[:PRICED_ROWS].tolist():
            if worth[row] > 1e-6:
                for factor in FACTORS:
                    upper = relaxed.upper.copy()
                    upper[row] *= factor
                    found.append(separate(general, replace(relaxed, upper=upper)))
        return found

    def _bounded(self, node: _Node, general: General, relaxed: Relaxed) -> Separated:
        separated = separate(general, relaxed)
        self.current = min(self.current, separated.bound)
        node.duals.append(document_of(general, relaxed))
        return separated

    def _hopeless(self, node: _Node, general: General, relaxed: Relaxed) -> bool:
        """Whether prices prove that no layout of the box keeps the constraints."""
        if relaxed.converged and relaxed.excess < 1e-6:
            return False
        farkas = relax(general, elastic=True)
        if separate(general, farkas, weight=0).bound >= -REFUTED:
            return False
        node.duals.append(document_of(general, farkas, weight=0))
        return True

    def steps(self) -> tuple[Dual | Split | End, ...]:
        """The tree of boxes, depth first, as a proof keeps it; nothing when it is too large."""
        found: list[Dual | Split | End] = []
        waiting = [self.tree]
        while waiting:
            node = waiting.pop()
            found += node.duals
            if len(node.halves) == 2 and node.split is not None:
                found.append(replace(node.split, listed=node.listed))
                waiting += node.halves[::-1]
            else:
                found.append(End(listed=node.listed))
            if len(found) > LARGEST_PROOF:
                return ()
        return tuple(found)

    def _seek(self, general: General, relaxed: Relaxed, starts: Iterable[Layout]) -> None:
        """Climb from the relaxation, and from layouts given, to layouts that keep everything."""
        assert self.climber is not None
        climber = self.climber
        self.climbs += 1
        begin = [climber.nearest(relaxed.widths)]
        begin += [np.array(layout, dtype=np.int64) for layout in starts]
        for layout in begin:
            key = tuple(layout.tolist())
            if key in self.seen or ((layout < climber.general.low) | (layout > climber.general.high)).any():
                continue
            if self.pool and layout is not begin[0]:
                break  # a layout given is climbed from only while the relaxation led to none
            self.seen.add(key)
            climbed = climber.climb(layout)
            if climber.general.within(climbed[None])[0]:
                self.add(climbed[None])
            closed = climber.close(climbed)
            if closed is not None:
                self.add(closed[None])

    def _cut(self, general: General, relaxed: Relaxed, separated: Separated) -> tuple[int, int]:
        """Group and last width of the first half: where the bound loses most."""
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
            at = separated_at(general, separated, g, float(centre[g]))
            bent = max(0.0, float(separated.gains[g].max()) - at)
            span = math.log(general.high[g] / low)
            loss = bent + 0.5 * abs(separated.log[g]) * (apart**2 + 0.02 * span**2)
            if loss > worst:
                worst, choice = loss, (g, width)
        return choice


def separated_at(general: General, separated: Separated, group: int, width: float) -> float:
    """The gain of one group at a real width."""
    value = float(general.score(group, np.array([width]))[0])
    value -= separated.linear[group] * width + separated.square[group] * width**2
    value -= separated.log[group] * math.log(width)
    return value - sum(price * math.log(width + shift) for g, shift, price in separated.shifts if g == group)


def _volume(general: General) -> float:
    """ln of how many layouts the box has."""
    return float(np.log(np.maximum(general.counts, 1)).sum())
