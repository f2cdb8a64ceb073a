"""Learning curves, thinned to what a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["points_for", "thin", "windows"]

MOST_POINTS = 60
ALL_POINTS = 60_000
"""Points of all curves together; about half a megabyte of text."""


def points_for(trials: int) -> int:
    """How many points each of so many curves gets: 60, fewer where there are many, and at least 20.

    >>> points_for(39), points_for(2000)
    (60, 30)
    """
    return max(20, min(MOST_POINTS, ALL_POINTS // max(1, trials)))


def windows(steps: int, points: int) -> list[tuple[int, int]]:
    """Equal parts of the steps, as half-open ranges from 0; as many as asked for, or one a step.

    >>> windows(10, 3)
    [(0, 3), (3, 6), (6, 10)]
    """
    count = min(steps, points)
    ends = [steps * place // count for place in range(count + 1)]
    return list(pairwise(ends))


def thin(losses: Sequence[float], points: int) -> list[float]:
    """The mean loss of each window, in nats.

    >>> thin([4.0, 2.0, 1.0, 1.0], 2)
    [3.0, 1.0]
    """
    return [sum(losses[start:end]) / (end - start) for start, end in windows(len(losses), points)]
