"""What trained networks say about the weights of a score: a Bayesian linear model, many data sets at once.

The model, for networks of one size::

    accuracy = mu + s (p + sum_g d_g f_g) + sigma e,   d_g ~ N(0, (tau r_g)^2),   e ~ N(0, 1)

p is the score before calibration, f_g = ln ln n_g, r_g the square root of how many layers group g sets, in the score's
units: every layer's weight strays by a share tau of its own, and a group's weight is the sum of its layers'. The mean
mu is free. Of the rest three numbers are unknown, and the posterior is averaged over a grid of them, each point
weighted by its prior times its marginal likelihood: the share of the variance of accuracy that the score explains,
uniform from 0 to 1; the total variance, log-uniform around that of the sample; and tau, half-normal with a standard
deviation of one half. Given the three, everything is a ridge regression towards the score, in closed form.

``R`` data sets of ``n`` networks and ``g`` groups are worked at once; H is the number of grid points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["TAU", "Draws", "Posterior", "posterior"]

SHARES = (0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
SCALES = (0.4, 0.54, 0.74, 1.0, 1.36, 1.84, 2.5)
TAUS = (0.1, 0.2, 0.3, 0.45, 0.65, 0.9)
TAU = 0.5
"""Standard deviation of the half-normal prior of tau: a layer may well count half as much again as the score says."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Draws from the posterior.

    Attributes:
        scale: s, (R, S).
        extra: s d_g, (R, S, g).
    """

    scale: FloatArray
    extra: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """The posterior as a mixture of normals, one a grid point.

    Attributes:
        weights: of the grid points, (R, H); each row sums to 1.
        scales: s at every grid point, (R, H).
        noises: sigma^2 there, (R, H).
        taus: tau there, (H,).
        scale: posterior mean of s, (R,); accuracy for one unit of the score.
        extra: posterior mean of s d_g, (R, g).
    """

    weights: FloatArray
    scales: FloatArray
    noises: FloatArray
    taus: FloatArray
    scale: FloatArray
    extra: FloatArray
    _axes: FloatArray  # r_g x eigenvectors: (R, g, g)
    _centre: FloatArray  # mean of the coefficients along the axes: (R, H, g)
    _spread: FloatArray  # their standard deviation: (R, H, g)

    def draw(self, rng: np.random.Generator, count: int) -> Draws:
        """Independent draws, ``count`` for every data set."""
        import numpy as np

        sets = np.arange(len(self.scale))[:, None]
        steps = self.weights.cumsum(axis=1)
        at = np.stack([np.searchsorted(row, rng.random(count) * row[-1]) for row in steps])
        at = at.clip(max=steps.shape[1] - 1)  # R, S
        centre, spread = self._centre[sets, at], self._spread[sets, at]
        along = centre + spread * rng.standard_normal(centre.shape)
        return Draws(scale=self.scales[sets, at], extra=np.einsum("rij,rsj->rsi", self._axes, along))


def posterior(
    features: FloatArray, prior: FloatArray, accuracy: FloatArray, *, reach: FloatArray, spread: float, freedom: int
) -> Posterior:
    """The posterior of R data sets.

    Args:
        features: f_g less its mean over the networks compared, (R, n, g).
        prior: p less its mean, (R, n).
        accuracy: less its mean, (R, n).
        reach: r_g, (g,).
        spread: standard deviation of p over the networks among which the score is to choose.
        freedom: n less the number of means taken out.
    """
    import numpy as np

    scaled = features * reach
    values, vectors = np.linalg.eigh(np.einsum("rni,rnj->rij", scaled, scaled))
    values = values.clip(min=0.0)[:, None, :]  # R, 1, g
    on_axes = np.einsum("rni,rij->rnj", scaled, vectors)
    with_accuracy = np.einsum("rnj,rn->rj", on_axes, accuracy)[:, None, :]
    with_prior = np.einsum("rnj,rn->rj", on_axes, prior)[:, None, :]
    yy, yp, pp = ((a * b).sum(axis=1)[:, None] for a, b in ((accuracy, accuracy), (accuracy, prior), (prior, prior)))
    total = np.sqrt(yy / max(freedom, 1)) + 1e-12  # R, 1

    shares, factors, taus = (a.ravel() for a in np.meshgrid(SHARES, SCALES, TAUS, indexing="ij"))
    scale = total * factors * np.sqrt(shares) / spread  # R, H
    noise = (total * factors) ** 2 * (1 - shares)
    slack = ((scale * taus) ** 2)[..., None]  # R, H, 1
    variance = slack * values + noise[..., None]
    said = (total > 1e-9)[..., None]  # equal accuracies say nothing of the weights
    residual = with_accuracy - scale[..., None] * with_prior  # R, H, g
    gain = np.where(said, slack / variance, 0.0)
    left = yy - 2 * scale * yp + scale**2 * pp
    misfit = (left - (gain * residual**2).sum(axis=-1)) / noise
    growth = np.log(variance / noise[..., None]).sum(axis=-1)
    log = -0.5 * (misfit + growth + freedom * np.log(noise)) - 0.5 * (taus / TAU) ** 2
    weights = np.exp(log - log.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    axes = reach[:, None] * vectors
    centre = gain * residual
    return Posterior(
        weights=weights,
        scales=scale,
        noises=noise,
        taus=taus,
        scale=(weights * scale).sum(axis=1),
        extra=np.einsum("rij,rj->ri", axes, (weights[..., None] * centre).sum(axis=1)),
        _axes=axes,
        _centre=centre,
        _spread=np.sqrt(gain * noise[..., None]),
    )
