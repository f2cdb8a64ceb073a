"""Every layout of a small problem, by plain enumeration: what the certificate compares an answer with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from parlay.layout import Layout, Order, WidthSpace
from parlay.problem import Constraint, Problem
from parlay.resources import PeakResource, RecountedPeak, Resource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["enumerated", "float_scores"]

LARGEST_DEPTH = 64
"""Groups from which a problem is not enumerated: it would hardly ever be small."""

RECOUNT = 1_000
"""Extensions of partial layouts that take about as long as recounting one layout: some milliseconds."""

LARGEST_AMOUNT = 1 << 62
"""Sums of 64-bit integers below this cannot wrap around."""


def enumerated(problem: Problem, effort: int) -> IntArray | None:
    """Every layout that keeps fences and constraints, one a row; None when that would cost more than ``effort``.

    Group by group; each partial layout goes on with the widths that fences allow and that fit the budget with the
    cheapest widths behind them, in the last group with exactly those that meet it.
    """
    space = problem.space
    if len(space.groups) > LARGEST_DEPTH:
        return None
    points = [len(c.resource.points) if isinstance(c.resource, PeakResource) else 1 for c in problem.constraints]
    effort = 3 * effort // max(3, sum(points))  # every point of a peak is a resource of its own
    table = np.zeros((1, 0), dtype=np.int64)
    for g in range(len(space.groups)):
        top = _largest_width(problem, g)
        if top is None or _overflows(problem, g, top):
            return None
        low, high = _fenced(space, g, table, top)
        longer = _extended(problem, table, low, high, effort)
        if longer is None:
            return None
        table = longer
        effort -= len(table)
    if any(isinstance(constraint.resource, RecountedPeak) for constraint in problem.constraints):
        if len(table) * RECOUNT > effort:
            return None
        kept = [not problem.violations(tuple(row)) for row in table.tolist()]
        table = table[np.array(kept, dtype=bool)]
    return table


def _extended(problem: Problem, table: IntArray, low: IntArray, high: IntArray, effort: int) -> IntArray | None:
    """Partial layouts with one more width, from ``low`` to ``high`` each; None if they are more than ``effort``."""
    g = int(table.shape[1])
    is_last = g == len(problem.space.groups) - 1
    stride = problem.space.groups[g].multiple_of
    count = (high - low) // stride + 1
    if not is_last and _at_least(problem, table, low, count, effort) > effort:
        return None
    for constraint in problem.constraints:
        count = _count_within(problem, constraint, table, low, count)
    skip = np.zeros_like(count)
    for constraint in problem.constraints if is_last else ():
        skip = np.maximum(skip, _count_below(problem, constraint, table, low, count))
    count = np.maximum(count - skip, 0)
    if int(count.sum()) > effort:
        return None
    rows = np.repeat(np.arange(len(table)), count)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    widths = low[rows] + (skip[rows] + place) * stride
    return np.concatenate([table[rows], widths[:, None]], axis=1)


def _overflows(problem: Problem, g: int, top: int) -> bool:
    tops = tuple(max(top, 1) if h >= g else 1 for h in range(len(problem.space.groups)))
    step = problem.space.max_step
    if step is not None and top * max(step.numerator, step.denominator) >= LARGEST_AMOUNT:
        return True
    return any(_amount(constraint.resource, tops) >= LARGEST_AMOUNT for constraint in problem.constraints)


def _amount(resource: Resource | PeakResource, layout: Layout) -> int:
    """The amount, rounded down: on the way to a layout widths need not be what a divisor asks for."""
    if isinstance(resource, PeakResource):
        return max(_amount(point, layout) for point in resource.points)
    total = resource.constant + sum(c * width for c, width in zip(resource.linear, layout, strict=True))
    return (total + sum(c * layout[g] * layout[h] for g, h, c in resource.quadratic)) // resource.divisor


def _fenced(space: WidthSpace, g: int, table: IntArray, top: int) -> tuple[IntArray, IntArray]:
    """Smallest and largest width of group g that order, step and bounds allow after each partial layout."""
    group = space.groups[g]
    low, high = np.full(len(table), group.first, dtype=np.int64), np.full(len(table), top, dtype=np.int64)
    if g:
        before = table[:, -1]
        if space.order is not Order.FREE:
            low = np.maximum(low, before + (1 if space.order is Order.INCREASING else 0))
        if space.max_step is not None:
            up, down = space.max_step.numerator, space.max_step.denominator
            low = np.maximum(low, -(-before * down // up))
            high = np.minimum(high, before * up // down)
    low = -(-low // group.multiple_of) * group.multiple_of
    return low, np.maximum(high, low - 1)


def _cheapest(problem: Problem, table: IntArray, widths: IntArray) -> IntArray:
    """Partial layouts with one more width each and the smallest conceivable ones behind."""
    after = _least_after(problem.space, widths, int(table.shape[1]))
    return np.concatenate([table, widths[:, None], after], axis=1)


def _at_least(problem: Problem, table: IntArray, low: IntArray, count: IntArray, effort: int) -> int:
    """A number of longer partial layouts that exist for certain, from one look at each partial layout."""
    if len(table) == 0:
        return 0
    stride = problem.space.groups[int(table.shape[1])].multiple_of
    place = np.minimum(np.maximum(count, 1) - 1, 2 * max(effort, 0) // len(table) + 1)
    probe = _cheapest(problem, table, low + place * stride)
    fits = count > 0
    for constraint in problem.constraints:
        if constraint.maximum is not None:
            fits = fits & (_amounts(constraint.resource, probe) <= constraint.maximum)
    return int((place[fits] + 1).sum())


def _count_within(
    problem: Problem, constraint: Constraint, table: IntArray, low: IntArray, count: IntArray
) -> IntArray:
    """How many of the widths from ``low`` on fit a constraint's upper bound; its amounts grow with every width."""
    if constraint.maximum is None:
        return np.maximum(count, 0)
    limit = constraint.maximum
    return _first(problem, constraint, table, low, count, lambda amounts: amounts > limit)


