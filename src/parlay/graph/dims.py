"""Dimensions of tensors as lists of segments over unknown widths, and what operators make of them.

A dimension is an ordered list of segments: ``cat`` appends lists, ``flatten`` multiplies, ``chunk`` and ``view`` cut. A
segment (width, outer, inner) stands for outer x width x inner positions, the width's index between the two: channels of
a flattened feature map have their pixels inside (inner), channels of a grouped convolution lie inside their group
(outer). Unification binds a width to another dimension; what is bound to constants is pinned.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["BATCH", "CONSTANT", "ONE", "Dim", "Guess", "Segment", "Unknowns", "constant"]

CONSTANT, BATCH = 0, 1
"""Numbers of the two unknowns that are none: the constant 1, and the batch size."""

LONGEST_REPEAT = 4096


class Segment(NamedTuple):
    """``outer`` x width x ``inner`` positions; a constant c is ``Segment(CONSTANT, c, 1)``."""

    width: int
    outer: int
    inner: int


Dim = tuple[Segment, ...]
"""One dimension of a tensor."""


def constant(size: int) -> Dim:
    """A dimension that no width changes."""
    return (Segment(CONSTANT, size, 1),)


ONE = constant(1)


@dataclass(frozen=True, kw_only=True)
class Guess:
    """How to read what a graph of literals does not say; a wrong guess is found by running resized networks.

    Attributes:
        literals_follow: amounts of padding, cuts inside a width and created tensors follow the widths.
        leading_fixed: a view that splits a width keeps the leading count (``view(b, groups, c // groups)``); otherwise
            the trailing one.
        sizes_couple: dimensions that a view puts together or splits are the width of that size which the module began
            with, as ``q.reshape(b, heads, c // heads, n)`` and ``y.reshape(b, n, c)`` say in attention.
    """

    literals_follow: bool = True
    leading_fixed: bool = True
    sizes_couple: bool = False


@dataclass(kw_only=True)
class Unknowns:
    """The widths of one trace, today's sizes, and what is known about them.

    >>> table = Unknowns(batch=2)
    >>> a, b, both = table.fresh(8), table.fresh(24), table.fresh(32)
    >>> table.unify(both, a + b)
    >>> table.resolve(both) == a + b
    True
    """

    batch: int
    guess: Guess = field(default_factory=Guess)
    sizes: list[int] = field(default_factory=list[int])
    bindings: dict[int, Dim] = field(default_factory=dict[int, Dim])
    reasons: dict[int, str] = field(default_factory=dict[int, str])
    written: set[int] = field(default_factory=set[int])
    where: str = ""

    def __post_init__(self) -> None:
        self.sizes = [1, self.batch]

    def fresh(self, size: int) -> Dim:
        """A new width, or a constant where the size is 1 or 0: such dimensions are broadcast, not widths."""
        if size <= 1:
            return constant(size)
        self.sizes.append(size)
        return (Segment(len(self.sizes) - 1, 1, 1),)

    def size(self, dim: Dim) -> int:
        """Today's size."""
        return sum(s.outer * self.sizes[s.width] * s.inner for s in dim)

    def resolve(self, dim: Dim) -> Dim:
        """The dimension over widths that are bound to nothing; equal neighbours are added up."""
        if all(s.width not in self.bindings for s in dim) and len(dim) == 1:
            return dim
        parts: list[Segment] = []
        for segment in dim:
            for part in self._expanded(segment):
                if part.width == CONSTANT and parts and parts[-1].width == CONSTANT:
                    part = Segment(CONSTANT, parts.pop().outer + part.outer, 1)
                parts.append(part)
        return tuple(parts)

    def _expanded(self, segment: Segment) -> Dim:
        bound = self.bindings.get(segment.width)
        if bound is None:
            return (segment,)
        bound = self.bindings[segment.width] = self.resolve(bound)  # shortens the path for the next reader
        inner = tuple(_times(s, inner=segment.inner) for s in bound)
        if segment.outer == 1:
            return inner
        return (_times(inner[0], outer=segment.outer),) if len(inner) == 1 else inner * segment.outer

    def is_fixed(self, dim: Dim) -> bool:
        """Whether no width changes the dimension; the batch is none."""
        return all(s.width <= BATCH for s in self.resolve(dim))

    def pin(self, dim: Dim, reason: str = "") -> None:
        """Keep today's size."""
        for segment in self.resolve(dim):
            if segment.width > BATCH and segment.width not in self.bindings:
                self.bindings[segment.width] = constant(self.sizes[segment.width])
                if reason:
                    self.reasons[segment.width] = f"{reason} ({self.where})" if self.where else reason

    def unify(self, a: Dim, b: Dim) -> None:
        """Say that two dimensions of equal size are the same."""
        left, right = deque(a), deque(b)
        while left and right:
            left.extendleft(reversed(self.resolve((left.popleft(),))))
            right.extendleft(reversed(self.resolve((right.popleft(),))))
            x, y = left.popleft(), right.popleft()
            large, small = self.size((x,)), self.size((y,))
            if large > small:
                head, tail = self._split(x, small)
                left.extendleft(reversed(tail))
                left.extendleft(reversed(head))
                right.appendleft(y)
            elif small > large:
                head, tail = self._split(y, large)
                right.extendleft(reversed(tail))
                right.extendleft(reversed(head))
                left.appendleft(x)
            else:
                self._join(x, y)

    def _join(self, x: Segment, y: Segment) -> None:
        if x == y or x.width == y.width:
            return
        if x.width <= BATCH or y.width <= BATCH:
            fixed, other = (x, y) if x.width <= BATCH else (y, x)
            if other.width > BATCH:
                if fixed == Segment(BATCH, 1, 1) == other._replace(width=BATCH):
                    self.bindings[other.width] = (fixed,)
                else:
                    self.pin((other,), "equal to a fixed size" if other.width in self.written else "")
            return
        if x.width > y.width:
            x, y = y, x  # the older width stays
        if (x.outer, x.inner) == (y.outer, y.inner):
            self.bindings[y.width] = (Segment(x.width, 1, 1),)
            return
        many_x, many_y = x.outer * x.inner, y.outer * y.inner
        if many_x % many_y == 0:
            self.bindings[y.width] = (_quotient(x, y),)
        elif many_y % many_x == 0:
            self.bindings[x.width] = (_quotient(y, x),)
        else:
            common = math.gcd(many_x, many_y)
            [shared] = self.fresh(self.sizes[x.width] // (many_y // common))
            self.bindings[x.width] = (_times(shared, outer=many_y // common),)
            self.bindings[y.width] = (_times(shared, outer=many_x // common),)

    def _split(self, segment: Segment, at: int) -> tuple[Dim, Dim]:
        """Cut one segment after ``at`` positions."""
        width, outer, inner = segment
        if width == CONSTANT:
            return constant(at), constant(outer - at)
        part = self.sizes[width] * inner
        if at % part == 0:
            return (Segment(width, at // part, inner),), (Segment(width, outer - at // part, inner),)
        if outer == 1 and at % inner == 0 and width > BATCH:
            head = self.fresh(at // inner)
            tail = self.fresh(self.sizes[width] - at // inner)
            self.bindings[width] = head + tail
            return tuple(_times(s, inner=inner) for s in head), tuple(_times(s, inner=inner) for s in tail)
        self.pin((segment,), "cut where no width ends")
        total = self.size((segment,))
        return constant(at), constant(total - at)

    def cut(self, dim: Dim, sizes: Sequence[int]) -> list[Dim]:
        """Cut a dimension into consecutive parts of these sizes."""
        parts: list[Dim] = []
        rest = deque(self.resolve(dim))
        for size in sizes:
            part: list[Segment] = []
            missing = size
            while missing and rest:
                rest.extendleft(reversed(self.resolve((rest.popleft(),))))
                segment = rest.popleft()
                amount = self.size((segment,))
                if amount > missing:
                    if not self.guess.literals_follow:
                        self._pin_unless_between(segment, missing)
                        rest.extendleft(reversed(self.resolve((segment,))))
                        segment = rest.popleft()
                    head, tail = self._split(segment, missing)
                    rest.extendleft(reversed(tail))
                    part.extend(head)
                    missing = 0
                else:
                    part.append(segment)
                    missing -= amount
            parts.append(tuple(part) or constant(size))
        return parts

    def _pin_unless_between(self, segment: Segment, at: int) -> None:
        if segment.width > BATCH and at % (self.sizes[segment.width] * segment.inner):
            self.pin((segment,), "cut inside a width")

    def merge(self, dims: Sequence[Dim]) -> Dim:
        """One dimension out of several neighbouring ones, as ``flatten`` makes it."""
        known = [self.resolve(dim) for dim in dims]
        open_ones = [i for i, dim in enumerate(known) if any(s.width != CONSTANT for s in dim)]
        if len(open_ones) > 1:
            widths = [i for i in open_ones if not self.is_fixed(known[i])]
            for i in widths if len(widths) < len(open_ones) else widths[1:]:
                self.pin(known[i], "multiplied by another width")
                known[i] = self.resolve(known[i])
            return self.merge(known) if widths else constant(math.prod(map(self.size, known)))
        if not open_ones:
            return constant(math.prod(map(self.size, known)))
        [at] = open_ones
        before, after = (math.prod(map(self.size, some)) for some in (known[:at], known[at + 1 :]))
        return self._repeated(known[at], before, after)

    def _repeated(self, dim: Dim, before: int, after: int) -> Dim:
        """A dimension between constant ones, of so many elements before and after it."""
        inner = tuple(_times(s, inner=after) for s in dim)
        if len(inner) == 1:
            return (_times(inner[0], outer=before),)
        if before > LONGEST_REPEAT:
            self.pin(inner, "repeated too often")
            return constant(before * self.size(inner))
        return inner * before

    def factor(self, dim: Dim, sizes: Sequence[int]) -> list[Dim]:
        """Several dimensions out of one, as ``view`` makes them; ``sizes`` have its size as product."""
        if len(sizes) == 1:
            return [self.resolve(dim)]
        for index in (-1, 0):
            found = self._peeled(dim, sizes, index)
            if found is not None:
                return found
        segments = self.resolve(dim)
        if len(segments) == 1 and segments[0].width > BATCH:
            return self._factor_width(segments[0], sizes)
        if len(segments) > 1:
            parts = self.cut(segments, [self.size(segments) // sizes[0]] * sizes[0])
            for part in parts[1:]:
                self.unify(parts[0], part)
            return [constant(sizes[0]), *self.factor(parts[0], sizes[1:])]
        self.pin(dim, "split across the batch")
        return [constant(size) for size in sizes]

    def in_groups(self, dim: Dim, groups: int) -> Dim:
        """What lies in each of so many equal consecutive parts of a dimension; the number of parts stays.

        >>> table = Unknowns(batch=2)
        >>> channels = tuple(_times(s, inner=4) for s in table.fresh(8))
        >>> table.in_groups(channels, 4), table.resolve(channels)
        ((Segment(width=3, outer=1, inner=4),), (Segment(width=3, outer=4, inner=4),))
        """
        segments, inside = self.resolve(dim), self.size(dim) // groups
        if len(segments) != 1:
            return self.factor(segments, [groups, inside])[1]
        width, outer, inner = segments[0]
        if outer % groups == 0:
            return (Segment(width, outer // groups, inner),)
        many = groups // outer
        is_whole = width > BATCH and groups % outer == 0 and self.sizes[width] % many == 0
        if not (is_whole and self.guess.literals_follow):  # else the number of groups may follow a width itself
            self.pin(segments, "cut into groups")
            return constant(inside)
        left = self.fresh(self.sizes[width] // many)
        self.bindings[width] = tuple(_times(s, outer=many) for s in left)
        return tuple(_times(s, inner=inner) for s in left)

    def _peeled(self, dim: Dim, sizes: Sequence[int], index: int) -> list[Dim] | None:
        """Take the last (-1) or first (0) size off where every segment has it as a factor already."""
        size = sizes[index]
        segments = self.resolve(dim)
        if index == -1:
            if any((s.outer if s.width == CONSTANT else s.inner) % size for s in segments):
                return None
            rest = tuple(
                s._replace(outer=s.outer // size) if s.width == CONSTANT else s._replace(inner=s.inner // size)
                for s in segments
            )
            return [*self.factor(rest, sizes[:-1]), constant(size)]
        if len(segments) != 1 or segments[0].outer % size:
            return None
        rest = (segments[0]._replace(outer=segments[0].outer // size),)
        return [constant(size), *self.factor(rest, sizes[1:])]

    def _factor_width(self, segment: Segment, sizes: Sequence[int]) -> list[Dim]:
        """Split a width into a fixed count and a width that is left."""
        width, outer, inner = segment
        fixed = math.prod(sizes[:-1]) if self.guess.leading_fixed else math.prod(sizes[1:])
        shared = outer if self.guess.leading_fixed else inner
        if fixed % shared == 0 and self.sizes[width] % (fixed // shared) == 0 and self.guess.literals_follow:
            count = fixed // shared
            left = self.fresh(self.sizes[width] // count)
            if self.guess.leading_fixed:
                self.bindings[width] = tuple(_times(s, outer=count) for s in left)
                return [*map(constant, sizes[:-1]), tuple(_times(s, inner=inner) for s in left)]
            self.bindings[width] = tuple(_times(s, inner=count) for s in left)
            return [tuple(_times(s, outer=outer) for s in left), *map(constant, sizes[1:])]
        self.pin((segment,), "split by a view")
        return [constant(size) for size in sizes]


def _times(segment: Segment, *, outer: int = 1, inner: int = 1) -> Segment:
    if segment.width == CONSTANT:
        return Segment(CONSTANT, segment.outer * outer * inner, 1)
    return Segment(segment.width, segment.outer * outer, segment.inner * inner)


def _quotient(x: Segment, y: Segment) -> Segment:
    """The segment q over x's width such that y's width = q makes y equal x."""
    if x.outer % y.outer == 0 and x.inner % y.inner == 0:
        return Segment(x.width, x.outer // y.outer, x.inner // y.inner)
    return Segment(x.width, x.outer * x.inner // (y.outer * y.inner), 1)
