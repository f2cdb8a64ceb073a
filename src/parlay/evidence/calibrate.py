"""Weights of the energy fitted to trained networks, with what is known about them and whether they help.

The fit is that of ``posterior``: towards the score it starts from, so that few trainings do not make it worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from parlay.calibrated import KIND, CalibratedScore, GroupWeight
from parlay.energy import RECOMMENDED, LogLog, Score, get_score
from parlay.errors import InputError
from parlay.evidence.fitting import Sample, fit, prior_values
from parlay.evidence.heldout import HeldOut, hold_out
from parlay.evidence.population import Population, bins
from parlay.evidence.posterior import Posterior
from parlay.evidence.scores import score_values
from parlay.evidence.statistics import spearmans
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = [
    "LEAST",
    "Calibration",
    "FittedWeight",
    "Rest",
    "calibrate",
    "calibrate_population",
]

LEAST = 4
"""Networks below which nothing is fitted."""

DRAWS = 4000


@dataclass(frozen=True, kw_only=True)
class FittedWeight(GroupWeight):
    """A weight as it was fitted: the mean of its posterior, with the interval.

    Attributes:
        sd: posterior standard deviation.
        low, high: 95 % interval.
    """

    sd: float
    low: float
    high: float

    @property
    def is_new(self) -> bool:
        """Whether the interval leaves the weight before out."""
        return not self.low <= self.prior <= self.high


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Networks of the same size that the fit did not see: Spearman with the mean of their runs.

    Attributes:
        networks: how many.
        calibrated, prior: coefficients of the weights and of the score before.
    """

    networks: int
    calibrated: float
    prior: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Fitted weights and how far they can be trusted.

    Attributes:
        prior: name of the score they start from.
        weights: one a group.
        networks, sizes: how many trained networks, of how many sizes.
        scale: accuracy, in its own unit, for one unit of the score.
        noise: standard deviation of one accuracy about the model.
        tau: by how much the weight of a layer strays from the prior's, as a share.
        held_out: pairs the fit did not see; None where there are none.
        warnings: what the data cannot support, in words.
        rest: other networks, where there are any.
    """

    prior: str
    weights: tuple[FittedWeight, ...]
    networks: int
    sizes: int
    scale: float
    noise: float
    tau: float
    held_out: HeldOut | None
    warnings: tuple[str, ...]
    rest: Rest | None = None

    def score(self, name: str = "calibrated") -> CalibratedScore:
        """The score that ``solve`` maximises."""
        weights = [replace(one, weight=round(one.weight, 6)) for one in self.weights]
        return CalibratedScore(name=name, prior=self.prior, weights=weights, warnings=self.warnings)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, what ``--score calibrated:FILE`` reads."""
        return {
            "kind": KIND,
            "prior": self.prior,
            "networks": self.networks,
            "sizes": self.sizes,
            "scale": self.scale,
            "noise": self.noise,
            "tau": self.tau,
            "weights": [
                {
                    "group": w.group,
                    "layers": w.layers,
                    "prior": w.prior,
                    "weight": round(w.weight, 6),
                    "sd": w.sd,
                    "interval": [w.low, w.high],
                }
                for w in self.weights
            ],
            "held_out": None
            if self.held_out is None
            else {
                "pairs": self.held_out.pairs,
                "calibrated": self.held_out.calibrated,
                "prior": self.held_out.prior,
                "difference_interval": [self.held_out.low, self.held_out.high],
            },
            "rest": None
            if self.rest is None
            else {"networks": self.rest.networks, "calibrated": self.rest.calibrated, "prior": self.rest.prior},
            "warnings": list(self.warnings),
        }

    def summary(self) -> str:
        """What the fit rests on, how it ranks what it did not see, and the warnings, in lines."""
        sizes = "one size" if self.sizes == 1 else f"{self.sizes} sizes"
        lines = [
            f"{self.networks} networks of {sizes}; one unit of the score is worth {self.scale:.3g} in accuracy, "
            f"one accuracy strays by {self.noise:.3g}"
        ]
        held, rest = self.held_out, self.rest
        if held is not None:
            lines.append(
                f"pairs held out, agreeing less disagreeing: {held.calibrated:.2f} by the weights, {held.prior:.2f} by "
                f"{self.prior} (difference {held.low:+.2f} to {held.high:+.2f}; {held.pairs:,} pairs)"
            )
        if rest is not None:
            lines.append(
                f"the {rest.networks} other networks of the size, Spearman: {rest.calibrated:.3f} by the weights, "
                f"{rest.prior:.3f} by {self.prior}"
            )
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def calibrate(sample: Sample, *, space: WidthSpace, prior: str = RECOMMENDED, seed: int = 0) -> Calibration:
    """Fit the weights of a score to trained networks.

    Args:
        sample: the networks.
        space: their width groups, with how many layers each sets, and connections where the score needs them.
        prior: name of the score to start from, one that ``solve`` can maximise.
        seed: of the draws that the intervals rest on, and of the pairs left out.

    Raises:
        InputError: for fewer than four networks, sizes with one network only, or a score that tells none apart.

    >>> import numpy as np
    >>> from parlay.layout import WidthGroup, WidthSpace
    >>> widths = np.array([(a, 64 - a) for a in range(8, 57, 4)])
    >>> accuracy = np.log(np.log(widths)) @ np.array([3.0, 1.0]) + 0.01 * (np.arange(13) % 3)
    >>> sample = Sample(widths=widths, accuracy=accuracy, sizes=np.zeros(13, dtype=int))
    >>> space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")))
    >>> found = calibrate(sample, space=space, prior="energy-layer")
    >>> found.weights[0].weight > 1 > found.weights[1].weight
    True
    """
    import numpy as np

    if len(sample) < LEAST:
        raise InputError("networks", given=len(sample), allowed=f"at least {LEAST} trained ones of one size")
    labels, counts = np.unique(sample.sizes, return_counts=True)
    sample = sample.take(np.flatnonzero(np.isin(sample.sizes, labels[counts > 1])))
    if len(sample) < LEAST:
        raise InputError("networks", given="sizes with one network each", allowed="several of one size to compare")
    score = get_score(prior)
    values = prior_values(score, space, sample.widths)
    found = fit(sample, values, space)
    rng = np.random.default_rng([seed, 0])
    draws = found.draw(rng, DRAWS)
    weights = _weights(space, _counts(score, space), found, draws.scale[0], draws.extra[0])
    held_out = hold_out(sample, values, space, np.random.default_rng([seed, 1]))
    return Calibration(
        prior=prior,
        weights=weights,
        networks=len(sample),
        sizes=int((counts > 1).sum()),
        scale=float(found.scale[0]),
        noise=float(np.sqrt((found.weights * found.noises).sum())),
        tau=float((found.weights * found.taus).sum()),
        held_out=held_out,
        warnings=_warnings(sample, weights, held_out),
    )


