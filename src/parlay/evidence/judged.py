"""What is compared with what, and what came out: bins of one size, numbers of every score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parlay.documents import finite
from parlay.errors import InputError
from parlay.evidence.outcome import Outcome
from parlay.evidence.population import Population, bins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["Binning", "JudgedPopulation", "JudgedScore", "Optimum"]

LEAST_BIN, LEAST_SMALL_BIN = 30, 5
"""Networks from which a coefficient is worth averaging, and those that must do where no bin has as many."""
LEAST_OF_STUDY = 3
"""Two layouts have no rank correlation; a verdict needs more (``outcome.LEAST_LAYOUTS``)."""


@dataclass(frozen=True, kw_only=True)
class Binning:
    """Which networks are compared with each other.

    Attributes:
        width: of a bin in ln size, about its relative width; 0 takes exactly equal sizes; None: 0.01 for a table, and
            all of a study's group, which is of one size.
        least: bins of fewer networks are left out; None: 30, or 5 where no bin has 30; 3 for a study's group.
        least_picked: bins of so many decide the gains of picks, since to pick from few is no choice; all bins where
            none has so many.
    """

    width: float | None = None
    least: int | None = None
    least_picked: int = 100

    def __post_init__(self) -> None:
        for name, value in (("--min-bin", self.least), ("--min-pick-bin", self.least_picked)):
            if value is not None and value < 3:
                raise InputError(name, given=value, allowed="an integer of at least 3")

    def of(self, population: Population) -> list[IntArray]:
        """The bins that count.

        Raises:
            InputError: when there is none.
        """
        every = bins(population, self.width)
        leasts = (LEAST_OF_STUDY,) if self.width is None and population.one_size else (LEAST_BIN, LEAST_SMALL_BIN)
        leasts = leasts if self.least is None else (self.least,)
        for least in leasts:
            if found := [rows for rows in every if len(rows) >= least]:
                return found
        largest = max(map(len, every), default=0)
        raise InputError(
            "bins",
            given=f"none with {leasts[-1]} networks (the largest of {population.name} has {largest})",
            allowed=f"at least one of {leasts[-1]} networks of one size",
            remedy="try a wider --bin or a smaller --min-bin",
        )


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """Where the layout lands that scores highest of all that were measured, beside those that judge.

    Attributes:
        layout: its widths.
        accuracy: the mean of its runs.
        beats: how many of the layouts that judge are less accurate.
    """

    layout: tuple[int, ...]
    accuracy: float
    beats: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"layout": list(self.layout), "accuracy": self.accuracy, "beats": self.beats}


@dataclass(frozen=True, kw_only=True)
class JudgedScore:
    """What is known of one score; every number may be NaN where it is not defined.

    Attributes:
        name: of the score.
        numbers: by their names in the JSON document, which ``evaluate`` lists.
        outcome: whether it ranks the networks, by the rule of ``outcome.ranking``.
        optimum: the layout chosen beside those that judge that it puts above all of them; None where there is none.
    """

    name: str
    numbers: Mapping[str, float]
    outcome: Outcome = Outcome.OPEN
    optimum: Optimum | None = None

    def __getitem__(self, key: str) -> float:
        return self.numbers[key]

    def to_json(self) -> dict[str, Any]:
        """The numbers and the word as JSON values."""
        return {
            **{key: finite(value) for key, value in self.numbers.items()},
            "verdict": str(self.outcome),
            "optimum": None if self.optimum is None else self.optimum.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class JudgedPopulation:
    """A population's scores.

    Attributes:
        name: of the population.
        size_name: what is equal inside a bin.
        unit: of accuracies and gains.
        networks: of the population.
        left_out: networks without any run.
        chosen: networks that a score chose, which do not judge.
        in_bins: networks in the bins that count.
        bins: how many bins count.
        least: networks of the smallest of them.
        pick_bins: how many decide the gains.
        exact_sizes: how many sizes have two networks or more of exactly equal size.
        pairs: how many pairs of networks these have.
        runs: the most runs a network has.
        resampled: ``sizes``, or ``networks`` where there are too few sizes.
        scores: in the order asked for.
        reference: name of the score that ``difference`` is taken to.
        one_run: one training run as a score, judged by the other runs.
        ceiling: what a perfect score would reach against accuracies as noisy as these.
        lacking: scores that cannot be worked out, each with what is not known, in words.
    """

    name: str
    size_name: str
    unit: str
    networks: int
    left_out: int
    chosen: int
    in_bins: int
    bins: int
    least: int
    pick_bins: int
    exact_sizes: int
    pairs: int
    runs: int
    resampled: str
    scores: tuple[JudgedScore, ...]
    reference: str
    one_run: Mapping[str, float] = field(default_factory=dict)
    ceiling: Mapping[str, float] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> JudgedScore:
        return next(score for score in self.scores if score.name == name)

    def to_json(self) -> dict[str, Any]:
        """The scores and what they were judged on, as JSON values."""
        return {
            "scores": {score.name: score.to_json() for score in self.scores},
            "one_run": finite(self.one_run["spearman"]),
            "ceiling": finite(self.ceiling["spearman"]),
            "bins": self.bins,
            "networks": self.networks,
            "one_run_details": {key: finite(value) for key, value in self.one_run.items()},
            "ceiling_details": {key: finite(value) for key, value in self.ceiling.items()},
            "name": self.name,
            "size": self.size_name,
            "accuracy_unit": self.unit,
            "runs": self.runs,
            "networks_in_bins": self.in_bins,
            "networks_without_accuracy": self.left_out,
            "networks_chosen": self.chosen,
            "smallest_bin": self.least,
            "pick_bins": self.pick_bins,
            "exact_sizes": self.exact_sizes,
            "exact_pairs": self.pairs,
            "resampled": self.resampled,
            "reference": self.reference,
            "scores_left_out": dict(self.lacking),
        }
