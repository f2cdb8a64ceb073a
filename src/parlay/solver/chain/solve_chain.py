"""A chain with one size: windows below the bound are widened until they hold the best, or everything."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from parlay.errors import InputError
from parlay.layout import Layout, Order
from parlay.problem import Nearest, Problem, Proof, Result, Solution, Status
from parlay.solver.chain.bounds import Windows, bounded_windows, quick_bound
from parlay.solver.chain.cells import Grid
from parlay.solver.chain.chain import Chain, compile_chain
from parlay.solver.chain.labels import EPSILON, LARGEST_LAYER, LabelLimitError, LabelPass, Lattice, push_labels
from parlay.solver.chain.nearest import nearest_amounts
from parlay.solver.chain.newton import relaxed_optimum
from parlay.solver.chain.start import (
    DEEP,
    LARGEST_SLACK,
    SMALL_LAYER,
    first_steps,
    pair_count,
    seems_small,
    without_zeros,
)
from parlay.solver.progress import OutOfTimeError, Progress, StopSolvingError
from parlay.solver.ranking import ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["ChainRun"]

PRICE_FACTORS = (1.0, 0.97, 1.03, 0.93, 1.07, 0.87, 1.14, 0.8, 1.25)
"""Prices that bound labels, as parts of the best one: a label far from the budget has its lowest bound at another. With
the best alone the problems of benchmarks/RESULTS.md have 35 % more labels, with factors from 0.98 to 1.02 28 %
fewer."""

FEW_PRICES = 3
"""Prices that bound the labels of chains that are not deep; with all, eight free layers took 1.2 times as long."""

EXHAUSTIVE_PAIRS = 10_000
"""Pairs of neighbouring widths up to which none is left out, so that one pass settles what has no layout, too."""

SMALLEST_SLACK = 1e-7
"""Windows that are too large for memory even so far below the root are not made smaller: they would hold nothing."""

WIDENING = 8
"""By how much windows grow when they did not hold enough: a pass costs little beside the labels in them."""

NARROWINGS = ((0, 500), (0, 5_000), (1, 0), (2, 0), (0, 50_000))
"""What a search that was stopped tries: widths within so many of the best path, or else so many labels a group. Quick
ones first, as a layout found ends it."""

TAIL_REACHES = ((20_000, 12, 6, 6), (200_000, 200, 40, 4))
"""How many widths either way the last group, the last but one, ... may leave the real optimum in such a search: what
the others leave open to an exact size, the last ones have to close."""

WIDE_SLACK = {Order.FREE: 4e-3, Order.NONDECREASING: 3e-2, Order.INCREASING: 3e-2}
"""How far below the root such a search looks: layouts of the exact size are rare closer to it."""

AROUND_LAYER = 400_000
"""Labels a group in such a search: few enough for several to fit into the one to three seconds there are."""

NEAREST_SECONDS = 4.0
"""For the nearest sizes that have a layout: somebody waits for the message of an error."""

SHORTEST_GRACE, LONGEST_GRACE = 1.0, 3.0
"""Seconds in which a search that was stopped may still look for a layout, at most: so that a limit of a millisecond
gives one, and Ctrl-C is not waited for."""

METHOD = "Lagrangian bounds over cells, then exact labels on the chain"


@dataclass(kw_only=True)
class ChainRun:
    """One solve: its clock and what is known so far."""

    problem: Problem
    top_k: int
    time_limit: float | None
    progress: Callable[[Progress], None] | None
    started: float = field(default_factory=time.perf_counter)
    values: dict[Layout, float] = field(default_factory=dict[Layout, float])
    bound: float | None = None
    labels: int = 0
    price: float = 0.0
    root: float = math.inf
    grace: float | None = None
    latest: tuple[Windows, Lattice] | None = None
    seek_nearest: bool = True

    def run(self) -> Result:
        chain = compile_chain(self.problem)
        positive = without_zeros(chain)
        try:
            if positive.is_empty:
                self.bound = -math.inf
                return self._exhausted(chain, [])
            return self._prove(chain, positive)
        except (OutOfTimeError, StopSolvingError, LabelLimitError, MemoryError):
            return self._unproven(positive)

    def tick(self) -> None:
        """Report, and stop when time is up."""
        now = time.perf_counter() - self.started
        if self.grace is not None:
            if now > self.grace:
                raise OutOfTimeError
            return
        if self.time_limit is not None and now > self.time_limit:
            raise OutOfTimeError
        if self.progress is not None:
            self.progress(Progress(seconds=now, best=self.best, bound=self.bound))

    def _prove(self, chain: Chain, positive: Chain) -> Result:
        """Widen the slack below the bound until it holds ``top_k`` layouts, or everything."""
        if seems_small(positive, self.top_k):
            try:
                return self._exhausted(chain, self._everything(positive, largest_layer=SMALL_LAYER))
            except LabelLimitError:
                pass  # not small enough to list
        delta, slack = first_steps(positive, self.top_k)
        while True:
            if pair_count(positive) <= EXHAUSTIVE_PAIRS:
                slack = math.inf
            elif slack > LARGEST_SLACK:
                return self._exhausted(chain, self._everything(positive))
            try:
                windows = bounded_windows(positive, slack, tick=self.tick)
            except MemoryError:
                if slack <= SMALLEST_SLACK or self.latest is not None:
                    raise
                slack = min(slack / WIDENING, 1.0)  # narrower windows may do
                delta = min(delta, slack / WIDENING)
                continue
            if windows is None:  # no layout keeps the budget
                return self._exhausted(chain, [])
            self._note_bound(windows)
            lattice = None if windows.grid is None else Lattice.of(windows.grid)
            if lattice is not None:
                outcome = self._descend(chain, positive, windows, lattice, delta)
                if isinstance(outcome, Result):
                    return outcome
                delta = outcome
            elif math.isinf(windows.threshold):
                return self._exhausted(chain, [])
            else:
                self._lower_bound(windows.threshold)
            slack *= WIDENING

    def _descend(
        self, chain: Chain, positive: Chain, windows: Windows, lattice: Lattice, delta: float
    ) -> Result | float:
        """Enumerate ``delta`` below the root, then further, as far as the windows reach.

        Returns:
            The answer; or else the distance below the root to go on with in wider windows.
        """
        if not math.isinf(windows.threshold):
            self.latest = windows, lattice
        while True:
            threshold = max(self.root - delta, windows.threshold)
            is_everything = math.isinf(windows.threshold) and delta > self._span(positive)
            outcome = self._pass(lattice, windows, -math.inf if is_everything else threshold)
            if is_everything:
                return self._exhausted(chain, self._ranked())
            above = [value for value in outcome.values.tolist() if value >= threshold + EPSILON]
            if len(above) >= self.top_k:
                return self._optimal(threshold)
            self._lower_bound(max(above, default=threshold + EPSILON))
            if threshold <= windows.threshold:
                return self._wider(max(delta, self.root - windows.threshold), outcome.labels, positive.groups)
            delta = self._wider(delta, outcome.labels, positive.groups)

    def _everything(self, positive: Chain, *, largest_layer: int = LARGEST_LAYER) -> list[Solution]:
        """All layouts (the best ``top_k`` of equal futures), without any bound."""
        lattice = Lattice.whole(positive)
        if lattice is None:
            return []
        outcome = push_labels(lattice, k=self.top_k, largest_layer=largest_layer, tick=self.tick)
        self._note(outcome)
        return self._ranked()

    def _note(self, outcome: LabelPass) -> None:
        self.labels += outcome.labels
        found = zip(outcome.layouts, outcome.values.tolist(), strict=True)
        self.values.update((layout, value) for layout, value in found if value > -math.inf)

    def _wider(self, delta: float, labels: int, groups: int) -> float:
        """The next distance below the root. Labels grow like its power groups / 2, so once there are many, deep
        chains take small steps; a layout already found says how far is far enough.
        """
        many = labels >= 8 * groups
        factor = min(4.0, max(1.6, (20_000 / labels) ** (2.0 / groups))) if many else 3.0 if groups >= DEEP else 5.0
        wider = delta * factor
        if len(self.values) >= self.top_k:
            enough = self.root - sorted(self.values.values(), reverse=True)[self.top_k - 1] + 2 * EPSILON
            if enough > delta:
                wider = min(wider, enough) if labels < 200_000 else enough
        return wider

    def _note_bound(self, windows: Windows) -> None:
        self.root = min(self.root, windows.bound)
        self.price = windows.dual.price
        self._lower_bound(self.root)

    def _lower_bound(self, bound: float) -> None:
        self.bound = bound if self.bound is None else min(self.bound, bound)

    def _span(self, chain: Chain) -> float:
        """Root bound minus the lowest score any layout could have."""
        lowest = sum(
            float(chain.score(g, np.array([chain.first[g], chain.last[g]])).min()) for g in range(chain.groups)
        )
        for g in range(chain.groups - 1):
            corners = [np.array([a, b]) for a, b in zip(chain.first, chain.last, strict=True)]
            lowest += float(np.min(chain.pair_score(g, corners[g][:, None], corners[g + 1][None, :])))
        return self.root - lowest + 1.0

    def _pass(self, lattice: Lattice, windows: Windows, threshold: float, beam: int | None = None) -> LabelPass:
        factors = PRICE_FACTORS[:FEW_PRICES] if lattice.chain.groups < DEEP else PRICE_FACTORS
        prices = [windows.dual.price * factor for factor in factors]
        outcome = push_labels(lattice, k=self.top_k, threshold=threshold, prices=prices, beam=beam, tick=self.tick)
        self._note(outcome)
        return outcome

    @property
    def best(self) -> float | None:
        """The best score found so far."""
        return max(self.values.values(), default=None)

    def _ranked(self) -> list[Solution]:
        """The best ``top_k`` known, exactly; floats only leave out what is clearly worse."""
        if len(self.values) <= self.top_k:
            return ranked(self.problem, self.values, self.top_k)
        worst = sorted(self.values.values(), reverse=True)[self.top_k - 1] - 8 * EPSILON
        return ranked(self.problem, [layout for layout, value in self.values.items() if value >= worst], self.top_k)

    def _optimal(self, threshold: float) -> Result:
        solutions = self._ranked()
        return self._result(Status.OPTIMAL, solutions, solutions[0].score_value, self._proof(threshold))

    def _exhausted(self, chain: Chain, solutions: list[Solution]) -> Result:
        """Every layout of positive energy is known; those of energy 0 rank after them."""
        if len(solutions) < self.top_k:
            solutions = solutions + self._zero_energy(chain, self.top_k - len(solutions))
        if solutions:
            self.root = min(self.root, solutions[0].score_value)  # everything is known, so the best bounds itself
        proof = self._proof(-math.inf)
        if solutions:
            return self._result(Status.OPTIMAL, solutions, solutions[0].score_value, proof)
        nearest = self._nearest() if self.seek_nearest else None
        return self._result(Status.INFEASIBLE, [], -math.inf, proof, nearest)

    def _nearest(self) -> Nearest:
        """The nearest sizes that have a layout, by solving ranges of sizes."""
        [constraint] = self.problem.constraints
        started = time.perf_counter()

        def amount_within(low: int, high: int) -> int | None:
            ranged = replace(constraint, minimum=low, maximum=high)
            problem = replace(self.problem, constraints=(ranged,))
            is_below = constraint.minimum is not None and high < constraint.minimum
            longest = NEAREST_SECONDS if self.time_limit is None else min(NEAREST_SECONDS, self.time_limit)
            allowed = longest / 2 if is_below else longest
            seconds = started + allowed - time.perf_counter()
            if seconds <= 0:
                raise TimeoutError
            run = ChainRun(problem=problem, top_k=1, time_limit=seconds, progress=self.progress, seek_nearest=False)
            try:
                result = run.run()
            except InputError:  # sizes beyond 64-bit sums
                raise TimeoutError from None
            if result.status is Status.UNKNOWN:
                raise TimeoutError
            return constraint.resource(result.best.layout) if result.solutions else None

        return nearest_amounts(constraint, self.problem.space, amount_within)

    def _zero_energy(self, chain: Chain, wanted: int) -> list[Solution]:
        """The first ``wanted`` layouts of energy 0 in order of their widths."""
        if chain.is_empty:
            return []
        lattice = Lattice.whole(chain)
        if lattice is None:
            return []
        zero = [np.isneginf(chain.score(g, widths)) for g, widths in enumerate(lattice.widths)]
        if not any(mask.any() for mask in zero):
            return []
        outcome = push_labels(lattice, k=wanted, tagged=zero, tick=self.tick)
        self.labels += outcome.labels
        return [self.problem.solution(layout, -math.inf) for layout in sorted(outcome.layouts)]

    def _unproven(self, positive: Chain) -> Result:
        """Time or memory ran out: a beam looks for layouts, the bound stands."""
        spent = time.perf_counter() - self.started
        self.grace = spent + min(LONGEST_GRACE, max(SHORTEST_GRACE, spent / 4))
        if len(self.values) < self.top_k:
            self._beam(positive)
        solutions = self._ranked()
        status = Status.FEASIBLE if solutions else Status.UNKNOWN
        return self._result(status, solutions, self.bound, None)

    def _beam(self, positive: Chain) -> None:
        """Keep the most promising labels only: no proof, but layouts."""
        try:
            self._near_relaxation(positive)
            # Layouts of the exact size are rare close to the root: wider windows than a proof needs hold more of them.
            found = self._some_windows(positive) or self.latest
            if found is None:
                return
            windows, lattice = found
            for number, (reach, beam) in enumerate(NARROWINGS):
                if number and len(self.values) >= self.top_k:
                    return
                with suppress(LabelLimitError):
                    if reach:
                        self._around(windows, reach)
                    else:
                        self._pass(lattice, windows, max(windows.threshold, self.root - 1.0), beam)
        except (OutOfTimeError, LabelLimitError, MemoryError):
            return

    def _near_relaxation(self, positive: Chain) -> None:
        """A bound, and layouts of the size next to the real optimum: its widths rounded, but for the last groups."""
        guess = relaxed_optimum(positive)
        if guess is None:
            return
        for reaches in TAIL_REACHES:
            low: list[IntArray] = []
            for g, (centre, stride) in enumerate(zip(guess.centres, positive.stride, strict=True)):
                behind = positive.groups - 1 - g
                reach = reaches[behind] * stride if behind < len(reaches) else 0
                width = min(max(math.floor(centre / stride + 0.5) * stride, positive.first[g]), positive.last[g])
                begin, end = max(positive.first[g], width - reach), min(positive.last[g], width + reach)
                low.append(np.arange(begin, end + 1, stride, dtype=np.int64))
            lattice = Lattice.of(Grid(positive, low, low))
            if lattice is not None:
                with suppress(LabelLimitError):
                    self._note(push_labels(lattice, k=self.top_k, largest_layer=AROUND_LAYER, tick=self.tick))
            if len(self.values) >= self.top_k:
                break
        if self.bound is None:
            self._lower_bound(quick_bound(positive, guess))

    def _around(self, windows: Windows, reach: int) -> None:
        """All layouts within a few widths of the best path: few labels, and among them mostly one of the exact size."""
        grid, path = windows.grid, windows.dual.path
        if grid is None or len(path) != len(grid.low):
            return
        keep = [abs(np.arange(len(low)) - place) <= reach for low, place in zip(grid.low, path, strict=True)]
        near = grid.kept(keep)
        lattice = None if near is None else Lattice.of(near)
        if lattice is not None:
            self._note(push_labels(lattice, k=self.top_k, largest_layer=AROUND_LAYER, tick=self.tick))

    def _some_windows(self, positive: Chain) -> tuple[Windows, Lattice] | None:
        slack = max(WIDE_SLACK[self.problem.space.order], first_steps(positive, self.top_k)[1])
        while slack > SMALLEST_SLACK:
            try:
                windows = bounded_windows(positive, slack, tick=self.tick)
            except MemoryError:
                slack /= WIDENING
                continue
            lattice = None if windows is None or windows.grid is None else Lattice.of(windows.grid)
            if windows is None or lattice is None:
                return None
            self._note_bound(windows)
            return windows, lattice
        return None

    def _proof(self, threshold: float) -> Proof:
        return Proof(threshold=threshold, bound=self.root, multiplier=self.price, labels=self.labels, method=METHOD)

    def _result(
        self,
        status: Status,
        solutions: list[Solution],
        bound: float | None,
        proof: Proof | None,
        nearest: Nearest | None = None,
    ) -> Result:
        return Result(
            problem=self.problem,
            top_k=self.top_k,
            status=status,
            solutions=tuple(solutions),
            bound=bound,
            runtime=time.perf_counter() - self.started,
            proof=proof,
            nearest=nearest,
        )
