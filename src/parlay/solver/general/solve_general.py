"""An answer for any graph and any number of constraints: the branch and bound, its clock, and what it may claim."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parlay.layout import Layout
from parlay.problem import Problem, Proof, Result, Solution, Status
from parlay.solver.general.boxes import tightened
from parlay.solver.general.branch import TIE, Search
from parlay.solver.general.general import General, compile_general
from parlay.solver.general.table_search import TableSearch, is_concave
from parlay.solver.progress import OutOfTimeError, Progress, StopSolvingError
from parlay.solver.ranking import ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["PATIENCE", "GeneralRun"]

METHOD = "prices and tangents over boxes of widths, branch and bound"

PATIENCE = ((1e-4, 2.0), (1e-3, 5.0), (1e-2, 15.0), (math.inf, 60.0))
"""Without a time limit a search ends once the gap is at most the first number after the second number of seconds; the
gap in units of the score, which for tables is what one of them gains from its least to its largest value on average."""


@dataclass(kw_only=True)
class GeneralRun:
    """One solve on a general graph.

    Attributes:
        problem: the question.
        top_k: how many layouts.
        time_limit: seconds; None for ``PATIENCE``.
        progress: called now and then; raises ``StopSolvingError`` to end the search with what it has.
        starts: layouts to begin with; those that keep everything are the least that is returned.
    """

    problem: Problem
    top_k: int
    time_limit: float | None
    progress: Callable[[Progress], None] | None
    starts: Sequence[Layout] = ()
    started: float = field(default_factory=time.perf_counter)
    search: Search | None = None

    def run(self) -> Result:
        """Search, and say what is known."""
        whole = compile_general(self.problem)
        general = _positive(whole)
        if self.top_k == 1:
            general = _without_useless(general)
        kind = Search if is_concave(general) else TableSearch
        search = self.search = kind(general=general, top_k=self.top_k, tick=self.tick)
        zeros: list[Layout] = []
        try:
            if not general.is_empty:
                search.run(self.starts)
            if len(search.pool) < self.top_k and not whole.is_empty:
                zeros = self._zero_energy(whole, self.top_k - len(search.pool))
        except (StopSolvingError, OutOfTimeError, MemoryError):
            return self._unproven()
        solutions = ranked(self.problem, search.pool, self.top_k)
        complete = len(solutions) < self.top_k
        solutions += [self.problem.solution(layout, -math.inf) for layout in zeros]
        threshold = -math.inf if complete else solutions[-1].score_value - TIE
        if not solutions:
            return self._result(Status.INFEASIBLE, [], -math.inf, -math.inf)
        return self._result(Status.OPTIMAL, solutions, solutions[0].score_value, threshold)

    def tick(self) -> None:
        """Report, and stop when time is up or the gap is small enough for the time spent."""
        seconds = time.perf_counter() - self.started
        search = self.search
        best = max(search.pool.values(), default=None) if search is not None else None
        bound = search.bound if search is not None and math.isfinite(search.bound) else None
        if self.progress is not None:
            self.progress(Progress(seconds=seconds, best=best, bound=bound))
        if self.time_limit is not None:
            if seconds > self.time_limit:
                raise OutOfTimeError
            return
        gap = math.inf if best is None or bound is None else max(bound - best, 0.0)
        unit = 1.0 if search is None else search.unit
        if any(gap <= accepted * unit and seconds > least for accepted, least in PATIENCE):
            raise OutOfTimeError

    def _unproven(self) -> Result:
        search = self.search
        assert search is not None
        solutions = ranked(self.problem, search.pool, self.top_k)
        bound = search.bound if math.isfinite(search.bound) else None
        if bound == -math.inf:  # all but layouts of energy 0 are known
            bound = None
        if solutions and bound is not None:
            bound = max(bound, solutions[0].score_value)
        status = Status.FEASIBLE if solutions else Status.UNKNOWN
        return self._result(status, solutions, bound, math.inf)

    def _result(self, status: Status, solutions: list[Solution], bound: float | None, threshold: float) -> Result:
        search = self.search
        assert search is not None
        root = search.root
        if solutions and status is Status.OPTIMAL:
            root = max(root, solutions[0].score_value) if math.isfinite(root) else solutions[0].score_value
        prices = (0.0,) if search.prices is None else tuple((search.prices[0] - search.prices[1]).tolist())
        proof = None
        if bound is not None:
            proof = Proof(
                threshold=threshold,
                bound=root,
                multiplier=prices[0] if prices else 0.0,
                labels=search.boxes,
                method=METHOD,
                steps=search.tree.steps(),
            )
        return Result(
            problem=self.problem,
            top_k=self.top_k,
            status=status,
            solutions=tuple(solutions),
            bound=bound,
            runtime=time.perf_counter() - self.started,
            proof=proof,
        )

    def _zero_energy(self, whole: General, wanted: int) -> list[Layout]:
        """The first ``wanted`` layouts of score -inf in order of their widths."""
        found: list[Layout] = []
        for box in _zero_boxes(whole):
            found += _first_layouts(box, wanted, self.tick)
        return sorted(found)[:wanted]


def _positive(general: General) -> General:
    """The problem without the smallest widths whose score is -inf."""
    made = general.narrowed(_least_positive(general), general.high)
    return made if made.is_empty else tightened(made)


def _without_useless(general: General) -> General:
    """The problem without the largest widths of a table that score no more than a smaller one.

    Where nothing asks for more than the smallest widths, the smaller one keeps every limit, and stands first.
    """
    high = general.high.copy()
    if not general.fences and not general.is_recounted and np.isneginf(general.lows).all():
        paired = {g for pair in general.problem.terms.pairs for g in pair}
        for g, terms in enumerate(general.problem.terms.groups):
            if general.low[g] <= high[g] and g not in paired and not all(term.concave_in_log for term in terms):
                high[g] = general.choices(g)[general.score(g, general.choices(g)).argmax()]
    return general if (high == general.high).all() else tightened(general.narrowed(general.low, high))


def _least_positive(general: General) -> IntArray:
    """The smallest width of every group whose score is not -inf, shape (groups,)."""
    low = general.low.copy()
    for g in range(general.groups):
        while low[g] <= general.high[g] and np.isneginf(general.score(g, low[g : g + 1])[0]):
            low[g] += general.stride[g]
    return low


def _zero_boxes(whole: General) -> list[General]:
    """Boxes that hold every layout of score -inf once: group g at such a width, the groups before it at others."""
    least = _least_positive(whole)
    boxes: list[General] = []
    for g in range(whole.groups):
        low, high = whole.low.copy(), whole.high.copy()
        low[:g] = least[:g]
        high[g] = least[g] - whole.stride[g]
        if (low <= high).all():
            boxes.append(whole.narrowed(low, high))
    return boxes


def _first_layouts(general: General, wanted: int, tick: Callable[[], None]) -> list[Layout]:
    """The first layouts of a box that keep everything, in order of their widths."""
    found: list[Layout] = []
    waiting = [general]
    while waiting and len(found) < wanted:
        tick()
        box = tightened(waiting.pop())
        if box.is_empty:
            continue
        several = np.flatnonzero(box.counts > 1)
        if not len(several):
            layout = tuple(int(width) for width in box.low)
            if box.allowed(layout):
                found.append(layout)
            continue
        group = int(several[0])
        middle = int(box.low[group]) + int(box.counts[group] - 1) // 2 * int(box.stride[group])
        below, above = box.high.copy(), box.low.copy()
        below[group], above[group] = middle, middle + box.stride[group]
        waiting += [box.narrowed(above, box.high), box.narrowed(box.low, below)]
    return found
