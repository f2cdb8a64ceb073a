"""How well weights fitted to n single-run networks of one bin rank the rest of the bin, on a published table.

    python -m benchmarks.calibration TABLE.csv.gz [--space mobilenet] [--repetitions 12]

TABLE is one of Channel-Bench-Macro's two. n networks of a bin are drawn at random, run r of each is what
the fit sees; the other networks of the bin judge, by Spearman with the mean of their three runs. Means over bins, every
bin alike, with 95 % intervals from resampling bins. The variants beside the model that ships are shown so that nobody
has to wonder what else was tried: the width of the prior of tau, and how a group's share of it grows with its layers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.channel_bench import SPACES
from benchmarks.channel_bench import population as read_population
from benchmarks.pool import Pool
from parlay.energy import RECOMMENDED, get_score
from parlay.evidence import posterior as model
from parlay.evidence.population import Population, bins
from parlay.evidence.statistics import spearmans
from parlay.evidence.uncertainty import cluster_draws, interval, resampled_means

COUNTS = (4, 8, 16, 32)
RESAMPLES = 2000


def ranked(population: Population, rows: list[np.ndarray], count: int, repetitions: int, prior: str, power: float):
    """Spearman on the rest of every bin, (bins,)."""
    space, found = population.space, []
    for place, members in enumerate(rows):
        one = population.take(members)
        pool = Pool.of(one.widths, space=space, score=get_score(prior))
        pool = Pool(
            features=pool.features,
            prior=pool.prior,
            reach=pool.reach**power * (np.sqrt(np.mean(pool.reach**2)) ** (1 - power)),
            spread=pool.spread,
        )
        rng = np.random.default_rng([place, count])
        seen = np.array([rng.permutation(len(one))[:count] for _ in range(repetitions)])
        runs = np.arange(repetitions) % one.runs
        rated = pool.expected(pool.learn(seen, one.accuracy[seen, runs[:, None]]))
        values = []
        for k in range(repetitions):
            rest = np.setdiff1d(np.arange(len(one)), seen[k])
            values.append(float(spearmans(rated[k, rest], one.mean_accuracy[rest])))
        found.append(np.mean(values))
    return np.array(found)


def line(name: str, columns: list[np.ndarray]) -> None:
    """One row of the table."""
    cells = []
    for values in columns:
        draws = cluster_draws(len(values), RESAMPLES, 0)
        low, high = interval(resampled_means(values[None], np.ones(len(values)), draws)[0], len(values))
        cells.append(f"{values.mean():.3f} [{low:.3f}, {high:.3f}]")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--space", choices=sorted(SPACES), default="resnet", help="which networks the table has")
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--prior", default=RECOMMENDED)
    parser.add_argument("--min-bin", type=int, default=100)
    arguments = parser.parse_args()
    population = read_population(arguments.table, arguments.space)
    rows = bins(population, 0.01, least=arguments.min_bin)
    space = population.space
    print(f"{len(rows)} bins of {arguments.min_bin} networks or more, {arguments.repetitions} draws each\n")
    print("| | " + " | ".join(f"n = {count}" for count in COUNTS) + " |")
    print("|---|" + "---|" * len(COUNTS))

    def before(members: np.ndarray) -> float:
        pool = Pool.of(population.widths[members], space=space, score=get_score(arguments.prior))
        return float(spearmans(pool.prior, population.mean_accuracy[members]))

    line(f"{arguments.prior}, nothing trained", [np.array([before(members) for members in rows])] * len(COUNTS))
    every = (population, rows)
    for tau in (model.TAU, 0.2, 0.3, 1.0):
        for power, words in ((1.0, "root of the layers"), (0.0, "all groups alike"), (2.0, "the layers")):
            with patch.object(model, "TAU", tau):
                columns = [ranked(*every, count, arguments.repetitions, arguments.prior, power) for count in COUNTS]
            shipped = " (as shipped)" if (tau, power) == (model.TAU, 1.0) else ""
            line(f"tau {tau}, spread by {words}{shipped}", columns)


if __name__ == "__main__":
    main()
