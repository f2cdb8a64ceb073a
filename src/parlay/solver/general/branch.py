"""Branch and bound on any graph: bounds by prices within boxes of widths, the best box first.

A box is bounded, narrowed to the widths that may still hold a better layout, listed when it is small and cut in two
otherwise. What is cut off is only what scores below the k-th best layout known, so an empty queue proves the list.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from parlay.layout import Layout
from parlay.problem import Split
from parlay.solver.general.best_in_box import best_in_box
from parlay.solver.general.boxes import about_how_many, cut, list_box, solved_group, tightened, volume
from parlay.solver.general.climb import Climber
from parlay.solver.general.dual import LARGEST_GROUP, Separated, recorded, separate, varied
from parlay.solver.general.eliminate import Eliminated, Products, eliminate, improved, kept_products
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed, relax
from parlay.solver.general.neighbours import Neighbourhoods
from parlay.solver.general.tree import Box, Node, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Search"]

TIE = 1e-9
"""Scores closer than this may be equal; what might tie with the k-th best is kept."""

LISTED = 100_000
"""Partial layouts that listing one box may hold. A fifth took 24 % longer to a proof, five times as many as long as
now, measured on eleven traced and plain networks and 70 random graphs, as all measurements of this file."""

FEW_GROUPS, FEW_TIMES = 8, 50
"""Groups up to which limits cut most partial layouts off early, so that boxes so many times larger may be listed."""

LARGE = 16
"""Groups from which wide neighbourhoods are tried; in smaller networks the others reach as far."""

REFUTED = 1e-9
"""By how much, in ln of a limit, prices must show a box to be infeasible."""

NARROWINGS = 4
"""Times a box is bounded and drawn together before it is cut; 2 or 8: the same times, measured."""

WORTH_RELAXING, WORTH_TABLING = 0.7, 0.3
"""By how much, in ln of the layouts, a box must have shrunk to be bounded again at once: a cut takes 0.7 = ln 2 off."""

ASSUMED_GAP = 0.1
"""How far below its bound the best layout is taken to lie before one is known; only the length of a step hangs on
it."""

WORTH_TABLES = 5e-5
"""Gaps from which keeping products exact is worth its time. From 1e-3 on a proof takes twice as long, and 18 times on
the plain network of 20 layers; from 1e-6 as long as now, measured."""

RECHOSEN = 12.0
"""How much smaller, in ln of the layouts, a box must be for its products to be chosen anew: 3 took as long,
measured."""

SHARPER, RETRIED = 0.1, 3.0
"""Tables that lower a gap by less than this part are made again only in boxes so much smaller, in ln of the layouts."""

MOST_PARTIAL, TABLE_ENTRIES, BOX_SHARE = 60_000, 100_000_000, 10
"""Partial layouts held while the best of the first box are listed: so many, or so many amounts times groups, 800 MB.
Later boxes may hold a tenth, as there are many. Five times as many partial layouts took 16 % longer, measured."""

DEPTHS = (0.1, 0.3, 0.6, 1.0)
"""How far down towards the best known a box is listed, in parts: whatever part fits into memory lowers the bound. All
at once takes as long where it fits, measured."""

ROOT_ROUNDS, BOX_ROUNDS = 20, 5
"""Steps of the prices: many for the whole problem, where all boxes begin, few for a box. 60 at the root took 11 %
longer, 5 as long, measured."""

SEVERE = 30.0
"""How much dearer breaking a limit becomes when a climb ends on the wrong side of one; 300 does as well, measured."""

NEIGHBOURHOODS = 2
"""Neighbourhoods of the best layout that are searched after every box: for what is never proven. Times to a proof are
the same with none and with 8, measured."""

CLIMBS = 12
"""Boxes from whose relaxation a layout is sought in any case; later ones only while no layout is known. 1 or 100: the
same times, measured."""


@dataclass(kw_only=True)
class Search:
    """One branch and bound.

    Attributes:
        general: the problem, without widths whose score is -inf.
        top_k: how many layouts are wanted.
        tick: called now and then; may raise to stop.
        pool: layouts found that keep everything, with their scores.
        boxes: how many relaxations were solved.
        cuts: how many halves boxes were cut into.
        prices: upper and lower prices of the rows in the first relaxation.
        root: the least bound of the whole problem.
        queue: boxes that wait, a heap.
        current: bound of the box that is worked on.
        climbs: how many relaxations were climbed from.
        seen: layouts that were climbed from.
        climber, neighbours: what looks for layouts; None before ``run``.
        starts: layouts given to begin with.
        tree: the whole problem, and under it all boxes.
        kept: products that are kept exact, and the order of elimination; None until they are chosen.
        kept_at: ln of how many layouts the box had for which they were chosen.
        priced, whole_kept: point and prices of the first bound with products kept, and these products.
        unit: gaps count as small in comparison with this.
    """

    general: General
    top_k: int
    tick: Callable[[], None]
    pool: dict[Layout, float] = field(default_factory=dict[Layout, float])
    boxes: int = 0
    cuts: int = 0
    prices: tuple[FloatArray, FloatArray] | None = None
    root: float = math.inf
    queue: list[Box] = field(default_factory=list[Box])
    current: float = -math.inf
    climbs: int = 0
    seen: set[Layout] = field(default_factory=set[Layout])
    climber: Climber | None = None
    neighbours: Neighbourhoods | None = None
    starts: list[Layout] = field(default_factory=list[Layout])
    tree: Node = field(default_factory=Node)
    kept: Products | None = None
    kept_at: float = math.inf
    priced: Relaxed | None = None
    whole_kept: Products | None = None
    unit: float = 1.0

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

    def add(self, table: IntArray) -> bool:
        """Keep layouts that satisfy everything; whether none was refused though it keeps every row."""
        assert self.climber is not None
        scores, is_recounted, refused = self.climber.score(table), self.general.is_recounted, False
        if len(self.pool) >= self.top_k:
            better = scores >= self.threshold
            table, scores = table[better], scores[better]
        if is_recounted:  # the best first, since a recount takes long and those behind may not need one
            order = np.argsort(-scores, kind="stable")
            table, scores = table[order], scores[order]
        for row, score in zip(table.tolist(), scores.tolist(), strict=True):
            layout = tuple(row)
            if is_recounted and score < self.threshold:
                break
            if layout in self.pool:
                continue
            if is_recounted and not self.general.allowed(layout):
                refused = True
            else:
                self.pool[layout] = score
        if len(self.pool) > 4 * self.top_k + 1_000:
            least = self.threshold
            self.pool = {layout: score for layout, score in self.pool.items() if score >= least}
        return not refused

    def run(self, starts: Iterable[Layout] = ()) -> None:
        """Search until nothing is left; ``tick`` may end it by raising, when ``bound`` and ``pool`` stand."""
        root = tightened(self.general)
        if root.is_empty:
            return
        self.current = math.inf
        relaxed = self._relaxed(root)
        self.climber = Climber(root, relaxed.upper, relaxed.lower, self.tick)
        self.neighbours = Neighbourhoods(root, relaxed)
        self.prices = relaxed.upper, relaxed.lower
        self.starts = list(starts)
        for layout in self.starts:
            row = np.array(layout, dtype=np.int64)
            if ((row >= root.low) & (row <= root.high)).all() and root.within(row[None])[0]:
                self.add(row[None])
        self.queue = [Box(key=(-math.inf, 0), general=root, start=relaxed.widths, node=self.tree)]
        while self.queue:
            self.tick()
            box = heapq.heappop(self.queue)
            self.current = -box.key[0]
            if self.current >= self.threshold:
                for half in self._halves(box):
                    heapq.heappush(self.queue, half)
            self._improve(NEIGHBOURHOODS)
            self.current = -math.inf

    def _relaxed(self, root: General) -> Relaxed:
        """Point and prices of the whole problem, where the search begins."""
        return relax(root)

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

    def _halves(self, box: Box) -> list[Box]:
        """Work on one box; nothing is left of it, or two boxes are."""
        work = Work(box=box, general=tightened(box.general), start=box.start)
        for is_left in (self._narrow, self._sharpen, self._list_best, self._list_all):
            if not is_left(work):
                return []
        if self.climbs < CLIMBS or not self.pool or self.boxes % 10 == 0:
            self._seek(work.relaxed, ())
        return self._cut(work, *cut(work.general, work.relaxed, work.separated, work.met))

    def _narrow(self, work: Work) -> bool:
        """Bound the box and leave out widths that cannot matter, while that changes much; whether anything is left."""
        bounded: General | None = None
        for _ in range(NARROWINGS):
            if work.general.is_empty:
                return False
            self._relax(work)
            bounded = work.general
            if work.box.is_root:
                self.root = min(self.root, work.separated.bound)
            if work.separated.bound < self.threshold or self._hopeless(work.box.node, work.general, work.relaxed):
                return False
            work.start = work.relaxed.widths
            if not self.climbs:
                self._seek(work.relaxed, self.starts)
            if self.threshold == -math.inf:
                break
            windows = work.separated.windows(self.threshold)
            if windows is None or not work.shrink(*windows):
                return False
            if volume(work.general) > volume(bounded) - WORTH_RELAXING:
                break
        if work.general is not bounded:
            work.separated = self._bounded(work.box.node, work.general, work.relaxed)
        work.bound = work.separated.bound
        return work.bound >= self.threshold

    def _relax(self, work: Work) -> None:
        """Point, prices and their bound over the box as it is."""
        work.relaxed = relax(work.general, start=work.start)
        self.boxes += 1
        work.separated = self._bounded(work.box.node, work.general, work.relaxed)

    def _sharpen(self, work: Work) -> bool:
        """Bound the box with products kept exact where that is worth its time; whether anything is left."""
        box, before = work.box, work.bound
        gap = before - max(self.pool.values(), default=-math.inf)
        if gap <= WORTH_TABLES or volume(work.general) > box.sharpened_below:
            return True
        for _ in range(NARROWINGS):
            sharper = self._sharpened(work)
            if sharper is None:
                break
            work.bound, work.priced = min(work.bound, sharper.bound), sharper.relaxed
            if work.bound < self.threshold:
                return False
            if self.threshold == -math.inf:
                break
            size = volume(work.general)
            if not work.shrink(*sharper.windows(work.general, self.threshold)):
                return False
            if volume(work.general) > size - WORTH_TABLING:
                break
        if work.bound > before - SHARPER * gap:
            box.sharpened_below = volume(work.general) - RETRIED
        return True

    def _sharpened(self, work: Work) -> Eliminated | None:
        """A bound with products kept exact; ``work.met`` becomes the layouts at which the prices tried reached it."""
        box, general = work.box, work.general
        relaxed = work.relaxed if work.priced is None else work.priced
        kept = self._products(general, relaxed)
        if not kept.exact or max(general.counts.tolist()) > LARGEST_GROUP:
            return None
        if box.priced is not None and not box.node.tables:
            # the parent's prices, moved to this box's point
            relaxed = replace(box.priced, widths=relaxed.widths)
        box.node.tables += 1
        target = max(self.pool.values(), default=-math.inf)
        if target == -math.inf:
            target = separate(general, relaxed).bound - ASSUMED_GAP
        is_first_of_root = box.is_root and box.node.tables == 1
        rounds = ROOT_ROUNDS if is_first_of_root else BOX_ROUNDS
        sharper, work.met = improved(general, relaxed, kept, target=target, rounds=rounds, tick=self.tick)
        if self.priced is None:
            self.priced, self.whole_kept = sharper.relaxed, self.kept
        self.current = min(self.current, sharper.bound)
        box.node.duals.append(recorded(general, sharper.relaxed, **kept._asdict()))
        if box.node.tables == 1 and (box.is_root or self.boxes % 10 == 0):
            for layout in [sharper.layout, *work.met[::-1]][:4]:
                self._climb_from(layout)
        return sharper

    def _reachable(self, general: General, separated: Separated) -> float | None:
        """A score down to which the box can be listed; None when that hardly lowers its bound."""
        solved = solved_group(general)
        skip = None if solved is None else solved[1]
        threshold = self.threshold
        if threshold == -math.inf:
            sizes = general.counts.astype(float)
            few = general.groups <= FEW_GROUPS  # then limits cut most partial layouts off early
            if float(np.prod(sizes)) / (1.0 if skip is None else sizes[skip]) <= LISTED * (FEW_TIMES if few else 1):
                return threshold
            return None
        slacks = max(separated.bound - threshold, 0.0) * np.array([1.0, 0.7, 0.4, 0.2])
        fits = np.flatnonzero(about_how_many(separated, slacks, skip) <= LISTED / 2)
        if not len(fits):
            return None
        return threshold if fits[0] == 0 else separated.bound - float(slacks[fits[0]])

    def _products(self, general: General, relaxed: Relaxed) -> Products:
        """Products to keep and their order of elimination, chosen anew in boxes that are much smaller."""
        size = volume(general)
        if self.kept is None or size < self.kept_at - RECHOSEN:
            self.kept, self.kept_at = kept_products(general, relaxed), size
        return self.kept

    def _list_best(self, work: Work) -> bool:
        """After a sharper bound: list the best of the box as far down as memory allows; whether anything is left."""
        if work.priced is None:
            return True
        work.relaxed = relax(work.general, start=work.start)
        work.separated = self._bounded(work.box.node, work.general, work.relaxed)
        if work.separated.bound < self.threshold:
            return False
        work.bound = min(work.bound, work.separated.bound)
        if self._may_list_best(work):
            self._list_downwards(work, work.priced)
        return work.bound >= self.threshold

    def _may_list_best(self, work: Work) -> bool:
        """Whether equal futures may be merged, and the box is worth the try."""
        general = work.general
        if self.top_k > 1 or self.kept is None or self.threshold == -math.inf:
            return False
        has_minimum = bool(np.isfinite(general.lows).any())
        return volume(general) <= work.box.listing_below and (work.box.is_root or not has_minimum)

    def _add_best(self, general: General, tables: Sequence[Eliminated], threshold: float, limit: int) -> bool:
        """Add the layouts of a box that may score ``threshold``; whether there was room to list them.

        Of layouts with equal futures the best is enough where one is asked for, unless a recount refuses it.
        """
        for merged in (True, False) if self.top_k == 1 else (False,):
            found = best_in_box(general, tables, threshold, limit, self.tick, merged=merged)
            if found is None:
                return False
            if not len(found) or self.add(found):
                break
        return True

    def _list_downwards(self, work: Work, priced: Relaxed) -> None:
        """Lower the bound of a box by listing its best layouts, part by part of the way down to the best known."""
        assert self.kept is not None
        general, bound = work.general, work.bound
        tables = [eliminate(general, relaxed, self.kept) for relaxed in (priced, *varied(general, priced))]
        limit = TABLE_ENTRIES // (general.groups * max(len(general.rows), 1))
        if np.isfinite(general.lows).any():
            limit //= 4  # what a minimum asks for is rarely met by what the bound likes best
        limit = min(limit, MOST_PARTIAL) // (1 if work.box.is_root else BOX_SHARE)
        for part in DEPTHS:
            threshold = max(self.threshold, bound - part * (bound - self.threshold))
            if not self._add_best(general, tables, threshold, limit):
                if part == DEPTHS[0]:
                    work.box.listing_below = volume(general) - RETRIED
                break
            work.box.node.note_listed(threshold)
            bound = min(bound, threshold)  # whatever scores more is no better than what was found
            if bound <= self.threshold:
                bound -= TIE
                break
        work.bound = min(work.bound, bound)

    def _list_all(self, work: Work) -> bool:
        """List the whole box, or its upper part, where it is small; whether anything is left."""
        general = work.general
        threshold = self._reachable(general, work.separated)
        if threshold is None:
            return True
        bounds = [work.separated, *(separate(general, relaxed) for relaxed in varied(general, work.relaxed))]
        table = list_box(general, bounds, threshold, LISTED)
        if table is None:
            return True
        self.add(table)
        work.box.node.note_listed(threshold)
        work.bound = min(work.bound, threshold)
        return threshold > self.threshold

    def _cut(self, work: Work, group: int, width: int) -> list[Box]:
        """The two halves of a box, which begin with what is known of the whole."""
        general, box = work.general, work.box
        box.node.split = Split(group=group, width=width)
        below, above = general.high.copy(), general.low.copy()
        below[group], above[group] = width, width + general.stride[group]
        halves: list[Box] = []
        for part in (general.narrowed(general.low, below), general.narrowed(above, general.high)):
            self.cuts += 1
            node = Node()
            box.node.halves.append(node)
            halves.append(
                Box(
                    key=(-min(work.bound, self.current), -self.cuts),
                    general=part,
                    start=work.start,
                    node=node,
                    priced=work.priced,
                    sharpened_below=box.sharpened_below,
                    listing_below=box.listing_below,
                )
            )
        return halves

    def _bounded(self, node: Node, general: General, relaxed: Relaxed) -> Separated:
        separated = separate(general, relaxed)
        self.current = min(self.current, separated.bound)
        node.duals.append(recorded(general, relaxed))
        return separated

    def _hopeless(self, node: Node, general: General, relaxed: Relaxed) -> bool:
        """Whether prices prove that no layout of the box keeps the constraints."""
        if relaxed.converged and relaxed.excess < 1e-6:
            return False
        farkas = relax(general, elastic=True)
        if separate(general, farkas, weight=0).bound >= -REFUTED:
            return False
        node.duals.append(recorded(general, farkas, weight=0))
        return True

    def _seek(self, relaxed: Relaxed, starts: Iterable[Layout]) -> None:
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
