"""Statistics of scores against scipy, statsmodels, pingouin, brute force and simulation."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy import stats

from parlay.errors import InputError
from parlay.evidence.noise import (
    by_one_run,
    concordance_ceiling,
    kendall_of,
    one_run_concordances,
    reliability,
    spearman_of,
    true_best_gain,
    variances,
)
from parlay.evidence.statistics import (
    concordances,
    holm,
    kendalls,
    pearsons,
    rank_partials,
    settled,
    spearmans,
    standard_ranks,
    top_gains,
    weighted_mean,
)
from parlay.evidence.uncertainty import (
    COEFFICIENTS,
    bootstrap_interval,
    cluster_draws,
    interval,
    network_draws,
    permutation_p_values,
    resampled_means,
)

DRAW = np.random.default_rng(4)
N = 40
Z = DRAW.normal(size=(2, N)).round(1)
SCORES = (Z.sum(0) + DRAW.normal(size=(3, N))).round(1)
ACCURACY = (Z[0] - Z[1] / 2 + SCORES[0] / 3 + DRAW.normal(size=N)).round(1)
"""Fixed data with ties."""


def test_coefficients_are_scipys():
    """Spearman, Kendall tau-b and Pearson of every score equal scipy's, ties included."""
    for ours, theirs in ((spearmans, stats.spearmanr), (kendalls, stats.kendalltau), (pearsons, stats.pearsonr)):
        expected = [theirs(row, ACCURACY).statistic for row in SCORES]
        assert ours(SCORES, ACCURACY) == pytest.approx(expected, abs=1e-12)


def test_coefficients_of_stacked_samples():
    """Leading axes are samples: each equals what it is alone."""
    stacked = np.stack([SCORES[:, :20], SCORES[:, 20:]], axis=1)  # scores, samples, n
    accuracy = np.stack([ACCURACY[:20], ACCURACY[20:]])
    found = spearmans(stacked, accuracy)
    assert found[:, 1] == pytest.approx(spearmans(SCORES[:, 20:], ACCURACY[20:]))


def test_standard_ranks_multiply_to_spearmans():
    """Products of standard ranks sum to Spearman's coefficient; a constant row is all zero."""
    assert standard_ranks(SCORES) @ standard_ranks(ACCURACY) == pytest.approx(spearmans(SCORES, ACCURACY))
    assert not standard_ranks(np.ones(5)).any()


