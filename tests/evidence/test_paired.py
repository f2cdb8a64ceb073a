"""Differences paired by seed: scipy's test, never surer than the images they were counted on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from parlay.evidence import Outcome, differences
from parlay.evidence.paired import LEAST_SEEDS, MOST_SEEDS


def test_differences_are_those_of_scipy():
    """Mean, interval and p equal scipy's paired t-test; Holm's p is checked by hand."""
    draw = np.random.default_rng(0)
    arms = {name: (0.8 + 0.01 * draw.standard_normal(5)).tolist() for name in "abcd"}
    found = differences({name: list(zip(arms["a"], arms[name], strict=True)) for name in "bcd"})
    raw = {}
    for name in "bcd":
        wanted = stats.ttest_rel(arms[name], arms["a"])
        interval = wanted.confidence_interval(0.95)
        ours = found[name]
        assert ours.p == pytest.approx(wanted.pvalue) and ours.seeds == 5
        assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
        raw[name] = wanted.pvalue
    first, second, third = sorted(raw, key=raw.__getitem__)
    assert found[first].p_holm == pytest.approx(min(1, 3 * raw[first]))
    assert found[second].p_holm == pytest.approx(min(1, max(3 * raw[first], 2 * raw[second])))
    assert found[third].p_holm == pytest.approx(min(1, max(3 * raw[first], 2 * raw[second], raw[third])))


@pytest.mark.parametrize("images", [None, 48, 10_000])
@pytest.mark.parametrize("seeds", range(1, LEAST_SEEDS))
def test_below_three_seeds_there_is_no_test(seeds: int, images: int | None):
    """However alike the seeds are: no interval, no p, no word."""
    found = differences({"b": [(0.5, 0.6)] * seeds}, images=images)["b"]
    assert (found.p, found.p_holm, found.low, found.high, found.outcome) == (None, None, None, None, Outcome.OPEN)
    assert f"{seeds} seed" in found.points() and "at least 3 are needed" in found.points()


def test_no_p_comes_from_a_spread_of_zero():
    """Seeds that all differ alike have the spread of counting images, or no test where their number is not known."""
    pairs = [(0.5, 0.52), (0.6, 0.62), (0.7, 0.72)]
    unknown = differences({"b": pairs})["b"]
    assert (unknown.p, unknown.spread, unknown.outcome) == (None, None, Outcome.OPEN)
    assert "how many images were counted is not known" in unknown.points()
    few, many = (differences({"b": pairs}, images=images)["b"] for images in (48, 1_000_000))
    assert few.p is not None and few.p > 0.5 and few.outcome is Outcome.OPEN
    assert many.outcome is Outcome.HOLDS
    assert differences({"b": [(0.5, 0.5)] * 3}, images=48)["b"].p == 1.0


def test_the_spread_is_at_least_the_binomial_one():
    """Of two networks that guess independently on few images, nine in ten differences that are 0 are not called one."""
    draw = np.random.default_rng(1)
    wrong, rounds, images = 0, 400, 48
    for _ in range(rounds):
        counts = draw.binomial(images, 0.6, (3, 2)) / images
        found = differences({"b": [(float(a), float(b)) for a, b in counts]}, images=images)["b"]
        assert found.spread is not None
        p, q = counts.mean(0)
        assert found.spread >= 0.98 * math.sqrt((p * (1 - p) + q * (1 - q)) / images)
        wrong += found.outcome is not Outcome.OPEN
    assert wrong < 0.05 * rounds


@pytest.mark.parametrize("mean", [0.001, 0.005, 0.02])
def test_the_seeds_that_would_decide_do_decide(mean: float):
    """With as many seeds as are named, the same mean and spread are decided; with one fewer they are not."""
    begin = [(0.5, 0.5 + mean + step) for step in (-0.01, 0.0, 0.01)]
    found = differences({"b": begin})["b"]
    assert found.seeds_needed is not None and found.spread == pytest.approx(0.01)

    def p(seeds: int) -> float:
        return 2 * float(stats.t.sf(mean / (0.01 / math.sqrt(seeds)), seeds - 1))

    assert p(found.seeds_needed) < 0.05 <= p(found.seeds_needed - 1)
    assert found.more_seeds == found.seeds_needed - 3


def test_what_no_seeds_decide_has_no_number():
    """A mean of nearly 0 is told to be out of reach, and what is decided needs no more seeds."""
    level = differences({"b": [(0.5, 0.49), (0.5, 0.5), (0.5, 0.51)]})["b"]
    assert level.more_seeds is None and f"{MOST_SEEDS:,}" in level.outlook
    sure = differences({"b": [(0.5, 0.6), (0.5, 0.61), (0.5, 0.59)]})["b"]
    assert sure.outcome is Outcome.HOLDS and sure.more_seeds == 0
