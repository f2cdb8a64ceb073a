"""Whether fitted weights rank networks that the fit did not see.

Networks are left out in pairs and the fit is asked for their order: a single network left out would tell the fit its
accuracy through the mean of the others (Airola et al., 2011, on leave-pair-out).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from parlay.evidence.fitting import Sample, fit, log_log
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["HeldOut", "hold_out"]

ALL_PAIRS = 24
"""Networks up to which every pair is left out in turn; above, random tenths."""

MOST_PAIRS = 5000
RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Pairs that the fit did not see: agreeing less disagreeing ones over both.

    Attributes:
        pairs: how many.
        calibrated, prior: concordance of the weights and of the score before, on the same pairs.
        low, high: 95 % bootstrap interval, over networks, of calibrated - prior.
    """

    pairs: int
    calibrated: float
    prior: float
    low: float
    high: float


def hold_out(sample: Sample, values: FloatArray, space: WidthSpace, rng: np.random.Generator) -> HeldOut | None:
    """Order of pairs left out together, by the weights fitted without them and by the score before."""
    import numpy as np

    blocks = _blocks(sample, rng)
    most = max(1, MOST_PAIRS // max(len(blocks), 1))
    all_pairs: list[IntArray] = []
    all_right: list[FloatArray] = []
    for block in blocks:
        kept = np.setdiff1d(np.arange(len(sample)), block)
        if len(kept) < 3:
            continue
        found = fit(sample.take(kept), values[kept], space)
        rated = found.scale[0] * values[block] + log_log(sample.widths[block]) @ found.extra[0]
        a, b = _pairs_of(len(block), most, rng)
        i, j = block[a], block[b]
        truth = np.sign(sample.accuracy[i] - sample.accuracy[j])
        told = (truth != 0) & (sample.sizes[i] == sample.sizes[j])
        right = np.stack([truth * np.sign(rated[a] - rated[b]), truth * np.sign(values[i] - values[j])], axis=1)
        all_pairs.append(np.stack([i, j], axis=1)[told])
        all_right.append(right[told])
    if not sum(map(len, all_pairs)):
        return None
    pairs, right = np.concatenate(all_pairs), np.concatenate(all_right)
    if len(pairs) > MOST_PAIRS:
        kept = rng.choice(len(pairs), MOST_PAIRS, replace=False)
        pairs, right = pairs[kept], right[kept]
    times = rng.multinomial(len(sample), np.full(len(sample), 1 / len(sample)), size=RESAMPLES)
    both = times[:, pairs[:, 0]] * times[:, pairs[:, 1]]  # resamples, pairs
    some = both.sum(axis=1) > 0
    differences = (both[some] @ (right[:, 0] - right[:, 1])) / both[some].sum(axis=1)
    low, high = np.quantile(differences, (0.025, 0.975))
    calibrated, before = right.mean(axis=0)
    return HeldOut(
        pairs=len(pairs), calibrated=float(calibrated), prior=float(before), low=float(low), high=float(high)
    )


def _pairs_of(count: int, most: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Places of all pairs of ``count`` things, or of some drawn at random where there are many."""
    import numpy as np

    if count <= 200:
        return np.triu_indices(count, 1)
    first, second = rng.integers(count, size=(2, 100 * most))
    ordered = first < second
    return first[ordered], second[ordered]


def _blocks(sample: Sample, rng: np.random.Generator) -> list[IntArray]:
    """Networks to leave out together: every pair of few, random tenths of many."""
    import numpy as np

    count = len(sample)
    if count <= ALL_PAIRS:
        return [np.array(pair) for pair in combinations(range(count), 2) if len(set(sample.sizes[list(pair)])) == 1]
    repeats = max(1, min(10, 4000 // count))
    return [np.sort(block) for _ in range(repeats) for block in np.array_split(rng.permutation(count), 10)]
