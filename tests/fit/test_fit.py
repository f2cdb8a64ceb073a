"""The arms of a fit and its verdict: scalings against enumeration, differences against scipy, sentences by hand."""

# ruff: noqa: E402

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from torch import nn

from parlay.compare import Arm, Standing, judge
from parlay.compare.measure_trials import MeasuredTrial
from parlay.compare.result import exceeded
from parlay.energy import RECOMMENDED
from parlay.errors import InputError
from parlay.families import plain
from parlay.fit import choose_arms
from parlay.graph import WidthGraph, trace
from parlay.layout import format_layout
from parlay.retrofit import Limits
from parlay.retrofit.scaling import keeps_budget, largest_scaling, random_layout


def tiny(widths: tuple[int, int, int] = (6, 8, 10)) -> nn.Module:
    a, b, c = widths
    return nn.Sequential(
        nn.Conv2d(1, a, 3, padding=1, bias=False),
        nn.BatchNorm2d(a),
        nn.ReLU(),
        nn.Conv2d(a, b, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(b, c, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(c, 10),
    )


@pytest.fixture(scope="module")
def graph() -> WidthGraph:
    return trace(tiny(), torch.zeros(1, 1, 8, 8))


def problem(limit: int, multiple: int) -> Any:
    return plain(3).problem(max_weights=limit, max_width=40, order="free", multiple_of=multiple)


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("limit", [900, 3000, 9999])
def test_the_largest_scaling_equals_a_scan(limit: int, multiple: int) -> None:
    """No multiplier on a fine grid gives a layout that keeps the budget and is larger."""
    asked = problem(limit, multiple)
    for direction in ((8, 8, 8), (5, 11, 17), (16, 3, 9)):
        found = largest_scaling(asked, direction)
        assert found is not None and keeps_budget(asked, found.layout)
        seen = []
        for step in range(1, 1500):
            along = Fraction(step, 100)
            layout = tuple(min(max(int(along * d) // multiple * multiple, multiple), 40) for d in direction)
            if keeps_budget(asked, layout):
                seen.append(layout)
        assert found.layout == max(seen, key=sum)


def test_a_budget_below_the_smallest_scaling_has_none() -> None:
    """Nothing is returned where even the smallest widths take more."""
    assert largest_scaling(problem(10, 1), (8, 8, 8)) is None


def test_random_layouts_use_the_budget_up() -> None:
    """Every limit is kept, no width can take a step more, a seed gives one layout, and others are drawn around."""
    asked = problem(3000, 2)
    for seed in range(5):
        drawn = random_layout(asked, seed=seed)
        assert asked.violations(drawn.layout) == []
        for g in range(3):
            bigger = tuple(width + 2 * (h == g) for h, width in enumerate(drawn.layout))
            assert asked.violations(bigger)
        assert random_layout(asked, seed=seed) == drawn
        assert random_layout(asked, seed=seed, others=[drawn.layout]).layout != drawn.layout


def test_arms_keep_the_limits(graph: WidthGraph) -> None:
    """The original comes first, every other arm keeps every limit, and each of the five names is there once."""
    arms, asked = choose_arms(graph, Limits(flash="1400", max_macs="none"), time_limit=5)
    assert arms[0].names[0] == "original" and arms[0].layout == graph.layout and not arms[0].fits
    assert all(arm.fits and not asked.violations(arm.layout) for arm in arms[1:])
    names = list(itertools.chain.from_iterable(arm.names for arm in arms))
    assert sorted(names) == sorted(["energy-layer", "original", "random", "uniform", RECOMMENDED])
    assert all(graph.flash_bytes()(arm.layout) <= 1400 for arm in arms[1:])


def test_given_layouts_are_arms_under_the_same_limits(graph: WidthGraph) -> None:
    """Called by their widths, marked where they do not fit; one that is an arm already, or today's, is no other."""
    limits = Limits(flash="1400", max_macs="none")
    usual, _ = choose_arms(graph, limits, time_limit=5)
    energy = next(arm for arm in usual if "energy-layer" in arm.names)
    large, small = (9, 9, 9), (4, 4, 4)
    arms, _ = choose_arms(graph, limits, given=[graph.layout, energy.layout, large, small], time_limit=5)
    found = {arm.layout: arm for arm in arms}
    assert (found[large].names, found[large].fits) == (("9-9-9",), False)
    assert (found[small].names, found[small].fits) == (("4-4-4",), True)
    assert found[graph.layout].names == usual[0].names
    assert found[energy.layout].names == (*energy.names, format_layout(energy.layout))
    assert len(arms) == len(usual) + 2


def test_arms_of_one_layout_are_one(graph: WidthGraph) -> None:
    """At today's budget, uniform scaling is the original: one arm, two names, and it comes back from JSON as it was."""
    arms, _ = choose_arms(graph, Limits(), time_limit=5)
    assert {"original", "uniform"} <= set(arms[0].names)
    assert [Arm.read(arm.to_json()) for arm in arms] == list(arms)


def test_a_budget_below_every_layout_is_refused(graph: WidthGraph) -> None:
    """The message says what cannot be kept and what could be had."""
    with pytest.raises(InputError, match=r"budget: got .*flash <= 300 .*would do: --min-ratio 0.3, or --flash 453"):
        choose_arms(graph, Limits(flash="300", max_macs="none"), time_limit=5)


def standing(
    name: str, gain: float, *, test: float | None = None, fits: bool = True, noise: float = 0.0001
) -> Standing:
    """An arm whose accuracies are 0.8 and so much more, with a little noise."""
    draw = random.Random(name)
    held, tested = (
        [0.8 + more + noise * draw.uniform(-1, 1) for _ in range(5)] for more in (gain, gain if test is None else test)
    )
    amounts = {"RAM": 980 if gain else 1000, "flash": 1000}
    return Standing(name=name, fits=fits, validation=held, test=tested, amounts=amounts)


CASES: dict[str, tuple[list[Standing], str, str]] = {
    "better": ([standing("o", 0), standing("e", 0.02), standing("u", -0.1)], "e", "e is better by 2.0 points, 95 % "),
    "no better": ([standing("o", 0), standing("e", 0, noise=0.02)], "o", "no better: keep what you have; e, the best"),
    "worse": ([standing("o", 0), standing("e", -0.03)], "o", "no better: keep what you have; e, the best other"),
    "not confirmed": (
        [standing("o", 0), standing("e", 0.02, test=-0.01)],
        "o",
        "no better: keep what you have; e, chosen on validation, differs by -1.0 points",
    ),
    "original too large": (
        [standing("o", 0.1, fits=False), standing("e", 0.02), standing("u", 0)],
        "e",
        "e is better by 2.0 points",
    ),
    "nothing beats scaling": (
        [standing("o", 0.1, fits=False), standing("e", -0.02), standing("u", 0)],
        "u",
        "no better: of what fits, take u; the original does not fit; e",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_verdicts(name: str) -> None:
    """Validation chooses, the test confirms or does not, and an original that does not fit is never the winner."""
    arms, winner, words = CASES[name]
    found = judge(arms, original="o", uniform="u")
    assert (found.winner, found.is_better) == (winner, winner == "e")
    assert found.sentence.startswith(words)
    assert set(found.to_original) == {arm.name for arm in arms} - {"o"}


@pytest.mark.parametrize(
    ("original", "uniform", "words"),
    [
        ("o", None, "not shown to be better: keep what you have; e, the best other on validation, differs by 20.0"),
        ("gone", "o", "not shown to be better: of what fits, take o; the original does not fit; e"),
        (None, "o", "not shown to be better than o; e"),
    ],
)
def test_too_few_seeds_for_a_test_show_nothing(original: str | None, uniform: str | None, words: str) -> None:
    """With two seeds nothing is tested: the reference stays, and nobody is told that an arm is no better."""
    arms = [
        Standing(name="o", fits=True, validation=(0.5, 0.6), test=(0.5, 0.6), amounts={"RAM": 1}),
        Standing(name="e", fits=True, validation=(0.7, 0.8), test=(0.7, 0.8), amounts={"RAM": 1}),
    ]
    if original == "gone":
        arms.append(Standing(name="gone", fits=False, validation=(0.9, 0.9), test=(0.9, 0.9), amounts={"RAM": 2}))
    found = judge(arms, original=original, uniform=uniform)
    assert (found.winner, found.is_better) == ("o", False)
    assert found.sentence.startswith(words) and "no test: 2 seeds" in found.sentence


def test_the_verdict_tells_costs() -> None:
    """What the winner takes more or less is in the sentence, what is the same is not."""
    arms, _, _ = CASES["better"]
    assert judge(arms, original="o", uniform=None).sentence.endswith(", at 2 % less RAM")


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_choose_nothing(seeds: int) -> None:
    """Two seeds that agree on 48 images used to have p = 0 and chose the random arm; now they are no test."""
    arms = [
        Standing(name=name, fits=True, validation=[value] * seeds, test=[value] * seeds, amounts={})
        for name, value in (("original", 0.5), ("random", 0.5 + 1 / 48))
    ]
    found = judge(arms, original="original", uniform=None, validation_images=48, test_images=48)
    assert (found.winner, found.is_better, found.differences["random"].p) == ("original", False, None)
    assert "differs by 2.1 points on test (no test: " in found.sentence and "at least 3 are needed" in found.sentence


def test_seeds_that_agree_on_few_images_choose_nothing() -> None:
    """Equal differences of every seed have the spread of counting 48 images; 10,000 images tell more."""
    arms = [
        Standing(name=name, fits=True, validation=[value] * 5, test=[value] * 5, amounts={})
        for name, value in (("original", 0.5), ("random", 0.5 + 1 / 48))
    ]
    few = judge(arms, original="original", uniform=None, validation_images=48, test_images=48)
    many = judge(arms, original="original", uniform=None, validation_images=10_000, test_images=10_000)
    assert (few.winner, many.winner) == ("original", "random")


def test_a_file_and_its_run_are_judged_by_what_was_stated(graph: WidthGraph) -> None:
    """The int8 file against the flash, the run against the RAM; a default, and what is not known, is no limit."""
    measured = MeasuredTrial(
        trial="t",
        weights="w",
        accuracy=0.5,
        float_difference=0.0,
        file_bytes=9000,
        int8_file_bytes=5000,
        live_bytes=3000,
    )
    assert exceeded(Limits(flash="4kB", ram="2kB"), graph, measured) == (
        "int8 file of 5,000 bytes for 4,000",
        "run of 3,000 bytes for 2,000",
    )
    assert exceeded(Limits(flash="5kB", ram="3kB"), graph, measured) == exceeded(Limits(), graph, measured) == ()
    plain = replace(measured, int8_file_bytes=None, live_bytes=None)
    assert exceeded(Limits(flash="8kB", ram="2kB", dtype="float32"), graph, plain) == (
        "float file of 9,000 bytes for 8,000",
    )
    assert exceeded(Limits(flash="8kB", dtype="float16"), graph, plain) == ()