def _count_below(problem: Problem, constraint: Constraint, table: IntArray, low: IntArray, count: IntArray) -> IntArray:
    """How many of the widths from ``low`` on stay below a constraint's lower bound, in the last group."""
    if constraint.minimum is None:
        return np.zeros_like(count)
    limit = constraint.minimum
    return _first(problem, constraint, table, low, count, lambda amounts: amounts >= limit)


def _first(
    problem: Problem,
    constraint: Constraint,
    table: IntArray,
    low: IntArray,
    count: IntArray,
    is_reached: Callable[[IntArray], NDArray[np.bool_]],
) -> IntArray:
    """By bisection, the first of ``count`` widths from ``low`` on at which the amount reaches something."""
    left, right = np.zeros_like(count), np.maximum(count, 0)
    stride = problem.space.groups[int(table.shape[1])].multiple_of

    def reached_at(place: IntArray) -> NDArray[np.bool_]:
        return is_reached(_amounts(constraint.resource, _cheapest(problem, table, low + place * stride)))

    left = np.where((right > 0) & ~reached_at(np.maximum(right - 1, 0)), right, left)  # often none reaches it
    while (left < right).any():
        middle = (left + right) // 2
        reached = reached_at(middle)
        active = left < right
        right = np.where(active & reached, middle, right)
        left = np.where(active & ~reached, middle + 1, left)
    return left


def _least_after(space: WidthSpace, last: IntArray, g: int) -> IntArray:
    """Lower bounds on the widths after group g, one column each, given the last widths chosen, shape (n,)."""
    after = space.groups[g + 1 :]
    least = np.array([group.first for group in after], dtype=np.int64)
    if space.order is Order.FREE:
        return np.broadcast_to(least, (len(last), len(after)))
    steps = np.arange(1, len(after) + 1) if space.order is Order.INCREASING else np.zeros(len(after), dtype=np.int64)
    return np.maximum(least, last[:, None] + steps)


def _amounts(resource: Resource | PeakResource, table: IntArray) -> IntArray:
    if isinstance(resource, PeakResource):
        return np.maximum.reduce([_amounts(point, table) for point in resource.points])
    linear, first, second, coefficient = _columns(resource)
    return (table @ linear + (table[:, first] * table[:, second]) @ coefficient + resource.constant) // resource.divisor


@lru_cache(maxsize=64)
def _columns(resource: Resource) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Linear coefficients; first group, second group and coefficient of every product."""
    table = np.array(resource.quadratic, dtype=np.int64).reshape(-1, 3)
    return np.array(resource.linear, dtype=np.int64), table[:, 0], table[:, 1], table[:, 2].copy()


def _largest_width(problem: Problem, g: int) -> int | None:
    """The largest width of group g that constraints and bounds leave, the others at their smallest."""
    smallest = [group.first for group in problem.space.groups]
    grows = problem.space.order is not Order.FREE
    limits = [_largest_for(c.resource, c.maximum, smallest, g, grows=grows) for c in problem.constraints]
    known = [limit for limit in (*limits, problem.space.groups[g].maximum) if limit is not None]
    return min(known, default=None)


def _largest_for(
    resource: Resource | PeakResource, maximum: int | None, smallest: list[int], g: int, *, grows: bool
) -> int | None:
    """By doubling and bisection: the largest width of group g within the budget; None when nothing limits it."""
    if maximum is None:
        return None

    def fits(width: int) -> bool:
        after = [max(least, width) if grows else least for least in smallest[g + 1 :]]
        return _amount(resource, (*smallest[:g], width, *after)) <= maximum

    if not fits(smallest[g]):
        return smallest[g] - 1
    high = smallest[g]
    while fits(high):
        if high > 1 << 45:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def float_scores(problem: Problem, table: IntArray) -> FloatArray:
    """The score of every layout, one a row, in floats: shape (layouts,)."""
    total = np.zeros(len(table))
    terms = problem.terms
    for g, parts in enumerate(terms.groups):
        for term in parts:
            total = total + term.values(table[:, g])
    for (g, h), parts in terms.pairs.items():
        for term in parts:
            total = total + term.values(table[:, g], table[:, h])
    return total
