"""Trials as measured layouts: the one table that every verdict on layouts is drawn from.

Trials are comparable when they were trained alike (everything but layout and seed is equal: the protocol) and their
layouts are of about one size. Inside such a group a layout's seeds are one measurement, since they are not
independent, and layouts that a score chose do not judge scores: who picks the best by a score and then asks
whether the best by that score are good has asked nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from parlay.energy import SCORES, EnergyGroup, get_score
from parlay.errors import InputError, ParlayError
from parlay.evidence.population import Population, TrainedLayout, population_from
from parlay.layout import Layout
from parlay.study import Kind, Row, TrialNetwork
from parlay.study.reading import read_trials
from parlay.terms import Terms

__all__ = ["Measured", "MeasuredLayout", "largest", "measure", "populations", "read_study", "size_words"]

SIZE_STEP = 1.05
"""Sizes are sorted; where the next is larger by more than this factor, another group begins. Studies hold one size
exact, or fit inside fences that let it vary by a percent or two; arms of a budget differ by tens of percent."""

PASS = 391
"""Steps below which a training is a toy: one pass over the 50,000 images of CIFAR in batches of 128. What ranks layouts
before every image was seen need not rank them later (docs/paper.md, panel 4d)."""

ENERGY = EnergyGroup.name
"""What is judged where no other score chose: Eq. 3, which the paper says accuracy rises with."""

DRAWN = frozenset({Kind.SAMPLE, Kind.ALL})
"""Reasons that have nothing to do with how a layout scores: drawn at random, or every layout that there is."""


@dataclass(frozen=True, kw_only=True)
class MeasuredLayout:
    """One layout and its complete runs under one protocol.

    Attributes:
        rows: its complete trials, one a seed, by seed; at least one.
    """

    rows: tuple[Row, ...]

    @property
    def layout(self) -> Layout:
        """Its widths."""
        return self.rows[0].trial.layout

    @cached_property
    def kinds(self) -> frozenset[Kind]:
        """Every reason for which one of its trials was planned."""
        return frozenset[Kind]().union(*(row.kinds for row in self.rows))

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Test accuracy of every run, 0 to 1."""
        return tuple(row.accuracy for row in self.rows if row.accuracy is not None)

    @property
    def accuracy(self) -> float:
        """The mean of its runs, 0 to 1."""
        return math.fsum(self.accuracies) / len(self.accuracies)

    @property
    def log_energy(self) -> float:
        """ln of Eq. 3; -inf where a width is 1."""
        return self.rows[0].log_energy

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.amount("macs")

    def amount(self, name: str) -> int:
        """One of the layout's costs, such as ``params`` or ``peak_activation_bytes``."""
        return self.rows[0].costs[name]

    @property
    def drawn(self) -> bool:
        """Whether it would be here whatever it scored."""
        return not self.kinds.isdisjoint(DRAWN)

    @property
    def only_chosen(self) -> bool:
        """Whether it is here for nothing but its high score."""
        return self.kinds == {Kind.TOP}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Trials that can be compared: one protocol, about one size.

    Attributes:
        rows: every trial, whatever its status, in the order planned; at least one.
        study: name of where they come from, where several are shown together.
    """

    rows: tuple[Row, ...]
    study: str = ""

    @property
    def first(self) -> Row:
        """The trial planned first."""
        return self.rows[0]

    @cached_property
    def complete(self) -> tuple[Row, ...]:
        """The trials with an accuracy."""
        return tuple(row for row in self.rows if row.accuracy is not None)

    @cached_property
    def layouts(self) -> tuple[MeasuredLayout, ...]:
        """What was measured, in the order of the widths, whatever the order of the trials."""
        found: dict[Layout, dict[int, Row]] = {}
        for row in self.complete:
            found.setdefault(row.trial.layout, {}).setdefault(row.trial.seed, row)
        return tuple(
            MeasuredLayout(rows=tuple(row for _, row in sorted(seeds.items()))) for _, seeds in sorted(found.items())
        )

    @cached_property
    def by_layout(self) -> dict[Layout, MeasuredLayout]:
        """The same by layout."""
        return {one.layout: one for one in self.layouts}

    @cached_property
    def judging(self) -> tuple[MeasuredLayout, ...]:
        """The layouts by which a score may be judged.

        Where some were drawn at random (or are all that there are), these alone: any others were picked by somebody
        who knew what they score. Where none was drawn, all but those that are here only for scoring highest.
        """
        drawn = tuple(one for one in self.layouts if one.drawn)
        return drawn or tuple(one for one in self.layouts if not one.only_chosen)

    @cached_property
    def score(self) -> str:
        """Name of the score that is judged: by which the best layouts were chosen, or the paper's energy.

        Also the energy where the score cannot be worked out: one that this parlay has not, or of a model whose code is
        not here.
        """
        named = next((row.score for row in self.rows if row.score in SCORES), ENERGY)
        try:
            return named if named == ENERGY or get_score(named).terms(self.first.trial.network.space) else ENERGY
        except (ParlayError, ImportError, OSError):
            return ENERGY

    @property
    def score_words(self) -> str:
        """How sentences call it."""
        return "energy" if self.score == ENERGY else self.score

    def score_value(self, one: MeasuredLayout) -> float:
        """The judged score of a layout; the energy's logarithm."""
        return one.log_energy if self.score == ENERGY else self._terms(one.layout)

    @cached_property
    def _terms(self) -> Terms:
        return get_score(self.score).terms(self.first.trial.network.space)

    @property
    def left_out(self) -> int:
        """How many measured layouts do not judge."""
        return len(self.layouts) - len(self.judging)

    @property
    def left_out_words(self) -> str:
        """The same as part of a sentence; nothing where all judge.

        >>> Measured(rows=()).left_out_words
        ''
        """
        if not self.left_out:
            return ""
        others = "1 chosen layout does" if self.left_out == 1 else f"{self.left_out} chosen layouts do"
        return f"{others} not judge"

    @property
    def toy(self) -> str:
        """Why these trials show that everything runs, and are no evidence of layouts; nothing where they are some."""
        if self.first.data_name == "digits":
            return "the digits are nearly solved by any layout"
        steps = self.first.trial.steps
        return f"{steps:,} steps are less than one pass over CIFAR" if steps < PASS else ""

    @property
    def title(self) -> str:
        """Network, size and data in a few words."""
        return f"{self.first.trial.network.title}, {size_words(self.rows)}, {self.first.data_name}"

    @property
    def training(self) -> str:
        """How its trials were trained, in a few words."""
        return self.first.trial.training

    @cached_property
    def size_range(self) -> tuple[int, int]:
        """Smallest and largest size, in weights or, where these are not counted, parameters."""
        sizes = [_size(row) for row in self.rows]
        return min(sizes), max(sizes)


