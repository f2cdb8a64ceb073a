"""What searches by training would have found on a published table, where a training is one look at one run.

    python -m benchmarks.replay TABLE.csv.gz [--space mobilenet] [--repetitions 200]

TABLE is one of Channel-Bench-Macro's two. Run r chooses, the mean of the other runs judges, and r goes
round; what is printed is how far the network picked lies above the median of its bin on the runs that did not choose.
Every method gets as many trainings. Bins are the units: intervals come from resampling whole bins, differences are
paired. TPE needs ``pip install '.[bench]'``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.channel_bench import SPACES
from benchmarks.channel_bench import population as read_population
from benchmarks.pool import Pool, thompson
from benchmarks.rivals import RIVALS, levels_of
from parlay.energy import RECOMMENDED, get_score
from parlay.errors import InputError
from parlay.evidence.fitting import prior_values
from parlay.evidence.population import Population, bins
from parlay.evidence.uncertainty import cluster_draws, interval, resampled_means

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

RESAMPLES = 2000
BIN_WIDTH = 0.01

ENERGY = "energy-layer"
"""The score whose pick without training everything is compared with."""

METHODS = ("thompson", "top", *RIVALS)
"""Searches: the loop, the prior's best n trained, and those that start from nothing."""

MOST = {"tpe": 6}
"""Repetitions a bin of methods that are slow to think: Optuna takes 10 ms a trial."""

NAMES = {
    "thompson": "the loop (Thompson picks over the calibrated score)",
    "top": "the score's top n trained, best run taken",
    "random": "random search",
    "evolution": "regularised evolution",
    "tpe": "Optuna's TPE",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Gains of one method's picks.

    Attributes:
        repetitions: how often it ran in every bin.
        gains: of its pick after 1, 2, ... trainings, the mean over repetitions, (bins, trainings); a score that trains
            nothing has one column.
    """

    repetitions: int
    gains: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean gain over bins, (trainings,)."""
        return self.gains.mean(axis=0)


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
    least: int = 100,
    trials: int = 16,
    repetitions: int = 200,
    prior: str = RECOMMENDED,
    methods: tuple[str, ...] = METHODS,
    seed: int = 0,
) -> dict[str, Curve]:
    """Run every method in every bin of a table; the scores alone, without training, come first.

    Args:
        population: networks with at least two runs each; those that lack a run or have a width of 1 are left out.
        least: networks a bin needs.
        trials: trainings of a search.
        repetitions: of every method in every bin; Optuna's are at most six.
        prior: the score the loop starts from.
        methods: some of ``METHODS``.
        seed: of every choice.

    Raises:
        InputError: for a table with one run, or no bin that large.
    """
    usable = ~np.isnan(population.accuracy).any(axis=1) & (population.widths > 1).all(axis=1)
    whole = population.take(np.flatnonzero(usable))
    if population.runs < 2 or not len(whole):
        raise InputError("table", given="one run a network", allowed="two runs or more: one chooses, others judge")
    least = max(least, trials + 1)
    rows = bins(whole, BIN_WIDTH, least=least)
    if not rows:
        raise InputError("bins", given=f"none of {least} networks", allowed="one", remedy="lower --min-bin")
    found: dict[str, list[FloatArray]] = {name: [] for name in dict.fromkeys((ENERGY, prior, *methods))}
    for place, members in enumerate(rows):
        one = _bin(whole.take(members), prior)
        for number, name in enumerate(found):
            rng = np.random.default_rng([seed, place, number])
            runs = np.arange(_repetitions(name, repetitions, whole.runs)) % whole.runs
            found[name].append(_run(name, one, runs, trials, rng).mean(axis=0))
    return {
        name: Curve(repetitions=_repetitions(name, repetitions, whole.runs), gains=np.array(gains))
        for name, gains in found.items()
    }


def _repetitions(name: str, asked: int, runs: int) -> int:
    """How often a method runs in a bin: what knows no chance once a run, so that none weighs more."""
    return min(asked, MOST.get(name, asked)) if name == "thompson" or name in RIVALS else runs


