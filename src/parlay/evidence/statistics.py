"""Coefficients of one bin: many scores against one accuracy, over networks of one size.

Shapes: ``scores`` is (scores, n) or (..., scores, n), ``accuracy`` (n,), results (scores,). What is not defined (a
constant input, too few networks) is NaN, never a warning. How sure a coefficient is: ``uncertainty``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parlay.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = [
    "concordances",
    "holm",
    "kendalls",
    "pearsons",
    "rank_partials",
    "ranks",
    "settled",
    "spearmans",
    "standard",
    "standard_ranks",
    "top_gains",
    "weighted_mean",
]

LEAST_LEFT = 1e-9
"""Share of a rank's variance below which covariates are taken to explain all of it."""
MOST_PAIRED = 1_000
"""Networks whose pairs are listed one by one; above, pairs are counted in n log n."""


def settled(values: FloatArray) -> FloatArray:
    """Values without what floating point adds: equal to 12 digits of the largest become equal, so that ties are ties.

    >>> import numpy as np
    >>> a = settled(np.array([0.1 + 0.2, 0.3, np.nan, -np.inf]))
    >>> bool(a[0] == a[1])
    True
    """
    import numpy as np

    finite = np.isfinite(values)
    if not finite.any():
        return np.array(values, dtype=np.float64)
    largest = float(np.abs(np.where(finite, values, 0.0)).max())
    step = 10.0 ** (np.floor(np.log10(largest)) - 11) if largest > 0 else 1.0
    return np.where(finite, np.round(np.where(finite, values, 0.0) / step) * step, values)


def ranks(values: FloatArray) -> FloatArray:
    """Ranks along the last axis, 1 for the least; ties get their mean rank."""
    from scipy.stats import rankdata

    return rankdata(values, axis=-1)


def pearsons(scores: FloatArray, accuracy: FloatArray) -> FloatArray:
    """Pearson's coefficient of every score; NaN where either is constant or not finite.

    >>> import numpy as np
    >>> pearsons(np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]), np.array([2.0, 4.0, 6.0])).round(6).tolist()
    [1.0, nan]
    """
    import numpy as np

    finite = np.asarray(np.isfinite(scores).all(axis=-1) & np.isfinite(accuracy).all(axis=-1))
    x, x_norm = _centred(np.where(finite[..., None], scores, 0.0))
    y, y_norm = _centred(accuracy)
    scale = x_norm * y_norm
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.clip((x * y).sum(-1) / scale, -1.0, 1.0)
    return np.where(finite & (scale > 0), found, np.nan)


def spearmans(scores: FloatArray, accuracy: FloatArray) -> FloatArray:
    """Spearman's coefficient of every score, ties at mean ranks; -inf is a legal score, lower than all others.

    >>> import numpy as np
    >>> spearmans(np.array([[1.0, 10.0, 100.0, -np.inf]]), np.array([2.0, 4.0, 3.0, 1.0])).round(6).tolist()
    [0.8]
    """
    return pearsons(ranks(scores), ranks(accuracy))


def kendalls(scores: FloatArray, accuracy: FloatArray) -> FloatArray:
    """Kendall's tau-b of every score: agreeing minus disagreeing pairs, ties corrected for.

    >>> import numpy as np
    >>> kendalls(np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]), np.array([1.0, 3.0, 2.0])).round(4).tolist()
    [0.3333, nan]
    """
    import numpy as np
    from scipy.stats import kendalltau

    y = ranks(accuracy)
    if len(y) < 2 or np.ptp(y) == 0:
        return np.full(len(scores), np.nan)
    rows = ranks(scores)
    return np.array([kendalltau(x, y, method="asymptotic")[0] if np.ptp(x) else np.nan for x in rows])


def rank_partials(scores: FloatArray, accuracy: FloatArray, covariates: Sequence[FloatArray]) -> FloatArray:
    """Rank correlation of every score and accuracy with the covariates' ranks regressed out of both.

    Pearson's coefficient of what is left of the ranks of either after linear regression on those of the covariates, as
    pingouin's ``partial_corr(method="spearman")``. A covariate that is constant here explains nothing; a score that is
    no more than the covariates is NaN. With one covariate it is (xy - xz yz) / sqrt((1 - xz^2)(1 - yz^2)) of the three
    Spearman coefficients.

    Args:
        scores: (..., n).
        accuracy, covariates: (n,), or (..., n) of as many axes as ``scores``.

    >>> import numpy as np
    >>> x, y, z = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0])
    >>> rank_partials(x, y, [z]).tolist(), rank_partials(x, y, []).round(6).tolist()
    ([nan], [0.8])
    """
    import numpy as np

    whole = [_centred(ranks(values))[0] for values in (scores, accuracy, *covariates)]
    left, explained = list(whole), np.zeros(1, dtype=np.int64)
    for place in range(2, len(left)):  # Gram and Schmidt: what is left of every later column without this one
        basis, total = left[place], (whole[place] ** 2).sum(-1, keepdims=True)
        length = (basis**2).sum(-1, keepdims=True)
        varied = length > LEAST_LEFT * np.where(total > 0, total, 1.0)
        explained = explained + (total[..., 0] > 0)
        for other in (0, 1, *range(place + 1, len(left))):
            share = (left[other] * basis).sum(-1, keepdims=True) / np.where(varied, length, 1.0)
            left[other] = left[other] - np.where(varied, share, 0.0) * basis
    kept = [(a**2).sum(-1) > LEAST_LEFT * (b**2).sum(-1) for a, b in zip(left[:2], whole[:2], strict=True)]
    enough = scores.shape[-1] - explained >= 3  # else no degree of freedom is left to be right or wrong in
    return np.where(kept[0] & kept[1] & enough, pearsons(left[0], left[1]), np.nan)


