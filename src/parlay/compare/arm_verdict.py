"""From accuracies to one sentence: differences paired by seed, Holm over arms, and the courage to say no.

What is compared is the accuracy of what ships: of the int8 file where int8 was asked for, else of the network in
floats. The test is that of ``parlay.evidence.paired``, as for any two layouts of a study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parlay.errors import InputError
from parlay.evidence.outcome import Outcome
from parlay.evidence.paired import Difference, differences, spread

__all__ = ["Standing", "ArmVerdict", "judge"]


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
class ArmVerdict:
    """What comes of a comparison.

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
    differences: Mapping[str, Difference]
    to_original: Mapping[str, Difference]
    on_validation: Mapping[str, Difference]


def judge(
    standings: Sequence[Standing],
    *,
    original: str | None,
    uniform: str | None,
    validation_images: int | None = None,
    test_images: int | None = None,
) -> ArmVerdict:
    """The verdict.

    1. The reference is the original; where it keeps not every limit, uniform scaling; where that is not there, the arm
       that fits and is most accurate on validation images.
    2. Validation chooses: of the arms that fit and are better than the reference on the validation images (p after
       Holm below 0.05), the most accurate; the reference where there is none.
    3. The test images, looked at once, confirm the choice (p after Holm below 0.05); where they do not, the
       reference stays.

    Args:
        standings: every arm.
        original, uniform: names of these arms; where no original is trained, as in a pruning, uniform is the reference.
        validation_images, test_images: how many images the accuracies count; None where that is not known.

    Raises:
        InputError: for arms of different numbers of seeds, or no arm that fits.
    """
    fitting = [arm for arm in standings if arm.fits]
    if not fitting:
        raise InputError("arms", given="none that keeps the limits", allowed="one")
    ranked = sorted(fitting, key=lambda arm: -spread(arm.validation)[0])
    first = [arm for name in (original, uniform) for arm in fitting if arm.name == name]
    reference = (first or ranked)[0]
    validation = _to({arm.name: arm.validation for arm in fitting}, reference.name, validation_images)
    test = _to({arm.name: arm.test for arm in fitting}, reference.name, test_images)
    better = [arm for arm in ranked if arm is not reference and validation[arm.name].is_better]
    chosen = better[0] if better else reference
    confirmed = chosen is not reference and test[chosen.name].is_better
    winner = chosen if confirmed else reference
    keep, than = KEPT[original is not None, reference.name == original]
    words = keep.format(reference.name), than.format(reference.name)
    sentence = _sentence(reference, chosen, ranked, test, *words)
    return ArmVerdict(
        sentence=sentence,
        reference=reference.name,
        chosen=chosen.name,
        winner=winner.name,
        is_better=confirmed,
        differences=test,
        to_original={} if original is None else _to({arm.name: arm.test for arm in standings}, original, test_images),
        on_validation=validation,
    )


def _to(accuracies: Mapping[str, Sequence[float]], reference: str, images: int | None) -> dict[str, Difference]:
    """Every arm but the reference, minus the reference.

    Raises:
        InputError: for arms of different numbers of seeds, or none.
    """
    numbers = {len(values) for values in accuracies.values()}
    if len(numbers) != 1 or numbers == {0}:
        raise InputError("seeds", given=sorted(numbers), allowed="one or more, as many an arm")
    base = accuracies[reference]
    pairs = {name: list(zip(base, values, strict=True)) for name, values in accuracies.items() if name != reference}
    return differences(pairs, images=images)


KEPT = {
    (True, True): ("no better: keep what you have", ""),
    (True, False): (
        "no better: of what fits, take {}; the original does not fit",
        " than {}, the best known way to fit; the original does not fit",
    ),
    (False, False): ("no better than {}", " than {}"),
}
"""Whether an original was trained, and is the reference -> what is said where it stays, and where it is beaten."""


def _sentence(
    reference: Standing,
    chosen: Standing,
    ranked: Sequence[Standing],
    test: Mapping[str, Difference],
    keep: str,
    than: str,
) -> str:
    if chosen is not reference:
        found = test[chosen.name]
        if found.is_better:
            return f"{chosen.name} is better by {found.points()}{_costs(chosen, reference)}{than}"
        return f"{_kept(keep, found)}; {chosen.name}, chosen on validation, differs by {_open(found)}"
    others = [arm for arm in ranked if arm is not reference]
    if not others:
        return f"{keep}; no other layout fits"
    best = others[0].name
    return f"{_kept(keep, test[best])}; {best}, the best other on validation, differs by {_open(test[best])}"


def _kept(keep: str, found: Difference) -> str:
    """What is said where the reference stays: without a test nothing was shown, and "no better" would be too much."""
    return keep if found.p is not None else keep.replace("no better", "not shown to be better", 1)


def _open(found: Difference) -> str:
    """A difference that did not decide, and what would; where the test alone decided against the arm, that."""
    return found.points(" on test") + ("" if found.outcome is not Outcome.OPEN else f"; {found.outlook}")


def _costs(arm: Standing, reference: Standing) -> str:
    """What it costs more or less, to the percent; what is the same is not told."""
    told: list[str] = []
    for name, amount in arm.amounts.items():
        change = amount / max(1, reference.amounts[name]) - 1
        if round(100 * abs(change)):
            told.append(f"{100 * abs(change):.0f} % {'more' if change > 0 else 'less'} {name}")
    return f", at {' and '.join(told)}" if told else ", at the same cost"
