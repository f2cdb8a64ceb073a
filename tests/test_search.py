"""The loop of a live search against worlds whose best layout is known, its record, and the last comparison."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from parlay import InputError, plain, solve
from parlay.energy import get_score
from parlay.errors import StudyError
from parlay.evidence.candidates import ENERGY, begin
from parlay.evidence.controls import OWN, PICK, RANDOM, RECOMMENDED, compare, verdict
from parlay.evidence.designs import POLICIES
from parlay.evidence.search import Found, Query, Record, search
from parlay.layout import Layout
from parlay.problem import Problem
from parlay.solver import list_layouts

Train = Callable[[Sequence[Layout]], dict[Layout, float]]
WORLD = (0.3, 0.6, 2.4)
"""What a unit of ln ln n is worth in each group: the energy would say the same for all."""


def problem(**options: Any) -> Problem:
    """Three layers of one size in any order."""
    return plain(3).problem(**{"kernels": 1200, "order": "free", "score": "energy-layer"} | options)


def truth(layout: Layout) -> float:
    """Accuracy without noise."""
    return 0.7 + 0.05 * float(np.log(np.log(np.array(layout))) @ np.array(WORLD))


def world(*, noise: float = 0.001, seed: int = 0) -> Train:
    """A trainer whose noise belongs to the layout, as that of a seed does, in whichever order it is asked."""

    def train(layouts: Sequence[Layout]) -> dict[Layout, float]:
        return {one: truth(one) + noise * np.random.default_rng([seed, *one]).standard_normal() for one in layouts}

    return train


@pytest.fixture(scope="module")
def best() -> float:
    """Accuracy of the best of all layouts with widths of at least 2."""
    return max(truth(s.layout) for s in list_layouts(problem()) if min(s.layout) > 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_loop_finds_a_near_best_layout(policy: str, best: float) -> None:
    """Where the last layer counts most, 14 noisy trainings get 80 % of the way from the energy's pick to the best."""
    found = search(Query(problem=problem(), policy=policy, trials=14, batch=2, seed=1), world())
    pick = truth(found.record.start.pick)
    assert best - pick > 0.01
    assert truth(found.recommended) - pick > 0.8 * (best - pick)
    assert len(found.values) == 14
    assert found.gains["pick"].low <= found.gains["pick"].mean <= found.gains["pick"].high


def test_recommendation_is_the_exact_optimum_of_the_weights_written_down() -> None:
    """What weights.json would be solved to is what is recommended, and no candidate is expected to be better."""
    query = Query(problem=problem(), trials=12, batch=3)
    found = search(query, world())
    assert found.calibration is not None
    score = found.calibration.score()
    assert solve(replace(query.problem, score=score)).best.layout == found.recommended
    terms = score.terms(query.problem.space)
    assert max(terms(one.layout) for one in found.record.candidates) == pytest.approx(terms(found.recommended))


def test_first_trained_are_the_scores_pick_and_the_users_layout() -> None:
    """The exact optimum of the score first, then the layout given, then what the policy chooses; none twice."""
    own = (20, 20, 39)
    query = Query(problem=problem(kernels=1240), own=own, trials=6)
    found = search(query, world())
    proposed = found.record.proposed
    assert proposed[0] == solve(query.problem).best.layout and proposed[1] == own
    assert len(set(proposed)) == 6
    reasons = [proposal.reason for turn in found.record.rounds for proposal in turn.proposals]
    assert reasons == ["best of energy-layer", "your layout", *["thompson"] * 4]
    assert set(found.gains) == {"pick", "own"}


@pytest.mark.parametrize("rounds", [0, 1, 3, 4])
def test_a_search_that_was_killed_goes_on_as_if_undisturbed(rounds: int) -> None:
    """Killed in any round, before or after the last, and read back from JSON, it ends in the same way."""
    query = Query(problem=problem(), trials=8, batch=2, seed=4)
    whole = search(query, world())
    kept: list[str] = []
    calls = 0

    def killed(layouts: Sequence[Layout]) -> dict[Layout, float]:
        nonlocal calls
        calls += 1
        if calls > rounds:
            raise KeyboardInterrupt
        return world()(layouts)

    try:
        search(query, killed, keep=lambda record: kept.append(json.dumps(record.content())))
    except KeyboardInterrupt:
        assert rounds < 4
    again = search(query, world(), record=Record.read(json.loads(kept[-1])))
    assert same(again) == same(whole)


