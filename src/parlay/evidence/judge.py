"""One population judged: every score in every bin, averaged over bins, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from parlay.evidence.judged import Binning, JudgedPopulation, JudgedScore, Optimum
from parlay.evidence.noise import (
    by_one_run,
    concordance_ceiling,
    one_run_concordances,
    reliability,
    spearman_of,
    true_best_gain,
)
from parlay.evidence.outcome import ranking
from parlay.evidence.population import Population, bins
from parlay.evidence.scores import needs_of, score_values
from parlay.evidence.statistics import (
    concordances,
    kendalls,
    pearsons,
    rank_partials,
    settled,
    spearmans,
    top_gains,
    weighted_mean,
)
from parlay.evidence.uncertainty import (
    COEFFICIENTS,
    LEAST_CLUSTERS,
    bootstrap_interval,
    cluster_draws,
    in_order,
    interval,
    network_draws,
    permutation_p_values,
    resampled_means,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["GAINS", "judge"]

GAINS = (1, 5)
"""Numbers of best-scored networks whose gain is worked out."""
COVARIATES: Mapping[str, tuple[str, ...]] = {
    "partial_params": ("params",),
    "partial_macs": ("macs",),
    "partial_params_macs": ("params", "macs"),
}
"""Rank-partial -> the columns of the population that are taken out."""
LARGE = 10**9
"""Clusters enough for no widening: networks are resampled, whose number is in the bootstrap already."""


def judge(
    population: Population, names: Sequence[str], reference: str, *, binning: Binning, resamples: int, seed: int
) -> JudgedPopulation:
    """Every score over one population; ``p_holm`` is left to whoever knows all panels."""
    import numpy as np

    population = population.take(np.lexsort(population.widths.T[::-1]))  # no draw depends on the order of rows
    values = np.stack([settled(score_values(name, population)) for name in names])  # scores, n
    target = settled(population.mean_accuracy)
    groups = binning.of(population)
    counts = np.array([len(rows) for rows in groups])
    picked = [rows for rows in groups if len(rows) >= binning.least_picked] or groups

    by_bin = _by_bin(population, values, target, groups)
    means = {key: weighted_mean(found, counts) for key, found in by_bin.items()}
    gains = {
        f"gain_top{count}": np.stack([top_gains(values[:, rows], target[rows], count) for rows in picked], axis=1)
        for count in GAINS
    }
    pairs, one_pairs = _pairs(population, values)

    by_size = len(groups) >= LEAST_CLUSTERS
    inside = [(values[:, rows], target[rows]) for rows in groups]
    if by_size:
        ends = _ends(by_bin, counts, resamples, seed)
        p_values = permutation_p_values(inside, resamples, seed)
    else:
        ends, p_values = _ends_of_few(population, values, target, groups, resamples, seed)
    places = list(range(len(names))) + ([len(names)] if by_size else [])
    if by_size:
        samples = resampled_means(by_bin["spearman"], counts, cluster_draws(len(groups), resamples, seed))
    else:
        samples = network_draws(inside, resamples, seed)
    chosen = names.index(reference)
    apart = {
        place: interval(samples[place] - samples[chosen], LARGE if not by_size else len(groups)) for place in places
    }
    gain_ends = {key: _mean_ends(found, resamples, seed) for key, found in gains.items()}
    agreement, agreement_ends = _concordance(pairs, resamples, seed)
    decided = pairs.sum((0, 2))
    one_agreement, one_ends = _concordance(one_pairs, resamples, seed)

    def numbers(place: int) -> dict[str, float]:
        found: dict[str, float] = {"spearman": float(means["spearman"][place])}
        found["ci_low"], found["ci_high"] = ends["spearman"][place]
        for key in ("kendall", "pearson", *COVARIATES):
            found[key] = float(means[key][place])
            found[f"{key}_low"], found[f"{key}_high"] = ends[key][place]
        found["concordance"] = float(agreement[place])
        found["concordance_low"], found["concordance_high"] = agreement_ends[place]
        found["concordance_decided"] = float(decided[place] / decided[-1]) if decided[-1] else math.nan
        for key, gain in gains.items():
            found[key] = float(gain[place].mean())
            found[f"{key}_low"], found[f"{key}_high"] = gain_ends[key][place]
        found["p_value"] = float(p_values[place])
        found["p_holm"] = math.nan
        found["difference"] = found["spearman"] - float(means["spearman"][chosen])
        found["difference_low"], found["difference_high"] = apart[place]
        return found

    def score(place: int, name: str) -> JudgedScore:
        found = numbers(place)
        outcome = ranking(int(counts.sum()), found["ci_low"], found["ci_high"])
        optimum = _optimum(name, population, values[place])
        return JudgedScore(name=name, numbers=found, outcome=outcome, optimum=optimum)

    last = len(names)
    one_run = {
        "spearman": float(means["spearman"][last]),
        "ci_low": ends["spearman"][last][0],
        "ci_high": ends["spearman"][last][1],
        "concordance": float(one_agreement[0]),
        "concordance_low": one_ends[0][0],
        "concordance_high": one_ends[0][1],
        "difference": float(means["spearman"][last] - means["spearman"][chosen]),
        "difference_low": apart.get(last, (math.nan, math.nan))[0],
        "difference_high": apart.get(last, (math.nan, math.nan))[1],
    }
    for count in GAINS:
        found = [by_one_run(population.accuracy[rows], _gain_of(count)) for rows in picked]
        one_run[f"gain_top{count}"] = float(weighted_mean(np.array(found), np.ones(len(found))))
    exact = bins(population, 0, least=2)
    return JudgedPopulation(
        name=population.name,
        size_name=population.size_name,
        unit=population.unit,
        networks=len(population),
        left_out=population.left_out,
        chosen=0 if population.chosen is None else len(population.chosen),
        in_bins=int(counts.sum()),
        bins=len(groups),
        least=int(counts.min()),
        pick_bins=len(picked),
        exact_sizes=len(exact),
        pairs=sum(len(rows) * (len(rows) - 1) // 2 for rows in exact),
        runs=population.runs,
        resampled="sizes" if by_size else "networks",
        scores=tuple(score(place, name) for place, name in enumerate(names)),
        reference=reference,
        one_run=one_run,
        ceiling=_ceiling(population, groups, picked, exact),
        lacking={name: need for name, need in needs_of(population).items() if need is not None},
    )


def _optimum(name: str, population: Population, judging: FloatArray) -> Optimum | None:
    """The layout chosen beside those that judge that a score puts above all of them, of several the highest."""
    chosen = population.chosen
    if chosen is None:
        return None
    values = settled(score_values(name, chosen))
    best = int(values.argmax())
    if not values[best] >= judging.max() or values[best] == values.min() == judging.min():
        return None
    accuracy = float(chosen.mean_accuracy[best])
    beats = int((population.mean_accuracy < accuracy).sum())
    return Optimum(layout=tuple(chosen.widths[best].tolist()), accuracy=accuracy, beats=beats)


def _gain_of(count: int) -> Callable[[FloatArray, FloatArray], FloatArray]:
    return lambda scores, judged: top_gains(scores, judged, count)


def _by_bin(
    population: Population, values: FloatArray, target: FloatArray, groups: Sequence[IntArray]
) -> dict[str, FloatArray]:
    """Coefficients of every score in every bin, (scores, bins); Spearman's has one training run as a last row."""
    import numpy as np

    columns: dict[str, list[FloatArray]] = {key: [] for key in ("spearman", "kendall", "pearson", *COVARIATES)}
    for rows in groups:
        scores, accuracy = values[:, rows], target[rows]
        covariates = {name: getattr(population, name)[rows].astype(np.float64) for name in ("params", "macs")}
        one = by_one_run(population.accuracy[rows], spearmans)
        columns["spearman"].append(np.append(spearmans(scores, accuracy), one))
        columns["kendall"].append(kendalls(scores, accuracy))
        columns["pearson"].append(pearsons(scores, accuracy))
        for key, names in COVARIATES.items():
            columns[key].append(rank_partials(scores, accuracy, [covariates[name] for name in names]))
    return {key: np.stack(found, axis=1) for key, found in columns.items()}


