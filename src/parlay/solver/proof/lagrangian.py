"""The bound that the prices of one step give within its box, recomputed from the problem in a few sums.

Score plus prices times what is left of each limit bounds the score of every layout that keeps the limits. Products of
two groups are replaced by straight lines in ln w, so that the bound is a maximum a group over whole widths; those that
a step keeps exact are maximised by eliminating one group after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlay.problem import Dual
from parlay.solver.proof.rows import ProofRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["priced_bound"]

SECANT = 1e-9
"""Boxes whose products differ by less than this in ln have a tangent instead of a secant, which would be 0 / 0."""


def priced_bound(rows: ProofRows, dual: Dual) -> tuple[float, list[FloatArray]]:
    """The bound a dual gives within its box, and by group how far each width stays below the best one."""
    sums = _Lagrangian.of(rows, dual)
    kept = {pair: float(sums.joint[pair]) for pair in dual.exact}
    sums.straighten_products(dual, kept)
    sums.straighten_pairs(rows, dual, _scored(dual))
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

    def straighten_pairs(self, rows: ProofRows, dual: Dual, scored: set[tuple[int, int]]) -> None:
        """Replace every term of the score that joins two groups by its tangent, as it is concave in ln w.

        Those of the pairs ``scored`` are kept with their products.
        """
        if not dual.weight:
            return
        for (g, h), terms in rows.problem.terms.pairs.items():
            if (g, h) in scored:
                continue
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


def _scored(dual: Dual) -> set[tuple[int, int]]:
    """Pairs whose terms of the score are kept: where tables go over all widths, since chords take what is convex."""
    return set(dual.exact) if dual.weight and dual.grid == 0 else set()


def _secant(low: int, high: int) -> tuple[float, float, float]:
    """ln of the lower end, slope and value there of the line above e^s through both ends: e^s <= it between them."""
    middle, top = math.log(low), math.log(high)
    value = math.exp(middle)
    slope = value if top - middle < SECANT else (math.exp(top) - value) / (top - middle)
    return middle, slope, value


class _Message(NamedTuple):
    """What the group ``source`` adds at its best, over places of the widths of the groups ``scope``."""

    scope: tuple[int, ...]
    values: FloatArray
    source: int


class _Joined(NamedTuple):
    """One group's elimination: all that had it in one table, every width of the group itself on the first axis."""

    scope: tuple[int, ...]
    table: FloatArray
    sources: list[int]


def _eliminated(
    rows: ProofRows, dual: Dual, kept: dict[tuple[int, int], float], gains: list[FloatArray]
) -> tuple[float, list[FloatArray]]:
    """The largest sum of gains less the products kept, and how far each width of a group stays below it.

    One group after the other is taken at its best, seen from the groups it is still tied to; then back again. What a
    group leaves behind is convex in every width, since products are straight: chords between some widths bound it.
    """
    chords = [_Chords.over(len(gain), dual.grid) for gain in gains]
    steps: dict[int, _Joined] = {}
    messages: list[_Message] = []
    ties = dict(kept)
    rest = set(range(len(gains))) - set(dual.order)
    total = math.fsum(float(gains[g].max()) for g in sorted(rest))
    for group in dual.order:
        mine = [message for message in messages if group in message.scope]
        messages = [message for message in messages if group not in message.scope]
        here = {pair: price for pair, price in ties.items() if group in pair}
        ties = {pair: price for pair, price in ties.items() if group not in pair}
        seen = {g for message in mine for g in message.scope} | {g for pair in here for g in pair}
        scope = (group, *sorted(seen - {group}, key=dual.order.index))
        sizes = {g: len(chords[g].places) for g in scope} | {group: len(gains[group])}
        table = np.zeros([sizes[g] for g in scope])
        table += gains[group].reshape(-1, *[1] * (len(scope) - 1))
        for message in mine:
            values = chords[group].spread(message.values, message.scope.index(group))
            table += values.reshape([sizes[g] if g in message.scope else 1 for g in scope])
        for pair, price in here.items():
            other = pair[1] if pair[0] == group else pair[0]
            own: IntArray = np.arange(dual.low[group], dual.high[group] + 1, rows.stride[group], dtype=np.int64)
            theirs: IntArray = np.arange(dual.low[other], dual.high[other] + 1, rows.stride[other], dtype=np.int64)
            first, second = own[:, None], theirs[chords[other].places][None, :]
            charged: FloatArray = -price * (first.astype(np.float64) * second)
            for term in rows.problem.terms.pairs.get(pair, ()) if pair in _scored(dual) else ():
                charged = charged + (term.values(first, second) if pair[0] == group else term.values(second, first))
            table += charged.reshape([sizes[g] if g in pair else 1 for g in scope])
        steps[group] = _Joined(scope, table, [message.source for message in mine])
        if len(scope) > 1:
            messages.append(_Message(scope[1:], table.max(axis=0), group))
        else:
            total += float(table.max())
    below = [gain.max() - gain for gain in gains]
    for group, short in _short_through(steps, chords).items():
        below[group] = short
    return total, below


