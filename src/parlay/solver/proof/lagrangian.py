"""The bound that the prices of one step give within its box, recomputed from the problem in a few sums.

Score plus prices times what is left of each limit bounds the score of every layout that keeps the limits. Products of
two groups are replaced by straight lines in ln w, so that the bound is a maximum a group over whole widths; those that
a step keeps exact are maximised by eliminating one group after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlay.problem import Dual
from parlay.solver.proof.rows import ProofRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["priced_bound"]

SECANT = 1e-9
"""Boxes whose products differ by less than this in ln have a tangent instead of a secant, which would be 0 / 0."""


def priced_bound(rows: ProofRows, dual: Dual) -> tuple[float, list[FloatArray]]:
    """The bound a dual gives within its box, and by group how far each width stays below the best one."""
    sums = _Lagrangian.of(rows, dual)
    kept = {pair: float(sums.joint[pair]) for pair in dual.exact}
    sums.straighten_products(dual, kept)
    sums.straighten_pairs(rows, dual)
    gains = sums.gains(rows, dual)
    if kept:
        total, below = _eliminated(rows, dual, kept, gains)
        return sums.constant + total, below
    total = math.fsum(float(gain.max()) for gain in gains)
    return sums.constant + total, [gain.max() - gain for gain in gains]


@dataclass(kw_only=True)
class _Lagrangian:
    """constant + sum of log ln w - linear w - square w^2 - joint products: what is added to the score of the groups.

    Attributes:
        constant: a number.
        log, linear, square: one coefficient a group, shape (groups,).
        joint: coefficients of the products of two groups, symmetric, shape (groups, groups).
    """

    constant: float
    log: FloatArray
    linear: FloatArray
    square: FloatArray
    joint: FloatArray

    @classmethod
    def of(cls, rows: ProofRows, dual: Dual) -> _Lagrangian:
        """Prices times what the limits leave, and prices of fences in ln w of the larger side."""
        groups = len(dual.low)
        constant, linear, log, joint = 0.0, np.zeros(groups), np.zeros(groups), np.zeros((groups, groups))
        for sign, prices in ((1.0, dual.upper), (-1.0, dual.lower)):
            for constraint, point, price in prices:
                row = rows.named[constraint, point]
                limit = row.high if sign > 0 else row.low
                assert limit is not None
                constant += sign * price * (limit - row.constant)
                linear += sign * price * row.linear
                joint += sign * price * row.matrix
        for kind, g, price in dual.fences:
            fence = rows.fences[kind, g]
            constant += price * math.log(fence.up / fence.down)
            log[fence.second] += price
        square = np.diag(joint) / 2
        np.fill_diagonal(joint, 0.0)
        return cls(constant=constant, log=log, linear=linear, square=square, joint=joint)

    def straighten_products(self, dual: Dual, kept: dict[tuple[int, int], float]) -> None:
        """Replace every product that is not kept by a line in ln w which never charges more than the product."""
        centre = np.log(np.array(dual.centre))
        for g, h in np.argwhere(np.triu(self.joint)).tolist():
            if (g, h) in kept:
                continue
            price = float(self.joint[g, h])
            if price > 0:  # e^s >= e^c (1 + s - c)
                middle = float(centre[g] + centre[h])
                slope = value = math.exp(middle)
            else:
                middle, slope, value = _secant(dual.low[g] * dual.low[h], dual.high[g] * dual.high[h])
            self.constant -= price * (value - slope * middle)
            self.log[g] -= price * slope
            self.log[h] -= price * slope

    def straighten_pairs(self, rows: ProofRows, dual: Dual) -> None:
        """Replace every term of the score that joins two groups by its tangent, as it is concave in ln w."""
        if not dual.weight:
            return
        for (g, h), terms in rows.problem.terms.pairs.items():
            at = dual.centre[g], dual.centre[h]
            for term in terms:
                a, b = term.slopes(*at)
                self.constant += term.at(*at) - a * math.log(at[0]) - b * math.log(at[1])
                self.log[g] += a
                self.log[h] += b

    def gains(self, rows: ProofRows, dual: Dual) -> list[FloatArray]:
        """What each width of each group adds to the bound; products that are kept are left out."""
        gains: list[FloatArray] = []
        shifted = [(rows.fences[kind, g], price) for kind, g, price in dual.fences]
        for g, (low, high) in enumerate(zip(dual.low, dual.high, strict=True)):
            widths = np.arange(low, high + 1, rows.stride[g], dtype=np.int64)
            gain = self.log[g] * np.log(widths) - self.linear[g] * widths
            gain -= self.square[g] * widths.astype(float) ** 2
            for term in rows.problem.terms.groups[g] if dual.weight else ():
                gain = gain + term.values(widths)
            for fence, price in shifted:
                if fence.first == g:
                    gain = gain - price * np.log(widths + fence.shift)
            gains.append(gain)
        return gains


def _secant(low: int, high: int) -> tuple[float, float, float]:
    """ln of the lower end, slope and value there of the line above e^s through both ends: e^s <= it between them."""
    middle, top = math.log(low), math.log(high)
    value = math.exp(middle)
    slope = value if top - middle < SECANT else (math.exp(top) - value) / (top - middle)
    return middle, slope, value


class _Factor(NamedTuple):
    """A table over the widths of some groups; ``source`` is the group whose elimination made it, if one did."""

    scope: tuple[int, ...]
    values: FloatArray
    source: int | None


class _Joined(NamedTuple):
    """One group's elimination: all factors that had it in one table, the group itself on the first axis."""

    scope: tuple[int, ...]
    table: FloatArray
    sources: list[int]


