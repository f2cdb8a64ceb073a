"""Layouts of one size to choose among, as a score and its weights see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parlay.energy import Score
from parlay.evidence.fitting import log_log, prior_values, reach_of
from parlay.evidence.posterior import TAU, TAUS, Posterior, posterior
from parlay.layout import WidthSpace

__all__ = ["Pool", "thompson"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Layouts of one size to choose among.

    Attributes:
        features: ln ln n of every layout and group, less its mean, (K, g).
        prior: the score before calibration, less its mean, (K,).
        reach: by how much every weight may stray, in the score's units, (g,); see ``reach_of``.
        spread: standard deviation of ``prior``.
    """

    features: FloatArray
    prior: FloatArray
    reach: FloatArray
    spread: float

    @staticmethod
    def of(widths: IntArray, *, space: WidthSpace, score: Score) -> Pool:
        """The pool of these layouts, (K, g).

        Raises:
            InputError: for a score that cannot tell them apart.
        """
        values, features = prior_values(score, space, widths), log_log(widths)
        features -= features.mean(axis=0)
        values -= values.mean()
        return Pool(
            features=features, prior=values, reach=reach_of(space, features, values), spread=float(values.std())
        )

    def __len__(self) -> int:
        return len(self.prior)

    def learn(self, seen: IntArray, accuracy: FloatArray) -> Posterior:
        """The posterior after these layouts, (R, t), and their accuracies, (R, t)."""
        sets, count = seen.shape
        if count < 3:  # the scale of accuracy is not known yet
            return _untaught(sets, reach=self.reach, spread=self.spread)
        features, prior = self.features[seen], self.prior[seen]
        return posterior(
            features - features.mean(axis=1, keepdims=True),
            prior - prior.mean(axis=1, keepdims=True),
            accuracy - accuracy.mean(axis=1, keepdims=True),
            reach=self.reach,
            spread=self.spread,
            freedom=count - 1,
        )

    def expected(self, found: Posterior) -> FloatArray:
        """Expected accuracy of every layout less the mean over all, (R, K)."""
        return found.scale[:, None] * self.prior + found.extra @ self.features.T


def thompson(pool: Pool, known: Posterior, taken: IntArray, rng: np.random.Generator) -> IntArray:
    """The next layout to train of R searches at once, (R,): the score's best first, then the best of one draw.

    Args:
        pool: the layouts.
        known: the posterior after what was trained.
        taken: places in the pool of those trained, (R, t).
        rng: of the draws.
    """
    if not taken.shape[1]:
        return np.full(len(taken), int(pool.prior.argmax()))
    draws = known.draw(rng, 1)
    worth = draws.scale * pool.prior + draws.extra[:, 0] @ pool.features.T  # R, K
    np.put_along_axis(worth, taken, -np.inf, axis=1)
    return worth.argmax(axis=1)


def _untaught(sets: int, *, reach: FloatArray, spread: float) -> Posterior:
    """What is believed before three networks are trained, with s = 1 and as much noise as signal."""
    taus = np.array(TAUS)
    shape = (sets, len(taus))
    weights = np.exp(-0.5 * (taus / TAU) ** 2)
    return Posterior(
        weights=np.broadcast_to(weights / weights.sum(), shape),
        scales=np.ones(shape),
        noises=np.full(shape, spread**2),
        taus=taus,
        scale=np.ones(sets),
        extra=np.zeros((sets, len(reach))),
        _axes=np.broadcast_to(np.diag(reach), (sets, len(reach), len(reach))),
        _centre=np.zeros((*shape, len(reach))),
        _spread=np.broadcast_to(taus[:, None], (*shape, len(reach))),
    )