def measure(rows: Iterable[Row], *, study: str = "", any_size: bool = False) -> list[Measured]:
    """Trials grouped by what can be compared, in the order in which the groups were planned.

    Args:
        rows: trials of any kind.
        study: name of where they come from.
        any_size: keep all sizes of one protocol together: arms of a fit share limits, not a size.

    >>> from parlay.families import plain
    >>> from parlay.study import make_plan
    >>> from parlay.train import get_recipe
    >>> drawn, best = frozenset({Kind.SAMPLE}), frozenset({Kind.TOP})
    >>> layouts = {(4, 61): drawn, (5, 48): best, (40, 61): drawn}
    >>> plan = make_plan(plain(2), layouts, data="d" * 64, recipe=get_recipe("fast"))
    >>> done = [Row(trial=p.trial, kinds=p.kinds, data_name="d", status="complete", accuracy=0.5) for p in plan]
    >>> [([one.layout for one in m.judging], m.left_out) for m in measure(done)]
    [([(4, 61)], 1), ([(40, 61)], 0)]
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.trial.protocol, []).append(row)
    parts = (some for group in groups.values() for some in ([group] if any_size else _by_size(group)))
    return [Measured(rows=tuple(some), study=study) for some in parts]


def largest(rows: Iterable[Row]) -> Measured:
    """The group of comparable trials that has most layouts to judge by, of equally many the first planned.

    >>> largest([]).layouts
    ()
    """
    return max(measure(rows), key=lambda group: len(group.judging), default=Measured(rows=()))


def _size(row: Row) -> int:
    weights = row.costs["weights"]
    return row.costs["params"] if weights is None else weights


def _by_size(rows: list[Row]) -> list[list[Row]]:
    """Split where sizes have a gap; each part keeps the order of planning, and parts the order of their first trial."""
    sizes = sorted({_size(row) for row in rows})
    part = dict.fromkeys(sizes[:1], 0)
    for below, size in pairwise(sizes):
        part[size] = part[below] + (size > below * SIZE_STEP)
    parts: dict[int, list[Row]] = {}
    for row in rows:
        parts.setdefault(part[_size(row)], []).append(row)
    return list(parts.values())


def size_words(rows: Sequence[Row]) -> str:
    """The size of trials, or its range, in the most telling unit.

    Kernels where all have them, as the paper counts; else weights; else parameters.
    """
    for unit in ("kernels", "weights", "params"):
        values = sorted({row.costs[unit] for row in rows if row.costs[unit] is not None})
        if values and all(row.costs[unit] is not None for row in rows):
            word = "parameters" if unit == "params" else unit
            span = f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
            return f"{span} {word}"
    return "an unknown size"


def read_study(
    folder: Path | str, *, judging: bool = True, model: Callable[..., TrialNetwork] | None = None
) -> list[Population]:
    """The populations of a study, or of a folder with the trials.csv of one; the largest comes first.

    Args:
        folder: where.
        judging: only the layouts that may judge a score, or all that were measured.
        model: makes the network of a trials.csv of a model, as ``parlay.study.reading.read_csv`` takes it.

    Raises:
        InputError: when there is neither study nor trials.csv of parlay's, or no trial of the study is complete.
        StudyError: for a study that cannot be read, or one without a trial.
    """
    place = Path(folder)
    return populations(measure(read_trials(place, model=model).required()), name=place.resolve().name, judging=judging)


def populations(groups: Iterable[Measured], *, name: str = "study", judging: bool = True) -> list[Population]:
    """Measured layouts as columns for scores: one population a group, the largest first.

    A group without a layout to judge by is among them, without a network, where some of its trials are not complete.

    Runs of a layout are its seeds, in order. Each population is of one size, whatever the few parameters are in which
    its layouts differ. Accuracies are shares, 0 to 1, on the test images.

    Args:
        groups: trials that can be compared.
        name: of the population, where there is one.
        judging: only the layouts that may judge a score, or all that were measured.

    Raises:
        InputError: when no trial is complete, or every layout was chosen by a score.
    """
    every = list(groups)
    if not any(group.layouts for group in every):
        trials = sum(len(group.rows) for group in every)
        given = f"{name} without a complete trial, of {trials:,}"
        raise InputError("study", given=given, allowed="at least one complete trial")
    measured = [(group, group.judging if judging else group.layouts) for group in every]
    measured = [(group, layouts) for group, layouts in measured if layouts or len(group.complete) < len(group.rows)]
    if not any(layouts for _, layouts in measured):
        raise InputError(
            "study",
            given=f"{name}, whose layouts were all chosen by a score",
            allowed="layouts to judge scores by",
            remedy="add some with 'parlay study run --layouts sample:24'",
        )
    found = [
        _population(
            group,
            layouts,
            name if len(measured) == 1 else f"{group.title}, {group.training}",
            [one for one in group.layouts if one not in layouts],
        )
        for group, layouts in measured
    ]
    return sorted(found, key=lambda population: -len(population))


def _population(
    group: Measured, layouts: Sequence[MeasuredLayout], name: str, others: Sequence[MeasuredLayout] = ()
) -> Population:
    """Measured layouts as columns, beside them the others of the group."""
    seeds = sorted({row.trial.seed for one in layouts for row in one.rows})
    weights, params = ({one.amount(key) for one in layouts} for key in ("weights", "params"))
    counted = "weights" if None not in weights and len(weights) <= len(params) else "params"
    networks: list[TrainedLayout] = []
    for one in layouts:
        runs = {row.trial.seed: row.accuracy for row in one.rows}
        networks.append(
            TrainedLayout(
                widths=one.layout,
                accuracy=tuple(math.nan if (value := runs.get(seed)) is None else value for seed in seeds),
                params=one.amount("params"),
                macs=one.macs,
                peak_memory=one.amount("peak_activation_bytes"),
                size=one.amount(counted),
            )
        )
    network = group.first.trial.network
    return population_from(
        networks,
        name=name,
        group_names=[one.name for one in network.space.groups],
        size_name=counted,
        unit="share, 0 to 1",
        structure=network.space,
        convolutions=network.convolution_shapes,
        chosen=_population(group, others, name) if others else None,
        missing=len(group.rows) - len(group.complete),
        score=group.score if any(row.score for row in group.rows) else None,
        one_size=True,
    )