@pytest.mark.parametrize("covariates", [[0], [1], [0, 1]])
def test_rank_partials_are_pingouins(covariates: list[int]):
    """Partial rank correlations equal pingouin's partial_corr, for one covariate and for two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        import pingouin

        found = rank_partials(SCORES, ACCURACY, [Z[i] for i in covariates])
        for row, value in zip(SCORES, found, strict=True):
            frame = pd.DataFrame({"x": row, "y": ACCURACY, "z0": Z[0], "z1": Z[1]})
            names = [f"z{i}" for i in covariates]
            theirs = pingouin.partial_corr(frame, x="x", y="y", covar=names, method="spearman")
            assert value == pytest.approx(float(theirs["r"].iloc[0]), abs=1e-9)


def test_rank_partials_of_nothing_left():
    """A constant covariate changes nothing; a score that is the covariate, or three networks, have no partial."""
    assert rank_partials(SCORES, ACCURACY, [np.ones(N)]) == pytest.approx(spearmans(SCORES, ACCURACY))
    assert np.isnan(rank_partials(np.exp(Z[:1]), ACCURACY, [Z[0]])).all()
    assert np.isnan(rank_partials(SCORES[:, :3], ACCURACY[:3], [Z[0][:3]])).all()


def test_what_is_not_defined_is_nan():
    """Constant scores and accuracies have no coefficient, and no warning; -inf ranks lowest but has no Pearson."""
    flat = np.full((1, N), 2.0)
    for statistic in (spearmans, kendalls, pearsons):
        assert np.isnan(statistic(flat, ACCURACY)).all()
        assert np.isnan(statistic(SCORES, flat[0])).all()
    infinite = SCORES.copy()
    infinite[0, 0] = -np.inf
    lowest = SCORES.copy()
    lowest[0, 0] = -1e6
    for statistic in (spearmans, kendalls):
        assert statistic(infinite, ACCURACY) == pytest.approx(statistic(lowest, ACCURACY))
    assert np.isnan(pearsons(infinite, ACCURACY)).tolist() == [True, False, False]


@pytest.mark.parametrize("most", [1000, 10])
def test_concordances_count_pairs(most: int, monkeypatch: pytest.MonkeyPatch):
    """Agreeing and disagreeing pairs equal those counted one by one, listed or by way of tau-b."""
    monkeypatch.setattr("parlay.evidence.statistics.MOST_PAIRED", most)
    agree, disagree = concordances(SCORES, ACCURACY)
    for row, a, d in zip(SCORES, agree, disagree, strict=True):
        products = [(row[i] - row[j]) * (ACCURACY[i] - ACCURACY[j]) for i, j in itertools.combinations(range(N), 2)]
        assert (a, d) == (sum(p > 0 for p in products), sum(p < 0 for p in products))


def test_ties_at_the_top_share_places():
    """The gain of the top 3 of which the last two places tie among four is the mean over all six choices."""
    scores = np.array([[9.0, 5.0, 5.0, 5.0, 5.0, 1.0, 0.0]])
    judged = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0])
    choices = [np.mean([judged[0], judged[i], judged[j]]) for i, j in itertools.combinations(range(1, 5), 2)]
    assert top_gains(scores, judged, 3) == pytest.approx([np.mean(choices) - np.median(judged)])
    assert np.isnan(top_gains(scores, judged, 7)).all()


def test_holm_is_statsmodels():
    """Adjusted p-values equal statsmodels', in the order given; NaN is not counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from statsmodels.stats.multitest import multipletests

    given = [0.01, 0.2, 0.013, 0.04, 0.04, 0.9, 1.0]
    assert holm(given) == pytest.approx(multipletests(given, method="holm")[1])
    assert holm([math.nan, 0.02, 0.5])[1:] == pytest.approx([0.04, 0.5])
    assert math.isnan(holm([math.nan, 0.02])[0])
    with pytest.raises(InputError, match="0 to 1"):
        holm([1.5])


def test_weighted_means_leave_out_what_is_missing():
    """The resampled mean of the drawing that takes each cluster once is the weighted mean itself."""
    values, weights = np.array([[1.0, np.nan, 4.0]]), np.array([1.0, 5.0, 2.0])
    assert weighted_mean(values, weights) == pytest.approx([3.0])
    assert resampled_means(values, weights, np.ones((1, 3))).ravel() == pytest.approx([3.0])
    assert cluster_draws(7, 50, 0).sum(1).tolist() == [7] * 50


def test_settling_makes_ties():
    """Sums in different order tie; values that differ beyond the 12th digit do not."""
    numbers = np.array([0.1, 0.7, 0.2, 0.4])
    sums = np.array([math.fsum(numbers), numbers[::-1].sum(), numbers.sum() + 3e-16, 1.4 + 1e-9])
    found = settled(sums)
    assert (found[0] == found[1] == found[2], found[3] > found[0]) == (True, True)
    assert settled(np.array([0.0, -0.0])).tolist() == [0.0, 0.0]


def test_permutation_p_values_are_scipys():
    """In one bin the two-sided p-value is scipy's permutation p of Spearman; a constant score has none."""
    rows = np.vstack([SCORES[:, :15], np.ones(15)])
    found = permutation_p_values([(rows, ACCURACY[:15])], 4000, 0)
    for row, p in zip(rows[:3], found, strict=False):
        theirs = stats.permutation_test(
            (row,),
            lambda x: stats.spearmanr(x, ACCURACY[:15]).statistic,
            permutation_type="pairings",
            n_resamples=800,
            rng=np.random.default_rng(0),
            vectorized=False,
        )
        assert p == pytest.approx(theirs.pvalue, abs=0.035)
    assert np.isnan(found[3])


