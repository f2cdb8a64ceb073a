"""Follow the steps of a proof on a general graph: every price, every box, in a few lines of arithmetic each.

Independent of the solver, from the problem alone. A step of a proof is a dual, whose bound is a maximum a group, a
split of the box, or an end. Widths leave a box only because the bound at them stays below the best score, or because
a constraint cannot be kept with them, in whole numbers. The largest bound left is what the proof shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parlay.problem import Dual, End, Problem, Result, Split
from parlay.solver.proof.lagrangian import priced_bound
from parlay.solver.proof.rows import ProofRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["TOLERANCE", "Replayed", "replay"]

TOLERANCE = 1e-9
"""Scores are compared to this: sums of floats of size 1 to 1000 differ by less, layouts that tie by nothing."""

MOST_WIDTHS = 3_000_000
"""Widths of a box, over all groups, that are evaluated one by one: tens of MB a step. Larger boxes are not replayed."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What the steps of a proof show.

    Attributes:
        bound: no layout of positive energy scores more; None when the steps are not followed to the end.
        is_complete: whether they are, and nothing had to be taken on trust, such as a listing.
        faults: steps that do not follow from the ones before.
    """

    bound: float | None = None
    is_complete: bool = False
    faults: tuple[str, ...] = ()


def replay(problem: Problem, result: Result, *, most_steps: int) -> Replayed:
    """Follow the steps of a proof.

    Args:
        problem: the question.
        result: an answer; one whose proof has no steps shows nothing.
        most_steps: longer proofs are not followed.
    """
    steps = () if result.proof is None else result.proof.steps
    if not 0 < len(steps) <= most_steps:
        return Replayed()
    rows = ProofRows(problem)
    whole = rows.whole(result.top_k)
    if whole is None:
        return Replayed()
    best = result.solutions[0].score_value if result.solutions else -math.inf
    walk = _Walk(rows=rows, best=best, low=whole[0], high=whole[1], shown=best)
    try:
        for number, step in enumerate(steps):
            walk.follow(number, step)
    except _TooLargeError:
        return Replayed()
    except _FaultError as fault:
        return Replayed(faults=(str(fault),))
    if walk.is_open:
        return Replayed(faults=("the steps of the proof break off",))
    return Replayed(bound=walk.shown, is_complete=not walk.is_trusted)


class _FaultError(Exception):
    """A step does not follow from the ones before."""


class _TooLargeError(Exception):
    """A box has more widths than are looked at one by one."""


@dataclass(kw_only=True)
class _Walk:
    """Where a replay stands.

    Attributes:
        rows: the problem.
        best: the best score of the answer.
        low, high: the box at hand.
        bound: of the box at hand; -inf where it holds nothing better than the best.
        shown: the largest bound of the boxes that ended.
        waiting: boxes still to come, the next one last, each with its bound.
        is_open: whether a box is at hand.
        is_trusted: whether a listing was believed.
    """

    rows: ProofRows
    best: float
    low: IntArray
    high: IntArray
    shown: float
    bound: float = math.inf
    waiting: list[tuple[IntArray, IntArray, float]] = field(default_factory=list[tuple["IntArray", "IntArray", float]])
    is_open: bool = True
    is_trusted: bool = False

    def follow(self, number: int, step: Dual | Split | End) -> None:
        """Take one step."""
        if not self.is_open:
            raise _FaultError(f"step {number} belongs to no box")
        if (self.low > self.high).any() or self.bound < self.best - TOLERANCE:
            self.bound = -math.inf
        if isinstance(step, Dual):
            if not self._is_closed:
                fault = _misplaced(self.rows, step, self.low, self.high)
                if fault is not None:
                    raise _FaultError(f"step {number}: {fault}")
                self._lower(step)
            return
        self._trust(step.listed)
        if isinstance(step, Split):
            if not 0 <= step.group < len(self.low) or step.width % int(self.rows.stride[step.group]):
                raise _FaultError(f"step {number}: the cut is no width of any group")
            self._split(step)
        else:
            self._end()

    def _trust(self, listed: float | None) -> None:
        """Believe that all layouts from a score on were listed, where the bound does not say as much."""
        if listed is not None and self.bound > max(listed, self.best) + TOLERANCE:
            self.is_trusted, self.bound = True, max(listed, self.best)

    @property
    def _is_closed(self) -> bool:
        return self.bound == -math.inf

    def _lower(self, dual: Dual) -> None:
        """Lower the bound by a dual, and leave out the widths at the ends of the box that stay below the best score."""
        stride = self.rows.stride
        self.low, self.high = np.array(dual.low, dtype=np.int64), np.array(dual.high, dtype=np.int64)
        if int(((self.high - self.low) // stride + 1).sum()) > MOST_WIDTHS:
            raise _TooLargeError
        value, below = priced_bound(self.rows, dual)
        if dual.weight == 0:
            self.bound = -math.inf if value < 0 else self.bound
            return
        self.bound = min(self.bound, value)
        if self.bound < self.best - TOLERANCE:
            return
        for g, short in enumerate(below):
            kept = np.flatnonzero(value - short >= self.best - 2 * TOLERANCE)
            first = self.low[g]
            self.low[g], self.high[g] = first + kept[0] * stride[g], first + kept[-1] * stride[g]
        self.low, self.high = self.rows.drawn_together(self.low, self.high)

    def _split(self, split: Split) -> None:
        """Go on with the lower half; the upper one waits."""
        if self._is_closed:
            self.waiting.append((self.low, self.high, self.bound))
            return
        group, stride = split.group, int(self.rows.stride[split.group])
        below_high, above_low = self.high.copy(), self.low.copy()
        below_high[group] = min(int(self.high[group]), split.width)
        above_low[group] = max(int(self.low[group]), split.width + stride)
        self.waiting.append((*self.rows.drawn_together(above_low, self.high), self.bound))
        self.low, self.high = self.rows.drawn_together(self.low, below_high)

    def _end(self) -> None:
        """Take down what the box may still hold, and go on with the next one."""
        self.shown = max(self.shown, self.bound)
        self.is_open = bool(self.waiting)
        if self.waiting:
            self.low, self.high, self.bound = self.waiting.pop()


def _misplaced(rows: ProofRows, dual: Dual, low: IntArray, high: IntArray) -> str | None:
    """Why a dual is no bound over a box, or None."""
    if not len(dual.low) == len(dual.high) == len(dual.centre) == len(low):
        return "the numbers of widths differ"
    fault = _order_fault(dual, len(low)) or _price_fault(dual) or _limit_fault(rows, dual)
    if fault is not None or (low > high).any():
        return fault
    if (low < np.array(dual.low)).any() or (high > np.array(dual.high)).any():
        return "widths are left out that nothing excludes"
    if (np.array(dual.low) % rows.stride).any():
        return "the box begins between two choices of width"
    return None


def _order_fault(dual: Dual, groups: int) -> str | None:
    """Whether the groups of the products kept are eliminated once each."""
    if {g for pair in dual.exact for g in pair} != set(dual.order) or any(g >= h for g, h in dual.exact):
        return "the order of elimination is not that of the products kept"
    if len(set(dual.order)) < len(dual.order) or not all(0 <= g < groups for g in dual.order):
        return "a group is eliminated twice, or is none"
    if dual.grid < 0 or dual.grid == 1:
        return "tables go over no two widths"
    return None


def _price_fault(dual: Dual) -> str | None:
    """Whether prices are at least 0, and the point is one of positive widths."""
    prices = [price for _, _, price in (*dual.upper, *dual.lower, *dual.fences)]
    if any(not 0 <= price < math.inf for price in prices) or any(not 0 < width < math.inf for width in dual.centre):
        return "a price is negative or a width not positive"
    return None


def _limit_fault(rows: ProofRows, dual: Dual) -> str | None:
    """Whether the problem has the limits and fences that have a price."""
    uppers = {name for name, row in rows.named.items() if row.high is not None}
    lowers = {name for name, row in rows.named.items() if row.low is not None}
    sides = ((dual.upper, uppers), (dual.lower, lowers), (dual.fences, rows.fences.keys()))
    if any((a, b) not in known for priced, known in sides for a, b, _ in priced):
        return "a limit or fence has a price that the problem has not"
    return None
