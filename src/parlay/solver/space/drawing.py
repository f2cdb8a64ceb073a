"""Layouts of any graph drawn at random, each as likely as every other, where tables of counts do not fit.

With all widths but one given, a size leaves that one at most a few choices: parameters grow with every width. So the
layouts of a size are as many as the ways to choose the others that leave it one, and three laws follow, each uniform
over the layouts that keep every limit and fence; the first that can be used is.

Listed: where the others can be chosen in few enough ways, all are tried, and what keeps everything is drawn from.
Drawn: the others are drawn evenly, the last follows from the size, and what breaks a limit or fence is thrown away.
Walked: where too much would be thrown away, a Markov chain. A step takes three groups at random and draws their widths
anew, evenly among all that keep everything beside the other widths (Gibbs sampling), so that the uniform law is its
stationary one. It is approached, not reached, and layouts that no three widths at a time connect are never met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parlay.errors import InputError
from parlay.layout import Layout
from parlay.problem import Problem
from parlay.solver.chain.chain import is_chain
from parlay.solver.general.general import General, compile_general
from parlay.solver.general.solve_general import GeneralRun
from parlay.solver.space.counting import MEMORY
from parlay.solver.space.sampling import Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Drawer", "make_sampler"]

MOST_LISTED = 2_000_000
"""Ways to choose the other widths that are all tried: about a second."""
MOST_DRAWN = 30_000_000
"""Draws before a chain is walked instead: some ten seconds for seven groups. A number and no time, so that a seed gives
the same layouts on any machine.
"""
BATCH = 1 << 16
"""Draws at a time; the arrays of ten groups take 5 MB."""
ROUNDING = 0.01
"""Widths are solved for in doubles, and what lies this near is tried in exact integers; errors are far smaller, and two
whole widths are never both so near.
"""
STEP = 40_000
"""Pairs of widths that a step of the chain tries; it takes a millisecond or two."""
STEPS_APART = 4
"""Steps of the chain for each group between two layouts that are kept, and ten times as many before the first. On a
network of five groups and 89 layouts, four steps in all between draws passed a chi-square test against enumeration and
two did not; four for each group leave room for networks that mix more slowly.
"""
SECONDS_TO_START = 30.0
"""For the search of one layout, where the chain begins."""


LISTED = "drawn evenly from a list of all {total:,} layouts that keep everything"
DRAWN = "uniform: widths drawn evenly, one of them given by the size, and what breaks a limit thrown away"
WALKED = "a Markov chain that draws three widths anew at a time, uniform in the limit"


@dataclass(frozen=True, kw_only=True)
class _Solved:
    """The group whose width follows from the others, by one row.

    Attributes:
        group: its index.
        row: index of the row; None where no row leaves few choices, and all its widths are tried.
        most: choices that the row leaves it at most.
    """

    group: int
    row: int | None
    most: int


class Drawer:
    """Draws layouts of one problem on any graph under any limits.

    Args:
        problem: space and limits; the score does not matter.
        tick: called now and then with the share of the work done; may raise to stop.

    >>> from parlay import plain
    >>> drawer = Drawer(plain(depth=3).problem(kernels=4288))
    >>> drawer.total, drawer.law
    (29, 'drawn evenly from a list of all 29 layouts that keep everything')
    """

    def __init__(self, problem: Problem, *, tick: Callable[[float], None] = lambda _: None) -> None:
        self.problem = problem
        self._tick = tick
        self._general = compile_general(problem)
        self._law = DRAWN

    @cached_property
    def everything(self) -> tuple[Layout, ...] | None:
        """All layouts in order of their widths; None where that is too much to try."""
        if self._general.is_empty:
            return ()
        if math.prod(self._others.tolist()) * self._solved.most > MOST_LISTED:
            return None
        found = [self._kept(self._completed(rests, places)) for rests, places in self._grid()]
        return tuple(sorted(layout for some in found for layout in some))

    @property
    def total(self) -> int | None:
        """How many layouts there are; None where they were not listed."""
        return None if self.everything is None else len(self.everything)

    @property
    def law(self) -> str:
        """How the last layouts were drawn, or will be as far as is known."""
        return self._law if self.total is None else LISTED.format(total=self.total)

    def draw(self, n_samples: int, *, seed: int, replace: bool = False) -> list[Layout]:
        """``n_samples`` layouts in the order in which they were drawn.

        Args:
            n_samples: how many.
            seed: same seed, same layouts.
            replace: draw each from all layouts again; otherwise no layout comes twice.

        Raises:
            InputError: for fewer than 1 sample, a negative seed, more samples than layouts without replacement, or
                limits that no layout was found to keep.
        """
        if n_samples < 1:
            raise InputError("n-samples", given=n_samples, allowed="an integer of at least 1")
        if seed < 0:
            raise InputError("seed", given=seed, allowed="an integer of at least 0")
        rng = np.random.default_rng(seed)
        if self.everything is not None:
            if not self.everything or (not replace and n_samples > len(self.everything)):
                allowed = f"at most {len(self.everything)}, the number of layouts of this size"
                raise InputError("n-samples", given=n_samples, allowed=allowed)
            places = rng.choice(len(self.everything), size=n_samples, replace=replace)
            return [self.everything[place] for place in places.tolist()]
        self._law = DRAWN
        found = self._thrown(n_samples, rng, replace)
        if len(found) < n_samples:
            self._law = WALKED
            found = self._walked(n_samples, rng, replace)
        return found

    @cached_property
    def _solved(self) -> _Solved:
        general = self._general
        best = _Solved(group=int(general.counts.argmax()), row=None, most=int(general.counts.max()))
        gain = 1.0
        for row in np.flatnonzero(np.isfinite(general.lows) & np.isfinite(general.highs)).tolist():
            for group in range(general.groups):
                least = float(general.slopes(general.low)[row, group]) - float(
                    general.squares[row, group] * general.low[group]
                )
                if least <= 0:
                    continue
                apart = (general.highs[row] - general.lows[row]) / least + 2 * ROUNDING
                most = min(int(apart / int(general.stride[group])) + 1, int(general.counts[group]))
                if general.counts[group] / most > gain:
                    gain = float(general.counts[group] / most)
                    best = _Solved(group=group, row=row, most=most)
        return best

    @cached_property
    def _others(self) -> IntArray:
        """How many widths every group but the solved one has; 1 for that one."""
        counts = self._general.counts.copy()
        counts[self._solved.group] = 1
        return counts

    def _grid(self) -> Iterator[tuple[IntArray, IntArray]]:
        """Every way to choose the other widths, with every place among the choices left to the solved one."""
        shape = (*self._others.tolist(), self._solved.most)
        for start in range(0, math.prod(shape), BATCH):
            flat = np.arange(start, min(start + BATCH, math.prod(shape)))
            *choices, places = np.unravel_index(flat, shape)
            yield self._widths(np.stack(choices, axis=1)), places

    def _widths(self, choices: IntArray) -> IntArray:
        return self._general.low + self._general.stride * choices

    def _completed(self, rests: IntArray, places: IntArray) -> IntArray:
        """Layouts whose solved width is the one at a place among those that its row leaves, where there are as many."""
        general, solved = self._general, self._solved
        return _solved_for(general, solved.group, solved.row, rests, places)

    def _kept(self, table: IntArray) -> list[Layout]:
        """Those that keep everything, decided exactly."""
        general = self._general
        found = map(tuple, table[general.within(table)].tolist()) if len(table) else ()
        return [layout for layout in found if not general.is_recounted or general.allowed(layout)]

    def _thrown(self, wanted: int, rng: np.random.Generator, replace: bool) -> list[Layout]:
        """Up to so many layouts: drawn, and kept where they keep everything."""
        found: list[Layout] = []
        seen: set[Layout] = set()
        for begun in range(0, MOST_DRAWN, BATCH):
            self._tick(begun / MOST_DRAWN)
            rests = self._widths(rng.integers(0, self._others, size=(BATCH, self._general.groups)))
            for layout in self._kept(self._completed(rests, rng.integers(0, self._solved.most, size=BATCH))):
                if replace or layout not in seen:
                    found.append(layout)
                    seen.add(layout)
                if len(found) == wanted:
                    return found
        return found

    def _walked(self, wanted: int, rng: np.random.Generator, replace: bool) -> list[Layout]:
        """So many layouts of the chain.

        Raises:
            InputError: where it found no layout to begin with, or too few different ones.
        """
        general = self._general
        run = GeneralRun(problem=self.problem, top_k=1, time_limit=SECONDS_TO_START, progress=None).run()
        if not run.solutions:
            raise InputError(
                "size",
                given="no layout found that keeps every limit and fence",
                allowed="limits that some layout keeps",
                remedy="widen --min-ratio and --max-ratio, or take a range of sizes",
            )
        state = np.array(run.solutions[0].layout, dtype=np.int64)
        apart = STEPS_APART * general.groups
        found: list[Layout] = []
        seen: set[Layout] = set()
        for round_ in range(-10, 20 * wanted):
            for _ in range(apart):
                state = self._step(state, rng)
            layout = tuple(state.tolist())
            if round_ >= 0 and (replace or layout not in seen):
                self._tick(len(found) / wanted)
                found.append(layout)
                seen.add(layout)
            if len(found) == wanted:
                return found
        raise InputError(
            "sample", given=f"{len(found)} different layouts found of {wanted}", allowed="spaces that have more"
        )

    def _step(self, state: IntArray, rng: np.random.Generator) -> IntArray:
        """Up to three groups drawn anew: two of them through all their widths, or every few of them, the third solved.

        Where two groups have too many widths, those are tried that are a multiple of some distance away. The distance
        is drawn before, whatever the state, so that the layouts it joins are a class, and the chain stays reversible.
        """
        general, solved = self._general, self._solved
        free = np.flatnonzero(general.counts > 1)
        block = rng.permutation(free)[:3]
        # the group that the size depends on, and of these the one of most widths, is solved for
        costs = (
            np.zeros(general.groups) if solved.row is None else general.slopes(general.low)[solved.row].astype(float)
        )
        worth = np.where(costs > 0, general.counts, 0)[block]
        last = int(block[int(worth.argmax())])
        row = solved.row if costs[last] > 0 else None
        tried = [group for group in block.tolist() if group != last or row is None]
        most = int(STEP ** (1 / max(2, len(tried))))
        axes: list[IntArray] = []
        for group in tried:
            distance = -(-int(general.counts[group]) // most)
            distance += int(rng.integers(2)) if distance > 1 else 0
            at = int(state[group] - general.low[group]) // int(general.stride[group])
            axes.append(np.arange(at % distance, int(general.counts[group]), distance))
        grid = np.meshgrid(*axes, indexing="ij")
        table = np.repeat(state[None], grid[0].size if grid else 1, axis=0)
        for group, places in zip(tried, grid, strict=True):
            table[:, group] = general.low[group] + general.stride[group] * places.ravel()
        if row is not None:
            table = self._all_solved(table, last, row)
        good = table[general.within(table)]
        if general.is_recounted:
            good = good[[general.allowed(tuple(layout)) for layout in good.tolist()]]
        return good[int(rng.integers(len(good)))]

    def _all_solved(self, table: IntArray, group: int, row: int) -> IntArray:
        """Every layout that completes one of the table's by a width of the group."""
        parts: list[IntArray] = []
        for place in range(int(self._general.counts[group])):
            made = _solved_for(self._general, group, row, table, np.full(len(table), place))
            if not len(made):
                break
            parts.append(made)
        return np.concatenate(parts) if parts else table[:0]


