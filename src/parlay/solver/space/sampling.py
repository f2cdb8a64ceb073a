"""Layouts drawn at random, each as likely as every other.

The tables of ``counting`` number all layouts from 0 to total - 1. A number is drawn, and its layout is found by
walking back from the last width: at each group the widths before stand for as many layouts as the table counts.
No layout is favoured, however uneven the space, and nothing is rejected.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from parlay.errors import InputError
from parlay.layout import Layout
from parlay.problem import Problem
from parlay.solver.space.counting import MEMORY, CountTable, count_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["Sampler", "sample_layouts"]


class Sampler:
    """Draws layouts of one problem; the tables are made once.

    Args:
        problem: space and size; the score does not matter.
        memory: bytes the tables may take.
        tick: called with the share of the tables done; may raise to stop.

    Attributes:
        total: how many layouts there are.
        law: how they are drawn, in words.

    Raises:
        InputError: when the tables would take more than ``memory``.

    >>> from parlay import plain
    >>> sampler = Sampler(plain(depth=3).problem(kernels=4288))
    >>> sampler.total, sampler.layout(0)
    (29, (1, 5, 856))
    """

    def __init__(
        self, problem: Problem, *, memory: int = MEMORY, tick: Callable[[float], None] = lambda _: None
    ) -> None:
        self.table = count_table(problem, memory=memory, tick=tick)
        self.total = 0 if self.table is None else self.table.total
        self.law = f"uniform: drawn by number from {self.total:,} layouts, which were counted"
        self._columns: list[int] = []  # states of the last table that have layouts behind them
        self._sums: list[int] = []  # how many layouts these and those before them have
        if self.table is not None:
            ways = self.table.ways
            self._columns = np.flatnonzero(ways.digits.any(axis=0)).tolist()
            self._sums = list(accumulate(ways.taken(np.array(self._columns)).values()))

    def draw(self, n_samples: int, *, seed: int, replace: bool = False) -> list[Layout]:
        """``n_samples`` layouts in the order in which they were drawn.

        Args:
            n_samples: how many.
            seed: same seed, same layouts, on any machine.
            replace: draw each from all layouts again; otherwise no layout comes twice.

        Raises:
            InputError: for fewer than 1 sample, a negative seed, or more samples than layouts without replacement.
        """
        if n_samples < 1:
            raise InputError("n-samples", given=n_samples, allowed="an integer of at least 1")
        if seed < 0:
            raise InputError("seed", given=seed, allowed="an integer of at least 0")
        if self.total == 0 or (not replace and n_samples > self.total):
            raise InputError(
                "n-samples", given=n_samples, allowed=f"at most {self.total}, the number of layouts of this size"
            )
        rng = random.Random(seed)
        if replace:
            numbers = [rng.randrange(self.total) for _ in range(n_samples)]
        elif 2 * n_samples > self.total:
            numbers = rng.sample(range(self.total), n_samples)
        else:
            seen: dict[int, None] = {}
            while len(seen) < n_samples:
                seen[rng.randrange(self.total)] = None
            numbers = list(seen)
        known = {number: self.layout(number) for number in dict.fromkeys(numbers)}
        return [known[number] for number in numbers]

    def layout(self, number: int) -> Layout:
        """The layout that bears a number from 0 to total - 1."""
        if not 0 <= number < self.total or self.table is None:
            raise InputError("number of a layout", given=number, allowed=f"0 to {self.total - 1}")
        table, widths = self.table, self.table.lattice.widths
        index = bisect_right(self._sums, number)
        rest = number - (self._sums[index - 1] if index else 0)
        column = self._columns[index]
        if not table.states:
            return (int(widths[0][int(table.begin[column]) + rest]),)
        states = table.states[-1]
        behind = states.count.value(column)  # the last width is the rest's quotient, the widths before its remainder
        place, rest = divmod(rest, behind)
        layout = [int(widths[-1][int(table.begin[column]) + place])]
        for g in range(len(table.states) - 1, 0, -1):
            layout.append(int(widths[g][table.states[g].choice[column]]))
            column, rest = _parent(table, g, column, rest)
        layout.append(int(widths[0][table.states[0].choice[column]]))
        return tuple(reversed(layout))


def _parent(table: CountTable, g: int, column: int, rest: int) -> tuple[int, int]:
    """The state of group g - 1 that the rest-th way into a state of group g comes through, and what is left over."""
    lattice, chain, before = table.lattice, table.lattice.chain, table.states[g - 1]
    choice = int(table.states[g].choice[column])
    start, stop = lattice.ranges[g - 1]
    rows = np.flatnonzero((start <= choice) & (choice < stop))
    joint = lattice.widths[g - 1][rows] * (chain.product[g - 1] * int(lattice.widths[g][choice]))
    used = int(table.states[g].used[column]) - int(lattice.own[g][choice]) - joint
    rows, used = rows[used >= 0], used[used >= 0]
    key = before.keys(chain.high)
    wanted = rows * (chain.high + 1) + used
    places = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    for place in places[key[places] == wanted].tolist():
        count = before.count.value(place)
        if rest < count:
            return place, rest
        rest -= count
    raise AssertionError("a state without parents")


def sample_layouts(
    problem: Problem, n_samples: int, *, seed: int = 0, replace: bool = False, memory: int = MEMORY
) -> list[Layout]:
    """``n_samples`` layouts of the problem, exactly uniform; ``Sampler`` says more.

    >>> from parlay import plain
    >>> len(set(sample_layouts(plain(depth=4).problem(kernels=66304), 32, seed=0)))
    32
    """
    return Sampler(problem, memory=memory).draw(n_samples, seed=seed, replace=replace)