def calibrate_population(
    population: Population,
    *,
    bin_width: float | None = None,
    count: int | None = None,
    size: int | None = None,
    prior: str | None = None,
    seed: int = 0,
) -> Calibration:
    """Fit the weights to the networks of a table or a study.

    Without ``count`` every network counts once, with the mean of its runs. With it, that many networks of one size are
    drawn at random, one run of each, as if they alone had been trained, and the others of the size judge the weights.

    Args:
        population: the networks.
        bin_width: what is one size, as ``bins`` takes it.
        count: how many to draw.
        size: which bin to draw from, by a size in it; the one with most networks where None.
        prior: the score to start from; by default the recommended one, or energy-group without the network.
        seed: of everything drawn.

    Raises:
        InputError: when there are too few networks of one size, or the population lacks what the score needs.
    """
    import numpy as np

    prior = prior or (RECOMMENDED if population.space.steps else "energy-group")
    score_values(prior, population)  # refused where the population lacks what it needs
    space = population.space
    wide = np.flatnonzero((population.widths > 1).all(axis=1))
    left_out = len(population) - len(wide)
    if left_out:  # a width of 1 has energy 0, of which there is no logarithm to fit
        note = f"{left_out} with a width of 1 left out: their energy is 0"
        found = calibrate_population(
            population.take(wide), bin_width=bin_width, count=count, size=size, prior=prior, seed=seed
        )
        return replace(found, warnings=(*found.warnings, note))
    rows = bins(population, bin_width, least=2)
    if not rows:
        raise InputError("networks", given="none two of one size", allowed="some of one size", remedy="raise --bin")
    labels = np.full(len(population), -1)
    for label, members in enumerate(rows):
        labels[members] = label
    if count is None:
        every = np.concatenate(rows)
        sample = Sample(widths=population.widths[every], accuracy=population.mean_accuracy[every], sizes=labels[every])
        return calibrate(sample, space=space, prior=prior, seed=seed)
    members = _members(population, rows, size)
    if not LEAST <= count < len(members):
        allowed = f"an integer from {LEAST} to {len(members) - 1}, the bin has {len(members)} networks"
        raise InputError("networks to draw", given=count, allowed=allowed)
    rng = np.random.default_rng([seed, 2])
    drawn = members[rng.permutation(len(members))]
    trained, others = drawn[:count], drawn[count:]
    known = ~np.isnan(population.accuracy[trained])
    one_run = np.array([rng.choice(np.flatnonzero(runs)) for runs in known])
    sample = Sample(
        widths=population.widths[trained],
        accuracy=population.accuracy[trained, one_run],
        sizes=labels[trained],
    )
    found = calibrate(sample, space=space, prior=prior, seed=seed)
    judged = population.take(others)
    both = [prior_values(score, space, judged.widths) for score in (found.score(), get_score(prior))]
    weighed, before = spearmans(np.array(both), judged.mean_accuracy)
    return replace(found, rest=Rest(networks=len(others), calibrated=float(weighed), prior=float(before)))