def _eliminated(
    rows: ProofRows, dual: Dual, kept: dict[tuple[int, int], float], gains: list[FloatArray]
) -> tuple[float, list[FloatArray]]:
    """The largest sum of gains less the products kept, and how far each width of a group stays below it.

    One group after the other is taken at its best, seen from the groups it is still tied to; then back again.
    """
    steps: dict[int, _Joined] = {}
    factors = _factors(rows, dual, kept, gains)
    rest = set(range(len(gains))) - set(dual.order)
    total = math.fsum(float(gains[g].max()) for g in sorted(rest))
    for group in dual.order:
        step = steps[group] = _joined([factor for factor in factors if group in factor.scope], dual.order)
        factors = [factor for factor in factors if group not in factor.scope]
        if len(step.scope) > 1:
            factors.append(_Factor(step.scope[1:], step.table.max(axis=0), group))
        else:
            total += float(step.table.max())
    below = [gain.max() - gain for gain in gains]
    for group, best in _best_through(steps).items():
        below[group] = best.max() - best
    return total, below


def _factors(rows: ProofRows, dual: Dual, kept: dict[tuple[int, int], float], gains: list[FloatArray]) -> list[_Factor]:
    """The gains of the groups to be eliminated, and the products that are kept."""
    factors = [_Factor((g,), gains[g], None) for g in dual.order]
    for (g, h), price in kept.items():
        first: FloatArray = np.arange(dual.low[g], dual.high[g] + 1, rows.stride[g], dtype=np.float64)
        second: FloatArray = np.arange(dual.low[h], dual.high[h] + 1, rows.stride[h], dtype=np.float64)
        factors.append(_Factor((g, h), -price * first[:, None] * second[None, :], None))
    return factors


def _joined(factors: list[_Factor], order: tuple[int, ...]) -> _Joined:
    """The sum of some factors as one table, its axes in the order of elimination."""
    sizes = {g: size for scope, values, _ in factors for g, size in zip(scope, values.shape, strict=True)}
    scope = tuple(sorted(sizes, key=order.index))
    table = np.zeros([sizes[g] for g in scope])
    for factor in factors:
        axes = sorted(range(len(factor.scope)), key=lambda axis, factor=factor: order.index(factor.scope[axis]))
        table += factor.values.transpose(axes).reshape([sizes[g] if g in factor.scope else 1 for g in scope])
    return _Joined(scope, table, [factor.source for factor in factors if factor.source is not None])


def _best_through(steps: dict[int, _Joined]) -> dict[int, FloatArray]:
    """For every width of the groups eliminated, the best sum with it: from the last group back to the first."""
    best: dict[int, FloatArray] = {}
    outside: dict[int, FloatArray] = {}  # what the rest adds, seen from the groups that a step is tied to
    for group in reversed(steps):
        scope, table, sources = steps[group]
        if group in outside:
            table = table + outside[group]
        best[group] = table.reshape(len(table), -1).max(axis=1)
        for source in sources:
            inner = steps[source]
            gone = tuple(axis for axis, g in enumerate(scope) if g not in inner.scope)
            outside[source] = table.max(axis=gone) - inner.table.max(axis=0)
    return best
