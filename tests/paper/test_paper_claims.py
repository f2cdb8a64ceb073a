"""Claims, estimates and verdicts, against numbers worked out by other means."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from parlay.evidence import Outcome
from parlay.paper.claims import claims
from parlay.paper.estimates import (
    Estimate,
    agreement,
    difference_of_groups,
    difference_of_two,
    near_energies,
    rank_correlation,
    share_beaten,
)
from parlay.paper.experiments import EXPERIMENTS, Experiment, Role, get_experiment
from parlay.paper.judge_claims import RULES, JudgedClaim, gather, judge, judge_all
from parlay.paper.pairs import matched_pairs
from parlay.paper.points import PanelPoint, gather_panel
from parlay.paper.runs import Protocol, plan_panel
from parlay.study import Row


def point(accuracy, log_energy=1.0, macs=1, layout=None, role=Role.SAMPLED):
    values = accuracy if isinstance(accuracy, tuple) else (accuracy,)
    name = layout or (max(1, round(1000 * log_energy)),)
    return PanelPoint(layout=name, role=role, note="", log_energy=log_energy, macs=macs, accuracies=values)


def trials(name, accuracy, **protocol) -> list[Row]:
    """Complete trials of a panel; ``accuracy`` maps experiment, layout and seed to per cent."""
    panel = get_experiment(name)
    plan = plan_panel(panel, Protocol(**protocol), data=("a" if panel.data == "cifar10" else "b") * 64)
    return [
        Row(
            trial=planned.trial,
            kinds=planned.kinds,
            data_name=panel.data,
            status="complete",
            accuracy=accuracy(panel, planned.trial.layout, planned.trial.seed) / 100,
            loss=1.0,
            seconds=10.0,
        )
        for planned in plan
    ]


def rising(panel: Experiment, layout, seed):
    """Accuracy that follows energy exactly, but for a tenth of a point between seeds."""
    top = max(panel.family.energy(choice.layout) for choice in panel.choices)
    return 60 + 10 * math.exp(panel.family.energy(layout) - top) + 0.1 * (seed % 2)


def verdicts(rows):
    return {item.claim.name: item.verdict for item in judge_all(gather(rows), rows)}


def test_every_claim_has_a_rule_a_panel_and_a_name_of_its_own():
    """The list is whole: names differ, rules are known, panels exist, the paper's come before ours."""
    found = claims()
    assert len({claim.name for claim in found}) == len(found)
    assert {claim.rule for claim in found} == set(RULES)
    assert {claim.panel for claim in found} == {*EXPERIMENTS, "voc"}
    sections = [claim.section for claim in found]
    assert sections == sorted(sections)


def test_without_trials_nothing_is_decided():
    """Every claim is 'not enough data', says why, and none has an estimate."""
    judged = judge_all(gather([]), [])
    assert {item.verdict for item in judged} == {Outcome.OPEN}
    assert all(item.reason and item.estimate.value is None for item in judged)


@pytest.mark.parametrize(
    ("low", "high", "above", "verdict"),
    [
        (0.4, 0.9, True, Outcome.HOLDS),
        (0.1, 0.2, True, Outcome.FAILS),
        (0.1, 0.9, True, Outcome.OPEN),
        (None, None, True, Outcome.OPEN),
        (0.4, 0.9, False, Outcome.FAILS),
        (0.1, 0.2, False, Outcome.HOLDS),
    ],
)
def test_the_whole_interval_decides(low, high, above, verdict):
    """A claim holds or fails by the side of its number on which the whole interval lies, else it stays open."""
    [claim] = [c for c in claims() if c.name == "rises-3a"]
    sided = claim.__class__(**{**vars(claim), "above": above})
    found = JudgedClaim(claim=sided, estimate=Estimate(value=0.5, low=low, high=high, n=9))
    assert found.verdict is verdict
    assert found.to_json()["verdict"] == str(verdict)


def test_accuracy_that_follows_energy_makes_the_papers_claims_hold():
    """On data made of energy alone the claims on trend, ends and corner hold; without runs they are open."""
    found = verdicts([*trials("3a", rising, seeds=(0, 1)), *trials("3b", rising), *trials("5a", rising)])
    for name in ("rises-3a", "ends-3a", "rises-3b", "corner-3b", "gain-3b", "rises-5a", "quarters-5a", "given-macs-3a"):
        assert found[name] is Outcome.HOLDS, name
    assert found["rises-3c"] is found["ends-3c"] is Outcome.OPEN


