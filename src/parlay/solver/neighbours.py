"""Around a layout that keeps everything: a few groups at a time are free to move, all others stay, and every such layout
is listed. Where steps and pairs of steps find nothing better, five or six groups that move together often do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.boxes import list_box, tightened
from parlay.solver.dual import separate
from parlay.solver.general import General
from parlay.solver.relax import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Neighbourhoods"]

FREED = (4, 5, 6, 8, 10)
REACH = {4: 6, 5: 4, 6: 3, 8: 2, 10: 1}
"""Groups that are free at once, and by how many strides they may move."""

LISTED = 20_000


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

    def better(self, layout: IntArray, score: float) -> IntArray | None:
        """Layouts of one neighbourhood that keep everything and score more, shape (found, groups), or None."""
        if not len(self.movable):
            return None
        general = self.general
        free = self._draw()
        reach = REACH[min(size for size in FREED if size >= min(len(free), FREED[-1]))] * general.stride[free]
        low, high = layout.copy(), layout.copy()
        low[free] = np.maximum(layout[free] - reach, general.low[free])
        high[free] = np.minimum(layout[free] + reach, general.high[free])
        box = tightened(general.narrowed(low, high))
        if box.is_empty:
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
