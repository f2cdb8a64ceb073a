"""Trained networks of one or several sizes as the fit sees them, and the fit: every size has a mean of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.energy import Score, Terms
from parlay.errors import InputError
from parlay.evidence.posterior import Posterior, posterior
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["Sample", "fit", "log_log", "prior_values", "reach_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Trained networks.

    Attributes:
        widths: (n, g), all at least 2.
        accuracy: (n,), one number each; any unit.
        sizes: (n,), labels: only networks of the same label are compared.
    """

    widths: IntArray
    accuracy: FloatArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.accuracy)

    def take(self, rows: IntArray) -> Sample:
        """Some of them."""
        return Sample(widths=self.widths[rows], accuracy=self.accuracy[rows], sizes=self.sizes[rows])


def log_log(widths: IntArray) -> FloatArray:
    """ln ln n; a width of 1 is taken for 1.5, since no model is fitted to minus infinity."""
    import numpy as np

    return np.log(np.log(np.maximum(widths, 1.5)))


def prior_values(score: Score, space: WidthSpace, widths: IntArray) -> FloatArray:
    """The score of every row of widths, (n,).

    Raises:
        InputError: when the score says nothing in this space, or is infinite.
    """
    import numpy as np

    terms: Terms = score.terms(space)
    total = np.zeros(len(widths))
    for g, parts in enumerate(terms.groups):
        for term in parts:
            total += term.values(widths[:, g])
    for (g, h), parts in terms.pairs.items():
        for term in parts:
            total += term.values(widths[:, g], widths[:, h])
    if not np.isfinite(total).all():
        raise InputError("networks", given="one of score minus infinity", allowed="widths of at least 2")
    if len(total) > 1 and np.ptp(total) < 1e-12:
        raise InputError(
            "score to start from", given=score.name, allowed="one that differs between the networks; try energy-layer"
        )
    return total


def reach_of(space: WidthSpace, features: FloatArray, prior: FloatArray) -> FloatArray:
    """r_g of ``posterior``, (g,): the root of the layers of every group, in units of the score.

    A unit of the score is taken for as much as a unit of energy-layer times the ratio of their standard deviations
    over these networks, so that a score that counts a layer half is not let go twice as far.

    Args:
        space: the groups.
        features: ln ln n less its mean, (n, g).
        prior: the score less its mean, (n,).
    """
    import numpy as np

    layers = np.array([group.multiplicity for group in space.groups], dtype=np.float64)
    energy = float((features @ layers).std())
    return np.sqrt(layers) * (float(prior.std()) / energy if energy > 0 else 1.0)


def fit(sample: Sample, values: FloatArray, space: WidthSpace) -> Posterior:
    """The posterior of one sample, with a mean of its own for every size.

    Args:
        sample: the networks.
        values: the score before, (n,).
        space: their groups.
    """
    import numpy as np

    labels, at, counts = np.unique(sample.sizes, return_inverse=True, return_counts=True)

    def centred(columns: FloatArray) -> FloatArray:  # n, k
        sums = np.zeros((len(labels), columns.shape[1]))
        np.add.at(sums, at, columns)
        return columns - (sums / counts[:, None])[at]

    features = centred(log_log(sample.widths))
    prior, accuracy = centred(values[:, None])[:, 0], centred(sample.accuracy[:, None])[:, 0]
    return posterior(
        features[None],
        prior[None],
        accuracy[None],
        reach=reach_of(space, features, prior),
        spread=float(np.sqrt((prior**2).mean())) or 1.0,
        freedom=len(sample) - len(labels),
    )