def _bin(population: Population, prior: str) -> _Bin:
    accuracy, widths, space = population.accuracy, population.widths, population.space
    picks = {name: prior_values(get_score(name), space, widths).argmax() for name in (ENERGY, prior)}
    others = (accuracy.sum(axis=1, keepdims=True) - accuracy) / (population.runs - 1)  # K, runs
    return _Bin(
        pool=Pool.of(widths, space=space, score=get_score(prior)),
        levels=levels_of(widths),
        accuracy=accuracy.T,
        judged=(others - np.median(others, axis=0)).T,
        alone={name: int(place) for name, place in picks.items()},
    )


def _run(name: str, one: _Bin, runs: IntArray, trials: int, rng: np.random.Generator) -> FloatArray:
    """Gains of R repetitions after 1, 2, ... trainings: (R, trials); after none: (R, 1)."""
    if name in one.alone:
        return one.gains(runs, np.full((len(runs), 1), one.alone[name]))
    if name == "thompson":
        return one.gains(runs, _loop(one, runs, trials, rng))
    if name == "top":
        trained = np.tile(np.argsort(-one.pool.prior, kind="stable")[:trials], (len(runs), 1))
    else:
        trained = np.array([RIVALS[name](one.levels, one.accuracy[run], trials, rng) for run in runs])
    values = one.accuracy[runs[:, None], trained]
    leads = np.maximum.accumulate(values, axis=1) == values  # a new best, or a tie with it
    at = np.maximum.accumulate(np.where(leads, np.arange(trials), 0), axis=1)
    return one.gains(runs, np.take_along_axis(trained, at, axis=1))


def _loop(one: _Bin, runs: IntArray, trials: int, rng: np.random.Generator) -> IntArray:
    """Picks of R searches in step, by the posterior mean over the whole pool: (R, trials)."""
    seen = np.zeros((len(runs), 0), dtype=np.int64)
    picks: list[IntArray] = []
    known = one.pool.learn(seen, np.zeros(seen.shape))
    for _ in range(trials):
        seen = np.concatenate([seen, thompson(one.pool, known, seen, rng)[:, None]], axis=1)
        known = one.pool.learn(seen, one.accuracy[runs[:, None], seen])
        picks.append(one.pool.expected(known).argmax(axis=1))
    return np.stack(picks, axis=1)


def lines(found: Mapping[str, Curve], *, seed: int = 0) -> list[str]:
    """A Markdown table: the gain after all trainings, and less that of energy-layer without training, best first."""
    alone = found[ENERGY].gains[:, 0]
    draws = cluster_draws(len(alone), RESAMPLES, seed)

    def cell(values: FloatArray, sign: str = "") -> str:
        low, high = interval(resampled_means(values[None], np.ones(len(values)), draws)[0], len(values))
        return f"{values.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"

    rows = ["| method | gain | beside energy-layer without training | runs a bin |", "|---|---|---|---|"]
    for name, curve in sorted(found.items(), key=lambda item: -item[1].mean[-1]):
        last = curve.gains[:, -1]
        above = "" if name == ENERGY else cell(last - alone, "+")
        rows.append(f"| {NAMES.get(name, f'{name} alone')} | {cell(last)} | {above} | {curve.repetitions} |")
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--space", choices=sorted(SPACES), default="resnet", help="which networks the table has")
    parser.add_argument("--n-trials", type=int, default=16, help="trainings of a search")
    parser.add_argument("--repetitions", type=int, default=200, help="of every method in every bin")
    parser.add_argument("--prior", default=RECOMMENDED, help="score the loop starts from")
    parser.add_argument("--min-bin", type=int, default=100, help="networks a bin needs")
    arguments = parser.parse_args()
    found = replay(
        read_population(arguments.table, arguments.space),
        least=arguments.min_bin,
        trials=arguments.n_trials,
        repetitions=arguments.repetitions,
        prior=arguments.prior,
    )
    bins_used = len(found[ENERGY].gains)
    print(f"{bins_used} bins of {arguments.min_bin} networks or more, {arguments.n_trials} trainings a search\n")
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
