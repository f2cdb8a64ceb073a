"""Weights of the energy fitted to trained networks, with what is known about them and whether they help.

The fit is that of ``posterior``: towards the score it starts from, so that few trainings do not make it worse. Whether
it ranks better is asked of pairs of networks that the fit did not see (leave-pair-out: single networks left out would
tell the fit their accuracy through the mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from parlay.calibrated import KIND, CalibratedScore, GroupWeight
from parlay.documents import document
from parlay.energy import LogLog, Score, get_score
from parlay.errors import InputError
from parlay.evidence.designs import log_log, prior_values
from parlay.evidence.posterior import Posterior, posterior
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["Calibration", "FittedWeight", "HeldOut", "Rest", "Sample", "calibrate"]

LEAST = 4
"""Networks below which nothing is fitted."""

DRAWS = 4000
ALL_PAIRS = 24
"""Networks up to which every pair is left out in turn; above, random tenths."""

MOST_PAIRS = 5000
RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class FittedWeight:
    """What stands before ln ln n of one group.

    Attributes:
        group: its name.
        layers: how many layers it sets.
        prior: the weight before.
        weight: posterior mean.
        sd: posterior standard deviation.
        low, high: 95 % interval.
    """

    group: str
    layers: int
    prior: float
    weight: float
    sd: float
    low: float
    high: float

    @property
    def is_new(self) -> bool:
        """Whether the interval leaves the weight before out."""
        return not self.low <= self.prior <= self.high


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

    def take(self, rows: IntArray | FloatArray) -> Sample:
        """Some of them."""
        return Sample(widths=self.widths[rows], accuracy=self.accuracy[rows], sizes=self.sizes[rows])


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
        weights = [
            GroupWeight(group=w.group, layers=w.layers, prior=w.prior, weight=round(w.weight, 6)) for w in self.weights
        ]
        return CalibratedScore(name=name, prior=self.prior, weights=weights)

    def content(self) -> dict[str, Any]:
        """All of it as JSON values."""
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

    def document(self) -> str:
        """The file that ``--score calibrated:FILE`` reads."""
        return document(self.content())


def calibrate(sample: Sample, *, space: WidthSpace, prior: str = "energy-layer", seed: int = 0) -> Calibration:
    """Fit the weights of a score to trained networks.

    Args:
        sample: the networks.
        space: their width groups, with how many layers each sets, and connections where the score needs them.
        prior: name of the score to start from, one that ``solve`` can maximise.
        seed: of the draws that the intervals rest on, and of the pairs left out.

    Raises:
        InputError: for fewer than four networks, sizes with one network only, or a score that tells none apart.

    >>> import numpy as np
    >>> from parlay.evidence.designs import space_of
    >>> widths = np.array([(a, 64 - a) for a in range(8, 57, 4)])
    >>> accuracy = np.log(np.log(widths)) @ np.array([3.0, 1.0]) + 0.01 * (np.arange(13) % 3)
    >>> sample = Sample(widths=widths, accuracy=accuracy, sizes=np.zeros(13, dtype=int))
    >>> found = calibrate(sample, space=space_of(("a", "b"), (1, 1)))
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
    found = _fit(sample, values, space)
    rng = np.random.default_rng([seed, 0])
    draws = found.draw(rng, DRAWS)
    weights = _weights(space, _counts(score, space), found, draws.scale[0], draws.extra[0])
    held_out = _held_out(sample, values, space, np.random.default_rng([seed, 1]))
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


def _counts(score: Score, space: WidthSpace) -> list[float]:
    """What the score puts before ln ln n of every group."""
    return [
        float(sum(term.count for term in terms if isinstance(term, LogLog))) for terms in score.terms(space).groups
    ]


def _fit(sample: Sample, values: FloatArray, space: WidthSpace) -> Posterior:
    """The posterior of one sample, with a mean of its own for every size."""
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
        layers=np.array([group.multiplicity for group in space.groups], dtype=np.float64),
        spread=float(np.sqrt((prior**2).mean())) or 1.0,
        freedom=len(sample) - len(labels),
    )


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


def _held_out(sample: Sample, values: FloatArray, space: WidthSpace, rng: np.random.Generator) -> HeldOut | None:
    """Order of pairs left out together, by the weights fitted without them and by the score before."""
    import numpy as np

    blocks = _blocks(sample, rng)
    most = max(1, MOST_PAIRS // max(len(blocks), 1))
    all_pairs: list[IntArray] = []
    all_right: list[FloatArray] = []
    for block in blocks:
        kept = np.setdiff1d(np.arange(len(sample)), block)
        if len(kept) < LEAST - 1:
            continue
        fit = _fit(sample.take(kept), values[kept], space)
        rated = fit.scale[0] * values[block] + log_log(sample.widths[block]) @ fit.extra[0]
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
    return HeldOut(pairs=len(pairs), calibrated=float(calibrated), prior=float(before), low=float(low), high=float(high))


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
        words = "no better than" if held_out.calibrated >= held_out.prior else "worse than"
        found.append(f"pairs held out are ranked {words} by the score before, as far as {held_out.pairs} pairs can tell")
    against = [w.group for w in weights if w.weight <= 0]
    if against:
        found.append(f"{', '.join(against)} has a weight of 0 or less: solve will press it to its smallest width")
    return tuple(found)
