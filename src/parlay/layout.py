"""Layouts, and the space they are chosen from.

A layout (n_1, ..., n_G) gives the number of kernels of every width group of a network: Section 3.1 of Liao et al.
(2017), where every convolution is a group of its own; in a ResNet a unit of equal layers is one group.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any, Self, cast

from parlay.errors import InputError, unknown

__all__ = [
    "ActivationStep",
    "Connection",
    "Layout",
    "Order",
    "WidthGroup",
    "WidthSpace",
    "format_layout",
    "parse_layout",
    "parse_step",
    "require_integer",
]


def require_integer(what: str, value: object, *, largest: int = 10**9) -> None:
    """Refuse anything but an integer from 1 to ``largest``.

    >>> require_integer("depth", 0)
    Traceback (most recent call last):
    ...
    parlay.errors.InputError: depth: got 0; allowed: an integer from 1 to 1000000000
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise InputError(what, given=repr(value), allowed=f"an integer from 1 to {largest}")


Layout = tuple[int, ...]
"""Channels per width group, first group first; printed ``35-36-37-43``."""


def parse_layout(text: str) -> Layout:
    """Read a layout as it is printed; commas and surrounding brackets are accepted too.

    Raises:
        InputError: unless the text is positive integers joined by ``-`` or ``,``.

    >>> parse_layout("35-36-37-43")
    (35, 36, 37, 43)
    >>> parse_layout("(8, 16, 44, 78)")
    (8, 16, 44, 78)
    """
    allowed = "positive integers joined by '-', such as 35-36-37-43"
    parts = [part.strip() for part in text.strip().strip("()[]").replace(",", "-").split("-")]
    if not all(part.isascii() and part.isdigit() and len(part) <= 15 for part in parts):
        raise InputError("layout", given=repr(text), allowed=allowed)
    layout = tuple(int(part) for part in parts)
    if min(layout) < 1:
        raise InputError("layout", given=repr(text), allowed=allowed)
    return layout


def format_layout(layout: Sequence[int]) -> str:
    """Print a layout.

    >>> format_layout((35, 36, 37, 43))
    '35-36-37-43'
    """
    return "-".join(str(width) for width in layout)


def parse_step(step: str | float | int | Fraction) -> Fraction:
    """The largest ratio between neighbours as an exact fraction; a decimal is taken as written.

    Raises:
        InputError: unless it is a number from 1 to 1,000,000 with at most six decimals.

    >>> parse_step("1.1")
    Fraction(11, 10)
    """
    allowed = "a number from 1 to 1000000 with at most six decimals, such as 2 or 1.5"
    text = str(step).strip()
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?|[0-9]{1,7}/[0-9]{1,7}", text):
        raise InputError("max step", given=repr(text[:40]), allowed=allowed)
    whole, _, part = text.partition("/")
    if part and not int(part):
        raise InputError("max step", given=repr(text), allowed=allowed)
    value = Fraction(whole) / Fraction(part or 1)
    if not 1 <= value <= 10**6:
        raise InputError("max step", given=text, allowed=allowed)
    return value


class Order(StrEnum):
    """How the widths of adjacent groups must compare (Eq. 3 asks for INCREASING).

    >>> Order("increasing").allows(35, 36), Order.INCREASING.allows(36, 36), Order.FREE.allows(36, 35)
    (True, False, True)
    """

    INCREASING = "increasing"
    NONDECREASING = "nondecreasing"
    FREE = "free"

    def allows(self, width: int, following: int) -> bool:
        """Whether ``following`` may come right after ``width``."""
        if self is Order.INCREASING:
            return width < following
        return self is Order.FREE or width <= following


