"""95 % intervals of means, of differences of means and of shares; scipy's, behind plain floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["share_interval", "student_reach", "welch_interval"]


def student_reach(freedom: int) -> float:
    """How many standard errors a 95 % interval of Student's t reaches to each side.

    >>> round(student_reach(10), 3)
    2.228
    """
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def welch_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Interval of the mean of the first minus that of the second, of unequal variances; at least two of each.

    Two constant groups have an interval without width.

    >>> low, high = welch_interval([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.267, 4.267)
    """
    if len(set(first)) == 1 and len(set(second)) == 1:
        difference = first[0] - second[0]
        return difference, difference
    from scipy.stats import ttest_ind

    interval = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert math.isfinite(interval.low)
    return float(interval.low), float(interval.high)


def share_interval(successes: int, number: int) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval of a share.

    >>> low, high = share_interval(24, 24)
    >>> round(low, 3), high
    (0.858, 1.0)
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, number).proportion_ci()
    return float(interval.low), float(interval.high)
