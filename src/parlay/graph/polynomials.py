"""From dimensions to exact polynomials in the widths of a layout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from parlay.errors import TraceError
from parlay.graph.call import Shape
from parlay.graph.dims import BATCH, CONSTANT, Dim, Unknowns
from parlay.resources import Resource

__all__ = ["Polynomial", "Variables", "dim_of", "product", "summed"]

Polynomial = dict[tuple[int, ...], int]
"""Sorted numbers of widths -> coefficient; the empty key is the constant."""


def dim_of(unknowns: Unknowns, dim: Dim) -> Polynomial:
    """The size of a dimension, for one image: the batch counts 1."""
    found: Polynomial = {}
    for segment in unknowns.resolve(dim):
        key = () if segment.width in (CONSTANT, BATCH) else (segment.width,)
        found[key] = found.get(key, 0) + segment.outer * segment.inner
    return found


def product(unknowns: Unknowns, dims: Shape, factor: int = 1) -> Polynomial:
    """The product of dimensions."""
    result: Polynomial = {(): factor}
    for dim in dims:
        by = dim_of(unknowns, dim)
        if len(by) == 1 and () in by:
            result = {key: value * by[()] for key, value in result.items()}
            continue
        longer: Polynomial = {}
        for a, x in result.items():
            for b, y in by.items():
                key = tuple(sorted((*a, *b)))
                longer[key] = longer.get(key, 0) + x * y
        result = longer
    return result


def summed(polynomials: Iterable[Polynomial]) -> Polynomial:
    """The sum."""
    total: Polynomial = {}
    for polynomial in polynomials:
        for key, value in polynomial.items():
            total[key] = total.get(key, 0) + value
    return total


@dataclass(frozen=True, kw_only=True)
class Variables:
    """How the unknowns of a trace become the widths of a layout.

    Attributes:
        index: number of an unknown -> index of its group.
        scale: number of an unknown -> channels that one unit of it stands for; a layout gives channels.
    """

    index: Mapping[int, int]
    scale: Mapping[int, int]

    def resource(self, name: str, polynomial: Polynomial) -> Resource:
        """A polynomial over the unknowns as a resource over the layout.

        Raises:
            TraceError: for a product of more than two widths.
        """
        linear: dict[int, Fraction] = {}
        quadratic: dict[tuple[int, int], Fraction] = {}
        for key, value in polynomial.items():
            coefficient = Fraction(value, math.prod(self.scale[width] for width in key))
            if len(key) == 1:
                linear[self.index[key[0]]] = linear.get(self.index[key[0]], Fraction(0)) + coefficient
            elif len(key) == 2:
                g, h = sorted(self.index[width] for width in key)
                quadratic[g, h] = quadratic.get((g, h), Fraction(0)) + coefficient
            elif key:
                raise TraceError(
                    f"{name}", found="a product of more than two widths", remedy="keep one of them with --pin"
                )
        parts = [*linear.values(), *quadratic.values()]
        divisor = math.lcm(*(part.denominator for part in parts)) if parts else 1
        return Resource.of(
            name,
            len(self.index),
            constant=polynomial.get((), 0) * divisor,
            linear={g: int(part * divisor) for g, part in linear.items()},
            quadratic={pair: int(part * divisor) for pair, part in quadratic.items()},
            divisor=divisor,
        )