def same(found: Found) -> tuple[Any, ...]:
    """All that a search decided."""
    assert found.calibration is not None
    return (
        json.dumps(found.record.content()),
        found.values,
        found.recommended,
        found.gains,
        found.calibration.document(),
    )


def test_proposals_do_not_depend_on_which_training_ended_first() -> None:
    """Results that come in another order change nothing."""
    query = Query(problem=problem(), trials=8, batch=4)

    def backwards(layouts: Sequence[Layout]) -> dict[Layout, float]:
        return world()(list(reversed(layouts)))

    assert same(search(query, backwards)) == same(search(query, world()))


def test_seed_and_batch_make_another_search() -> None:
    """Another seed draws other designs; the question alone fixes them."""
    query = Query(problem=problem(), trials=6, batch=2)
    first, again, other = (search(q, world()).record for q in (query, query, replace(query, seed=1)))
    assert first == again != other


def test_what_fails_is_left_out_and_never_recommended() -> None:
    """Layouts whose training fails count as trained, are told, and are not recommended; all failing is an error."""
    told = []

    def fragile(layouts: Sequence[Layout]) -> dict[Layout, float]:
        return {layout: value for layout, value in world()(layouts).items() if layout[2] < 40}

    found = search(Query(problem=problem(), trials=10, batch=2), fragile, told=told.append)
    assert len(found.values) + len(found.failed) == 10 and found.failed
    assert found.recommended not in found.failed and len(told) == 5
    assert set(told[-1].failed) == set(found.failed)
    with pytest.raises(StudyError, match="every training failed"):
        search(Query(problem=problem(), trials=4), lambda layouts: {})


def test_a_small_space_is_trained_to_its_end() -> None:
    """With fewer layouts than trainings asked for it stops when all are trained."""
    small = plain(3).problem(kernels=500, score="energy-layer")
    found = search(Query(problem=small, trials=16, batch=4), world())
    every = {s.layout for s in list_layouts(small) if min(s.layout) > 1}
    assert set(found.values) == every and len(every) < 16


def test_candidates_keep_every_limit_and_a_small_space_is_all_of_them() -> None:
    """Under two limits the candidates of a small space are all layouts that keep both; energy's pick is exact."""
    size = plain(3).problem(kernels=1200, score="path-energy")
    asked = plain(3).problem(kernels=1200, max_macs=1_200_000, score="path-energy")
    allowed = [s.layout for s in list_layouts(size) if not asked.violations(s.layout)]
    start = begin(asked, prior="path-energy")
    assert start.whole and start.random in allowed and 10 < len(allowed) < len(list_layouts(size))
    assert start.energy == solve(replace(asked, score=get_score(ENERGY))).best.layout
    assert {one.layout for one in start.candidates} == {layout for layout in allowed if min(layout) > 1}


