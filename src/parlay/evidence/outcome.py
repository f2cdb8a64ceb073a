"""The rule that turns an interval into a word: the only one, for claims, scores, pages and studies alike.

A question has one number that the truth must exceed (or stay below). It **holds** when the whole 95 % interval of our
estimate lies on its side, it **does not hold** when the whole interval lies on the other side, and everything else, no
interval at all included, is **not enough data**.
"""

from __future__ import annotations

import math
from enum import StrEnum

__all__ = ["LEAST_LAYOUTS", "RANKS_ABOVE", "Outcome", "decide", "ranking"]

RANKS_ABOVE = 0.3
"""What a rank correlation must exceed before a score is said to rank layouts: a medium effect by Cohen's convention,
and a lenient reading of the paper's "obvious trend"; fixed before the runs of Figures 3 to 5."""
LEAST_LAYOUTS = 8
"""Layouts below which no word is said: over 8 the bootstrap interval held the truth in 95 of 100 normal samples, over
fewer it was not tried."""


class Outcome(StrEnum):
    """What the trials say of a question."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not enough data"


def decide(low: float | None, high: float | None, threshold: float, *, above: bool = True) -> Outcome:
    """The word for a 95 % interval.

    Args:
        low, high: its ends; None or NaN where there is none.
        threshold: the number that decides.
        above: whether the truth must lie above it, or below.

    >>> str(decide(0.4, 0.9, 0.3)), str(decide(0.1, 0.9, 0.3)), str(decide(0.1, 0.2, 0.3)), str(decide(None, None, 0.3))
    ('holds', 'not enough data', 'does not hold', 'not enough data')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return Outcome.OPEN
    if low > threshold:
        return Outcome.HOLDS if above else Outcome.FAILS
    if high < threshold:
        return Outcome.FAILS if above else Outcome.HOLDS
    return Outcome.OPEN


def ranking(layouts: int, low: float | None, high: float | None) -> Outcome:
    """The word for "accuracy rises with this score", from the interval of a rank correlation over so many layouts.

    >>> str(ranking(24, 0.35, 0.8)), str(ranking(7, 0.9, 1.0))
    ('holds', 'not enough data')
    """
    return decide(low, high, RANKS_ABOVE) if layouts >= LEAST_LAYOUTS else Outcome.OPEN
