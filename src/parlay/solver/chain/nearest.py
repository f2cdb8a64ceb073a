"""When no layout has the size asked for: the nearest sizes that have one."""

from __future__ import annotations

from collections.abc import Callable

from parlay.layout import Layout, Order, WidthSpace
from parlay.problem import Constraint, Nearest
from parlay.resources import PeakResource

__all__ = ["nearest_amounts"]

FURTHEST = 1 << 61
"""Larger amounts are not looked at: 64-bit sums end soon after."""

FIRST_SPAN = 64
"""Amounts looked at first: sizes of narrow networks lie closer than this."""

AmountWithin = Callable[[int, int], int | None]
"""(low, high) -> an amount in this range that some layout has, or None; raises TimeoutError when it cannot tell."""


def nearest_amounts(constraint: Constraint, space: WidthSpace, amount_within: AmountWithin) -> Nearest:
    """The largest amount below and the smallest above the range asked for that some layout has.

    Ranges are widened until one holds an amount, which is then drawn nearer by bisection.
    """
    low, high = constraint.minimum, constraint.maximum
    cheapest = _cheapest_layout(space)
    if cheapest is None and space.order is Order.INCREASING and space.max_step == 1:
        return Nearest()  # equal and increasing at once: no size has a layout
    smallest = constraint.resource(cheapest or tuple(group.first for group in space.groups))
    if cheapest is not None and high is not None and high < smallest:
        return Nearest(above=smallest)
    below, is_below_proven = (None, True) if low is None else _nearest_below(low - 1, smallest, amount_within)
    above, is_above_proven = (None, True)
    if high is not None:
        above, is_above_proven = _nearest_above(max(high + 1, smallest), _largest(constraint, space), amount_within)
    return Nearest(below=below, above=above, proven=is_below_proven and is_above_proven)


def _largest(constraint: Constraint, space: WidthSpace) -> int | None:
    """The amount of the largest widths; None where one has no end."""
    tops = [group.maximum for group in space.groups if group.maximum is not None]
    if len(tops) < len(space.groups) or isinstance(constraint.resource, PeakResource):
        return None
    return constraint.resource(tuple(tops))


def _cheapest_layout(space: WidthSpace) -> Layout | None:
    """The smallest widths that fences allow one after the other; None where these lead to a dead end."""
    widths: list[int] = []
    for group in space.groups:
        least = max(group.first, space.successors(widths[-1])[0]) if widths else group.first
        widths.append(-(-least // group.multiple_of) * group.multiple_of)
    layout = tuple(widths)
    return layout if layout in space else None


def _nearest_above(start: int, largest: int | None, amount_within: AmountWithin) -> tuple[int | None, bool]:
    found: int | None = None
    low, span = start, FIRST_SPAN
    try:
        while found is None and low <= (FURTHEST if largest is None else largest):
            found = amount_within(low, low + span - 1)
            if found is None:
                low, span = low + span, span * 8
        if found is None and largest is None:
            return None, False  # nothing as far as was looked, and no end in sight
        while found is not None and low < found:
            middle = (low + found - 1) // 2
            nearer = amount_within(low, middle)
            if nearer is None:
                low = middle + 1
            else:
                found = nearer
    except TimeoutError:
        return found, False
    return found, True


def _nearest_below(start: int, smallest: int, amount_within: AmountWithin) -> tuple[int | None, bool]:
    found: int | None = None
    high, span = start, FIRST_SPAN
    try:
        while found is None and high >= smallest:
            found = amount_within(max(high - span + 1, 0), high)
            if found is None:
                high, span = high - span, span * 8
        while found is not None and found < high:
            middle = (found + high + 2) // 2
            nearer = amount_within(middle, high)
            if nearer is None:
                high = middle - 1
            else:
                found = nearer
    except TimeoutError:
        return found, False
    return found, True
