"""How good predictions are: accuracy, and VOC 2007's average precision, for one label an image or several.

Several labels are int (N, classes), 1 present, -1 absent, 0 difficult: such a pair of image and class is not judged.
"""

from __future__ import annotations

import math

from parlay.errors import InputError
from parlay.extras import Needs

with Needs("judging predictions", extra="train"):
    import torch
    from torch import Tensor

__all__ = ["average_precision_11", "average_precisions", "mean_average_precision", "top1"]

POINTS = 11
"""Recalls 0, 0.1, ..., 1 at which VOC 2007 reads the precision."""


def average_precision_11(scores: Tensor, labels: Tensor) -> float:
    """Average precision of one class by the 11-point rule of VOC 2007.

    The mean over the recalls t = 0, 0.1, ..., 1 of the highest precision at a recall of at least t (Everingham et al.,
    The PASCAL Visual Object Classes Challenge, IJCV 2010, section 4.2). Recalls are compared in whole numbers. Images
    with the same score are taken together, so that the order of the images has no part in the result.

    Args:
        scores: float (N,), higher where the class is more likely present.
        labels: int (N,), 1 present, -1 absent, 0 difficult: left out.

    Returns:
        0 to 1; nan where the class is in no image.

    Raises:
        InputError: for shapes that do not fit or a score that is not a number.

    >>> average_precision_11(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, -1, 1]))  # (6 * 1 + 5 * 2/3) / 11
    0.8484848484848485
    """
    if scores.ndim != 1:
        raise InputError("shape of scores", given=tuple(scores.shape), allowed="(N,), the scores of one class")
    _check(scores, labels)
    counted = labels != 0
    scores, present = scores[counted].cpu(), (labels[counted] > 0).cpu()
    positives = int(present.sum())
    if not positives:
        return math.nan
    order = torch.argsort(scores, descending=True)
    ranked = scores[order]
    last = torch.ones(len(ranked), dtype=torch.bool)  # N, where a run of equal scores ends
    last[:-1] = ranked[:-1] != ranked[1:]
    found = present[order].cumsum(0)[last]  # K
    precision = found.double() / torch.arange(1, len(ranked) + 1)[last]  # K
    reached = [precision[found * (POINTS - 1) >= point * positives] for point in range(POINTS)]
    return math.fsum(float(some.max()) for some in reached) / POINTS


def average_precisions(scores: Tensor, labels: Tensor) -> tuple[float, ...]:
    """``average_precision_11`` of each class, nan where a class is in no image.

    Args:
        scores: float (N, classes).
        labels: int (N, classes).

    Raises:
        InputError: as ``average_precision_11`` does.
    """
    if scores.ndim != 2:
        raise InputError("shape of scores", given=tuple(scores.shape), allowed="(N, classes)")
    _check(scores, labels)
    return tuple(average_precision_11(one, those) for one, those in zip(scores.T, labels.T, strict=True))


def mean_average_precision(scores: Tensor, labels: Tensor) -> float:
    """Mean of ``average_precisions`` over the classes that are in some image; nan where none is.

    Args:
        scores: float (N, classes).
        labels: int (N, classes).

    Raises:
        InputError: as ``average_precision_11`` does.

    >>> scores = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> mean_average_precision(scores, torch.tensor([[1, -1], [-1, 1]]))
    1.0
    """
    known = [value for value in average_precisions(scores, labels) if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def top1(scores: Tensor, labels: Tensor) -> float:
    """Share of the images whose highest-scoring class is right; the paper's "classification accuracy".

    With one label an image the class must be the label. With several it must be present. A difficult class is passed
    over, as in average precision: the highest-scoring of the other classes is judged. Images in which no class is
    present but for difficult ones are left out, so that the images that count do not depend on the scores. Of equal
    scores the first counts.

    Args:
        scores: float (N, classes).
        labels: int (N,), or int (N, classes).

    Returns:
        0 to 1; nan where no image counts.

    Raises:
        InputError: for shapes that do not fit or a score that is not a number.

    >>> scores = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.8, 0.3]])
    >>> top1(scores, torch.tensor([0, 2])), top1(scores, torch.tensor([[0, 1, -1], [1, -1, 1]]))
    (0.5, 0.5)
    """
    if scores.ndim != 2:
        raise InputError("shape of scores", given=tuple(scores.shape), allowed="(N, classes)")
    if labels.ndim == 1:
        _check(scores[:, 0], labels)
        _check(scores, scores)
        right = _first_highest(scores) == labels
        return _share(right)
    _check(scores, labels)
    judged = (labels == 1).any(1)  # N
    scores, labels = scores[judged], labels[judged]
    best = _first_highest(scores.masked_fill(labels == 0, -math.inf))
    return _share(labels.gather(1, best[:, None])[:, 0] == 1)


def _first_highest(scores: Tensor) -> Tensor:
    """Class with the highest score, the first of equal ones (torch's argmax promises no order), int64 (N,)."""
    return (scores == scores.amax(1, keepdim=True)).to(torch.uint8).cummax(1).values.eq(0).sum(1)


def _share(right: Tensor) -> float:
    return int(right.sum()) / len(right) if len(right) else math.nan


def _check(scores: Tensor, labels: Tensor) -> None:
    """Refuse shapes that differ and scores that are not numbers."""
    if scores.shape != labels.shape:
        raise InputError("shape of labels", given=tuple(labels.shape), allowed=f"{tuple(scores.shape)}, as the scores")
    if bool(scores.isnan().any()):
        raise InputError("scores", given="nan", allowed="numbers")