def test_accuracy_that_falls_with_energy_makes_them_fail():
    """On data made the other way round none of these claims holds."""
    found = verdicts(
        [*trials("3a", lambda *a: -rising(*a) + 140, seeds=(0, 1)), *trials("3b", lambda *a: -rising(*a) + 140)]
    )
    for name in ("rises-3a", "ends-3a", "rises-3b", "corner-3b", "gain-3b"):
        assert found[name] is Outcome.FAILS, name


def test_pairs_tell_energy_from_macs():
    """Where accuracy follows energy alone, only the pairs that differ in energy differ in accuracy."""
    found = gather(trials("pairs", rising))
    by_name = {item.claim.name: item for item in judge_all(found)}
    assert by_name["matched-energy"].verdict is Outcome.HOLDS
    assert by_name["matched-energy"].estimate.n == 6
    same = by_name["matched-macs"].estimate
    assert same.value is not None and abs(same.value) < 0.2
    high = {pair.high for pair in matched_pairs()}
    worse = trials("pairs", lambda panel, layout, seed: 60 - 2 * (layout in high) + 0.1 * seed)
    assert verdicts(worse)["matched-energy"] is verdicts(worse)["matched-macs"] is Outcome.FAILS


def test_layouts_that_the_paper_leaves_out_do_not_decide_its_claims():
    """The grey points of 3a change neither its trend nor its ends, however bad they are."""
    narrow = trials("3a", lambda p, layout, s: 1.0 if layout[0] < 8 else rising(p, layout, s), seeds=(0, 1))
    plain = [row for row in narrow if row.trial.layout[0] >= 8]
    [with_grey], [without] = ([i for i in judge_all(gather(r)) if i.claim.name == "ends-3a"] for r in (narrow, plain))
    assert with_grey.estimate == without.estimate
    panel = gather(narrow)["3a"]
    assert (len(panel.points), len(panel.judging)) == (32, 24)


def test_protocols_are_never_mixed():
    """The protocol with most layouts is shown, of equally many the longer; the other is kept beside it."""
    short, long = trials("3a", rising, steps=10), trials("3a", rising, steps=20, layouts=5)
    panel = gather_panel(get_experiment("3a"), [*short, *long])
    assert panel.protocol == "fast, 10 steps, fp32" and len(panel.points) == 32
    assert [(p.protocol, len(p.points)) for p in panel.others] == [("fast, 20 steps, fp32", 5)]
    assert gather_panel(get_experiment("3a"), [*short, *long], steps=20).protocol == "fast, 20 steps, fp32"
    assert gather_panel(get_experiment("3a"), [*short, *long], recipe="paper").points == ()


def test_two_layouts_are_compared_where_both_were_trained():
    """A protocol that has one of the two decides nothing: one that has both does, and is named."""
    [claim] = [c for c in claims() if c.name == "two-free3"]
    assert claim.layouts is not None
    most = [row for row in trials("free3", rising, steps=20) if row.trial.layout != claim.layouts[1]]
    assert "no run of 36-38-74" in judge(claim, gather(most)).reason
    both = trials("free3", rising, steps=10, seeds=(0, 1), layouts=6)
    judged = judge(claim, gather([*most, *both]))
    assert (judged.protocol, judged.verdict) == ("fast, 10 steps, fp32", Outcome.HOLDS)
    assert gather([*most, *both])["free3"].protocol == "fast, 20 steps, fp32"
    one = trials("free3", rising, steps=20)  # one run of each under the panel's protocol takes no verdict away
    assert judge(claim, gather([*one, *both])) == judged
    assert judge(claim, gather(one)).verdict is Outcome.OPEN


def test_short_and_long_recipe_are_compared_over_the_layouts_of_both():
    """Agreement is Spearman over shared layouts; four are too few."""
    rows = [*trials("3a", rising, layouts=8), *trials("3a", rising, layouts=8, recipe="paper")]
    [claim] = [c for c in claims() if c.rule == "agreement"]
    assert judge(claim, gather(rows)).estimate.value == pytest.approx(1.0)
    few = [*trials("3a", rising), *trials("3a", rising, layouts=4, recipe="paper")]
    assert judge(claim, gather(few)).verdict is Outcome.OPEN


