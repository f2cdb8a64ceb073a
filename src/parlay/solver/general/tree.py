"""The tree of boxes: what waits, what is worked on, and what a proof keeps of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from parlay.problem import Dual, End, Split
from parlay.solver.general.boxes import tightened
from parlay.solver.general.dual import Separated
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Box", "Node", "Work"]

LARGEST_PROOF = 5_000
"""Steps from which a proof is not kept."""


@dataclass(eq=False)
class Node:
    """What is known of a box, for the proof."""

    duals: list[Dual] = field(default_factory=list[Dual])
    split: Split | None = None
    halves: list[Node] = field(default_factory=list["Node"])
    listed: float | None = None
    tables: int = 0

    def note_listed(self, threshold: float) -> None:
        """All layouts of the box that score at least so much are known."""
        self.listed = threshold if self.listed is None else min(self.listed, threshold)

    def steps(self) -> tuple[Dual | Split | End, ...]:
        """The tree below, depth first, as a proof keeps it; nothing when it is too large."""
        found: list[Dual | Split | End] = []
        waiting = [self]
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


@dataclass(order=True)
class Box:
    """A box that waits: the highest bound first, and among equal ones the newest."""

    key: tuple[float, int]
    general: General = field(compare=False)
    start: FloatArray | None = field(compare=False)
    node: Node = field(compare=False)
    priced: Relaxed | None = field(compare=False, default=None)
    sharpened_below: float = field(compare=False, default=math.inf)
    listing_below: float = field(compare=False, default=math.inf)
    met: IntArray | None = field(compare=False, default=None)

    @property
    def is_root(self) -> bool:
        """Whether this is the whole problem."""
        return self.key[1] == 0


@dataclass(kw_only=True)
class Work:
    """A box while it is worked on.

    Attributes:
        box: where it comes from.
        general: what is left of it.
        start: where a relaxation begins.
        relaxed, separated: the latest relaxation and the bound it gives.
        bound: no layout of the box that is not listed scores more.
        priced: point and prices of a sharper bound, with products kept; None without one.
        met: layouts at which prices nearby reach their bounds, the latest last.
    """

    box: Box
    general: General
    start: FloatArray | None
    relaxed: Relaxed = field(init=False)
    separated: Separated = field(init=False)
    bound: float = math.inf
    priced: Relaxed | None = None
    met: list[IntArray] = field(default_factory=list["IntArray"])

    def shrink(self, low: IntArray, high: IntArray) -> bool:
        """Draw the box together to these widths; whether any are left."""
        self.general = tightened(self.general.narrowed(low, high))
        return not self.general.is_empty
