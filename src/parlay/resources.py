"""Exact resources: integer polynomials of degree two in the widths.

Weights (Eq. 1), parameters, multiply-adds and bytes of any convolutional network have this form: a convolution
between two groups gives a product, equal layers of one unit a square, a batch norm a linear term. Python's integers are
used throughout, so nothing is ever rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from parlay.errors import InputError
from parlay.layout import Layout

__all__ = ["PeakResource", "RecountedPeak", "Resource", "largest_width"]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """R(w) = (constant + sum_g linear[g] w_g + sum_{g <= h} quadratic[g, h] w_g w_h) / divisor, in exact integers.

    Attributes:
        name: what is counted (``weights``, ``params``, ``macs``, ...).
        groups: how many widths a layout has.
        constant: the part that no width changes.
        linear: one coefficient a group.
        quadratic: (g, h, coefficient) with g <= h, sorted, each pair at most once.
        divisor: what the polynomial is divided by; above 1 only where grouped convolutions split widths, which then are
            multiples of the number of groups, so that nothing is left over.

    >>> weights = Resource.of("weights", 2, linear={0: 27}, quadratic={(0, 1): 9})
    >>> weights((35, 36))
    12285
    """

    name: str
    groups: int
    constant: int = 0
    linear: tuple[int, ...] = ()
    quadratic: tuple[tuple[int, int, int], ...] = ()
    divisor: int = 1

    def __post_init__(self) -> None:
        if type(self.divisor) is not int or self.divisor < 1:
            raise InputError(f"{self.name}: divisor", given=repr(self.divisor), allowed="an integer of at least 1")
        if len(self.linear) != self.groups:
            raise InputError(f"{self.name}: linear coefficients", given=len(self.linear), allowed=f"{self.groups}")
        pairs = [(g, h) for g, h, _ in self.quadratic]
        if pairs != sorted(set(pairs)) or not all(0 <= g <= h < self.groups for g, h in pairs):
            raise InputError(f"{self.name}: quadratic terms", given=pairs, allowed="sorted pairs g <= h, each once")

    @classmethod
    def of(
        cls,
        name: str,
        groups: int,
        *,
        constant: int = 0,
        linear: Mapping[int, int] | None = None,
        quadratic: Mapping[tuple[int, int], int] | None = None,
        divisor: int = 1,
    ) -> Resource:
        """Build a resource from sparse coefficients; the order within a pair does not matter."""
        terms: dict[tuple[int, int], int] = {}
        for (g, h), coefficient in (quadratic or {}).items():
            key = (min(g, h), max(g, h))
            terms[key] = terms.get(key, 0) + coefficient
        return cls(
            name=name,
            groups=groups,
            constant=constant,
            linear=tuple((linear or {}).get(g, 0) for g in range(groups)),
            quadratic=tuple((g, h, c) for (g, h), c in sorted(terms.items()) if c),
            divisor=divisor,
        )

    def __call__(self, layout: Layout) -> int:
        """The exact amount at a layout of ``groups`` widths.

        Raises:
            InputError: for another number of widths, or widths that the divisor does not divide.
        """
        if len(layout) != self.groups:
            raise InputError(f"{self.name}: widths", given=len(layout), allowed=f"{self.groups}, one a group")
        total = self.constant + sum(c * width for c, width in zip(self.linear, layout, strict=True))
        total += sum(c * layout[g] * layout[h] for g, h, c in self.quadratic)
        amount, rest = divmod(total, self.divisor)
        if rest:
            raise InputError(
                f"{self.name} of {'-'.join(map(str, layout))}",
                given=f"{total}/{self.divisor}",
                allowed="widths that every group of a grouped convolution shares evenly",
                remedy="see the multiples of the groups",
            )
        return amount

    @classmethod
    def total(cls, name: str, groups: int, parts: Iterable[Resource]) -> Resource:
        """The sum of any number of resources over the same groups; 0 for none.

        Raises:
            InputError: for a part over another number of groups.

        >>> parts = [Resource.of("a", 1, linear={0: 2}), Resource.of("b", 1, constant=5)]
        >>> Resource.total("both", 1, parts)((3,))
        11
        """
        parts = tuple(parts)
        divisor = math.lcm(*(part.divisor for part in parts))
        constant, linear, quadratic = 0, [0] * groups, dict[tuple[int, int], int]()
        for part in parts:
            if part.groups != groups:
                raise InputError("sum of resources", given=(groups, part.groups), allowed="equal numbers of groups")
            factor = divisor // part.divisor
            constant += factor * part.constant
            for g, c in enumerate(part.linear):
                if c:
                    linear[g] += factor * c
            for g, h, c in part.quadratic:
                quadratic[g, h] = quadratic.get((g, h), 0) + factor * c
        return cls.of(
            name, groups, constant=constant, linear=dict(enumerate(linear)), quadratic=quadratic, divisor=divisor
        )

    def __add__(self, other: Resource) -> Resource:
        """The sum of two resources over the same groups, under the name of the first."""
        return Resource.total(self.name, self.groups, (self, other))

    def times(self, factor: int) -> Resource:
        """The resource in other units, such as bytes for elements.

        >>> Resource.of("elements", 1, linear={0: 2}).times(4)((3,))
        24
        """
        common = math.gcd(factor, self.divisor)
        factor //= common
        return Resource(
            name=self.name,
            groups=self.groups,
            constant=factor * self.constant,
            linear=tuple(factor * c for c in self.linear),
            quadratic=tuple((g, h, factor * c) for g, h, c in self.quadratic),
            divisor=self.divisor // common,
        )

    def coefficients(self) -> Iterable[int]:
        """Every coefficient but the constant."""
        yield from self.linear
        yield from (c for _, _, c in self.quadratic)

    @property
    def is_chain(self) -> bool:
        """Whether every product joins a group to itself or to the next one."""
        return all(h - g <= 1 for g, h, _ in self.quadratic)


@dataclass(frozen=True, kw_only=True)
class PeakResource:
    """The largest of several resources, one for each point of a program, such as peak activation memory.

    >>> a, b = Resource.of("a", 1, linear={0: 2}), Resource.of("b", 1, constant=5)
    >>> PeakResource(name="peak", points=(a, b))((2,)), PeakResource(name="peak", points=(a, b))((3,))
    (5, 6)
    """

    name: str
    points: tuple[Resource, ...]

    def __call__(self, layout: Layout) -> int:
        """The exact amount at a layout."""
        return max(point(layout) for point in self.points)


@dataclass(frozen=True, kw_only=True)
class RecountedPeak(PeakResource):
    """A peak of which the points are a least amount: what is counted at a layout itself may be more.

    A solver bounds with the points and asks for the amount of every layout that it would keep.

    Attributes:
        recount: the amount at a layout, however it is found.

    >>> points = (Resource.of("bytes", 1, linear={0: 2}),)
    >>> arena = RecountedPeak(name="arena", points=points, recount=lambda layout: 16 * -(-2 * layout[0] // 16))
    >>> arena((8,)), arena((9,))
    (16, 32)
    """

    recount: Callable[[Layout], int] = field(compare=False, repr=False)

    def __call__(self, layout: Layout) -> int:
        """The exact amount at a layout."""
        return max(super().__call__(layout), self.recount(layout))


def largest_width(square: int, slope: int, budget: int) -> int | None:
    """The largest whole w >= 0 with square w^2 + slope w <= budget; -1 when there is none, None when every w fits.

    >>> largest_width(9, 27, 1_000), largest_width(0, 0, 5), largest_width(0, 3, -1)
    (9, None, -1)
    """
    if budget < 0:
        return -1
    if square == 0:
        return None if slope == 0 else budget // slope
    return (math.isqrt(slope * slope + 4 * square * budget) - slope) // (2 * square)