def _short_through(steps: dict[int, _Joined], chords: list[_Chords]) -> dict[int, FloatArray]:
    """How far the best sum with each width of the groups eliminated stays below the largest: from the last one back."""
    short: dict[int, FloatArray] = {}
    largest: dict[int, float] = {}  # group -> the largest sum of all that it is tied to
    outside: dict[int, FloatArray] = {}  # what the rest adds, seen from the groups that a step is tied to
    for group in reversed(steps):
        scope, table, sources = steps[group]
        if group in outside:
            table = table + outside[group]
        else:
            largest[group] = float(table.max())
        short[group] = np.maximum(largest[group] - table.reshape(len(table), -1).max(axis=1), 0.0)
        for source in sources:
            inner = steps[source]
            largest[source] = largest[group]
            gone = tuple(axis for axis, g in enumerate(scope) if g not in inner.scope)
            message = chords[group].spread(inner.table.max(axis=0), inner.scope[1:].index(group))
            outside[source] = chords[group].raised(table.max(axis=gone) - message)
    return short


class _Chords(NamedTuple):
    """Some places of a group's widths, both ends among them, and the chords between them.

    Attributes:
        places: ascending, shape (places,).
        shares: what each place counts at each width, shape (widths, places); none where all widths are places.
    """

    places: IntArray
    shares: FloatArray | None

    @classmethod
    def over(cls, count: int, grid: int) -> _Chords:
        """The places of ``count`` widths: all, or ``grid`` of them evenly."""
        if not 0 < grid < count:
            return cls(np.arange(count), None)
        places = np.array([step * (count - 1) // (grid - 1) for step in range(grid)])
        shares = np.zeros((count, grid))
        for step, (left, right) in enumerate(pairwise(places.tolist())):
            for width in range(left, right + 1):
                shares[width, [step, step + 1]] = (right - width) / (right - left), (width - left) / (right - left)
        return cls(places, shares)

    def spread(self, values: FloatArray, axis: int) -> FloatArray:
        """Values at the places of one axis as chords over all widths, this axis moved to the front."""
        if self.shares is None:
            return np.moveaxis(values, axis, 0)
        return np.tensordot(self.shares, values, axes=(1, axis))

    def raised(self, values: FloatArray) -> FloatArray:
        """Values at the places, so high that no chord between them is below ``values``, whose first axis has all."""
        if self.shares is None:
            return values
        at = values[self.places]
        top = at.copy()
        over = values - self.spread(at, 0)
        for step, (left, right) in enumerate(pairwise(self.places.tolist())):
            most = over[left : right + 1].max(axis=0)
            top[step] = np.maximum(top[step], at[step] + most)
            top[step + 1] = np.maximum(top[step + 1], at[step + 1] + most)
        return top
