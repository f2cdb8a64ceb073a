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
from parlay.solver.general.best_in_box import best_in_box
from parlay.solver.general.boxes import about_how_many, cut, list_box, solved_group, tightened, volume
from parlay.solver.general.climb import Climber
from parlay.solver.general.dual import LARGEST_GROUP, Separated, document_of, separate
from parlay.solver.general.eliminate import Eliminated, eliminate, improved, kept_products
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed, relax
from parlay.solver.general.neighbours import Neighbourhoods

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Search"]

TIE = 1e-9
"""Scores closer than this may be equal; what might tie with the k-th best is kept."""

LISTED = 100_000
"""Partial layouts that listing one box may hold."""

FEW_GROUPS, LARGE = 8, 16
"""Groups up to which limits cut most partial layouts off early, and from which wide neighbourhoods are tried."""

LARGEST_PROOF = 5_000
"""Steps from which a proof is not kept."""

REFUTED = 1e-9
"""By how much, in ln of a limit, prices must show a box to be infeasible."""

NARROWINGS = 4
PRICED_ROWS, FACTORS = 3, (0.75, 1.3)
"""Rows whose prices are varied in further bounds of a listing, and by how much."""

WORTH_TABLES = 5e-5
"""Gaps from which keeping products exact is worth its time."""

RECHOSEN = 12.0
"""How much smaller, in ln of the layouts, a box must be for its products to be chosen anew."""

SHARPER, RETRIED = 0.1, 3.0
"""Tables that lower a gap by less than this part are made again only in boxes so much smaller, in ln of the layouts."""

MOST_PARTIAL, TABLE_ENTRIES, BOX_SHARE = 60_000, 100_000_000, 10
"""Partial layouts held while the best of the first box are listed: so many, or so many amounts times groups. Later
boxes may hold a tenth.
"""

DEPTHS = (0.1, 0.3, 0.6, 1.0)
"""How far down towards the best known a box is listed, in parts."""

ROOT_ROUNDS, BOX_ROUNDS = 20, 5
SEVERE = 30.0
"""How much dearer breaking a limit becomes when a climb ends on the wrong side of one."""

NEIGHBOURHOODS = 2
"""Neighbourhoods of the best layout that are searched after every box."""

CLIMBS = 12
"""Boxes from whose relaxation a layout is sought in any case; later ones only while no layout is known."""


@dataclass(eq=False)
class _Node:
    """What is known of a box, for the proof."""

    duals: list[Dual] = field(default_factory=list[Dual])
    split: Split | None = None
    halves: list[_Node] = field(default_factory=list["_Node"])
    listed: float | None = None
    tables: int = 0

    def note_listed(self, threshold: float) -> None:
        """All layouts of the box that score at least so much are known."""
        self.listed = threshold if self.listed is None else min(self.listed, threshold)


