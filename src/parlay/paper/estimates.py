"""The numbers that decide claims: each an estimate with a 95 % interval, over layouts or over seeds.

Layouts are the units wherever a claim is about layouts in general; where it is about two layouts in particular, seeds
are, with the spread between seeds pooled over every layout of the panel that was trained more than once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from parlay.evidence import Correlation, correlate, partial_correlate
from parlay.evidence.outcome import LEAST_LAYOUTS
from parlay.evidence.uncertainty import RESAMPLES, share_interval, student_reach, welch_interval
from parlay.paper.points import PanelPoint, pooled_spread

__all__ = [
    "Estimate",
    "agreement",
    "difference_of_groups",
    "difference_of_two",
    "mean_with_interval",
    "near_energies",
    "rank_correlation",
    "rank_correlation_given_macs",
    "share_beaten",
]

NEAR = 0.02
"""Energies that differ by less are called approximate: our reading of the paper's word, fixed before the runs."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and how sure it is.

    Attributes:
        value: the estimate; None where there is not enough to make one.
        low, high: 95 % interval; None where there is not enough for one.
        n: how many units it rests on.
        note: what is missing, or what else should be known.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""


def rank_correlation(points: Sequence[PanelPoint]) -> Estimate:
    """Spearman of energy and accuracy over layouts, bootstrap over layouts; at least 8 of them."""
    return _coefficient(points, correlate([p.log_energy for p in points], [p.accuracy for p in points]))


def rank_correlation_given_macs(points: Sequence[PanelPoint]) -> Estimate:
    """Rank correlation of energy and accuracy with multiply-adds taken out; at least 8 layouts."""
    found = partial_correlate(
        [p.log_energy for p in points], [p.accuracy for p in points], [float(p.macs) for p in points]
    )
    return _coefficient(points, found)


def difference_of_two(high: PanelPoint | None, low: PanelPoint | None, points: Sequence[PanelPoint]) -> Estimate:
    """Accuracy of one layout minus that of another, in points; Student's t with the panel's pooled spread of seeds.

    Args:
        high, low: the two; None where one was not trained.
        points: every layout of the panel, for the spread.

    >>> one = dict(role="sampled", note="", macs=1, log_energy=0.0)
    >>> a = PanelPoint(layout=(4,), accuracies=(72.0, 74.0), **one)
    >>> b = PanelPoint(layout=(5,), accuracies=(70.0, 70.0), **one)
    >>> found = difference_of_two(a, b, [a, b])
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (3.0, -1.3, 7.3)
    """
    if high is None or low is None:
        return Estimate(note="one of the two layouts has no run")
    value = high.accuracy - low.accuracy
    runs = len(high.accuracies) + len(low.accuracies)
    spread, freedom = pooled_spread(points)
    if freedom < 2:
        return Estimate(value=value, n=runs, note="one seed each: no spread between seeds to judge it by")
    error = spread * math.sqrt(1 / len(high.accuracies) + 1 / len(low.accuracies))
    reach = student_reach(freedom) * error
    return Estimate(value=value, low=value - reach, high=value + reach, n=runs)


def difference_of_groups(upper: Sequence[PanelPoint], lower: Sequence[PanelPoint]) -> Estimate:
    """Mean accuracy of some layouts minus that of others, in points; Welch's interval, layouts as units."""
    n = len(upper) + len(lower)
    if len(upper) < 3 or len(lower) < 3:
        return Estimate(n=n, note="fewer than three layouts in a group")
    a, b = [p.accuracy for p in upper], [p.accuracy for p in lower]
    value = math.fsum(a) / len(a) - math.fsum(b) / len(b)
    low, high = welch_interval(a, b)
    return Estimate(value=value, low=low, high=high, n=n)


def mean_with_interval(values: Sequence[float]) -> Estimate:
    """A mean and Student's interval; at least three values.

    >>> found = mean_with_interval([1.0, 2.0, 3.0])
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    n = len(values)
    if n < 3:
        return Estimate(
            value=math.fsum(values) / n if n else None, n=n, note=f"only {n} of at least 3" if n else "no runs yet"
        )
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    reach = student_reach(n - 1) * deviation / math.sqrt(n)
    return Estimate(value=mean, low=mean - reach, high=mean + reach, n=n)


def share_beaten(chosen: Sequence[PanelPoint], sampled: Sequence[PanelPoint]) -> Estimate:
    """Share of the sampled layouts that a chosen layout beats on average, ties half; 1 is the very top.

    For several chosen layouts the interval is a bootstrap over both groups, for one the exact binomial interval over
    the sampled ones. At least 8 sampled layouts.
    """
    if not chosen or len(sampled) < LEAST_LAYOUTS:
        n = len(chosen) + len(sampled)
        return Estimate(
            n=n, note="no runs yet" if n == 0 else f"{len(chosen)} chosen and {len(sampled)} sampled layouts"
        )
    import numpy as np

    a, b = np.array([p.accuracy for p in chosen]), np.array([p.accuracy for p in sampled])
    wins = (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    value = float(wins.mean())
    if len(chosen) == 1:
        low, high = share_interval(int(wins.sum()), len(sampled))
        return Estimate(value=value, low=low, high=high, n=1 + len(sampled))
    draw = np.random.default_rng(0)
    rows = draw.integers(0, len(a), (RESAMPLES, len(a)))
    columns = draw.integers(0, len(b), (RESAMPLES, len(b)))
    drawn = wins[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
    low, high = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
    return Estimate(value=value, low=low, high=high, n=len(a) + len(b))


def near_energies(points: Sequence[PanelPoint]) -> Estimate:
    """Mean difference in accuracy of neighbours in energy that agree within 2 %, as a share of the panel's range.

    At least five such neighbours. Student's interval; neighbours that share a layout make it somewhat too narrow.
    """
    ranked = sorted(points, key=lambda point: (point.log_energy, point.layout))
    near = [
        abs(a.accuracy - b.accuracy)
        for a, b in pairwise(ranked)
        if math.isfinite(a.log_energy) and b.log_energy - a.log_energy <= math.log1p(NEAR)
    ]
    accuracies = [point.accuracy for point in points]
    reach = max(accuracies, default=0.0) - min(accuracies, default=0.0)
    if len(near) < 5 or not reach:
        return Estimate(
            n=len(near), note="fewer than five neighbours within 2 % of energy" if points else "no runs yet"
        )
    return mean_with_interval([difference / reach for difference in near])


def agreement(first: Sequence[PanelPoint], second: Sequence[PanelPoint]) -> Estimate:
    """Spearman of two lists of accuracies over the layouts that both have; at least five."""
    other = {point.layout: point.accuracy for point in second}
    shared = [(point.accuracy, other[point.layout]) for point in first if point.layout in other]
    if len(shared) < 5:
        return Estimate(n=len(shared), note=f"{len(shared)} layouts under both, at least 5 are needed")
    found = correlate([a for a, _ in shared], [b for _, b in shared])
    return Estimate(value=found.value, low=found.low, high=found.high, n=len(shared))


def _coefficient(points: Sequence[PanelPoint], found: Correlation) -> Estimate:
    if len(points) < LEAST_LAYOUTS:
        note = f"{len(points)} layouts, at least {LEAST_LAYOUTS} are needed" if points else "no runs yet"
        return Estimate(value=found.value, n=len(points), note=note)
    return Estimate(value=found.value, low=found.low, high=found.high, n=found.n)
