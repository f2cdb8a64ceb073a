"""Trained networks of one or several sizes, and the fit to them: every size has a mean of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.evidence.designs import Pool, log_log, reach_of
from parlay.evidence.posterior import Posterior, posterior
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["Sample", "fit"]


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


def fit(sample: Sample, values: FloatArray, space: WidthSpace, *, pool: Pool | None = None) -> Posterior:
    """The posterior of one sample, with a mean of its own for every size.

    Args:
        sample: the networks.
        values: the score before, (n,).
        space: their groups.
        pool: layouts whose spread sets the units of the prior; the sample's own where None.
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
        reach=reach_of(space, features, prior) if pool is None else pool.reach,
        spread=(float(np.sqrt((prior**2).mean())) or 1.0) if pool is None else pool.spread,
        freedom=len(sample) - len(labels),
    )
