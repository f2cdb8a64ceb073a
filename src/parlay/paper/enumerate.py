"""Complete lists of layouts of one size, by loops and a division.

This shares nothing with the solver on purpose, so that Table 5 is checked along two independent routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

import numpy as np

from parlay.layout import Layout
from parlay.resources import Resource

__all__ = ["nondecreasing_layouts"]


def nondecreasing_layouts(resource: Resource, amount: int) -> list[Layout]:
    """Every layout with n_i <= n_{i+1} of exactly this amount, in ascending order.

    Widths but the last are tried one by one, as long as the rest can still be as wide; the last follows from what is
    left.

    Args:
        resource: at least two groups; only products of equal and adjacent groups, no negative coefficient.
        amount: what every layout must come to; small enough for 64-bit integers.

    >>> from parlay.families import plain
    >>> nondecreasing_layouts(plain(depth=2).kernels, 28)
    [(1, 25), (2, 11), (4, 4)]
    """
    pairs = {(g, h): c for g, h, c in resource.quadratic}
    assert resource.groups > 1 and resource.is_chain and min(resource.coefficients()) >= 0 and amount < 2**52
    last = resource.groups - 1

    def cost(group: int, width: int, before: int) -> int:
        product = pairs.get((group - 1, group), 0) * before
        return (resource.linear[group] + product + pairs.get((group, group), 0) * width) * width

    def widest(group: int, before: int, left: int) -> int:
        """The largest width that leaves room for later groups of at least the same width."""
        square = sum(c for (g, _), c in pairs.items() if g >= group)
        slope = sum(resource.linear[group:]) + pairs.get((group - 1, group), 0) * before
        return left // slope if square == 0 else (isqrt(slope * slope + 4 * square * left) - slope) // (2 * square)

    def extend(prefix: Layout, used: int) -> Iterator[Layout]:
        group, before = len(prefix), prefix[-1] if prefix else 1
        widths = range(before, widest(group, before, amount - used) + 1)
        if group < last - 1:
            for width in widths:
                yield from extend((*prefix, width), used + cost(group, width, before))
            return
        # The last two at once: c (group - 1 of them) and the root d of square d^2 + slope d = left.
        c = np.arange(widths.start, widths.stop, dtype=np.int64)
        product = pairs.get((group - 1, group), 0) * before
        left = amount - used - (resource.linear[group] + product + pairs.get((group, group), 0) * c) * c
        slope, square = resource.linear[last] + pairs.get((group, last), 0) * c, pairs.get((last, last), 0)
        root = 2 * left / (slope + np.sqrt(slope * slope + 4.0 * square * left))
        d = np.rint(root).astype(np.int64)
        exact = ((slope + square * d) * d == left) & (d >= c)
        for c_width, d_width in zip(c[exact].tolist(), d[exact].tolist(), strict=True):
            yield (*prefix, c_width, d_width)

    return list(extend((), resource.constant))