def standard(values: FloatArray) -> FloatArray:
    """Values along the last axis, centred and of length 1, so that products sum to Pearson's; 0 where constant."""
    import numpy as np

    centred, norm = _centred(values)
    return centred / np.where(norm > 0, norm, 1.0)[..., None]


def standard_ranks(values: FloatArray) -> FloatArray:
    """The same of ranks, so that products sum to Spearman's.

    >>> import numpy as np
    >>> a, b = standard_ranks(np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 8.0, 5.0, 9.0]]))
    >>> round(float(a @ b), 6)
    0.8
    """
    return standard(ranks(values))


def concordances(scores: FloatArray, accuracy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How many pairs of networks every score orders as accuracy does, and how many the other way, (scores,) each.

    Pairs that tie in accuracy or in the score are in neither.

    >>> import numpy as np
    >>> agree, disagree = concordances(np.array([[1.0, 2.0, 2.0]]), np.array([1.0, 3.0, 2.0]))
    >>> agree.tolist(), disagree.tolist()
    ([2.0], [0.0])
    """
    import numpy as np

    rows, target = ranks(scores), ranks(accuracy)  # ranks have no infinite differences
    if len(accuracy) > MOST_PAIRED:
        return _counted(rows, target)
    first, second = np.triu_indices(len(accuracy), 1)
    products = np.sign(rows[:, first] - rows[:, second]) * np.sign(target[first] - target[second])
    return (products > 0).sum(-1).astype(np.float64), (products < 0).sum(-1).astype(np.float64)


def _counted(rows: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same numbers of pairs without listing them: from tau-b, whose scale is known, and from how many pairs tie."""
    import numpy as np

    def tied(*columns: FloatArray) -> float:
        counts = np.unique(np.stack(columns), axis=1, return_counts=True)[1]
        return float((counts * (counts - 1) / 2).sum())

    pairs = len(target) * (len(target) - 1) / 2
    difference = np.nan_to_num(kendalls(rows, target)) * np.sqrt(
        [(pairs - tied(row)) * (pairs - tied(target)) for row in rows]
    )
    decided = np.array([pairs - tied(row) - tied(target) + tied(row, target) for row in rows])
    return np.round((decided + difference) / 2), np.round((decided - difference) / 2)


def top_gains(scores: FloatArray, judged: FloatArray, count: int) -> FloatArray:
    """Mean accuracy of every score's ``count`` best networks above the median of all, in the unit of ``judged``.

    Of networks that tie for the last places each counts with its chance of being taken.

    >>> import numpy as np
    >>> top_gains(np.array([[1.0, 5.0, 5.0, 2.0]]), np.array([1.0, 9.0, 7.0, 3.0]), 1).tolist()
    [3.0]
    """
    import numpy as np

    n = len(judged)
    if count >= n:
        return np.full(len(scores), np.nan)
    border = np.partition(scores, n - count, axis=-1)[:, n - count, None]
    above, level = scores > border, scores == border
    places = count - above.sum(-1, keepdims=True)
    shares = above + level * (places / level.sum(-1, keepdims=True))
    return shares @ judged / count - np.median(judged)


def weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over the last axis with NaN left out; NaN where nothing is left.

    >>> import numpy as np
    >>> weighted_mean(np.array([[1.0, np.nan, 4.0], [np.nan] * 3]), np.array([1.0, 5.0, 2.0])).tolist()
    [3.0, nan]
    """
    import numpy as np

    there = ~np.isnan(values)
    total = (there * weights).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (np.where(there, values, 0.0) * weights).sum(-1) / total, np.nan)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN stays NaN and is not counted (Holm 1979).

    Raises:
        InputError: for a number that is no probability.

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    import numpy as np

    given = np.asarray(p_values, dtype=np.float64)
    there = np.flatnonzero(~np.isnan(given))
    if ((given[there] < 0) | (given[there] > 1)).any():
        raise InputError("p-values", given=list(p_values), allowed="numbers from 0 to 1")
    adjusted = np.full(len(given), np.nan)
    highest = 0.0
    for place, index in enumerate(there[np.argsort(given[there], kind="stable")]):
        highest = max(highest, min(1.0, float(given[index]) * (len(there) - place)))
        adjusted[index] = highest
    return adjusted.tolist()


def _centred(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values minus their mean along the last axis, and the lengths of these, 0 exactly where they are constant."""
    import numpy as np

    centred = values - values.mean(-1, keepdims=True)
    varied = np.ptp(values, axis=-1) > 0 if values.shape[-1] else np.zeros(values.shape[:-1], dtype=bool)
    return centred, np.where(varied, np.sqrt((centred**2).sum(-1)), 0.0)
