"""Correlations against scipy, known values and degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from parlay.errors import InputError
from parlay.evidence import correlate, partial_correlate


def sample(n: int = 25, seed: int = 0) -> tuple[list[float], list[float], list[float]]:
    """Three related quantities with ties."""
    draw = np.random.RandomState(seed)
    z = draw.normal(size=n)
    return (z + draw.normal(size=n)).round(1).tolist(), (z + draw.normal(size=n)).round(1).tolist(), z.round(1).tolist()


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_coefficients_equal_scipys(method: str):
    """Value and permutation p-value agree with scipy, ties included; the interval holds the value."""
    xs, ys, _ = sample()
    found = correlate(xs, ys, method=method)
    theirs = getattr(stats, f"{method}r")(xs, ys)
    assert found.value == pytest.approx(theirs.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert found.low is not None and found.high is not None
    assert found.low < found.value < found.high
    assert found.n == 25


def test_the_partial_coefficient_is_that_of_rank_residuals():
    """It equals Pearson's coefficient of what is left of the ranks of x and y after regression on those of z."""
    xs, ys, zs = sample(seed=3)
    rx, ry, rz = (stats.rankdata(values) for values in (xs, ys, zs))
    left = [r - np.polyval(np.polyfit(rz, r, 1), rz) for r in (rx, ry)]
    assert partial_correlate(xs, ys, zs).value == pytest.approx(stats.pearsonr(*left).statistic, abs=1e-9)


def test_seeds_fix_the_intervals():
    """One seed gives one interval; 4,000 resamples make another seed's differ little."""
    xs, ys, zs = sample()
    assert correlate(xs, ys, seed=1) == correlate(xs, ys, seed=1)
    one, two = correlate(xs, ys, seed=1), correlate(xs, ys, seed=2)
    assert one != two and one.low == pytest.approx(two.low, abs=0.05)
    assert partial_correlate(xs, ys, zs) == partial_correlate(xs, ys, zs)


@pytest.mark.parametrize(
    ("xs", "ys"), [([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3, 4], [5, 5, 5, 5]), ([1, 2], [1, 2]), ([], []), ([1], [1])]
)
def test_what_has_no_correlation_is_none(xs: list[float], ys: list[float]):
    """Constant input and fewer than three pairs give None everywhere, and no warning."""
    for found in (correlate(xs, ys), correlate(xs, ys, method="pearson"), partial_correlate(xs, ys, xs)):
        assert (found.value, found.low, found.high, found.p_value) == (None, None, None, None)
        assert "not defined" in str(found)


def test_a_third_quantity_of_the_same_order_leaves_nothing():
    """When energy and multiply-adds rank alike, the partial coefficient is not defined."""
    assert partial_correlate([1, 2, 3, 4, 5], [1, 3, 2, 5, 4], [10, 20, 30, 40, 50]).value is None


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_pairs_changes_nothing(seed: int):
    """Shuffled pairs give the same value, interval and p-value to the last bit, ties included."""
    columns = np.array(sample(seed=seed))
    shuffled = columns[:, np.random.RandomState(9).permutation(25)]
    for method in ("spearman", "pearson"):
        assert correlate(*columns[:2], method=method) == correlate(*shuffled[:2], method=method)
    assert partial_correlate(*columns) == partial_correlate(*shuffled)


def test_an_energy_of_nothing_ranks_lowest():
    """-inf has a rank, lower than all others, and no Pearson coefficient."""
    xs, ys = [float("-inf"), 1.0, 2.0, 3.0, 5.0, 4.0], [0.1, 0.2, 0.4, 0.3, 0.6, 0.5]
    assert correlate(xs, ys) == correlate([-1e9, *xs[1:]], ys)
    assert correlate(xs, ys, method="pearson").value is None


def test_bad_input_is_refused():
    """Different lengths, numbers that are not finite, and unknown methods."""
    with pytest.raises(InputError, match="equal lengths"):
        correlate([1, 2], [1])
    with pytest.raises(InputError, match="finite"):
        correlate([1, 2, float("nan")], [1, 2, 3])
    with pytest.raises(InputError, match="spearman, pearson"):
        correlate([1, 2, 3], [1, 2, 3], method="kendall")


def test_intervals_cover_about_as_often_as_they_say():
    """Pearson's 95 % interval holds the true value of a normal sample in most of 30 samples of 40."""
    hits = 0
    for seed in range(30):
        draw = np.random.RandomState(seed)
        x, noise = draw.normal(size=40), draw.normal(size=40)
        found = correlate(x.tolist(), (0.6 * x + 0.8 * noise).tolist(), method="pearson")
        assert found.low is not None and found.high is not None
        hits += found.low <= 0.6 <= found.high
    assert hits >= 25