def test_candidates_of_a_large_space_spread_over_it() -> None:
    """Samples reach into the lower half of all scores; optima of drawn weights differ from the score's best."""
    asked = problem()
    start = begin(asked, prior="energy-layer", seed=3)
    every = sorted(asked.log_energy(s.layout) for s in list_layouts(asked))
    by_source: dict[str, list[float]] = {}
    for one in start.candidates:
        by_source.setdefault(one.source, []).append(asked.log_energy(one.layout))
    assert not start.whole and min(by_source["uniform sample"]) < every[len(every) // 2]
    assert len(by_source["best of weights drawn"]) >= 3
    assert max(by_source["best of weights drawn"]) < min(by_source["near the score's best"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trials": 3}, "n-trials: got 3; allowed: an integer from 4"),
        ({"batch": 0}, "batch: got 0"),
        ({"policy": "bayes"}, "thompson, ucb, learn"),
        ({"own": (20, 20, 40)}, "kernels is 1260, not kernels = 1200; without a size"),
        ({"own": (20, 20)}, "2 widths for 3 groups"),
        ({"own": (200, 1, 400)}, "a width of 1"),
    ],
)
def test_what_cannot_be_searched_is_refused(change: dict[str, Any], words: str) -> None:
    """Too few trainings, unknown policies and layouts of another size are named in one line."""
    with pytest.raises(InputError, match=words) as error:
        Query(**{"problem": problem()} | change)
    assert "\n" not in str(error.value)


def test_a_size_without_layouts_is_refused() -> None:
    """Sizes that no layout has, or one only, are refused before anything is trained."""
    with pytest.raises(InputError, match="a size that has layouts"):
        begin(plain(3).problem(kernels=7, score="energy-layer"), prior="energy-layer")
    with pytest.raises(InputError, match="at least two"):
        begin(plain(2).problem(kernels=22, score="energy-layer"), prior="energy-layer")


ROLES = {RECOMMENDED: (9, 9), OWN: (4, 20), PICK: (8, 10), RANDOM: (4, 20)}


def test_comparison_is_that_of_paired_runs() -> None:
    """Means, spreads and intervals are scipy's; a layout of two roles comes once; a missing run drops its pair."""
    rng = np.random.default_rng(0)
    runs = {layout: dict(enumerate((0.9 + 0.01 * rng.standard_normal(5)).tolist())) for layout in set(ROLES.values())}
    best, own, pick = compare(ROLES, runs)
    a, b = (np.array(list(runs[layout].values())) for layout in ((9, 9), (4, 20)))
    expected = ttest_rel(a, b).confidence_interval()
    assert own.roles == (OWN, RANDOM) and best.compared is None and own.compared is not None
    assert (own.compared.low, own.compared.high) == pytest.approx((expected.low, expected.high))
    assert own.compared.mean == pytest.approx((a - b).mean()) and own.spread == pytest.approx(b.std(ddof=1))
    del runs[8, 10][2]
    pick = compare(ROLES, runs)[2]
    assert pick.compared is not None and pick.compared.seeds == 4


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ((0.80, 0.81, 0.79), "take 9-9: on the test images it gains over your layout"),
        ((0.99, 0.98, 0.99), "keep your layout: on the test images 9-9 loses to it"),
        ((0.90, 0.93, 0.91), "keep your layout: that 9-9 is better is not shown"),
        ((0.80,), "keep your layout: 9-9 is .* on one seed, which shows nothing"),
        ((), "keep your layout: no run compares it"),
    ],
)
def test_verdict_says_what_the_runs_say(theirs: tuple[float, ...], words: str) -> None:
    """It can be negative, and claims nothing without an interval above 0."""
    runs = {(9, 9): {1: 0.91, 2: 0.92, 3: 0.915}, (4, 20): dict(enumerate(theirs, start=1))}
    found = compare({RECOMMENDED: (9, 9), OWN: (4, 20), PICK: (9, 9)}, runs)
    assert math.isfinite(found[0].mean or math.nan)
    assert re.match(words, verdict(found))


def test_verdict_without_a_layout_of_ones_own_is_about_the_scores_pick() -> None:
    """A recommendation that is the pick says so; another is set against the pick."""
    runs = {(9, 9): {1: 0.91, 2: 0.92}, (8, 10): {1: 0.911, 2: 0.921}}
    assert "the search recommends it" in verdict(compare({RECOMMENDED: (9, 9), PICK: (9, 9)}, runs))
    assert verdict(compare({RECOMMENDED: (9, 9), PICK: (8, 10)}, runs)).startswith("take the score's own pick 8-10")


def test_verdict_owns_up_to_a_control_that_does_better() -> None:
    """Where the score's pick beats the recommended layout for certain, the verdict says so, whatever it advises."""
    runs = {(9, 9): {1: 0.91, 2: 0.92, 3: 0.915}, (8, 10): {1: 0.931, 2: 0.94, 3: 0.936}}
    said = verdict(compare({RECOMMENDED: (9, 9), OWN: (9, 9), PICK: (8, 10)}, runs))
    assert said.startswith(
        "keep your layout: the search recommends it; against the search: score's pick 8-10 did better"
    )
    assert "(+2.07 points [+" in said