def test_permutations_stay_inside_bins():
    """Two bins whose levels differ but which hold nothing inside give no small p-value, however strong the whole."""
    draw = np.random.default_rng(0)
    bins = [(level + draw.normal(size=(1, 20)), level + draw.normal(size=20)) for level in (0.0, 50.0)]
    whole = (np.hstack([scores for scores, _ in bins]), np.concatenate([accuracy for _, accuracy in bins]))
    assert permutation_p_values([whole], 999, 0)[0] == pytest.approx(0.001)
    assert permutation_p_values(bins, 999, 0)[0] > 0.05


def test_few_clusters_widen_the_interval():
    """With 10 clusters the interval of a mean is as wide as Student's t with 9 degrees of freedom, within 10 %."""
    values = np.random.default_rng(1).normal(size=(1, 10))
    resampled = resampled_means(values, np.ones(10), cluster_draws(10, 20_000, 0))[0]
    low, high = interval(resampled, 10)
    wide = stats.t.ppf(0.975, 9) * values.std(ddof=1) / math.sqrt(10)
    assert (high - low) / 2 == pytest.approx(wide, rel=0.1)
    assert all(math.isnan(end) for end in interval(resampled, 1))


def test_networks_are_drawn_inside_their_bins():
    """The bootstrap of networks spreads about as the variance of Bonett and Wright (2000) says, around the mean."""
    draw = np.random.default_rng(0)
    bins = [(np.atleast_2d(x), x + draw.normal(size=30)) for x in draw.normal(size=(3, 30))]
    values = np.array([spearmans(scores, accuracy)[0] for scores, accuracy in bins])
    error = math.sqrt(((1 - values**2) ** 2 * (1 + values**2 / 2) / 27).mean() / 3)  # Bonett and Wright 2000
    for found in (
        np.quantile(network_draws(bins, 1000, 0)[0], (0.025, 0.975)),
        bootstrap_interval([np.vstack([*pair]) for pair in bins], COEFFICIENTS["spearman"], 1000, 0),
    ):
        assert found == pytest.approx([values.mean() - 1.96 * error, values.mean() + 1.96 * error], abs=0.08)


