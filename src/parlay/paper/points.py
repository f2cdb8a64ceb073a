"""The points of a panel: its trials under one protocol, the seeds of each layout taken together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from parlay.evidence.measured import Measured, MeasuredLayout, measure
from parlay.layout import Layout
from parlay.paper.experiments import Experiment, Role
from parlay.paper.results import belongs
from parlay.study import Row

__all__ = ["PanelPoint", "PanelPoints", "gather_panel", "pooled_spread"]


@dataclass(frozen=True, kw_only=True)
class PanelPoint:
    """One layout of a panel and what its runs reached.

    Attributes:
        layout: channels per width group.
        role, note: as in the panel's choice.
        log_energy: ln of Eq. 3.
        macs: multiply-adds for one image.
        accuracies: test accuracy of each run in per cent, by seed.
    """

    layout: Layout
    role: Role
    note: str
    log_energy: float
    macs: int
    accuracies: tuple[float, ...]

    @property
    def energy(self) -> float:
        """Eq. 3; 0 where a width is 1."""
        return math.exp(self.log_energy)

    @property
    def accuracy(self) -> float:
        """The mean, in per cent."""
        return math.fsum(self.accuracies) / len(self.accuracies)


@dataclass(frozen=True, kw_only=True)
class PanelPoints:
    """A panel's trials under the protocol that most of its layouts were trained with.

    Attributes:
        experiment: the panel.
        measured: the trials; None without any.
        points: lowest energy first.
        others: the same under each other protocol, most layouts first.
    """

    experiment: Experiment
    measured: Measured | None = None
    points: tuple[PanelPoint, ...] = ()
    others: tuple[PanelPoints, ...] = ()

    @property
    def protocol(self) -> str:
        """How the trials were trained; empty without any."""
        return self.measured.training if self.measured else ""

    @cached_property
    def by_layout(self) -> dict[Layout, PanelPoint]:
        """The points by layout."""
        return {point.layout: point for point in self.points}

    def where_all_ran(self, layouts: Iterable[Layout]) -> PanelPoints:
        """The first protocol that has two runs of each layout; else the first that has them all; else this one.

        Args:
            layouts: what a comparison needs, all trained alike.
        """
        wanted = set(layouts)
        having = [one for one in (self, *self.others) if wanted <= one.by_layout.keys()]
        repeated = (one for one in having if all(len(one.by_layout[layout].accuracies) > 1 for layout in wanted))
        return next(repeated, having[0] if having else self)

    def of(self, role: Role) -> tuple[PanelPoint, ...]:
        """The points of one role."""
        return tuple(point for point in self.points if point.role is role)

    @cached_property
    def judging(self) -> tuple[PanelPoint, ...]:
        """The points that a trend is judged by: those that nobody chose for their energy (``Measured.judging``)."""
        judging = {one.layout for one in self.measured.judging} if self.measured else ()
        return tuple(point for point in self.points if point.layout in judging)

    @property
    def runs(self) -> int:
        """How many trainings they rest on."""
        return sum(len(point.accuracies) for point in self.points)


def gather_panel(
    experiment: Experiment, rows: Iterable[Row], *, recipe: str | None = None, steps: int | None = None
) -> PanelPoints:
    """The points of a panel from trials of any kind.

    Trials of different recipes, steps, precisions or data are never mixed: the protocol with most layouts is the
    panel's, of equally many the longer one; the others are kept beside it.

    Args:
        experiment: the panel.
        rows: trials; those of other panels are left out.
        recipe: only trials of this recipe (``paper`` for the paper's).
        steps: only trials of so many steps.
    """
    wanted = {choice.layout: choice.kinds for choice in experiment.choices}
    kept: list[Row] = []
    for row in rows:
        trial = row.trial
        name = "paper" if trial.recipe.name.startswith("paper-") else trial.recipe.name
        if recipe not in (None, name, trial.recipe.name) or steps not in (None, trial.steps):
            continue
        if row.accuracy is not None and belongs(row, experiment):
            kept.append(replace(row, kinds=wanted[trial.layout]))
    ranked = sorted(measure(kept), key=lambda group: (-len(group.layouts), -group.first.trial.steps))
    made = [
        PanelPoints(experiment=experiment, measured=group, points=_points(experiment, group.layouts))
        for group in ranked
    ]
    return replace(made[0], others=tuple(made[1:])) if made else PanelPoints(experiment=experiment)


def pooled_spread(points: Sequence[PanelPoint]) -> tuple[float, int]:
    """Standard deviation between seeds of one layout, in points, pooled over layouts; and its degrees of freedom.

    >>> one = dict(layout=(4,), role=Role.SAMPLED, note="", log_energy=0.0, macs=1)
    >>> pooled_spread([PanelPoint(**one, accuracies=(70.0, 72.0)), PanelPoint(**one, accuracies=(60.0, 62.0))])
    (1.4142135623730951, 2)
    """
    freedom = sum(len(point.accuracies) - 1 for point in points)
    squares = math.fsum((value - point.accuracy) ** 2 for point in points for value in point.accuracies)
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def _points(experiment: Experiment, layouts: Sequence[MeasuredLayout]) -> tuple[PanelPoint, ...]:
    choices = {choice.layout: choice for choice in experiment.choices}
    found = [
        PanelPoint(
            layout=one.layout,
            role=choices[one.layout].role,
            note=choices[one.layout].note,
            log_energy=one.log_energy,
            macs=one.macs,
            accuracies=tuple(100 * value for value in one.accuracies),
        )
        for one in layouts
    ]
    return tuple(sorted(found, key=lambda point: (point.log_energy, point.layout)))
