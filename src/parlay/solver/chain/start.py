"""Where the search on a chain begins: how far below its bound, and whether listing everything is quicker."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from parlay.layout import Order
from parlay.solver.chain.chain import Chain

__all__ = ["DEEP", "LARGEST_SLACK", "SMALL_LAYER", "first_steps", "pair_count", "seems_small", "without_zeros"]

DEEP = 16
"""Groups from which labels grow so fast with the distance below the root that steps are small. Measured on the
problems of benchmarks/RESULTS.md: with 40 the best 100 of 13 free layers take 1.7 times as long."""

LARGEST_SLACK = 2.0
"""In units of the score: so far below the root hardly a width is left out, so that all are listed. 0.2 and 20: the same
times."""

SMALL_LAYER, SMALL_WIDTHS = 20_000, 30_000
"""Spaces with no more partial layouts a group, and widths in all, are listed outright: quicker than any bound. Without
it small problems take up to 3.5 times as long, measured."""

SMALL_SHARE = 1_000
"""Partial layouts a layout asked for, from which bounds are quicker after all. With 50 one small problem took 1.8
times as long, with 20,000 none did, measured."""


def first_steps(chain: Chain, top_k: int) -> tuple[float, float]:
    """Where to begin: how far below the root the labels go at first, and how far the windows reach.

    The gap between root and optimum falls with the square of the widths, as whole widths lie closer then; labels grow
    like a power of the distance that rises with the depth, so deep chains begin with less. Only time hangs on it.
    """
    groups, order = chain.groups, chain.problem.space.order
    squared = max(1.0, chain.high / max(1, sum(chain.product) + sum(chain.square)))
    more = top_k ** (2.0 / max(1, groups - 1))  # layouts of the size within delta grow like its power (groups - 1) / 2
    if order is Order.FREE:
        factor = 8.0 if groups <= DEEP / 2 else 4.0 if groups <= DEEP else 1.0
        delta = min(3e-4, factor * max(1e-7, 0.03 / squared)) * more
        return delta, min(LARGEST_SLACK, 16.0 * delta)
    gap = (
        (4.0 * groups if order is Order.INCREASING else max(24.0, groups / 2))
        / squared
        * (more if top_k == 1 else 1.5 * more)
    )
    if groups <= DEEP / 2:
        return min(0.1, gap), min(LARGEST_SLACK, 2.0 * gap)
    return min(2.4e-3, gap / (8.0 if groups <= 8 * DEEP else 24.0)), min(LARGEST_SLACK, gap)


def seems_small(chain: Chain, top_k: int) -> bool:
    """Whether listing everything is worth a try: few widths, and few combinations, but for the last group, a layout."""
    counts = [chain.choice_count(g) for g in range(chain.groups)]
    if sum(counts) > SMALL_WIDTHS:
        return False
    combinations = math.prod(counts[:-1])
    ways = 1 if chain.problem.space.order is Order.FREE else math.factorial(chain.groups - 1)
    return combinations <= min(20 * SMALL_LAYER, SMALL_SHARE * (top_k + 2)) * ways


def pair_count(chain: Chain) -> int:
    """Pairs of widths of neighbouring groups, before any bound."""
    counts = [chain.choice_count(g) for g in range(chain.groups)]
    return sum(a * b for a, b in pairwise(counts)) if chain.groups > 1 else counts[0]


def without_zeros(chain: Chain) -> Chain:
    """The chain without the smallest widths whose score is -inf."""
    first = list(chain.first)
    smallest = np.array(first, dtype=np.int64)
    worthless = np.isneginf(chain.scores_upper(smallest, smallest, [1] * chain.groups))
    for g in np.flatnonzero(worthless).tolist():
        while first[g] <= chain.last[g] and np.isneginf(chain.score(g, np.array([first[g]]))[0]):
            first[g] += chain.stride[g]
    return chain.narrowed(first, chain.last)
