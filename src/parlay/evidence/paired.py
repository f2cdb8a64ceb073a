"""Differences between two networks' accuracies, paired by seed: the only test of "which of the two is better?".

A seed pairs two trainings: it draws the order of the data and the augmentation of both. The interval of a mean
difference is Student's t over seeds, 95 %, of this pair alone; p is that of the paired t-test, two-sided, and Holm's
correction makes it one for all pairs compared at once.

Few seeds can agree by chance, and few images can hardly disagree, so the spread of a difference is never taken to be
smaller than what counting right answers on that many images gives: the binomial spreads of both accuracies, added as
those of independent networks. That is on the safe side, since two networks mostly err on the same images and images
are not equally hard. With fewer than three seeds there is no test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from parlay.evidence.outcome import Outcome, decide
from parlay.evidence.statistics import holm
from parlay.evidence.uncertainty import student_reach

__all__ = ["LEAST_SEEDS", "LEVEL", "MOST_SEEDS", "Difference", "binomial_spread", "differences", "spread"]

LEVEL = 0.05
"""p below which a difference counts, after Holm."""
LEAST_SEEDS = 3
"""Seeds below which there is no test: two of them reach 9 standard deviations to each side, and agree by chance."""
MOST_SEEDS = 10_000
"""Seeds beyond which nobody is told how many would decide."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One network's accuracy minus another's, paired by seed; shares, 0 to 1.

    Attributes:
        mean: of the differences.
        spread: standard deviation of the difference of one seed: the one seen, or the binomial one where it is larger;
            None where neither is known.
        low, high: 95 % interval of the mean, of this pair alone; None where there is no test.
        p: of the paired t-test, two-sided; None where there is no test.
        p_holm: after Holm over all pairs that were compared.
        seeds: how many pairs.
        images: how many images each accuracy counts; None where that is not known.
        seeds_needed: about how many seeds would decide it if mean and spread stay as they are; None where no number
            does.
    """

    mean: float
    spread: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    seeds: int
    images: int | None
    seeds_needed: int | None

    @property
    def outcome(self) -> Outcome:
        """The word for "it is better": p after Holm below 0.05, and the interval on one side of 0."""
        if self.p_holm is None or self.p_holm >= LEVEL:
            return Outcome.OPEN
        return decide(self.low, self.high, 0.0)

    @property
    def is_better(self) -> bool:
        """Whether it is better, chance put aside."""
        return self.outcome is Outcome.HOLDS

    @property
    def more_seeds(self) -> int | None:
        """About how many more seeds would decide it, or at the least make a test; 0 where it is decided."""
        if self.outcome is not Outcome.OPEN:
            return 0
        if self.seeds_needed is None:
            return LEAST_SEEDS - self.seeds if self.seeds < LEAST_SEEDS else None
        return max(1, self.seeds_needed - self.seeds)

    def points(self, where: str = "") -> str:
        """In per cent points, with the interval or why there is none.

        Args:
            where: such as `` on test``.
        """
        mean = f"{round(100 * self.mean, 1) + 0.0:.1f} points"
        if self.low is None or self.high is None:
            return f"{mean}{where} (no test: {self._untested})"
        return f"{mean}, 95 % {100 * self.low:.1f} to {100 * self.high:.1f}{where}"

    @property
    def outlook(self) -> str:
        """How many more seeds would decide it, in words."""
        more = self.more_seeds
        if more is None:
            return f"no number of seeds up to {MOST_SEEDS:,} would decide so small a difference, as far as can be seen"
        seeds = "1 more seed" if more == 1 else f"{more:,} more seeds"
        if self.seeds_needed is None:
            return f"a test takes {seeds}"
        return f"about {seeds} would decide it, if mean and spread stay as they are"

    def to_json(self) -> dict[str, Any]:
        """As JSON values; shares, 0 to 1."""
        return {**asdict(self), "more_seeds": self.more_seeds, "verdict": str(self.outcome)}

    @property
    def _untested(self) -> str:
        if self.seeds < LEAST_SEEDS:
            return f"{self.seeds} seed{'' if self.seeds == 1 else 's'}, at least {LEAST_SEEDS} are needed"
        return "every seed differs alike, and how many images were counted is not known"


def differences(
    pairs: Mapping[str, Sequence[tuple[float, float]]], *, images: int | None = None
) -> dict[str, Difference]:
    """Every network minus the one it is compared with.

    Args:
        pairs: name -> accuracies of the other and of this one, a pair a seed; at least one.
        images: how many images each accuracy counts; None where that is not known.

    >>> found = differences({"b": [(0.5, 0.52), (0.6, 0.63), (0.7, 0.74)]}, images=10_000)["b"]
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3), round(found.p, 3), str(found.outcome)
    (0.03, 0.005, 0.055, 0.035, 'holds')
    >>> found = differences({"b": [(0.5, 0.52), (0.6, 0.62), (0.7, 0.72)]}, images=48)["b"]
    >>> round(found.spread, 2), round(found.p, 2), found.seeds_needed
    (0.1, 0.76, 98)
    """
    raw = {name: _raw(some, images, comparisons=len(pairs)) for name, some in pairs.items()}
    tested = {name: found.p for name, found in raw.items()}
    adjusted = dict(zip(tested, holm([math.nan if p is None else p for p in tested.values()]), strict=True))
    return {
        name: Difference(**{**vars(found), "p_holm": None if found.p is None else adjusted[name]})
        for name, found in raw.items()
    }


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; 0 for one value.

    >>> spread([0.5, 0.7])
    (0.6, 0.14142135623730948)
    """
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def binomial_spread(first: float, second: float, images: int) -> float:
    """Standard deviation of the difference of two independent shares of so many images.

    Shares are drawn towards a half by one image right and one wrong (Laplace), so that all right has a spread too.

    >>> round(binomial_spread(0.9, 0.9, 10_000), 4), binomial_spread(1.0, 1.0, 48) > 0
    (0.0042, True)
    """
    shares = [(share * images + 1) / (images + 2) for share in (first, second)]
    return math.sqrt(math.fsum(share * (1 - share) / images for share in shares))


