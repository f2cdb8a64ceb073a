"""Layouts compared with one of them, seed by seed: on validation images where there are some, then on the test's.

One layout is better than another when both say so (``parlay.evidence.paired``), Holm's correction over all that are
compared at once. Accuracies may be those of a study's networks, or of the files that a fit ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parlay.evidence.outcome import Outcome
from parlay.evidence.paired import Difference, differences
from parlay.layout import Layout, format_layout, parse_layout

__all__ = ["Compared", "Comparison", "Runs", "compare_runs"]

WORDS = {
    Outcome.HOLDS: "better than",
    Outcome.FAILS: "worse than",
    Outcome.OPEN: f"{Outcome.OPEN} to tell from",
}

Runs = Mapping[int, float]
"""Seed -> accuracy, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One layout beside the reference; differences are its accuracy minus the reference's.

    Attributes:
        layout: its widths.
        test: on the test images.
        validation: on the images that were set aside; None where there are none.
    """

    layout: Layout
    test: Difference
    validation: Difference | None

    @property
    def outcome(self) -> Outcome:
        """The word for "it is better than the reference": the one that validation and test agree on."""
        if self.validation is None or self.validation.outcome is self.test.outcome:
            return self.test.outcome
        return Outcome.OPEN

    @property
    def undecided(self) -> Difference | None:
        """The difference that more seeds would have to decide, validation first; None where all is decided."""
        if self.outcome is not Outcome.OPEN:
            return None
        if self.validation is not None and self.validation.outcome is Outcome.OPEN:
            return self.validation
        return self.test if self.test.outcome is Outcome.OPEN else None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; differences are shares, 0 to 1."""
        return {
            "layout": list(self.layout),
            "verdict": str(self.outcome),
            "validation": None if self.validation is None else self.validation.to_json(),
            "test": self.test.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Layouts compared with one of them.

    Attributes:
        reference: the layout that the others are compared with.
        others: the others, in order.
    """

    reference: Layout
    others: tuple[Compared, ...]

    @property
    def sentence(self) -> str:
        """The verdict: on the one other layout, or on all that there are."""
        reference = format_layout(self.reference)
        if len(self.others) == 1:
            return _words(self.others[0], reference)
        parts: list[str] = []
        for outcome, what in WORDS.items():
            some = [one for one in self.others if one.outcome is outcome]
            names = [f"{format_layout(one.layout)} ({_signed(one.test.mean)})" for one in some]
            if names:
                parts.append(f"{what} {reference}: {', '.join(names)}")
        nearest = self._nearest
        if nearest is not None and nearest.undecided is not None:
            parts.append(f"the nearest to an answer is {format_layout(nearest.layout)}: {nearest.undecided.outlook}")
        return "; ".join(parts)

    @property
    def more_seeds(self) -> int | None:
        """About how many more seeds would decide the nearest open pair; None where none is open, or no number does."""
        nearest = self._nearest
        return None if nearest is None or nearest.undecided is None else nearest.undecided.more_seeds

    @property
    def _nearest(self) -> Compared | None:
        """The open pair that the fewest more seeds would decide."""
        some = [(found.more_seeds, one) for one in self.others if (found := one.undecided) is not None]
        known = [(number, one) for number, one in some if number is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else None

    def rows(self) -> list[dict[str, Any]]:
        """The differences as the rows of one table, a layout's on validation before its on the test images."""
        return [
            {"layout": list(one.layout), "minus": list(self.reference), "on": on, **found.to_json()}
            for one in self.others
            for on, found in (("validation", one.validation), ("test", one.test))
            if found is not None
        ]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "reference": list(self.reference),
            "comparisons": [one.to_json() for one in self.others],
            "verdict": self.sentence,
        }


def compare_runs(
    *,
    test: Mapping[Layout, Runs],
    test_images: int | None,
    validation: Mapping[Layout, Runs],
    validation_images: int | None,
) -> Comparison:
    """Compare every layout with the first, by the seeds that both have.

    Args:
        test: accuracies on the test images; every layout has a seed in common with the first.
        test_images: how many these are; None where that is not known.
        validation: accuracies on the images that were set aside, of the same layouts; no runs where there are none.
        validation_images: how many these are.

    >>> level, better = {0: 0.70, 1: 0.71, 2: 0.69}, {0: 0.80, 1: 0.81, 2: 0.79}
    >>> runs = {(4, 6): level, (5, 5): better}
    >>> compare_runs(test=runs, test_images=10_000, validation={}, validation_images=None).sentence
    '5-5 is better than 4-6: 10.0 points, 95 % 8.5 to 11.5 on test'
    """
    reference, *others = test
    tested = _differences(reference, test, test_images)
    held = _differences(reference, validation, validation_images) if reference in validation else {}
    return Comparison(
        reference=reference,
        others=tuple(Compared(layout=one, test=tested[one], validation=held.get(one)) for one in others),
    )


def _differences(reference: Layout, runs: Mapping[Layout, Runs], images: int | None) -> dict[Layout, Difference]:
    base = runs[reference]
    pairs = {
        format_layout(layout): [(base[seed], these[seed]) for seed in sorted(base.keys() & these.keys())]
        for layout, these in runs.items()
        if layout != reference
    }
    found = differences({name: some for name, some in pairs.items() if some}, images=images)
    return {parse_layout(name): one for name, one in found.items()}


def _words(one: Compared, reference: str) -> str:
    name = format_layout(one.layout)
    told = one.test.points(" on test")
    if one.outcome is Outcome.HOLDS:
        return f"{name} is better than {reference}: {told}"
    if one.outcome is Outcome.FAILS:
        return f"{name} is worse than {reference}: {told}"
    if one.validation is not None:
        told = f"{one.validation.points(' on validation')}, {told}"
    outlook = f"; {one.undecided.outlook}" if one.undecided is not None else "; validation and test contradict"
    return f"{Outcome.OPEN} to tell {name} from {reference}: {told}{outlook}"


def _signed(difference: float) -> str:
    """Points with a sign."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"