@dataclass(frozen=True, kw_only=True)
class WidthGroup:
    """Layers that share one width.

    Attributes:
        name: how the group is called in tables.
        multiplicity: how many weight layers the width sets (10 for a unit of ten equal convolutions).
        minimum, maximum: bounds on the width, both allowed; no maximum means that only the budget limits it.
        multiple_of: the width must be a multiple of this.
        members: names of the layers, where there are any.

    >>> WidthGroup(name="conv1", minimum=8, maximum=64, multiple_of=8).allows(24)
    True
    """

    name: str
    multiplicity: int = 1
    minimum: int = 1
    maximum: int | None = None
    multiple_of: int = 1
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value in (
            ("multiplicity", self.multiplicity),
            ("smallest width", self.minimum),
            ("multiple-of", self.multiple_of),
        ):
            if type(value) is not int or value < 1:
                raise InputError(f"{what} of {self.name}", given=repr(value), allowed="an integer of at least 1")
        if self.maximum is not None and (type(self.maximum) is not int or self.maximum < self.first):
            raise InputError(
                f"largest width of {self.name}",
                given=self.maximum,
                allowed=f"at least {self.first}, the smallest width allowed",
                remedy="raise --max-width or lower --min-width",
            )

    @property
    def first(self) -> int:
        """The smallest width allowed."""
        return -(-self.minimum // self.multiple_of) * self.multiple_of

    def allows(self, width: int) -> bool:
        """Whether the group may have this width."""
        return (
            width >= self.minimum and (self.maximum is None or width <= self.maximum) and width % self.multiple_of == 0
        )


@dataclass(frozen=True, kw_only=True)
class Connection:
    """``count`` weight layers that read one group and write another.

    Attributes:
        target: index of the group whose width is the layers' output width.
        source: index of the group they read, or None when they read ``fixed_inputs`` channels, as a first layer does.
        fixed_inputs: number of input channels when there is no source group; 0 where it is not one number: several
            groups joined, say.
        count: number of such layers.
        share: share of the network's paths from input to output that go through each of them: 1 in a chain, 1/2 in a
            residual block, around which as many paths go as through it.
    """

    target: int
    source: int | None = None
    fixed_inputs: int = 0
    count: int = 1
    share: Fraction = Fraction(1)


@dataclass(frozen=True, kw_only=True)
class ActivationStep:
    """From activations to the next layer whose kernels cover several pixels or whose output meets a nonlinearity.

    Where linear layers of one pixel stand in between (linear bottlenecks, residual streams without activations), the
    widths that they write carry the step.

    Attributes:
        target: index of the group that the step's last layer writes, or None where no layout changes that width.
        source: index of the group of the activations that it starts from, or None where that is no group.
        fixed_outputs: width of the last layer's output where ``target`` is None.
        fixed_inputs: width of the activations where ``source`` is None; 0 where it is not one: several groups joined.
        carriers: indices of the groups that linear layers on the way write; none where the last layer reads the
            activations.
        share: share of the network's paths that take the step, times how often it occurs.
    """

    target: int | None
    source: int | None = None
    fixed_outputs: int = 0
    fixed_inputs: int = 0
    carriers: tuple[int, ...] = ()
    share: Fraction = Fraction(1)

    @property
    def groups(self) -> tuple[int, ...]:
        """Indices of all groups that it has to do with."""
        return (*(end for end in (self.source, self.target) if end is not None), *self.carriers)


@dataclass(frozen=True, kw_only=True)
class WidthSpace:
    """Every layout that may be chosen, before any budget.

    Attributes:
        groups: the width groups, in the order in which a layout lists them.
        connections: the weight layers, as scores over adjacent groups see them.
        steps: the ways from one layer that makes symbols to the next, of which one or more layers make each.
        order: how neighbours must compare.
        max_step: largest ratio between neighbours, either way; None for no limit.

    >>> space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")), order=Order.INCREASING)
    >>> (3, 4) in space, (4, 4) in space
    (True, False)
    >>> space.violation((4, 4))
    'widths 4, 4 of a, b are not increasing'
    """

    groups: tuple[WidthGroup, ...]
    connections: tuple[Connection, ...] = ()
    steps: tuple[ActivationStep, ...] = ()
    order: Order = Order.FREE
    max_step: Fraction | None = None

    def __post_init__(self) -> None:
        if not self.groups:
            raise InputError("width space", given="no groups", allowed="at least one width group")
        for connection in self.connections:
            ends = (connection.target, connection.source if connection.source is not None else 0)
            if not all(0 <= end < len(self.groups) for end in ends):
                raise InputError("connection", given=connection, allowed=f"groups 0 to {len(self.groups) - 1}")
        for step in self.steps:
            if not all(0 <= group < len(self.groups) for group in step.groups):
                raise InputError("step", given=step, allowed=f"groups 0 to {len(self.groups) - 1}")
        if self.max_step is not None and self.max_step < 1:
            raise InputError("max step", given=self.max_step, allowed="a number of at least 1")

    def __len__(self) -> int:
        return len(self.groups)

    def __contains__(self, layout: object) -> bool:
        return isinstance(layout, tuple) and self.violation(cast("tuple[Any, ...]", layout)) is None

    def check(self, layout: Sequence[int], *, what: str = "layout", remedy: str = "") -> Layout:
        """The layout as a tuple, if it is one of these.

        Args:
            layout: one width a group; numpy's integers will do.
            what: how the layout is called where it is refused.
            remedy: what helps then.

        Raises:
            InputError: otherwise, with the first fence that it breaks.

        >>> WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b"))).check([3, 4])
        (3, 4)
        """
        try:
            given = tuple(operator.index(width) for width in layout)
        except TypeError:
            raise InputError(what, given=repr(layout)[:80], allowed="integers, one a group") from None
        broken = self.violation(given)
        if broken is None:
            return given
        names = ", ".join(group.name for group in self.groups[:4]) + (", ..." if len(self.groups) > 4 else "")
        raise InputError(what, given=broken, allowed=f"{len(self)} widths, one a group ({names})", remedy=remedy)

    def fenced(
        self,
        *,
        order: Order | str = Order.FREE,
        max_step: Fraction | str | float | None = None,
        min_width: int = 1,
        max_width: int | None = None,
        multiple_of: int = 1,
    ) -> Self:
        """The same groups with fences: how neighbours compare, and bounds that hold for every width.

        Raises:
            InputError: for an unknown order, a step below 1, or bounds that leave no width.

        >>> space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")))
        >>> fenced = space.fenced(order="increasing", multiple_of=8, max_width=32)
        >>> (8, 24) in fenced, (24, 8) in fenced, (8, 40) in fenced
        (True, False, False)
        """
        require_integer("smallest width", min_width)
        require_integer("multiple-of", multiple_of)
        if max_width is not None:
            require_integer("largest width", max_width)
        if order not in tuple(Order):
            raise unknown("order", order, Order)

        def narrowed(group: WidthGroup) -> WidthGroup:
            tops = [top for top in (group.maximum, max_width) if top is not None]
            return replace(
                group,
                minimum=max(group.minimum, min_width),
                maximum=min(tops, default=None),
                multiple_of=math.lcm(group.multiple_of, multiple_of),
            )

        step = None if max_step is None else parse_step(max_step)
        return replace(self, groups=tuple(map(narrowed, self.groups)), order=Order(order), max_step=step)

    def violation(self, layout: Layout) -> str | None:
        """The first fence the layout breaks, in words, or None."""
        if len(layout) != len(self.groups):
            return f"{len(layout)} widths for {len(self.groups)} groups"
        for group, width in zip(self.groups, layout, strict=True):
            if not group.allows(width):
                return f"width {width} of {group.name} is not allowed ({describe_choices(group)})"
        for index, (width, following) in enumerate(pairwise(layout)):
            names = f"widths {width}, {following} of {self.groups[index].name}, {self.groups[index + 1].name}"
            if not self.order.allows(width, following):
                return f"{names} are not {self.order}"
            if self.max_step is not None and not within_step(width, following, self.max_step):
                return f"{names} differ by more than the largest step {self.max_step}"
        return None

    def fences_reached(self, layout: Layout) -> list[str]:
        """Where a layout stands on a fence, in words: a wider fence might give a better one.

        >>> WidthSpace(groups=(WidthGroup(name="conv1", maximum=40),), order=Order.FREE).fences_reached((40,))
        ['conv1 = 40, the largest width allowed']
        """
        reached: list[str] = []
        for group, width in zip(self.groups, layout, strict=True):
            last = None if group.maximum is None else group.maximum // group.multiple_of * group.multiple_of
            if (width == group.first and group.first > group.multiple_of) or width == last:
                side = "largest" if width == last else "smallest"
                reached.append(f"{group.name} = {width}, the {side} width allowed")
        if self.max_step is not None:
            for group, a, b in zip(self.groups, layout, layout[1:], strict=False):
                large, small = max(a, b), min(a, b)
                if (large + 1) * self.max_step.denominator > small * self.max_step.numerator:
                    reached.append(f"step {a} to {b} after {group.name}, at the largest ratio {self.max_step}")
        return reached

    def successors(self, width: int) -> tuple[int, int | None]:
        """Smallest and largest width that order and step allow after ``width``; None where nothing limits it.

        >>> WidthSpace(groups=(WidthGroup(name="a"),), max_step=Fraction(3, 2)).successors(5)
        (4, 7)
        """
        low, high = 1, None
        if self.order is not Order.FREE:
            low = width + 1 if self.order is Order.INCREASING else width
        if self.max_step is not None:
            low = max(low, math.ceil(width / self.max_step))
            high = math.floor(width * self.max_step)
        return low, high


def within_step(width: int, following: int, step: Fraction) -> bool:
    """Whether two neighbours differ by at most the ratio ``step``, decided in integers."""
    large, small = max(width, following), min(width, following)
    return large * step.denominator <= small * step.numerator


def describe_choices(group: WidthGroup) -> str:
    """The widths a group may have, in words."""
    upper = "" if group.maximum is None else f", at most {group.maximum}"
    multiple = "" if group.multiple_of == 1 else f", a multiple of {group.multiple_of}"
    return f"at least {group.minimum}{upper}{multiple}"