def _members(population: Population, rows: Sequence[IntArray], size: int | None) -> IntArray:
    if size is None:
        return max(rows, key=len)
    sizes = population.sizes
    around = [members for members in rows if sizes[members].min() <= size <= sizes[members].max()]
    if not around:
        nearest = min((int(sizes[row]) for members in rows for row in members), key=lambda known: abs(known - size))
        raise InputError("size", given=size, allowed=f"one of {population.size_name} in the table; nearest {nearest}")
    return around[0]


def _counts(score: Score, space: WidthSpace) -> list[float]:
    """What the score puts before ln ln n of every group."""
    return [float(sum(term.count for term in terms if isinstance(term, LogLog))) for terms in score.terms(space).groups]


def _weights(
    space: WidthSpace, before: list[float], found: Posterior, scale: FloatArray, extra: FloatArray
) -> tuple[FittedWeight, ...]:
    """Weights in units of the score: what is added, over s, draws weighted by s so that their mean is the weight."""
    import numpy as np

    added = extra / scale[:, None]  # S, g
    share = scale / scale.sum()
    middle = share @ added
    deviation = np.sqrt(share @ (added - middle) ** 2)
    order = np.argsort(added, axis=0)
    reached = share[order].cumsum(axis=0)
    weights: list[FittedWeight] = []
    for g, group in enumerate(space.groups):
        low, high = (added[order[min(np.searchsorted(reached[:, g], q), DRAWS - 1), g], g] for q in (0.025, 0.975))
        weights.append(
            FittedWeight(
                group=group.name,
                layers=group.multiplicity,
                prior=before[g],
                weight=before[g] + float(found.extra[0, g] / found.scale[0]),
                sd=float(deviation[g]),
                low=before[g] + float(low),
                high=before[g] + float(high),
            )
        )
    return tuple(weights)


def _warnings(sample: Sample, weights: Sequence[FittedWeight], held_out: HeldOut | None) -> tuple[str, ...]:
    import numpy as np

    found: list[str] = []
    if np.ptp(sample.accuracy) == 0:
        found.append("all accuracies are equal: the weights are those of the score before")
    if len(sample) < 2 * len(weights):
        found.append(f"{len(sample)} networks for {len(weights)} weights: most of what they say is the score before")
    fixed = [w.group for g, w in enumerate(weights) if np.ptp(sample.widths[:, g]) == 0]
    if fixed:
        found.append(f"{', '.join(fixed)} had one width only: nothing is known of its weight")
    if not any(w.is_new for w in weights):
        found.append("every interval holds the weight before: the data do not speak against the score; keep it")
    if held_out is None:
        found.append("no pair of networks could be held out: nothing shows that the weights rank better")
    elif held_out.low <= 0:
        found.append(
            f"the {held_out.pairs:,} pairs held out do not show that the weights rank better than the score before"
        )
    against = [w.group for w in weights if w.weight <= 0 < w.prior]  # beside pair terms it is a correction
    if against:
        found.append(f"{', '.join(against)} has a weight of 0 or less: solve will press it to its smallest width")
    return tuple(found)
