"""Branch and bound where terms are tables of values, which need not be concave in ln w.

No relaxation to real widths helps there: tangents of products are worst where a table is steep. All products are kept
exact instead, on coarse grids at first, and prices come from cutting planes. What is left between bound and optimum is
that layouts of the dual keep the limits on average alone; boxes are cut where these layouts are furthest apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from parlay.solver.general.boxes import tightened, volume
from parlay.solver.general.branch import NARROWINGS, REFUTED, WORTH_TABLING, Search
from parlay.solver.general.cutting_planes import Lowered, lowered, unpriced
from parlay.solver.general.dual import LARGEST_GROUP, joint_prices, recorded, separate
from parlay.solver.general.eliminate import all_products
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed, relax
from parlay.solver.general.tree import Box, Work

__all__ = ["TableSearch", "is_concave"]

ROOT_ROUNDS, BOX_ROUNDS = 40, 8
"""Bounds made for the whole problem, and for every other box, at most."""

SMALL = math.log(100_000)
"""ln of the layouts up to which a box is listed in any case, also while no layout is known."""

LOWEST = -1e300
"""Below every score: the bound of a box that is listed to the end."""

CLIMBED = 4
"""Layouts of the dual that a climb begins from in every box, the heaviest."""


def is_concave(general: General) -> bool:
    """Whether all terms are concave in ln w, or a table would have too many widths to look at one by one."""
    terms = general.problem.terms.groups
    return all(term.concave_in_log for group in terms for term in group) or max(general.counts) > LARGEST_GROUP


@dataclass(kw_only=True)
class TableSearch(Search):
    """As ``Search``, with bounds from cutting planes.

    Attributes:
        first: the prices of the whole problem, once they are known.
    """

    first: Relaxed = field(init=False)

    def _relaxed(self, root: General) -> Relaxed:
        ends = [root.score(g, root.choices(g)) for g in range(root.groups)]
        self.unit = float(np.mean([values.max() - values.min() for values in ends])) or 1.0
        found = lowered(root, unpriced(root), all_products(root), target=-math.inf, rounds=ROOT_ROUNDS, tick=self.tick)
        self.first = self.priced = found.best.relaxed
        self.whole_kept = found.best.kept
        return self.first

    def _halves(self, box: Box) -> list[Box]:
        work = Work(box=box, general=tightened(box.general), start=None)
        found: Lowered | None = None
        for _ in range(NARROWINGS):
            if work.general.is_empty:
                return []
            found = self._lowered(work, found)
            if work.bound < self.threshold or self._cannot_be_kept(work):
                return []
            if self.threshold == -math.inf:
                break
            size = volume(work.general)
            if not work.shrink(*found.best.windows(work.general, self.threshold)):
                return []
            if volume(work.general) > size - WORTH_TABLING:
                break
        assert found is not None
        if volume(work.general) <= max(SMALL, -math.inf if self.threshold == -math.inf else box.listing_below):
            self.kept = all_products(work.general)
            self._list_downwards(work, found.best.relaxed)
            if work.bound < max(self.threshold, LOWEST):
                return []
        work.priced = found.best.relaxed
        halves = self._cut(work, *_apart(work.general, found))
        for half in halves:
            half.met = found.met
        return halves

    def _lowered(self, work: Work, before: Lowered | None) -> Lowered:
        """Bound the box, and climb from the layouts that the bound comes from."""
        general, box = work.general, work.box
        self.boxes += 1
        start = box.priced if before is None else before.best.relaxed
        found = lowered(
            general,
            self.first if start is None else start,
            all_products(general),
            box.met if before is None else before.met,
            target=self.threshold,
            rounds=ROOT_ROUNDS if box.is_root else BOX_ROUNDS,
            tick=self.tick,
        )
        work.bound = min(work.bound, found.best.bound)
        self.current = min(self.current, work.bound)
        if box.is_root:
            self.root = min(self.root, work.bound)
        box.node.duals.append(recorded(general, found.best.relaxed, **found.best.kept._asdict()))
        for place in np.argsort(-found.weights)[:CLIMBED].tolist():
            if found.weights[place] > 0 or not self.pool:
                self._climb_from(found.met[place])
        return found

    def _cannot_be_kept(self, work: Work) -> bool:
        """Whether prices prove that no layout of the box keeps the limits; looked into while none is known."""
        if self.pool:
            return False
        farkas = relax(work.general, elastic=True)
        if separate(work.general, farkas, weight=0).bound >= -REFUTED:
            return False
        work.box.node.duals.append(recorded(work.general, farkas, weight=0))
        return True


def _apart(general: General, found: Lowered) -> tuple[int, int]:
    """Group and last width of the first half."""
    shares, relaxed = found.weights, found.best.relaxed
    table = np.clip(found.met, general.low, general.high)
    mean = shares @ table / shares.sum()
    joint = joint_prices(general, relaxed)
    slope = (relaxed.upper - relaxed.lower) @ general.linear.astype(float) + joint @ mean
    spread = np.zeros(general.groups)
    for g in np.flatnonzero(general.counts > 1).tolist():
        gain = general.score(g, table[:, g])
        spread[g] = shares @ (
            np.abs(gain - shares @ gain / shares.sum()) + abs(slope[g]) * np.abs(table[:, g] - mean[g])
        )
    group = int(spread.argmax())
    if spread[group] <= 0:
        group = int(general.counts.argmax())
        mean[group] = (general.low[group] + general.high[group]) / 2
    place = int((mean[group] - general.low[group]) // general.stride[group])
    return group, int(general.low[group] + min(place, int(general.counts[group]) - 2) * general.stride[group])
