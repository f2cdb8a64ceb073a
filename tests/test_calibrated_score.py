"""calibrated:FILE as a score: values, exact optima against brute force, and one line for every bad file."""

import itertools
import json
import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlay import InputError, Status, get_score, plain, resnet, solve
from parlay.calibrated import CalibratedScore, GroupWeight, WeightedLogLog, read_weights
from parlay.layout import Order


def score(weights: list[float], *, layers: int = 1, prior: str = "energy-layer") -> CalibratedScore:
    """A calibrated score over groups of one layer each."""
    known: dict[str, Any] = {"layers": layers, "prior": 1.0, "low": None, "high": None}
    entries = [GroupWeight(group=f"conv{g}", weight=a, **known) for g, a in enumerate(weights)]
    return CalibratedScore(name="test", prior=prior, weights=entries)


def content(given: list[float], **changes: object) -> dict[str, object]:
    """A file of weights as JSON values."""
    entries = [{"group": f"conv{g}", "layers": 1, "prior": 1.0, "weight": a} for g, a in enumerate(given)]
    return {"schema_version": 1, "kind": "parlay weights", "prior": "energy-layer", "weights": entries} | changes


def by_hand(weights: list[float], layout: tuple[int, ...]) -> float:
    """sum a_g ln ln n_g from its definition."""
    if 1 in layout:
        return -math.inf
    return math.fsum(a * math.log(math.log(n)) for a, n in zip(weights, layout, strict=True))


@given(st.fractions(-5, 5, max_denominator=1000), st.integers(1, 60), st.integers(0, 60))
def test_bounds_of_a_weighted_term_hold_for_either_sign(weight: Fraction, low: int, more: int) -> None:
    """upper() is the largest value in a range, also where a negative weight makes the term fall."""
    term = WeightedLogLog(weight)
    inside = term.values(np.arange(low, low + more + 1))
    assert float(term.upper(np.array([low]), np.array([low + more]))[0]) == inside.max()


@pytest.mark.parametrize("seed", range(12))
def test_solve_finds_the_optimum_that_brute_force_finds(seed: int) -> None:
    """Three layers of exactly or at most one size, weights of both signs, every order: the same best three layouts."""
    draw = random.Random(seed)
    weights = [round(draw.uniform(-0.7, 3.0), 3) for _ in range(3)]
    order = list(Order)[seed % 3]
    family = plain(depth=3)
    size = draw.randrange(150, 500)
    exact = seed % 2 == 0
    limit = {"kernels": size} if exact else {"max_kernels": size}
    result = solve(family.problem(score=score(weights), order=order, max_width=24, **limit), top_k=3)
    found = []
    for layout in itertools.product(range(1, 25), repeat=3):
        spent = family.kernels(layout)
        fits = spent == size if exact else spent <= size
        if fits and all(order.allows(a, b) for a, b in itertools.pairwise(layout)):
            found.append((by_hand(weights, layout), layout))
    found.sort(key=lambda pair: -pair[0])
    if not found:
        assert result.status is Status.INFEASIBLE
        return
    assert result.status is Status.OPTIMAL
    assert [s.score_value for s in result.solutions] == pytest.approx([value for value, _ in found[:3]], abs=1e-9)


@pytest.mark.parametrize("weights", [[2.0, 0.5, 1.25], [1.5, -0.4, 0.8], [0.0, 1.0, 2.0]])
def test_several_limits_keep_the_optimum(weights: list[float]) -> None:
    """With a limit on multiply-adds besides, the general solver agrees with brute force."""
    family = plain(depth=3, image=8)
    problem = family.problem(max_kernels=500, max_macs=30_000, order="free", max_width=24, score=score(weights))
    result = solve(problem)
    best = max(
        by_hand(weights, layout)
        for layout in itertools.product(range(1, 25), repeat=3)
        if family.kernels(layout) <= 500 and family.macs(layout) <= 30_000
    )
    assert result.status is Status.OPTIMAL and result.best.score_value == pytest.approx(best, abs=1e-9)


def test_equal_weights_are_the_energy() -> None:
    """Weights of one each give the energy, its optimum and its ties."""
    result = solve(plain(depth=4), kernels=4288, score=score([1.0] * 4), top_k=6)
    energy = solve(plain(depth=4), kernels=4288, score="energy-layer", top_k=6)
    assert [s.layout for s in result.solutions] == [s.layout for s in energy.solutions]


def test_other_terms_of_the_score_before_stay() -> None:
    """Fitted from a score over pairs, the weights are added to its terms."""
    known: dict[str, Any] = {"layers": 1, "prior": 0.0, "low": None, "high": None}
    entries = [GroupWeight(group=f"conv{g}", weight=a, **known) for g, a in enumerate((0.5, -0.25))]
    terms = CalibratedScore(name="test", prior="pair-harmonic", weights=entries).terms(plain(depth=2).space)
    before = get_score("pair-harmonic").terms(plain(depth=2).space)
    layout = (12, 20)
    assert terms(layout) == pytest.approx(before(layout) + by_hand([0.5, -0.25], layout), abs=1e-12)
    assert terms.formal((1, 20)) is None


def test_file_is_read_by_its_name(tmp_path: Path) -> None:
    """get_score takes calibrated:FILE, and the score is called so, without the folders of a whole path."""
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(content([2.0, 0.5])))
    found = get_score(f"calibrated:{path}")
    assert found.name == "calibrated:weights.json"
    assert found.terms(plain(depth=2).space)((8, 16)) == pytest.approx(by_hand([2.0, 0.5], (8, 16)), abs=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "a JSON file of weights"),
        ("[]", "kind 'parlay weights'"),
        (json.dumps(content([1.0], schema_version=9)), "schema_version: got 9"),
        (json.dumps(content([])), "one entry a group"),
        (json.dumps(content([math.nan])), "finite numbers"),
        (json.dumps(content([1.0], weights=[{"group": "a"}])), "group, layers, prior and weight"),
        (json.dumps(content([1.0], prior="energy-grup")), "did you mean energy-group"),
    ],
)
def test_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    """A file that is no file of weights is named with what is wrong in it."""
    path = tmp_path / "weights.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


def test_missing_file_and_other_network_are_refused(tmp_path: Path) -> None:
    """So is a file that is not there, and weights of a network with other groups or layers."""
    with pytest.raises(InputError, match="a file that can be read"):
        get_score(f"calibrated:{tmp_path / 'none.json'}")
    with pytest.raises(InputError, match=r"a network with 3 groups; .* with 2 groups"):
        score([1.0, 1.0]).terms(plain(depth=3).space)
    with pytest.raises(InputError, match="calibrate on trials of this network"):
        score([1.0] * 4).terms(resnet(depth=32).space)
