"""What one training run is worth, and what even a perfect score cannot reach: both follow from runs that differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from parlay.evidence.statistics import concordances, settled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = [
    "by_one_run",
    "concordance_ceiling",
    "kendall_of",
    "one_run_concordances",
    "reliability",
    "spearman_of",
    "true_best_gain",
    "variances",
]


def by_one_run(accuracy: FloatArray, statistic: Callable[[FloatArray, FloatArray], FloatArray]) -> float:
    """A statistic with one run as the score and the mean of the other runs as the truth, averaged over which run.

    Args:
        accuracy: (n, runs); a network counts where it has the run and another.
        statistic: (1, n) scores and (n,) accuracies -> (1,).

    Returns:
        NaN where no network has two runs.

    >>> import numpy as np
    >>> from parlay.evidence.statistics import spearmans
    >>> round(by_one_run(np.array([[1.0, 1.5], [2.0, 2.5], [3.0, 2.8]]), spearmans), 6)
    1.0
    """
    import numpy as np

    found: list[float] = []
    for run in range(accuracy.shape[1]):
        others = np.delete(accuracy, run, axis=1)
        both = ~np.isnan(accuracy[:, run]) & ~np.isnan(others).all(1)
        if both.sum() >= 2:
            truth = settled(np.nanmean(others[both], axis=1))
            found.append(float(statistic(accuracy[both, run][None], truth)[0]))
    found = [value for value in found if not math.isnan(value)]
    return math.fsum(found) / len(found) if found else math.nan


def variances(accuracy: FloatArray) -> tuple[float, float]:
    """Variance of the networks' mean accuracies, and the part of it that is noise of the runs.

    The noise is the variance within networks, pooled over networks by degrees of freedom, divided by the harmonic mean
    of the numbers of runs.

    Returns:
        NaN for both with fewer than two networks, or without a network of two runs.

    >>> import numpy as np
    >>> [round(v, 6) for v in variances(np.array([[1.0, 3.0], [5.0, 7.0]]))]
    [8.0, 1.0]
    """
    import numpy as np

    there = ~np.isnan(accuracy)
    runs = there.sum(1)
    if len(accuracy) < 2 or runs.max() < 2:
        return math.nan, math.nan
    means = np.nanmean(accuracy, axis=1)
    inside = np.where(there, accuracy - means[:, None], 0.0)
    within = float((inside**2).sum() / (runs - 1).sum())
    return float(means.var(ddof=1)), within * float((1 / runs).mean())


def reliability(accuracy: FloatArray) -> float:
    """Share of the variance of mean accuracies that another set of runs would show again, 0 to 1.

    1 - noise / variance of the means; its square root is the correlation of the true accuracies with the noisy means
    (Spearman 1904, correction for attenuation). 0 where the noise is larger than all variance, NaN with one run each.
    """
    means, noise = variances(accuracy)
    if math.isnan(means) or means <= 0:
        return math.nan
    return max(0.0, 1 - noise / means)


def spearman_of(pearson: float) -> float:
    """Spearman's coefficient of two normal variables with that Pearson's: 6 / pi arcsin(r / 2) (Pearson 1907).

    As a ceiling it is somewhat too high where accuracies have a long tail, whose ranks noise mixes more.

    >>> spearman_of(0.0), round(spearman_of(1.0), 12)
    (0.0, 1.0)
    """
    return 6 / math.pi * math.asin(pearson / 2)


def kendall_of(pearson: float) -> float:
    """Kendall's tau of two normal variables with that Pearson's: 2 / pi arcsin r (Greiner 1909).

    >>> kendall_of(0.0), kendall_of(1.0)
    (0.0, 1.0)
    """
    return 2 / math.pi * math.asin(pearson)


def concordance_ceiling(bins: Sequence[FloatArray]) -> float:
    """Concordance at equal sizes that a perfect score would have with the mean of all runs but the first.

    Variances are pooled over the sizes, each with as many votes as it has pairs; tau follows as for normal accuracies.

    Args:
        bins: accuracies of every size, (n, runs) each, the target's runs only.
    """
    total = noise = 0.0
    for accuracy in bins:
        pairs = len(accuracy) * (len(accuracy) - 1) / 2
        means, inside = variances(accuracy)
        if not math.isnan(means):
            total, noise = total + pairs * means, noise + pairs * inside
    return kendall_of(math.sqrt(max(0.0, 1 - noise / total))) if total > 0 else math.nan


def true_best_gain(accuracy: FloatArray) -> float:
    """About how far the truly best network lies above the median, in the unit of ``accuracy``.

    The mean accuracies drawn together towards their mean until their variance is that of the true ones, then the
    largest minus the median: the shape of the means is kept, only the width that noise adds is taken away.
    """
    import numpy as np

    reliable = reliability(accuracy)
    if math.isnan(reliable):
        return math.nan
    means = np.nanmean(accuracy, axis=1)
    return math.sqrt(reliable) * float(means.max() - np.median(means))


def one_run_concordances(accuracy: FloatArray) -> tuple[float, float]:
    """Pairs that the first run orders as the mean of the others does, and the other way."""
    import numpy as np

    others = accuracy[:, 1:]
    both = ~np.isnan(accuracy[:, 0]) & ~np.isnan(others).all(1)
    if both.sum() < 2:
        return 0.0, 0.0
    agree, disagree = concordances(accuracy[both, :1].T, settled(np.nanmean(others[both], axis=1)))
    return float(agree[0]), float(disagree[0])