def latent(networks: int, runs: int, *, signal: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True accuracies of the given standard deviation, and runs of them with noise of 1."""
    draw = np.random.default_rng(seed)
    truth = signal * draw.normal(size=networks)
    return truth, truth[:, None] + draw.normal(size=(networks, runs))


def test_the_ceiling_is_what_the_truth_reaches():
    """Reliability gives the true scores' Pearson, Spearman and Kendall with the noisy means, without seeing them."""
    truth, accuracy = latent(4000, 3, signal=0.8, seed=0)
    means = accuracy.mean(1)
    r = math.sqrt(reliability(accuracy))
    assert r == pytest.approx(stats.pearsonr(truth, means).statistic, abs=0.015)
    assert spearman_of(r) == pytest.approx(stats.spearmanr(truth, means).statistic, abs=0.02)
    assert kendall_of(r) == pytest.approx(stats.kendalltau(truth, means).statistic, abs=0.02)


def test_the_true_best_is_estimated_without_seeing_it():
    """Over 60 bins the gain of the truly best network is that of the drawn-together means, within 5 %."""
    bins = [latent(150, 3, signal=0.8, seed=seed) for seed in range(60)]
    found = np.mean([true_best_gain(accuracy) for _, accuracy in bins])
    assert found == pytest.approx(np.mean([truth.max() - np.median(truth) for truth, _ in bins]), rel=0.05)


def test_the_concordance_ceiling_is_pooled_over_sizes():
    """Pairs of many small sizes reach what the pooled variances say."""
    sizes = [latent(6, 2, signal=0.5, seed=seed) for seed in range(1500)]
    pairs = np.sum([concordances(truth[None], accuracy.mean(1)) for truth, accuracy in sizes], axis=0)[:, 0]
    expected = (pairs[0] - pairs[1]) / pairs.sum()
    assert concordance_ceiling([accuracy for _, accuracy in sizes]) == pytest.approx(expected, abs=0.02)


def test_variances_with_missing_runs():
    """Noise is pooled by degrees of freedom and divided by the harmonic mean of the runs."""
    accuracy = np.array([[1.0, 3.0, np.nan], [5.0, 6.0, 7.0], [9.0, np.nan, np.nan]])
    means, noise = variances(accuracy)
    assert means == pytest.approx(np.var([2.0, 6.0, 9.0], ddof=1))
    assert noise == pytest.approx((2.0 + 2.0) / 3 * (1 / 2 + 1 / 3 + 1) / 3)
    assert math.isnan(reliability(accuracy[:, :1]))
    assert reliability(np.array([[0.0, 9.0], [9.0, 0.0], [1.0, 8.5]])) == 0.0


def test_one_run_is_judged_by_the_others():
    """Every run is the score once and the mean of the others the truth; without a second run there is nothing."""
    accuracy = np.array([[1.0, 2.0, 5.0], [2.0, 1.0, 6.5], [3.0, 3.0, 4.5]])
    expected = np.mean([stats.spearmanr(accuracy[:, r], np.delete(accuracy, r, 1).mean(1)).statistic for r in range(3)])
    assert by_one_run(accuracy, spearmans) == pytest.approx(expected)
    assert math.isnan(by_one_run(accuracy[:, :1], spearmans))
    assert one_run_concordances(accuracy) == (2.0, 0.0)  # the others: 3.5, 3.75, 3.75, of which two tie


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [10, 40])
def test_cluster_intervals_cover(clusters: int):
    """The 95 % interval of a mean over bins that differ in size and truth holds the truth in 91 to 98.5 % of 400."""
    hits, sizes = 0, (30, 60, 120)
    levels = np.array([0.4, 0.5, 0.6, 0.7, 0.8])
    # the mean of Spearman's coefficient over normal samples of n, exactly (Moran 1948), bins weighted by their sizes
    expected = np.average(
        [[6 / np.pi / (n + 1) * (np.arcsin(r) + (n - 2) * np.arcsin(r / 2)) for n in sizes] for r in levels],
        axis=1,
        weights=sizes,
    ).mean()
    for seed in range(400):
        draw = np.random.default_rng([9, seed])
        counts, truths = draw.choice(sizes, clusters), draw.choice(levels, clusters)
        found = np.array([[_sampled(draw, r, n) for r, n in zip(truths, counts, strict=True)]])
        low, high = interval(resampled_means(found, counts, cluster_draws(clusters, 500, seed))[0], clusters)
        hits += low <= expected <= high
    assert 0.91 * 400 <= hits <= 0.985 * 400


@pytest.mark.slow
@pytest.mark.parametrize(("networks", "true"), [(8, 0.8), (13, 0.85), (13, 0.0), (24, 0.5), (40, 0.6)])
def test_intervals_of_one_size_cover(networks: int, true: float):
    """The 95 % interval of one bin's Spearman holds the normal distribution's in 92 to 99 % of 400 samples."""
    hits = 0
    for seed in range(400):
        x, noise = np.random.default_rng([8, seed]).normal(size=(2, networks))
        pairs = np.stack([x, true * x + math.sqrt(1 - true**2) * noise])
        low, high = bootstrap_interval([pairs], COEFFICIENTS["spearman"], 1000, seed)
        hits += low <= spearman_of(true) <= high
    assert 0.92 * 400 <= hits <= 0.99 * 400


def _sampled(draw: np.random.Generator, true: float, networks: int) -> float:
    """Spearman's coefficient of a normal sample with that Pearson correlation."""
    x, noise = draw.normal(size=(2, networks))
    return float(spearmans(x[None], true * x + math.sqrt(1 - true**2) * noise)[0])
