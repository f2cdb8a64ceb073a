"""Pairs of layouts that separate energy from multiply-adds, chosen by a fixed rule from all layouts of one size.

In the paper's lists the two rise together, so no figure of them can tell which one accuracy follows. In free order
there are layouts of exactly one size that differ in one and hardly in the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from parlay.families import Family, plain
from parlay.layout import Layout, Order

__all__ = ["ENERGY", "MACS", "PAIRS", "MatchedPair", "matched_pairs"]

PAIRS = 6
"""Pairs of each of the two sorts."""

ENERGY, MACS = "energy", "macs"
LEAST_WIDTH = 8
TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class MatchedPair:
    """Two layouts of the same number of kernels.

    Attributes:
        differs: in what they are far apart: ``energy`` (their multiply-adds agree within 2 %) or ``macs`` (their
            energies do).
        high: the layout that has more of it.
        low: the other.
    """

    differs: str
    high: Layout
    low: Layout


@cache
def matched_pairs(kernels: int = 4288, depth: int = 4) -> tuple[MatchedPair, ...]:
    """Six pairs that differ in energy at equal multiply-adds, then six that differ in multiply-adds at equal energy.

    All layouts of exactly ``kernels`` kernels in free order with every width at least 8 take part. Six targets lie
    evenly between the 5 % and the 95 % quantile of the logarithm of what is to agree. At each, of the layouts within
    1 % of the target (so any two agree within 2 %), the pair farthest apart in the other quantity is taken whose
    parameters, classifier included, agree within 2 % as well; no layout is in two pairs.

    >>> pairs = matched_pairs()
    >>> len(pairs), pairs[3]
    (12, MatchedPair(differs='energy', high=(57, 29, 22, 83), low=(8, 245, 9, 11)))
    """
    import numpy as np

    from parlay.solver import list_layouts

    family: Family = plain(depth=depth)
    problem = family.problem(kernels=kernels, order=Order.FREE, min_width=LEAST_WIDTH)
    solutions = sorted(list_layouts(problem), key=lambda solution: solution.layout)
    layouts = [solution.layout for solution in solutions]
    energy = np.array([solution.log_energy for solution in solutions])  # finite: no width is 1
    macs = np.log([family.macs(layout) for layout in layouts])
    params = np.log([family.params(layout) for layout in layouts])
    found: list[MatchedPair] = []
    for differs, agrees, apart in ((ENERGY, macs, energy), (MACS, energy, macs)):
        free = np.ones(len(layouts), dtype=bool)
        least, most = (float(np.quantile(agrees, level)) for level in (0.05, 0.95))
        for place in range(PAIRS):
            target = least + (most - least) * place / (PAIRS - 1)
            near = np.flatnonzero(free & (np.abs(agrees - target) <= math.log1p(TOLERANCE / 2)))
            gaps = apart[near][:, None] - apart[near][None, :]
            same = np.abs(params[near][:, None] - params[near][None, :]) <= math.log1p(TOLERANCE)
            ends = divmod(int(np.argmax(np.where(same, gaps, -1.0))), len(near))
            high, low = (int(near[index]) for index in ends)
            free[[high, low]] = False
            found.append(MatchedPair(differs=differs, high=layouts[high], low=layouts[low]))
    return tuple(found)