def test_protocols_are_not_mixed_on_voc_either():
    """Two recipes that say opposite things are not averaged: the one with most runs of both layouts decides."""
    [claim] = [c for c in claims() if c.panel == "voc"]
    assert claim.layouts is not None

    def runs(steps, seeds, gap):
        found = trials(
            "3b", lambda p, layout, s: 60 + gap * (layout == claim.layouts[0]) + 0.1 * s, steps=steps, seeds=seeds
        )
        [low] = {row.trial.layout for row in found} & {claim.layouts[0]}
        other = [
            replace(row, trial=replace(row.trial, layout=claim.layouts[1]), accuracy=row.accuracy - gap / 100)
            for row in found
            if row.trial.layout == low
        ]
        return [replace(row, data_name="voc2007") for row in (*(r for r in found if r.trial.layout == low), *other)]

    rows = [*runs(10, (0, 1, 2), 10.0), *runs(20, (0, 1), -10.0)]
    judged = judge(claim, gather(rows), rows)
    assert (judged.estimate.value, judged.estimate.n) == (pytest.approx(10.0), 6)


def test_agreement_asks_for_the_papers_own_steps():
    """A run of 140,000 steps is no run of 40,000, whatever its words contain."""
    [claim] = [c for c in claims() if c.rule == "agreement"]
    rows = [*trials("3a", rising, layouts=8), *trials("3a", rising, layouts=8, recipe="paper", steps=140_000)]
    assert "no run yet under the paper's recipe" in judge(claim, gather(rows)).reason


def test_voc_is_judged_by_its_two_layouts_alone():
    """No panel stands behind the VOC claim; without its runs it is open and says that images are missing."""
    [claim] = [c for c in claims() if c.panel == "voc"]
    rows = trials("3b", rising)
    assert "VOC 2007" in judge(claim, gather(rows), rows).reason
    assert claim.layouts == ((35, 36, 37, 43), (8, 16, 44, 78))


def test_two_layouts_have_students_interval_with_the_pooled_spread():
    """The interval is t on the pooled variance of seeds; with two layouts that is scipy's equal-variance interval."""
    a, b = (70.0, 71.0, 73.0), (68.0, 69.5, 69.0)
    found = difference_of_two(point(a), point(b, 0.5), [point(a), point(b, 0.5)])
    interval = stats.ttest_ind(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert difference_of_two(point(70.0), point(69.0), [point(70.0)]).low is None


def test_groups_have_welchs_interval():
    """Layouts are the units; fewer than three in a group give none."""
    upper, lower = [point(v) for v in (70.0, 72.0, 71.0)], [point(v) for v in (60.0, 65.0, 61.0)]
    found = difference_of_groups(upper, lower)
    interval = stats.ttest_ind([70, 72, 71], [60, 65, 61], equal_var=False).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((9.0, interval.low, interval.high))
    assert difference_of_groups(upper[:2], lower).value is None


def test_share_beaten_is_the_mann_whitney_share():
    """For groups it is U / (n m); for one layout the interval is the exact binomial one."""
    draw = np.random.default_rng(1)
    a, b = draw.normal(1, 1, 6), draw.normal(0, 1, 32)
    found = share_beaten([point(float(v)) for v in a], [point(float(v)) for v in b])
    assert found.value == pytest.approx(stats.mannwhitneyu(a, b).statistic / (6 * 32))
    assert found.low is not None and found.low < found.value < found.high
    one = share_beaten([point(9.0)], [point(float(v)) for v in range(24)])
    exact = stats.binomtest(9, 24).proportion_ci()
    assert (one.low, one.high) == pytest.approx((exact.low, exact.high))


def test_neighbours_in_energy_are_compared_with_the_range():
    """Ten points one per cent apart in energy that alternate by one of ten points: a tenth of the range."""
    points = [point(60.0 + place % 2, 1 + 0.01 * place) for place in range(10)]
    found = near_energies([*points, point(70.0, 5.0)])
    assert found.value == pytest.approx(0.1) and found.n == 9
    assert near_energies(points[:4]).value is None


def test_too_few_layouts_give_no_interval():
    """Seven layouts have a coefficient and no interval, eight have both; energies of 0 rank lowest."""
    points = [point(60.0 + place, place) for place in range(8)]
    assert rank_correlation(points[:7]).low is None
    assert rank_correlation(points).low is not None
    zero = rank_correlation([point(1.0, -math.inf, layout=(1,)), *points])
    assert zero.value == pytest.approx(1.0)
    assert agreement(points[:4], points).value is None
