"""The search against a published table instead of training: what would it have found, and would others?

A training is one look at one run of a network. Run r chooses, the mean of the other runs judges, and r goes round;
what is reported is how far the network picked lies above the median of its bin on the runs that did not choose. Every
method gets as many trainings. Bins are the units: intervals come from resampling whole bins, differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parlay.documents import document, finite
from parlay.energy import get_score
from parlay.errors import InputError
from parlay.evidence.designs import POLICIES, Pool, find_policy, next_designs, population_space, prior_values
from parlay.evidence.resampling import cluster_draws, interval, resampled_means
from parlay.evidence.rivals import RIVALS, Rival, levels_of
from parlay.evidence.scores import RECOMMENDED
from parlay.evidence.table import Population, bins
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["METHODS", "Curve", "Replay", "replay"]

RESAMPLES = 2000
METHODS = (*POLICIES, "top", *RIVALS)
"""Searches, by name."""

ENERGY = "energy-layer"
"""The score whose pick without training everything is compared with."""

MOST = {"tpe": 6}
"""Repetitions a bin of methods that are slow to think: Optuna takes 10 ms a trial."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """One method.

    Attributes:
        method: its name.
        repetitions: how often it ran in every bin.
        trainings: numbers of trainings, ascending.
        gains: of its pick after that many, the mean over repetitions, (bins, trainings).
        low, high: 95 % interval of the mean over bins, (trainings,).
        above: mean over bins of its gain less that of energy-layer without training, (trainings,).
        above_low, above_high: 95 % interval of that, (trainings,).
    """

    method: str
    repetitions: int
    trainings: tuple[int, ...]
    gains: FloatArray
    low: FloatArray
    high: FloatArray
    above: FloatArray
    above_low: FloatArray
    above_high: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean gain over bins, (trainings,)."""
        return self.gains.mean(axis=0)

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "repetitions": self.repetitions,
            "trainings": list(self.trainings),
            "gain": [float(value) for value in self.mean],
            "interval": [[finite(a), finite(b)] for a, b in zip(self.low.tolist(), self.high.tolist(), strict=True)],
            "above_energy": [float(value) for value in self.above],
            "above_energy_interval": [
                [finite(a), finite(b)] for a, b in zip(self.above_low.tolist(), self.above_high.tolist(), strict=True)
            ],
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """All methods on one table.

    Attributes:
        name: of the table.
        prior: the score that the loop starts from.
        trials: most trainings of a search.
        networks: (bins,), how many each bin has.
        curves: by method; scores alone, without training, come first.
        unit: of accuracy.
    """

    name: str
    prior: str
    trials: int
    networks: tuple[int, ...]
    curves: Mapping[str, Curve]
    unit: str

    @property
    def verdict(self) -> str:
        """What the last column says, in words: whether the loop's pick beats the score's, and who does best."""
        loops = [curve for name, curve in self.curves.items() if name in POLICIES]
        best = max(self.curves.values(), key=lambda curve: curve.mean[-1])
        words = [f"most after {self.trials} trainings: {best.method}, {best.mean[-1]:.3f}"]
        for curve in loops:
            low, high = curve.above_low[-1], curve.above_high[-1]
            verb = "gains on" if low > 0 else "loses to" if high < 0 else "cannot be told from"
            difference = f"{curve.above[-1]:+.3f} [{low:+.3f}, {high:+.3f}]"
            words.append(f"the loop ({curve.method}) {verb} {ENERGY} without training: {difference}")
        return "; ".join(words)

    def document(self) -> str:
        """All of it as one JSON document."""
        return document(
            {
                "table": self.name,
                "prior": self.prior,
                "trials": self.trials,
                "bins": len(self.networks),
                "networks": sum(self.networks),
                "unit": self.unit,
                "methods": {name: curve.content() for name, curve in self.curves.items()},
                "verdict": self.verdict,
            }
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bin:
    """One bin: what may be chosen, what a run says, what judges it; (runs, K) each; and the
    places that scores pick without training.
    """

    pool: Pool
    levels: IntArray
    accuracy: FloatArray
    judged: FloatArray
    alone: Mapping[str, int]

    def gains(self, runs: IntArray, picks: IntArray) -> FloatArray:
        """Of picks, (R, t), chosen on runs, (R,): (R, t)."""
        return self.judged[runs[:, None], picks]


def replay(
    population: Population,
    *,
    bin_width: float = 0.01,
    least: int = 100,
    trials: int = 16,
    repetitions: int = 200,
    prior: str = RECOMMENDED,
    methods: Sequence[str] | None = None,
    space: WidthSpace | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Replay:
    """Run every method in every bin of a table.

    Args:
        population: networks with at least two runs each; those that lack a run or have a width of 1 are left out.
        bin_width: of the bins, in ln size; 0 compares exactly equal sizes.
        least: networks a bin needs.
        trials: trainings of a search.
        repetitions: of every method in every bin; Optuna's are at most six.
        prior: the score the loop starts from, one that ``solve`` can maximise.
        methods: some of ``thompson``, ``ucb``, ``learn`` (the loop), ``top``, ``random``, ``evolution``, ``tpe``;
            all but ``ucb`` and ``learn`` where None.
        space: width groups and connections, where the score needs them; by default what the population knows of them.
        seed: of every choice.
        progress: called with bins done and all.

    Raises:
        InputError: for a table with one run, no bin that large, or an unknown method.
    """
    import numpy as np

    names = ("thompson", "top", *RIVALS) if methods is None else tuple(dict.fromkeys(methods))
    wrong = [name for name in names if name not in METHODS]
    if wrong:
        raise InputError("method", given=repr(wrong[0]), allowed=", ".join(METHODS))
    for what, value, low, high in (("trials", trials, 2, 1000), ("repetitions", repetitions, 1, 100_000)):
        if not low <= value <= high:
            raise InputError(what, given=value, allowed=f"an integer from {low} to {high}")
    usable = ~np.isnan(population.accuracy).any(axis=1) & (population.widths > 1).all(axis=1)
    whole = population.take(np.flatnonzero(usable))
    if population.runs < 2 or not len(whole):
        raise InputError(
            "table",
            given=f"{population.name} with one run a network",
            allowed="two runs or more: one chooses, others judge",
        )
    rows = bins(whole, bin_width, least=max(least, trials + 1))
    if not rows:
        remedy = "lower --min-bin or raise --bin"
        raise InputError("bins", given=f"none of {max(least, trials + 1)} networks", allowed="one", remedy=remedy)
    space = space or population_space(population)
    alone_names = (ENERGY,) if prior == ENERGY else (ENERGY, prior)
    found: dict[str, list[FloatArray]] = {name: [] for name in (*alone_names, *names)}
    for place, members in enumerate(rows):
        one = _bin(whole.take(members), space, prior)
        for number, name in enumerate(found):
            rng = np.random.default_rng([seed, place, number])
            times = _repetitions(name, repetitions, whole.runs)
            found[name].append(_run(name, one, np.arange(times) % whole.runs, trials, rng).mean(axis=0))
        progress(place + 1, len(rows))
    draws = cluster_draws(len(rows), RESAMPLES, seed)
    alone = np.array(found[ENERGY])
    curves = {
        name: _curve(name, np.array(gains), alone, draws, _repetitions(name, repetitions, whole.runs))
        for name, gains in found.items()
    }
    return Replay(
        name=population.name,
        prior=prior,
        trials=trials,
        networks=tuple(len(members) for members in rows),
        curves=curves,
        unit=population.unit,
    )


def _repetitions(name: str, asked: int, runs: int) -> int:
    """How often a method runs in a bin: what knows no chance once a run, so that none weighs more."""
    drawn = name in POLICIES or name in RIVALS
    return min(asked, MOST.get(name, asked)) if drawn else runs


def _bin(population: Population, space: WidthSpace, prior: str) -> _Bin:
    import numpy as np

    accuracy, widths = population.accuracy, population.widths
    picks = {name: prior_values(get_score(name), space, widths).argmax() for name in dict.fromkeys((ENERGY, prior))}
    others = (accuracy.sum(axis=1, keepdims=True) - accuracy) / (population.runs - 1)  # K, runs
    return _Bin(
        pool=Pool.of(population.widths, space=space, score=get_score(prior)),
        levels=levels_of(population.widths),
        accuracy=accuracy.T,
        judged=(others - np.median(others, axis=0)).T,
        alone={name: int(place) for name, place in picks.items()},
    )


def _run(name: str, one: _Bin, runs: IntArray, trials: int, rng: np.random.Generator) -> FloatArray:
    """Gains of R repetitions after 1, 2, ... trainings: (R, trials); after none: (R, 1)."""
    import numpy as np

    if name in one.alone:
        return one.gains(runs, np.full((len(runs), 1), one.alone[name]))
    if name in POLICIES:
        return one.gains(runs, _loop(name, one, runs, trials, rng))
    if name == "top":
        trained = np.tile(np.argsort(-one.pool.prior, kind="stable")[:trials], (len(runs), 1))
    else:
        rival: Rival = RIVALS[name]
        trained = np.array([rival(one.levels, one.accuracy[run], trials, rng) for run in runs])
    values = one.accuracy[runs[:, None], trained]
    leads = np.maximum.accumulate(values, axis=1) == values  # a new best, or a tie with it
    at = np.maximum.accumulate(np.where(leads, np.arange(trials), 0), axis=1)
    return one.gains(runs, np.take_along_axis(trained, at, axis=1))


def _loop(policy: str, one: _Bin, runs: IntArray, trials: int, rng: np.random.Generator) -> IntArray:
    """Picks of R searches in step, by the posterior mean over the whole pool: (R, trials)."""
    import numpy as np

    find_policy(policy)
    seen = np.zeros((len(runs), 0), dtype=np.int64)
    picks: list[IntArray] = []
    known = one.pool.learn(seen, np.zeros(seen.shape))
    for _ in range(trials):
        following = next_designs(one.pool, policy, known, seen, rng)
        seen = np.concatenate([seen, following[:, None]], axis=1)
        known = one.pool.learn(seen, one.accuracy[runs[:, None], seen])
        picks.append(one.pool.expected(known).argmax(axis=1))
    return np.stack(picks, axis=1)


def _curve(name: str, gains: FloatArray, alone: FloatArray, draws: IntArray, repetitions: int) -> Curve:

    above = gains - alone
    low, high = _ends(gains, draws)
    above_low, above_high = _ends(above, draws)
    return Curve(
        method=name,
        repetitions=repetitions,
        trainings=tuple(range(1, gains.shape[1] + 1)) if name in METHODS else (0,),
        gains=gains,
        low=low,
        high=high,
        above=above.mean(axis=0),
        above_low=above_low,
        above_high=above_high,
    )


def _ends(gains: FloatArray, draws: IntArray) -> tuple[FloatArray, FloatArray]:
    """95 % intervals of the means over bins, (trainings,) each; NaN for a single bin."""
    import numpy as np

    found = resampled_means(gains.T, np.ones(len(gains)), draws)  # trainings, resamples
    low, high = zip(*(interval(one, len(gains)) for one in found), strict=True)
    return np.array(low), np.array(high)
