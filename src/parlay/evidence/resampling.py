"""Uncertainty: bootstrap intervals that resample whole sizes, and permutations that stay inside a bin.

Networks of one size are not independent: they share what that size can do, and a table's sizes are the repetitions
from which one may conclude to another size. With fewer than ``LEAST_CLUSTERS`` sizes these cannot be resampled; then
every network is its own cluster, and the statement is about these sizes only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parlay.evidence.statistics import spearmans, standard_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = [
    "LEAST_CLUSTERS",
    "cluster_draws",
    "fisher_interval",
    "interval",
    "network_draws",
    "permutation_p_values",
    "resampled_means",
]

LEAST_CLUSTERS = 10
LEVEL = 0.95
AT_ONCE = 1_000_000
"""Numbers held at once by one portion of resamples."""


def cluster_draws(clusters: int, resamples: int, seed: int) -> IntArray:
    """How often every cluster is in every bootstrap sample, (resamples, clusters)."""
    import numpy as np

    draw = np.random.default_rng([seed, 0])
    return draw.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)


def resampled_means(values: FloatArray, weights: FloatArray | IntArray, draws: IntArray) -> FloatArray:
    """Weighted means of every bootstrap sample, (rows, resamples); NaN in ``values`` (rows, clusters) is left out."""
    import numpy as np

    there = ~np.isnan(values)
    above = draws @ (np.where(there, values, 0.0) * weights).T  # resamples, rows
    below = draws @ (there * weights).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan).T


def interval(resampled: FloatArray, clusters: int) -> tuple[float, float]:
    """95 % percentile interval of bootstrap values, widened for few clusters.

    The percentiles are those that make the interval of a mean as wide as Student's t with ``clusters`` - 1 degrees of
    freedom would: the expanded percentile interval of Hesterberg (2015), without which ten clusters cover 90 % only.

    >>> import numpy as np
    >>> [round(end, 1) for end in interval(np.linspace(0.0, 1000.0, 10_001), 1000)]
    [24.8, 975.2]
    """
    import numpy as np
    from scipy.stats import norm, t

    known = resampled[~np.isnan(resampled)]
    if clusters < 2 or not len(known):
        return math.nan, math.nan
    share = norm.cdf(-math.sqrt(clusters / (clusters - 1)) * t.ppf((1 + LEVEL) / 2, clusters - 1))
    low, high = np.quantile(known, (share, 1 - share))
    return float(low), float(high)


def fisher_interval(values: FloatArray, counts: IntArray, *, covariates: int = 0) -> tuple[float, float]:
    """95 % interval of a mean of rank correlations over few bins, weighted by their sizes.

    Every bin's coefficient has, after Fisher's z, the variance (1 + r^2 / 2) / (n - 3 - covariates) of Bonett and
    Wright (2000); those of the weighted mean add up. One bin gives their interval.

    Args:
        values: coefficient of every bin, NaN where it is not defined, (bins,).
        counts: networks of every bin, (bins,).
        covariates: how many are given in a partial coefficient.

    >>> import numpy as np
    >>> [round(end, 2) for end in fisher_interval(np.array([0.87]), np.array([13]))]
    [0.54, 0.97]
    """
    import numpy as np
    from scipy.stats import norm

    there = ~np.isnan(values)
    r, n = np.clip(values[there], -0.9999, 0.9999), counts[there]
    if not len(r) or (n - 3 - covariates <= 0).any():
        return math.nan, math.nan
    weights = n / n.sum()
    mean = float(weights @ r)
    spread = (1 - r**2) * np.sqrt((1 + r**2 / 2) / (n - 3 - covariates))
    error = math.sqrt(float((weights**2) @ spread**2)) / (1 - mean**2)
    reach = float(norm.ppf((1 + LEVEL) / 2)) * error
    return math.tanh(math.atanh(mean) - reach), math.tanh(math.atanh(mean) + reach)


def network_draws(bins: Sequence[tuple[FloatArray, FloatArray]], resamples: int, seed: int) -> FloatArray:
    """Mean Spearman of bootstrap samples of networks drawn inside their bins, (scores, resamples).

    Args:
        bins: scores (scores, n) and accuracies (n,) of every bin.
        resamples: how many samples.
        seed: fixes them.
    """
    import numpy as np

    draw = np.random.default_rng([seed, 1])
    scores = len(bins[0][0])
    above, below = np.zeros((scores, resamples)), np.zeros((scores, resamples))
    for values, accuracy in bins:
        n = len(accuracy)
        portion = max(1, AT_ONCE // (n * scores))
        for start in range(0, resamples, portion):
            rows = draw.integers(0, n, (min(portion, resamples - start), n))
            found = spearmans(values[:, rows], accuracy[rows])
            there = ~np.isnan(found)
            above[:, start : start + portion] += n * np.where(there, found, 0.0)
            below[:, start : start + portion] += n * there
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def permutation_p_values(bins: Sequence[tuple[FloatArray, FloatArray]], resamples: int, seed: int) -> FloatArray:
    """Two-sided p-value of every score's mean Spearman: accuracies are exchanged inside bins only, (scores,).

    The share of permutations, the real order counted in, whose mean coefficient is at least as far from 0. NaN for a
    score without a coefficient.

    Args:
        bins: scores (scores, n) and accuracies (n,) of every bin.
        resamples: permutations; p is never below 1 / (resamples + 1).
        seed: fixes them.
    """
    import numpy as np

    draw = np.random.default_rng([seed, 2])
    ranked = [(standard_ranks(values), standard_ranks(accuracy)) for values, accuracy in bins]
    counts = np.array([len(accuracy) for _, accuracy in bins])
    defined = np.array([values.any(axis=1) & accuracy.any() for values, accuracy in ranked]).T  # scores, bins
    total = (defined * counts).sum(-1)
    weights = defined * counts / np.where(total > 0, total, 1)[:, None]
    left = np.hstack([values * weights[:, [b]] for b, (values, _) in enumerate(ranked)])  # scores, n
    right = np.concatenate([accuracy for _, accuracy in ranked])
    observed = np.abs(left @ right) - 1e-12
    owner = np.repeat(np.arange(len(bins)), counts).astype(np.float64)
    as_far = np.zeros(len(left), dtype=np.int64)
    portion = max(1, AT_ONCE // len(right))
    for start in range(0, resamples, portion):
        keys = owner + draw.random((min(portion, resamples - start), len(right)))
        shuffled = right[np.argsort(keys, axis=-1)]  # portion, n: every bin's accuracies within its own places
        as_far += (np.abs(left @ shuffled.T) >= observed[:, None]).sum(-1)
    return np.where(total > 0, (1 + as_far) / (1 + resamples), np.nan)
