"""Accuracy and average precision against by-hand values and brute force."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parlay.data.metrics import average_precision_11, average_precisions, mean_average_precision, top1
from parlay.errors import InputError


def brute(scores: list[int], labels: list[int]) -> Fraction:
    """The 11-point rule word by word: every threshold, its precision and recall, in fractions."""
    pairs = [(score, label) for score, label in zip(scores, labels, strict=True) if label != 0]
    positives = sum(label == 1 for _, label in pairs)
    curve = []
    for threshold in {score for score, _ in pairs}:
        taken = [label for score, label in pairs if score >= threshold]
        right = sum(label == 1 for label in taken)
        curve.append((Fraction(right, positives), Fraction(right, len(taken))))
    return sum(
        max((precision for recall, precision in curve if recall >= Fraction(k, 10)), default=Fraction(0))
        for k in range(11)
    ) / Fraction(11)


@given(st.lists(st.tuples(st.integers(-5, 5), st.sampled_from([-1, 0, 1])), max_size=40), st.randoms())
def test_average_precision_is_that_of_brute_force(pairs: list[tuple[int, int]], shuffle):
    """Ties, difficult images and all: the value of the definition, whatever the order of the images."""
    scores, labels = [score for score, _ in pairs], [label for _, label in pairs]
    found = average_precision_11(torch.tensor(scores, dtype=torch.float32), torch.tensor(labels, dtype=torch.int8))
    if 1 not in labels:
        assert math.isnan(found)
        return
    assert found == pytest.approx(float(brute(scores, labels)), abs=1e-12)
    shuffle.shuffle(pairs)
    again = average_precision_11(torch.tensor([float(s) for s, _ in pairs]), torch.tensor([y for _, y in pairs]))
    assert again == found


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([4, 3, 2, 1], [1, 1, -1, -1], 1.0),
        ([4, 3, 2, 1], [-1, -1, -1, 1], 1 / 4),
        ([4, 3, 2, 1], [0, 1, 0, -1], 1.0),
        ([3, 2, 1], [1, -1, 1], (6 * 1 + 5 * 2 / 3) / 11),
        ([1, 1, 1, 1], [1, -1, 1, -1], 1 / 2),
        ([5, 4, 3, 2, 1], [-1, 1, -1, 1, 1], 3 / 5),
    ],
)
def test_average_precision_by_hand(scores: list[int], labels: list[int], expected: float):
    """Values worked out on paper; difficult images are as if they were not there."""
    assert average_precision_11(torch.tensor(scores).float(), torch.tensor(labels)) == pytest.approx(expected)


def test_a_recall_of_exactly_a_tenth_counts():
    """3 of 10 found is a recall of 0.3, though 3 / 10 and 3 * 0.1 differ in floating point."""
    labels = torch.tensor([1] * 3 + [-1] * 90 + [1] * 7)
    scores = torch.arange(100, 0, -1).float()
    assert average_precision_11(scores, labels) == pytest.approx((4 * 1 + 7 * 10 / 100) / 11)


def test_the_mean_is_over_classes_that_occur():
    """A class that is in no image has no average precision and no part in the mean."""
    scores = torch.tensor([[0.9, 0.2, 0.3], [0.1, 0.4, 0.8]])
    labels = torch.tensor([[1, -1, -1], [-1, 0, 1]])
    single = average_precisions(scores, labels)
    assert single[0] == single[2] == 1.0 and math.isnan(single[1])
    assert mean_average_precision(scores, labels) == 1.0
    assert math.isnan(mean_average_precision(scores, torch.zeros(2, 3, dtype=torch.int8)))


def test_top1_of_one_label():
    """The share of images whose highest score is at the label; the first of equal scores counts."""
    scores = torch.tensor([[1.0, 2.0], [3.0, 3.0], [3.0, 3.0], [0.0, -1.0]])
    assert top1(scores, torch.tensor([1, 0, 1, 0])) == 3 / 4
    assert math.isnan(top1(scores[:0], torch.zeros(0, dtype=torch.int64)))


@pytest.mark.parametrize(
    ("scores", "row", "expected"),
    [
        ([3.0, 2.0, 1.0], [1, -1, -1], 1.0),
        ([3.0, 2.0, 1.0], [-1, 1, 1], 0.0),
        ([3.0, 2.0, 1.0], [0, 1, -1], 1.0),
        ([3.0, 2.0, 1.0], [0, -1, 1], 0.0),
        ([3.0, 2.0, 1.0], [0, -1, -1], math.nan),
        ([2.0, 2.0, 2.0], [-1, 1, 1], 0.0),
    ],
)
def test_top1_of_several_labels(scores: list[float], row: list[int], expected: float):
    """The highest-scoring class that is not difficult must be present; images without a class present are left out."""
    found = top1(torch.tensor([scores]), torch.tensor([row], dtype=torch.int8))
    assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_images_that_count_do_not_depend_on_the_scores():
    """Two of three images have a class present: the share is of two, whatever is predicted."""
    labels = torch.tensor([[1, -1], [0, -1], [-1, 1]])
    shares = {
        top1(torch.tensor([[a, 1.0], [b, 1.0], [c, 1.0]]), labels) for a in (0, 2) for b in (0, 2) for c in (0, 2)
    }
    assert shares == {0.0, 0.5, 1.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_precision_11(torch.zeros(3), torch.ones(2)), "shape of labels"),
        (lambda: average_precision_11(torch.zeros(3, 2), torch.ones(3, 2)), "shape of scores"),
        (lambda: average_precision_11(torch.tensor([math.nan]), torch.ones(1)), "scores: got nan"),
        (lambda: average_precisions(torch.zeros(3), torch.ones(3)), "shape of scores"),
        (lambda: mean_average_precision(torch.zeros(3, 2), torch.ones(3, 1)), "shape of labels"),
        (lambda: top1(torch.zeros(3), torch.ones(3)), "shape of scores"),
        (lambda: top1(torch.zeros(3, 2), torch.ones(2)), "shape of labels"),
        (lambda: top1(torch.full((2, 2), math.nan), torch.ones(2)), "scores: got nan"),
    ],
)
def test_what_does_not_fit_is_refused(call, message: str):
    """Shapes that differ and scores that are no numbers are each one line."""
    with pytest.raises(InputError, match=message):
        call()
