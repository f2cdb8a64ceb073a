"""How many layouts there are, exactly, without listing them.

Two partial layouts that end at the same width and have used the same budget can be completed in the same ways, so it
is enough to know how many there are of each kind: a table (width, used) -> count per group, filled from the first
group to the last but one. The last width follows from the budget. Counts outgrow 64 bits soon (2e24 at
31 nondecreasing layers and 51,248 kernels), so they are kept as digits of 52 bits in 64-bit integers, which add up
without carrying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parlay.errors import InputError
from parlay.problem import Problem
from parlay.solver.chain.chain import compile_chain
from parlay.solver.chain.labels import Lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["MEMORY", "CountTable", "Digits", "count_layouts", "count_table"]

MEMORY = 2 << 30
"""Bytes that tables may take unless said otherwise."""

BITS = 52
"""A digit is two halves of 26 bits: their products with factors below 2^35, and long sums, fit 64-bit integers."""

BASE = 1 << BITS
HALF = 1 << (BITS // 2)
SAFE_ADDITIONS = 2_000
"""So many digits can be added before the sum outgrows 63 bits."""

CHUNK = 2_000_000
"""Successors made at once: about 100 MB."""

DENSE_FACTOR = 3
"""Tables are filled width by width once that visits so many times fewer cells than there are successors."""


SPARSE_FACTOR = 4
"""Successors are divided a width at a time unless the budget leaves so many times fewer of them than the fences do."""


class Digits:
    """Non-negative integers of any size, one a column: ``digits[d]`` counts BASE^d, each below BASE.

    >>> number = Digits.carried(np.array([[BASE + 3, 7]]))
    >>> number.value(0) == BASE + 3, number.total() == BASE + 10
    (True, True)
    """

    def __init__(self, digits: IntArray) -> None:
        self.digits = digits

    @classmethod
    def carried(cls, sums: IntArray) -> Digits:
        """From columns whose digits may have outgrown BASE; digits that are zero everywhere are dropped."""
        rows: list[IntArray] = []
        carry = np.zeros(sums.shape[1], dtype=np.int64)
        for row in sums:
            total = row + carry
            rows.append(total & (BASE - 1))
            carry = total >> BITS
        while carry.any():
            rows.append(carry & (BASE - 1))
            carry = carry >> BITS
        while len(rows) > 1 and not rows[-1].any():
            rows.pop()
        return cls(np.stack(rows))

    @classmethod
    def recombined(cls, low: IntArray, high: IntArray) -> Digits:
        """From sums or products of the lower and upper halves of digits, each below 2^62."""
        places = low.shape[0]
        halves = np.zeros((2 * places, low.shape[1]), dtype=np.int64)
        halves[0::2], halves[1::2] = low, high
        carry = np.zeros(low.shape[1], dtype=np.int64)
        rows: list[IntArray] = []
        for row in halves:
            total = row + carry
            rows.append(total & (HALF - 1))
            carry = total >> (BITS // 2)
        while carry.any() or len(rows) % 2:
            rows.append(carry & (HALF - 1))
            carry = carry >> (BITS // 2)
        return cls.carried(np.stack([a + (b << (BITS // 2)) for a, b in zip(rows[0::2], rows[1::2], strict=True)]))

    def value(self, column: int) -> int:
        """One number."""
        return sum(int(digit) << (BITS * place) for place, digit in enumerate(self.digits[:, column]))

    def values(self) -> list[int]:
        """All numbers."""
        columns = zip(*self.digits.tolist(), strict=True)
        return [sum(digit << (BITS * place) for place, digit in enumerate(column)) for column in columns]

    def total(self) -> int:
        """The sum of all numbers."""
        low, high = (self.digits & (HALF - 1)).sum(axis=1), (self.digits >> (BITS // 2)).sum(axis=1)
        digits = [int(a) + (int(b) << (BITS // 2)) for a, b in zip(low, high, strict=True)]
        return sum(digit << (BITS * place) for place, digit in enumerate(digits))

    def times(self, factors: IntArray) -> Digits:
        """Column by column times factors from 0 to below 2^35."""
        if len(factors) == 0 or int(factors.max()) < SAFE_ADDITIONS:
            return Digits.carried(self.digits * factors)
        return Digits.recombined((self.digits & (HALF - 1)) * factors, (self.digits >> (BITS // 2)) * factors)

    def summed(self, starts: IntArray) -> Digits:
        """Runs of columns that begin at ``starts``, added up."""
        low = np.add.reduceat(self.digits & (HALF - 1), starts, axis=1)
        high = np.add.reduceat(self.digits >> (BITS // 2), starts, axis=1)
        return Digits.recombined(low, high)

    def taken(self, columns: IntArray | NDArray[np.bool_]) -> Digits:
        """Some of the columns."""
        return Digits(self.digits[:, columns])

    @classmethod
    def joined(cls, parts: list[Digits]) -> Digits:
        """Columns one after the other."""
        places = max(len(part.digits) for part in parts)
        padded = [np.pad(part.digits, ((0, places - len(part.digits)), (0, 0))) for part in parts]
        return cls(np.concatenate(padded, axis=1))

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.digits.nbytes


@dataclass(frozen=True, kw_only=True)
class _States:
    """Partial layouts of groups 0..g: position of the last width, cost used, how many; sorted by (choice, used)."""

    choice: IntArray
    used: IntArray
    count: Digits
    memo: dict[str, IntArray] = field(default_factory=dict)

    def keys(self, high: int) -> IntArray:
        """Ascending numbers that tell the states apart, for a largest cost of ``high``; kept for the next call."""
        if "keys" not in self.memo:
            self.memo["keys"] = self.choice * (high + 1) + self.used
        return self.memo["keys"]

    @property
    def nbytes(self) -> int:
        return self.choice.nbytes + self.used.nbytes + self.count.nbytes


@dataclass(frozen=True, kw_only=True)
class CountTable:
    """Everything that counting and sampling need.

    Attributes:
        lattice: the widths.
        states: for groups 0 to the last but one, as far as they were kept.
        begin, end: for each state of the last but one group, the positions of the last widths that meet the budget.
        ways: number of whole layouts behind each of these states.
    """

    lattice: Lattice
    states: list[_States]
    begin: IntArray
    end: IntArray
    ways: Digits

    @property
    def total(self) -> int:
        """How many layouts there are."""
        return self.ways.total()


def count_layouts(problem: Problem, *, memory: int = MEMORY, tick: Callable[[float], None] = lambda _: None) -> int:
    """The exact number of layouts of the problem, those of energy 0 included; scores do not matter.

    Args:
        problem: space and size.
        memory: bytes the tables may take.
        tick: called with the share of groups done; may raise to stop.

    Raises:
        InputError: when the tables would take more.

    >>> from parlay import plain
    >>> count_layouts(plain(depth=4).problem(kernels=66304))
    12119
    """
    lattice = _lattice(problem, memory)
    if lattice is None:
        return 0
    groups = lattice.chain.groups
    if groups == 1:
        table = _single_group(lattice)
        return 0 if table is None else table.total
    states = _first_states(lattice)
    for g in range(groups - 2):
        tick(g / (groups - 1))
        plan = _plan(lattice, g, states, memory, is_kept=g < groups - 3)
        if g == groups - 3 and plan is None:
            # The last table would be read once: its rows go straight to their last widths.
            divides = lattice.chain.square[-1] == 0 and lattice.chain.product[-1] > 0
            if divides and _all_successors(lattice, g, states) <= SPARSE_FACTOR * _successors(lattice, g, states):
                return _by_division(lattice, g, states)
            return _passed_through(lattice, g, states, tick)
        states = _advanced(lattice, g, states, plan)
        if len(states.choice) == 0:
            return 0
    begin, end = lattice.successors_within(groups - 2, states.choice, states.used)
    return states.count.times(end - begin).total()


def count_table(
    problem: Problem, *, memory: int = MEMORY, tick: Callable[[float], None] = lambda _: None
) -> CountTable | None:
    """The tables of all groups, which sampling needs; None when there is no layout.

    Args:
        problem: space and size.
        memory: bytes the tables may take.
        tick: called with the share of groups done.

    Raises:
        InputError: when the tables would take more than ``memory``.
    """
    lattice = _lattice(problem, memory)
    if lattice is None:
        return None
    groups = lattice.chain.groups
    if groups == 1:
        return _single_group(lattice)
    states = [_first_states(lattice)]
    for g in range(groups - 2):
        tick(g / (groups - 1))
        left = memory - sum(kept.nbytes for kept in states)
        states.append(_advanced(lattice, g, states[-1], _plan(lattice, g, states[-1], left)))
        if len(states[-1].choice) == 0:
            return None
    begin, end = lattice.successors_within(groups - 2, states[-1].choice, states[-1].used)
    ways = states[-1].count.times(end - begin)
    return CountTable(lattice=lattice, states=states, begin=begin, end=end, ways=ways)


def _lattice(problem: Problem, memory: int) -> Lattice | None:
    chain = compile_chain(problem)
    try:
        return Lattice.whole(chain)
    except MemoryError:
        raise _too_large(100 * sum(chain.choice_count(g) for g in range(chain.groups)), memory) from None


def _first_states(lattice: Lattice) -> _States:
    first = np.arange(len(lattice.widths[0]), dtype=np.int64)
    return _States(choice=first, used=lattice.own[0], count=Digits(np.ones((1, len(first)), dtype=np.int64)))


def _single_group(lattice: Lattice) -> CountTable | None:
    fits = (lattice.own[0] >= lattice.chain.low) & (lattice.own[0] <= lattice.chain.high)
    if not fits.any():
        return None
    begin = np.flatnonzero(fits)[:1].astype(np.int64)
    end = np.flatnonzero(fits)[-1:].astype(np.int64) + 1
    return CountTable(lattice=lattice, states=[], begin=begin, end=end, ways=Digits((end - begin)[None, :]))


def _plan(
    lattice: Lattice, g: int, states: _States, memory: int, *, is_kept: bool = True
) -> tuple[IntArray, IntArray] | None:
    """How to fill the table of group g + 1: None by successors, else width by width, over these ranges of used cost.

    Without ``is_kept`` successors are only passed through, so that only a table filled width by width takes memory.

    Raises:
        InputError: when the table would take more than ``memory``.
    """
    start, stop = lattice.ranges[g]
    most = _all_successors(lattice, g, states)
    if most <= CHUNK:
        return None
    rows = steps = min(most, _successors(lattice, g, states))
    ranges: tuple[IntArray, IntArray] | None = None
    pairs = int((stop - start)[np.unique(states.choice)].sum())
    if pairs <= steps:  # otherwise widths alone are more work than successors
        low, high = _used_ranges(lattice, g, states)
        cells = int(np.maximum(high - low + 1, 0).sum())
        rows = min(rows, cells)
        ranges = (low, high) if steps > DENSE_FACTOR * cells else None
    if ranges is None and not is_kept:
        return None
    digits = len(states.count.digits) + 1
    needed = rows * 8 * (2 * digits + 4) + CHUNK * 8 * (digits + 6)
    if needed > memory:
        raise _too_large(needed, memory)
    return ranges


def _all_successors(lattice: Lattice, g: int, states: _States) -> int:
    """How many successors fences leave the states of group g."""
    start, stop = lattice.ranges[g]
    return int((stop - start)[states.choice].sum())


def _successors(lattice: Lattice, g: int, states: _States) -> int:
    """About how many of them the budget leaves."""
    some = slice(None, None, max(1, len(states.choice) // 20_000))
    begin, end = lattice.successors_within(g, states.choice[some], states.used[some])
    return int((end - begin).sum() * len(states.choice) / len(begin))


def _advanced(lattice: Lattice, g: int, states: _States, plan: tuple[IntArray, IntArray] | None) -> _States:
    """The states of group g + 1, filled as planned."""
    if plan is not None:
        return _by_widths(lattice, g, states, *plan)
    merged: _States | None = None
    for rows in _chunks(lattice, g, states):
        made = _Successors(lattice, g, states, rows).merged()
        merged = made if merged is None else _union(lattice, merged, made)
    assert merged is not None
    return merged


def _too_large(needed: int, memory: int) -> InputError:
    return InputError(
        "counting tables",
        given=f"{needed / 2**30:.1f} GiB needed",
        allowed=f"{memory / 2**30:.1f} GiB left of the memory allowed",
        remedy="narrow the widths (--max-width, --min-width, --multiple-of, --max-step), or allow more with --memory",
    )


class _Successors:
    """The successors in group g + 1 of some states of group g, each counted as often as its parent."""

    def __init__(self, lattice: Lattice, g: int, states: _States, rows: tuple[IntArray, IntArray, IntArray]) -> None:
        parents, begin, count = rows
        parent = np.repeat(parents, count)
        place = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
        self.lattice, self.g = lattice, g
        self.choice = np.repeat(begin, count) + place
        following = lattice.widths[g + 1][self.choice]
        joint = lattice.chain.product[g] * lattice.widths[g][states.choice[parent]] * following
        self.used = states.used[parent] + joint + lattice.own[g + 1][self.choice]
        self.count = states.count.taken(parent)

    def merged(self) -> _States:
        """In order, equal ones added up."""
        return _summed(self.lattice, self.choice, self.used, self.count)

    def last_ways(self) -> Digits:
        """Whole layouts behind each, where g + 1 is the last group but one."""
        begin, end = self.lattice.successors_within(self.g + 1, self.choice, self.used)
        return self.count.times(end - begin)


def _by_division(lattice: Lattice, g: int, states: _States) -> int:
    """How many layouts go on from the states of group g, the last but two: its successors one width at a time.

    States are sorted by width, so those that a width may follow stand together; with that width given the price of
    the last width is one number, and the widths that meet the budget are found by dividing by it.
    """
    chain = lattice.chain
    slope = chain.product[g] * lattice.widths[g][states.choice]
    start, stop = (ends[states.choice] for ends in lattice.ranges[g])
    choices = np.arange(len(lattice.widths[g + 1]))
    begin, end = np.searchsorted(stop, choices, side="right"), np.searchsorted(start, choices, side="right")
    least, most, stride = int(lattice.widths[g + 2][0]), int(lattice.widths[g + 2][-1]), chain.stride[g + 2]
    first, last = lattice.ranges[g + 1]
    total = 0
    for i, width in enumerate(lattice.widths[g + 1].tolist()):
        if begin[i] >= end[i] or first[i] >= last[i]:
            continue
        rows = slice(int(begin[i]), int(end[i]))
        price = chain.product[g + 1] * width + chain.linear[g + 2]
        left = chain.high - int(lattice.own[g + 1][i]) - states.used[rows] - slope[rows] * width
        widest = left // price
        lowest = max(least, int(lattice.widths[g + 2][first[i]]))
        highest = min(most, int(lattice.widths[g + 2][last[i] - 1]))
        if chain.low == chain.high:
            hits = np.flatnonzero(widest * price == left)
            hits = hits[(widest[hits] >= lowest) & (widest[hits] <= highest) & (widest[hits] % stride == 0)]
            total += states.count.taken(rows.start + hits).total() if len(hits) else 0
        else:
            narrowest = -((chain.high - chain.low - left) // price)  # rounded up
            until = np.minimum(widest, highest) // stride
            ways = np.maximum(until - (np.maximum(narrowest, lowest) + stride - 1) // stride + 1, 0)
            hits = np.flatnonzero(ways)
            total += states.count.taken(rows.start + hits).times(ways[hits]).total() if len(hits) else 0
    return total


def _passed_through(lattice: Lattice, g: int, states: _States, tick: Callable[[float], None]) -> int:
    """The same, label by label, a few million successors at a time."""
    total = 0
    for rows in _chunks(lattice, g, states):
        tick((g + int(rows[0][0]) / len(states.choice)) / (g + 2))
        total += _Successors(lattice, g, states, rows).last_ways().total()
    return total


def _chunks(lattice: Lattice, g: int, states: _States) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """States with few million successors at a time: (which, first successor, number of successors)."""
    begin, end = lattice.successors_within(g, states.choice, states.used)
    total = np.cumsum(end - begin)
    stops = np.searchsorted(total, np.arange(CHUNK, int(total[-1]) + CHUNK, CHUNK), side="left") + 1
    edges = np.unique(np.minimum(np.concatenate([[0], stops, [len(total)]]), len(total)))
    for start, stop in zip(edges.tolist(), edges[1:].tolist(), strict=False):
        rows = np.arange(start, stop, dtype=np.int64)
        yield rows, begin[rows], (end - begin)[rows]


def _summed(lattice: Lattice, choice: IntArray, used: IntArray, count: Digits) -> _States:
    """States in order, equal ones added up."""
    key = choice * (lattice.chain.high + 1) + used
    order = np.argsort(key, kind="stable")
    key = key[order]
    if len(key) == 0:
        return _States(choice=choice, used=used, count=count)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(key) != 0]))
    count = count.taken(order)
    count = count if len(starts) == len(key) else count.summed(starts)
    return _States(choice=choice[order][starts], used=used[order][starts], count=count)


def _union(lattice: Lattice, a: _States, b: _States) -> _States:
    choice, used = np.concatenate([a.choice, b.choice]), np.concatenate([a.used, b.used])
    return _summed(lattice, choice, used, Digits.joined([a.count, b.count]))


def _used_ranges(lattice: Lattice, g: int, states: _States) -> tuple[IntArray, IntArray]:
    """For every width of group g + 1 the smallest and largest cost that its states can have used."""
    chain = lattice.chain
    widths, following = lattice.widths[g], lattice.widths[g + 1]
    present, first = np.unique(states.choice, return_index=True)
    least, most = states.used[first], states.used[np.append(first[1:], len(states.choice)) - 1]
    start, stop = (ends[present] for ends in lattice.ranges[g])
    low = np.full(len(following), np.iinfo(np.int64).max // 4)
    high = np.full(len(following), -1, dtype=np.int64)
    for i, (a, b) in enumerate(zip(start.tolist(), stop.tolist(), strict=True)):
        joint = chain.product[g] * widths[present[i]] * following[a:b] + lattice.own[g + 1][a:b]
        np.minimum(low[a:b], joint + least[i], out=low[a:b])
        np.maximum(high[a:b], joint + most[i], out=high[a:b])
    low = np.maximum(low, chain.low - lattice.dearest[g + 1])
    high = np.minimum(high, chain.high - lattice.cheapest[g + 1])
    return low, high


def _by_widths(lattice: Lattice, g: int, states: _States, low: IntArray, high: IntArray) -> _States:
    """One row of cells a width: whole rows of the group before are added, shifted by what the pair costs."""
    chain = lattice.chain
    widths, following = lattice.widths[g], lattice.widths[g + 1]
    present, first = np.unique(states.choice, return_index=True)
    last = np.append(first[1:], len(states.choice))
    places = len(states.count.digits)
    rows: list[tuple[int, IntArray]] = []
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        offset = int(states.used[a])
        row = np.zeros((places, int(states.used[b - 1]) - offset + 1), dtype=np.int64)
        row[:, states.used[a:b] - offset] = states.count.digits[:, a:b]
        rows.append((offset, row))
    start, stop = (ends[present] for ends in lattice.ranges[g])
    made: list[tuple[int, IntArray, Digits]] = []
    for i in range(len(following)):
        if high[i] < low[i]:
            continue
        target = np.zeros((places, int(high[i] - low[i]) + 1), dtype=np.int64)
        own, width = int(lattice.own[g + 1][i]), int(following[i])
        before = range(int(np.searchsorted(stop, i, side="right")), int(np.searchsorted(start, i, side="right")))
        for number, j in enumerate(before, start=1):
            if number % SAFE_ADDITIONS == 0:
                target = Digits.carried(target).digits
                target = np.pad(target, ((0, max(0, places - len(target))), (0, 0)))
            offset, row = rows[j]
            shift = offset + chain.product[g] * int(widths[present[j]]) * width + own - int(low[i])
            begin, end = max(shift, 0), min(shift + row.shape[1], target.shape[1])
            if begin < end:
                target[:, begin:end] += row[:, begin - shift : end - shift]
        cells = np.flatnonzero(target.any(axis=0))
        if len(cells):
            made.append((i, cells + low[i], Digits.carried(target[:, cells])))
    return _States(
        choice=np.concatenate([np.full(len(used), i, dtype=np.int64) for i, used, _ in made]),
        used=np.concatenate([used for _, used, _ in made]),
        count=Digits.joined([count for _, _, count in made]),
    )
