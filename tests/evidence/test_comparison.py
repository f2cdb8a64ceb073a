"""Layouts of a study compared: who is the reference, what decides, what is left out, and what goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from parlay.errors import InputError, StudyError
from parlay.evidence import Outcome
from parlay.evidence.comparison import compare_layouts
from parlay.families import plain
from parlay.layout import Layout
from parlay.study import Kind, Row, make_plan
from parlay.study.reading import Trials
from parlay.train import get_recipe

A, B, C = (4, 6), (5, 5), (6, 4)
Accuracies = Mapping[Layout, Sequence[float]]


def trials(
    test: Accuracies,
    held: Accuracies | None = None,
    *,
    images: int | None = 10_000,
    steps: int = 100,
    data: str = "mine",
) -> Trials:
    """A study whose layouts have these accuracies, seeds 0, 1, ..."""
    rows: list[Row] = []
    for layout, values in test.items():
        plan = make_plan(
            plain(2),
            {layout: frozenset({Kind.GIVEN})},
            data="d" * 64,
            recipe=get_recipe("fast"),
            steps=steps,
            seeds=range(len(values)),
            validation=5000 if held else 0,
        )
        for planned, value in zip(plan, values, strict=True):
            rows.append(
                Row(
                    trial=planned.trial,
                    kinds=planned.kinds,
                    data_name=data,
                    status="complete",
                    accuracy=value,
                    validation_accuracy=held[layout][planned.trial.seed] if held else None,
                    test_images=images,
                )
            )
    return Trials(path=Path("runs/x/study.sqlite"), rows=tuple(rows))


HIGH, LOW = [0.80, 0.81, 0.79], [0.70, 0.71, 0.69]


@pytest.mark.parametrize(
    ("names", "reference", "words"),
    [
        (["4-6", "5-5"], A, "5-5 is better than 4-6: 10.0 points, 95 % "),
        (["5-5", "4-6"], B, "4-6 is worse than 5-5: -10.0 points, 95 % "),
    ],
)
def test_the_first_named_is_what_others_are_compared_with(names: list[str], reference: Layout, words: str):
    """B against A is A against B with the other sign."""
    found = compare_layouts(trials({A: LOW, B: HIGH}), names)
    assert (found.comparison.reference, found.chosen) == (reference, "the first named")
    assert found.comparison.sentence.startswith(words) and found.comparison.sentence.endswith(" on test")
    assert found.command is None


def test_without_names_the_best_on_validation_is_compared_with():
    """Where images were held out they choose; without any it is the first planned, since the test chooses nothing."""
    held = {A: LOW, B: HIGH, C: LOW}
    found = compare_layouts(trials({A: HIGH, B: LOW, C: LOW}, held))
    assert (found.comparison.reference, found.chosen) == (B, "the best on validation")
    found = compare_layouts(trials({A: LOW, B: HIGH, C: HIGH}))
    assert (found.comparison.reference, found.chosen) == (A, "the first planned")
    assert found.comparison.sentence == "better than 4-6: 5-5 (+10.0), 6-4 (+10.0)"


def test_validation_and_test_have_to_agree():
    """What validation finds and the test does not confirm is not decided, and what contradicts neither."""
    level = [0.75, 0.752, 0.748]
    one = compare_layouts(trials({A: level, B: level}, {A: LOW, B: HIGH}), ["4-6", "5-5"]).comparison.others[0]
    assert one.validation is not None
    assert (one.validation.outcome, one.test.outcome, one.outcome) == (Outcome.HOLDS, Outcome.OPEN, Outcome.OPEN)
    assert one.undecided is one.test
    against = compare_layouts(trials({A: HIGH, B: LOW}, {A: LOW, B: HIGH}), ["4-6", "5-5"])
    assert against.comparison.sentence.endswith("validation and test contradict")


def test_holm_counts_every_comparison():
    """Of three layouts, p of the clearer difference is doubled."""
    some = {A: [0.70, 0.71, 0.69], B: [0.73, 0.732, 0.721], C: [0.705, 0.70, 0.71]}
    found = {one.layout: one.test for one in compare_layouts(trials(some), []).comparison.others}
    assert found[B].p is not None and found[B].p_holm == pytest.approx(2 * found[B].p)


def test_only_seeds_of_both_count():
    """Pairs are made of the seeds that both have, and the rest is told; fewer than three are no test."""
    found = compare_layouts(trials({A: LOW, B: HIGH[:2]}))
    [one] = found.comparison.others
    assert (one.test.seeds, one.test.p, one.outcome) == (2, None, Outcome.OPEN)
    assert found.notes == ("seeds that only one of two layouts has are left out of their comparison",)
    assert found.command == "parlay study run runs/x --n-seeds 4"


@pytest.mark.parametrize(
    ("data", "images", "known"), [("mine", None, None), ("cifar10", None, 10_000), ("mine", 48, 48)]
)
def test_how_many_images_were_counted(data: str, images: int | None, known: int | None):
    """It is kept of every trial; of older ones it is known for data that parlay brings, else said to be unknown."""
    same = [0.75, 0.75, 0.75]
    found = compare_layouts(trials({A: same, B: [v + 1 / 48 for v in same]}, images=images, data=data))
    [one] = found.comparison.others
    assert one.test.images == known == found.to_json()["test_images"]
    assert (one.test.p is None) == (known is None)
    assert one.outcome is (Outcome.HOLDS if known == 10_000 else Outcome.OPEN)


def test_trials_trained_otherwise_are_told_and_not_mixed():
    """The group with most trials of the layouts is compared; the others are counted."""
    some, others = trials({A: LOW, B: HIGH}), trials({A: HIGH, B: LOW}, steps=50)
    both = Trials(path=some.path, rows=(*others.rows[:4], *some.rows))
    found = compare_layouts(both, ["4-6", "5-5"])
    assert found.comparison.others[0].test.mean == pytest.approx(0.1)
    assert found.notes == ("4 trials were trained otherwise than fast, 100 steps, fp32, and are not compared",)


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        (["4-6"], InputError, "layouts: got 4-6; allowed: two or more"),
        (["4-6", "9-9"], InputError, "layout: got 9-9; allowed: one with a complete trial in runs/x: 4-6, 5-5"),
        (["4-6", "original"], InputError, "layout: got original"),
        (["4-6", "x"], InputError, "layout"),
    ],
)
def test_layouts_that_cannot_be_compared_are_named(names: list[str], error: type[Exception], words: str):
    """One layout alone, one that was not trained, one that is none."""
    with pytest.raises(error, match=words):
        compare_layouts(trials({A: LOW, B: HIGH}), names)


def test_layouts_never_trained_alike_are_refused():
    """Two layouts under two protocols, or one alone, say what would train them alike."""
    some, others = trials({A: LOW}), trials({B: HIGH}, steps=50)
    with pytest.raises(StudyError, match="never trained alike; parlay study run"):
        compare_layouts(Trials(path=some.path, rows=(*some.rows, *others.rows)), ["4-6", "5-5"])
    with pytest.raises(StudyError, match="no two layouts"):
        compare_layouts(some)