def _ends(
    by_bin: Mapping[str, FloatArray], counts: IntArray, resamples: int, seed: int
) -> dict[str, list[tuple[float, float]]]:
    """Intervals from resampled bins, the same samples for all."""
    draws = cluster_draws(len(counts), resamples, seed)
    return {
        key: [interval(row, len(counts)) for row in resampled_means(found, counts, draws)]
        for key, found in by_bin.items()
    }


def _ends_of_few(
    population: Population,
    values: FloatArray,
    target: FloatArray,
    groups: Sequence[IntArray],
    resamples: int,
    seed: int,
) -> tuple[dict[str, list[tuple[float, float]]], FloatArray]:
    """Intervals and p-values over few bins, score by score, as ``correlate`` gives them for one bin.

    There are no intervals of Kendall's and Pearson's coefficients, nor of one training run's.
    """
    import numpy as np

    unknown = (math.nan, math.nan)
    ends: dict[str, list[tuple[float, float]]] = {key: [unknown] * len(values) for key in ("kendall", "pearson")}
    for key, columns in {"spearman": (), **COVARIATES}.items():
        given = [getattr(population, name).astype(np.float64) for name in columns]
        coefficient = COEFFICIENTS["partial-spearman" if columns else "spearman"]
        ends[key] = [
            bootstrap_interval(
                [np.stack([s, target, *given])[:, rows] for rows in groups], coefficient, resamples, seed
            )
            for s in values
        ]
    ends["spearman"].append(unknown)
    p_values = np.array(
        [
            permutation_p_values(
                [(pairs[:1], pairs[1]) for pairs in (in_order(np.stack([s, target])[:, rows]) for rows in groups)],
                resamples,
                seed,
            )[0]
            for s in values
        ]
    )
    return ends, p_values