def _raw(pairs: Sequence[tuple[float, float]], images: int | None, *, comparisons: int) -> Difference:
    """A difference before Holm."""
    from scipy.stats import t

    seeds = len(pairs)
    mean, seen = spread([round(this - other, 12) for other, this in pairs])
    least = 0.0
    if images:
        other, this = (math.fsum(values) / seeds for values in zip(*pairs, strict=True))
        least = binomial_spread(other, this, images)
    deviation = max(seen, least) or None
    low = high = p = None
    if deviation is not None and seeds >= LEAST_SEEDS:
        error = deviation / math.sqrt(seeds)
        reach = student_reach(seeds - 1) * error
        low, high, p = mean - reach, mean + reach, 2 * float(t.sf(abs(mean) / error, seeds - 1))
    return Difference(
        mean=mean,
        spread=deviation,
        low=low,
        high=high,
        p=p,
        p_holm=None,
        seeds=seeds,
        images=images,
        seeds_needed=None if deviation is None else _needed(mean, deviation, comparisons),
    )


def _needed(mean: float, deviation: float, comparisons: int) -> int | None:
    """Fewest seeds with which such a mean and spread would decide, p times the number of comparisons being below 0.05.

    Bonferroni's correction, Holm's first step: the other pairs may turn out undecided.
    """
    import numpy as np
    from scipy.stats import t

    seeds = np.arange(LEAST_SEEDS, MOST_SEEDS + 1)
    decided = comparisons * 2 * t.sf(abs(mean) / deviation * np.sqrt(seeds), seeds - 1) < LEVEL
    return int(seeds[decided.argmax()]) if decided.any() else None
