"""From accuracies to one sentence: paired differences over seeds, Holm over arms, and the courage to say no.

What is compared is the accuracy of what ships: of the int8 file where int8 was asked for, else of the network in
floats. A seed pairs two arms: it draws the order of the data and the augmentation of both. The interval of a mean
difference is Student's t over seeds, 95 %, for this arm alone; p is that of the paired t-test, two-sided, and
Holm's correction makes it one for all arms together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parlay.errors import InputError
from parlay.evidence.statistics import holm
from parlay.evidence.uncertainty import student_reach

__all__ = ["LEVEL", "Comparison", "Standing", "Verdict", "compare", "judge", "spread"]

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An arm minus the reference, paired by seed; shares, 0 to 1.

    Attributes:
        mean: of the differences.
        low, high: 95 % interval of the mean, of this arm alone.
        p: of the paired t-test, two-sided.
        p_holm: after Holm over all arms that were compared.
        seeds: how many pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    seeds: int

    @property
    def is_better(self) -> bool:
        """Whether the arm is better, chance put aside: p after Holm below 0.05, interval above 0."""
        return self.low > 0 and self.p_holm < LEVEL


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One arm as the verdict sees it.

    Attributes:
        name: of the arm.
        fits: whether it keeps every limit.
        validation, test: accuracy of what ships, one a seed, in the same order for all arms.
        amounts: what it costs, by name (``RAM``, ``flash``, ``MACs``), in the order in which they are told.
    """

    name: str
    fits: bool
    validation: Sequence[float]
    test: Sequence[float]
    amounts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What comes of a fit.

    Attributes:
        sentence: the verdict.
        reference: the arm that the others have to beat: the original, or uniform scaling where that does not fit.
        chosen: the arm that validation chooses: the most accurate of those that beat the reference there, else itself.
        winner: the arm to ship: the chosen one if the test confirms it, else the reference.
        is_better: whether the winner is better than the reference.
        differences: arm -> its difference to the reference on the test images.
        to_original: arm -> its difference to the original on the test images.
        on_validation: arm -> its difference to the reference on the validation images.
    """

    sentence: str
    reference: str
    chosen: str
    winner: str
    is_better: bool
    differences: Mapping[str, Comparison]
    to_original: Mapping[str, Comparison]
    on_validation: Mapping[str, Comparison]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; 0 for one value.

    >>> spread([0.5, 0.7])
    (0.6, 0.14142135623730948)
    """
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def compare(arms: Mapping[str, Sequence[float]], reference: str) -> dict[str, Comparison]:
    """Every arm but the reference, minus the reference.

    Differences that are the same for every seed have an interval without width, and p 0, or 1 where they are 0.

    Args:
        arms: accuracies of each arm, one a seed, seeds in the same order.
        reference: one of them.

    Raises:
        InputError: for fewer than two seeds, or arms of different numbers.

    >>> found = compare({"a": [0.5, 0.6, 0.7], "b": [0.52, 0.63, 0.74]}, "a")["b"]
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3), round(found.p, 3)
    (0.03, 0.005, 0.055, 0.035)
    """
    from scipy.stats import t

    base = arms[reference]
    if len(base) < 2 or any(len(values) != len(base) for values in arms.values()):
        raise InputError("seeds", given=sorted({len(v) for v in arms.values()}), allowed="two or more, as many an arm")
    raw: dict[str, tuple[float, float, float]] = {}
    freedom = len(base) - 1
    for name, values in arms.items():
        if name == reference:
            continue
        mean, deviation = spread([round(b - a, 12) for a, b in zip(base, values, strict=True)])
        error = deviation / math.sqrt(len(base))
        p = 2 * float(t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
        raw[name] = (mean, student_reach(freedom) * error, p)
    adjusted = holm([p for _, _, p in raw.values()])
    return {
        name: Comparison(mean=mean, low=mean - reach, high=mean + reach, p=p, p_holm=corrected, seeds=len(base))
        for (name, (mean, reach, p)), corrected in zip(raw.items(), adjusted, strict=True)
    }


def judge(standings: Sequence[Standing], *, original: str, uniform: str | None) -> Verdict:
    """The verdict.

    1. The reference is the original; where it keeps not every limit, uniform scaling; where that is not there, the arm
       that fits and is most accurate on validation images.
    2. Validation chooses: of the arms that fit and are better than the reference on the validation images (p after
       Holm below 0.05), the most accurate; the reference where there is none.
    3. The test images, looked at once, confirm the choice (p after Holm below 0.05); where they do not, the
       reference stays.

    Args:
        standings: every arm.
        original, uniform: names of these arms.

    Raises:
        InputError: for fewer than two seeds, or no arm that fits.
    """
    fitting = [arm for arm in standings if arm.fits]
    if not fitting:
        raise InputError("arms", given="none that keeps the limits", allowed="one")
    ranked = sorted(fitting, key=lambda arm: -spread(arm.validation)[0])
    first = [arm for name in (original, uniform) for arm in fitting if arm.name == name]
    reference = (first or ranked)[0]
    compared = fitting if reference.fits else standings
    validation = compare({arm.name: arm.validation for arm in compared}, reference.name)
    test = compare({arm.name: arm.test for arm in compared}, reference.name)
    better = [arm for arm in ranked if arm is not reference and validation[arm.name].is_better]
    chosen = better[0] if better else reference
    confirmed = chosen is not reference and test[chosen.name].is_better
    winner = chosen if confirmed else reference
    sentence = _sentence(reference, chosen, ranked, test, is_original=reference.name == original)
    return Verdict(
        sentence=sentence,
        reference=reference.name,
        chosen=chosen.name,
        winner=winner.name,
        is_better=confirmed,
        differences=test,
        to_original=compare({arm.name: arm.test for arm in standings}, original),
        on_validation=validation,
    )


def _sentence(
    reference: Standing,
    chosen: Standing,
    ranked: Sequence[Standing],
    test: Mapping[str, Comparison],
    *,
    is_original: bool,
) -> str:
    keep = "keep what you have" if is_original else f"of what fits, take {reference.name}; the original does not fit"
    than = "" if is_original else f" than {reference.name}, the best known way to fit; the original does not fit"
    if chosen is not reference:
        found = test[chosen.name]
        if found.is_better:
            return f"{chosen.name} is better by {_points(found)}{_costs(chosen, reference)}{than}"
        return f"no better: {keep}; {chosen.name}, chosen on validation, differs by {_points(found)} on test"
    others = [arm for arm in ranked if arm is not reference]
    if not others:
        return f"no better: {keep}; no other layout fits"
    return (
        f"no better: {keep}; {others[0].name}, the best other on validation, differs by {_points(test[others[0].name])}"
        " on test"
    )


def _points(found: Comparison) -> str:
    return f"{100 * found.mean:.1f} points, 95 % {100 * found.low:.1f} to {100 * found.high:.1f}"


def _costs(arm: Standing, reference: Standing) -> str:
    """What it costs more or less, to the percent; what is the same is not told."""
    told: list[str] = []
    for name, amount in arm.amounts.items():
        change = amount / max(1, reference.amounts[name]) - 1
        if round(100 * abs(change)):
            told.append(f"{100 * abs(change):.0f} % {'more' if change > 0 else 'less'} {name}")
    return f", at {' and '.join(told)}" if told else ", at the same cost"