def _mean_ends(found: FloatArray, resamples: int, seed: int) -> list[tuple[float, float]]:
    """Intervals of plain means over bins, (scores, bins); unknown for few bins."""
    import numpy as np

    clusters = found.shape[1]
    if clusters < LEAST_CLUSTERS:
        return [(math.nan, math.nan)] * len(found)
    draws = cluster_draws(clusters, resamples, seed)
    return [interval(row, clusters) for row in resampled_means(found, np.ones(clusters), draws)]


def _pairs(population: Population, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Agreeing and disagreeing pairs at exactly equal sizes: (2, scores + 1, sizes); (2, 1, sizes) of the first run.

    The truth is the mean of the runs but the first, so that the first is a fair rival; where there is one run, that.
    The last row is the truth itself, which agrees in every pair that does not tie.
    """
    import numpy as np

    accuracy = population.accuracy
    judging = accuracy if population.runs == 1 else accuracy[:, 1:]
    there = np.asarray(np.isfinite(judging).any(axis=1))
    target = np.full(len(population), np.nan)
    target[there] = settled(np.nanmean(judging[there], axis=1))
    ours: list[FloatArray] = []
    theirs: list[tuple[float, float]] = []
    for rows in bins(population, 0, least=2):
        kept = rows[there[rows]]
        if len(kept) >= 2:
            scores = np.vstack([values[:, kept], target[None, kept]])
            ours.append(np.stack(concordances(scores, target[kept])))
            theirs.append(one_run_concordances(accuracy[kept]) if population.runs > 1 else (0.0, 0.0))
    if not ours:
        return np.zeros((2, len(values) + 1, 0)), np.zeros((2, 1, 0))
    return np.stack(ours, axis=2), np.array(theirs).T[:, None, :]


def _concordance(pairs: FloatArray, resamples: int, seed: int) -> tuple[FloatArray, list[tuple[float, float]]]:
    """Agreeing minus disagreeing over both, with intervals from resampled sizes where there are enough."""
    import numpy as np

    sizes = pairs.shape[2]

    def share(counted: FloatArray) -> FloatArray:
        agree, disagree = counted
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(agree + disagree > 0, (agree - disagree) / (agree + disagree), np.nan)

    found = share(pairs.sum(2))
    if sizes < LEAST_CLUSTERS:
        return found, [(math.nan, math.nan)] * len(found)
    draws = cluster_draws(sizes, resamples, seed)
    return found, [interval(row, sizes) for row in share(pairs @ draws.T)]


def _ceiling(
    population: Population, groups: Sequence[IntArray], picked: Sequence[IntArray], exact: Sequence[IntArray]
) -> dict[str, float]:
    """What a perfect score would reach: from the mean reliability of the bins, see ``noise``."""
    import numpy as np

    counts = np.array([len(rows) for rows in groups])
    accuracy = population.accuracy
    reliable = float(weighted_mean(np.array([reliability(accuracy[rows]) for rows in groups]), counts))
    pearson = math.sqrt(reliable) if not math.isnan(reliable) else math.nan
    best = np.array([true_best_gain(accuracy[rows]) for rows in picked])
    return {
        "spearman": spearman_of(pearson),
        "pearson": pearson,
        "reliability": reliable,
        "concordance": concordance_ceiling(_judging(accuracy, exact)) if population.runs > 2 else math.nan,
        "gain_top1": float(weighted_mean(best, np.ones(len(best)))),
    }


def _judging(accuracy: FloatArray, exact: Sequence[IntArray]) -> list[FloatArray]:
    """Accuracies of every exact size by the runs that judge there, networks without any left out."""
    import numpy as np

    found = [accuracy[rows, 1:] for rows in exact]
    return [runs[~np.isnan(runs).all(1)] for runs in found]
