"""What a long solve reports, and what ends it early."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OutOfTimeError", "Progress", "StopSolvingError"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a long solve reports: seconds so far, the best score found and the bound, where known."""

    seconds: float
    best: float | None
    bound: float | None


class StopSolvingError(Exception):
    """Raised by a ``progress`` callback to end a solve: the best found so far is returned, with its true gap."""


class OutOfTimeError(Exception):
    """The time limit passed, or the gap is small enough for the time spent; both solvers end with what they have."""