@dataclass(order=True)
class _Box:
    """A box that waits: the highest bound first, and among equal ones the newest."""

    key: tuple[float, int]
    general: General = field(compare=False)
    start: FloatArray | None = field(compare=False)
    node: _Node = field(compare=False)
    priced: Relaxed | None = field(compare=False, default=None)
    sharpened_below: float = field(compare=False, default=math.inf)
    listing_below: float = field(compare=False, default=math.inf)


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
    neighbours: Neighbourhoods | None = None
    starts: list[Layout] = field(default_factory=list[Layout])
    tree: _Node = field(default_factory=_Node)
    kept: tuple[tuple[tuple[int, int], ...], tuple[int, ...]] | None = None
    kept_at: float = math.inf
    priced: Relaxed | None = None
    whole_kept: tuple[tuple[tuple[int, int], ...], tuple[int, ...]] | None = None

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
        self.neighbours = Neighbourhoods(root, relaxed)
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
                for part, start, bound, priced in self._halves(box):
                    count += 1
                    node = _Node()
                    box.node.halves.append(node)
                    key = -min(bound, self.current), -count
                    half = _Box(key=key, general=part, start=start, node=node, priced=priced)
                    half.sharpened_below, half.listing_below = box.sharpened_below, box.listing_below
                    heapq.heappush(self.queue, half)
            self._improve(NEIGHBOURHOODS)
            self.current = -math.inf

    def _improve(self, count: int) -> None:
        """Look around the best layout."""
        assert self.neighbours is not None
        for _ in range(count):
            if not self.pool or self.bound - max(self.pool.values()) <= TIE:
                return
            self.tick()
            best = max(self.pool, key=self.pool.__getitem__)
            at = np.array(best, dtype=np.int64)
            found = self.neighbours.better(at, self.pool[best])
            if found is not None:
                self.add(found)
        is_large = self.general.groups >= LARGE and self.boxes % 3 == 0
        if is_large and self.priced is not None and self.whole_kept is not None and self.top_k == 1:
            best = max(self.pool, key=self.pool.__getitem__)
            at = np.array(best, dtype=np.int64)
            found = self.neighbours.wider(at, self.pool[best], self.priced, self.whole_kept, self.tick)
            if found is not None:
                self.add(found)

    def _halves(self, box: _Box) -> list[tuple[General, FloatArray | None, float, Relaxed | None]]:
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
            size = volume(general)
            general = tightened(general.narrowed(*windows))
            if general.is_empty:
                return []
            if volume(general) > size - 0.7:
                break
        assert relaxed is not None
        separated = self._bounded(box.node, general, relaxed)
        if separated.bound < self.threshold:
            return []
        bound = separated.bound
        priced: Relaxed | None = None
        met: list[IntArray] = []
        gap = bound - max(self.pool.values(), default=-math.inf)
        if gap > WORTH_TABLES and volume(general) <= box.sharpened_below:
            for _ in range(NARROWINGS):
                found = self._sharpened(box, general, relaxed if priced is None else priced)
                if found is None:
                    break
                sharper, met = found
                bound, priced = min(bound, sharper.bound), sharper.relaxed
                if bound < self.threshold:
                    return []
                if self.threshold == -math.inf:
                    break
                size = volume(general)
                general = tightened(general.narrowed(*sharper.windows(general, self.threshold)))
                if general.is_empty:
                    return []
                if volume(general) > size - 0.3:
                    break
            if bound > separated.bound - SHARPER * gap:
                box.sharpened_below = volume(general) - RETRIED
        if priced is not None:
            relaxed = relax(general, start=start)
            separated = self._bounded(box.node, general, relaxed)
            if separated.bound < self.threshold:
                return []
            bound = min(bound, separated.bound)
            bound = min(bound, self._best_above(box, general, priced, bound))
            if bound < self.threshold:
                return []
        threshold = self._reachable(general, separated)
        if threshold is not None:
            table = list_box(general, [separated, *self._others(general, relaxed)], threshold, LISTED)
            if table is not None:
                self.add(table)
                box.node.note_listed(threshold)
                if threshold <= self.threshold:
                    return []
                bound = min(bound, threshold)
        if self.climbs < CLIMBS or not self.pool or self.boxes % 10 == 0:
            self._seek(general, relaxed, ())
        group, width = cut(general, relaxed, separated, met)
        box.node.split = Split(group=group, width=width)
        below, above = general.high.copy(), general.low.copy()
        below[group], above[group] = width, width + general.stride[group]
        return [
            (general.narrowed(general.low, below), start, bound, priced),
            (general.narrowed(above, general.high), start, bound, priced),
        ]

    def _sharpened(self, box: _Box, general: General, relaxed: Relaxed) -> tuple[Eliminated, list[IntArray]] | None:
        """A bound with products kept exact, and the layouts at which it was reached at the prices tried."""
        is_root = box.key[1] == 0
        size = volume(general)
        if self.kept is None or size < self.kept_at - RECHOSEN:
            self.kept, self.kept_at = kept_products(general, relaxed), size
        exact, order = self.kept
        if not exact or max(general.counts.tolist()) > LARGEST_GROUP:
            return None
        if box.priced is not None and not box.node.tables:
            # the parent's prices, moved to this box's point
            relaxed = replace(box.priced, widths=relaxed.widths)
        box.node.tables += 1
        target = max(self.pool.values(), default=-math.inf)
        if target == -math.inf:
            target = separate(general, relaxed).bound - 0.1
        sharper, met = improved(
            general,
            relaxed,
            exact,
            order,
            target=target,
            rounds=ROOT_ROUNDS if is_root and box.node.tables == 1 else BOX_ROUNDS,
            tick=self.tick,
        )
        if self.priced is None:
            self.priced, self.whole_kept = sharper.relaxed, self.kept
        self.current = min(self.current, sharper.bound)
        box.node.duals.append(document_of(general, sharper.relaxed, exact=exact, order=order))
        if box.node.tables == 1 and (is_root or self.boxes % 10 == 0):
            for layout in [sharper.layout, *met[::-1]][:4]:
                self._climb_from(layout)
        return sharper, met

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

    def _best_above(self, box: _Box, general: General, priced: Relaxed, bound: float) -> float:
        """The bound that remains after the best layouts of the box were listed as far down as memory allows."""
        if self.top_k > 1 or self.kept is None or self.threshold == -math.inf or general.has_peak_minimum:
            return bound
        has_minimum = bool(np.isfinite(general.lows).any())
        if volume(general) > box.listing_below or (has_minimum and box.key[1] != 0):
            return bound
        exact, order = self.kept
        tables = [eliminate(general, priced, exact, order)]
        worth = priced.upper * np.where(np.isfinite(general.highs), general.highs, 0.0)
        for row in np.argsort(-worth)[:PRICED_ROWS].tolist():
            if worth[row] > 1e-6:
                for factor in FACTORS:
                    upper = priced.upper.copy()
                    upper[row] *= factor
                    tables.append(eliminate(general, replace(priced, upper=upper), exact, order))
        limit = TABLE_ENTRIES // (general.groups * max(len(general.rows), 1))
        if has_minimum:
            limit //= 4  # what a minimum asks for is rarely met by what the bound likes best
        limit = min(limit, MOST_PARTIAL) if box.key[1] == 0 else min(limit, MOST_PARTIAL) // BOX_SHARE
        for part in DEPTHS:
            threshold = max(self.threshold, bound - part * (bound - self.threshold))
            found = best_in_box(general, tables, threshold, limit, self.tick)
            if found is None:
                if part == DEPTHS[0]:
                    box.listing_below = volume(general) - RETRIED
                break
            if len(found):
                self.add(found)
            box.node.note_listed(threshold)
            bound = min(bound, threshold)  # whatever scores more is no better than what was found
            if bound <= self.threshold:
                return bound - TIE
        return bound

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
            self._climb_from(layout)

    def _climb_from(self, layout: IntArray) -> None:
        """Climb, and close what an equality leaves open."""
        assert self.climber is not None
        key = tuple(layout.tolist())
        if key in self.seen:
            return
        self.seen.add(key)
        climbed = self.climber.climb(layout)
        if not self.climber.general.within(climbed[None])[0] and not np.isfinite(self.general.lows).any():
            climbed = self.climber.climb(climbed, severity=SEVERE)
        if self.climber.general.within(climbed[None])[0]:
            self.add(climbed[None])
        closed = self.climber.close(climbed)
        if closed is not None:
            self.add(closed[None])