def make_sampler(
    problem: Problem, *, memory: int = MEMORY, tick: Callable[[float], None] = lambda _: None
) -> Sampler | Drawer:
    """What draws layouts of a problem: by exact counts on a chain with one size, ``Drawer`` elsewhere.

    Args:
        problem: space and limits; the score does not matter.
        memory: bytes that tables of counts may take.
        tick: called now and then with the share of the work done; may raise to stop.

    Raises:
        InputError: when the tables would take more than ``memory``.
    """
    return Sampler(problem, memory=memory, tick=tick) if is_chain(problem) else Drawer(problem, tick=tick)


def _solved_for(general: General, group: int, row: int | None, rests: IntArray, places: IntArray) -> IntArray:
    """Layouts with the group's width at a place among those that a row leaves it; without a row, among all of its.

    Those with fewer widths left are dropped. Rounding may add widths that the row does not leave; never does it miss
    one. The caller tests them exactly.
    """
    table = rests.copy()
    low, stride, count = int(general.low[group]), int(general.stride[group]), int(general.counts[group])
    if row is None:
        table[:, group] = low + stride * places
        return table[places < count]
    table[:, group] = 0
    at = table.astype(float)
    slope = np.full(len(table), float(general.linear[row, group]))
    base = at @ general.linear[row].astype(float) + float(general.constants[row])
    if row in general.products:
        matrix = general.products[row].astype(float)
        slope = slope + at @ matrix[group]
        base = base + np.einsum("ng,ng->n", at @ matrix, at) / 2
    square = float(general.squares[row, group])
    first = (_root(square, slope, general.lows[row] - base) - ROUNDING - low) / stride
    last = (_root(square, slope, general.highs[row] - base) + ROUNDING - low) / stride
    first = np.maximum(np.ceil(first), 0).astype(np.int64)
    last = np.minimum(np.floor(last), count - 1).astype(np.int64)
    chosen = first + places
    good = chosen <= last
    table = table[good]
    table[:, group] = low + stride * chosen[good]
    return table


def _root(square: float, slope: FloatArray, amount: FloatArray) -> FloatArray:
    """The real w with square w^2 + slope w = amount; -1 for an amount below 0."""
    room = np.maximum(amount, 0.0)
    width = 2 * room / (slope + np.sqrt(slope**2 + 4 * square * room))
    return np.where(amount < 0, -1.0, width)
