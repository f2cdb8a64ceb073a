"""Around a layout that keeps everything: a few groups at a time are free to move, all others stay, and every such
layout is listed. Where steps and pairs of steps find nothing better, five or six groups that move together often do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.general.best_in_box import best_in_box
from parlay.solver.general.boxes import list_box, tightened
from parlay.solver.general.dual import separate
from parlay.solver.general.eliminate import Products, eliminate
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Neighbourhoods"]

FREED = (4, 5, 6, 8, 10)
REACH = {4: 6, 5: 4, 6: 3, 8: 2, 10: 1}
"""Groups that are free at once, and by how many strides they may move: 30,000 to 400,000 layouts, most broken."""

WIDE = (0.3, 0.7)
"""Part of the groups that are free in a wide neighbourhood. Times to a proof hardly depend on it: measured on eleven
traced and plain networks, 0.1 to 0.3 and 0.7 to 1 take as long; what it is for is the gap of those never proven."""

LISTED = 20_000
"""Partial layouts that a neighbourhood may hold: some milliseconds. A tenth or five times as many: the same times."""


class Neighbourhoods:
    """Neighbourhoods of layouts, drawn in a fixed order from a seed.

    Args:
        general: the problem.
        relaxed: the relaxation, for its prices.
    """

    def __init__(self, general: General, relaxed: Relaxed) -> None:
        self.general, self.relaxed = general, relaxed
        self.rng = np.random.default_rng(0)
        coupled = np.zeros((general.groups, general.groups))
        for matrix in general.products.values():
            coupled += matrix > 0
        self.coupled = [np.flatnonzero(row) for row in coupled]
        self.movable = np.flatnonzero(general.counts > 1)

    def wider(
        self,
        layout: IntArray,
        score: float,
        priced: Relaxed,
        kept: Products,
        tick: Callable[[], None],
    ) -> IntArray | None:
        """As ``better``, with a third or more of all groups free at once, by elimination.

        Args:
            layout, score: where to look around.
            priced: point and prices of a bound with products kept.
            kept: these products and the order of elimination.
            tick: called now and then; may raise to stop.
        """
        share = max(2, int(len(self.movable) * self.rng.uniform(*WIDE)))
        free = np.sort(self.rng.choice(self.movable, size=min(share, len(self.movable)), replace=False))
        box = self._around(layout, free, int(self.rng.choice([1, 1, 2])))
        if box is None:
            return None
        bound = eliminate(box, priced, kept)
        if bound.bound <= score:
            return None
        found = best_in_box(box, [bound], score + 1e-10, LISTED // 4, tick)
        return found if found is not None and len(found) else None

    def _around(self, layout: IntArray, free: IntArray, strides: int) -> General | None:
        """The box in which some groups may move by so many strides; None when it is empty."""
        general = self.general
        reach = strides * general.stride[free]
        low, high = layout.copy(), layout.copy()
        low[free] = np.maximum(layout[free] - reach, general.low[free])
        high[free] = np.minimum(layout[free] + reach, general.high[free])
        box = tightened(general.narrowed(low, high))
        return None if box.is_empty else box

    def better(self, layout: IntArray, score: float) -> IntArray | None:
        """Layouts of one neighbourhood that keep everything and may score more, shape (found, groups), or None."""
        if not len(self.movable):
            return None
        free = self._draw()
        strides = REACH[min(size for size in FREED if size >= min(len(free), FREED[-1]))]
        box = self._around(layout, free, strides)
        if box is None:
            return None
        here = Relaxed(
            widths=layout.astype(float),
            upper=self.relaxed.upper,
            lower=self.relaxed.lower,
            fences=self.relaxed.fences,
            converged=True,
            excess=0.0,
        )
        separated = separate(box, here)
        if separated.bound <= score:
            return None
        found = list_box(box, [separated], score + 1e-10, LISTED)
        return found if found is not None and len(found) else None

    def _draw(self) -> IntArray:
        """Some groups, half of them coupled to one of the others."""
        size = min(int(self.rng.choice(FREED)), len(self.movable))
        chosen = {int(self.rng.choice(self.movable))}
        while len(chosen) < size:
            near = self.coupled[int(self.rng.choice(sorted(chosen)))]
            some = near if len(near) and self.rng.random() < 0.5 else self.movable
            group = int(self.rng.choice(some))
            if self.general.counts[group] > 1:
                chosen.add(group)
        return np.array(sorted(chosen))
