"""The points of a panel: its trials under one protocol, the seeds of each layout taken together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from parlay.layout import Layout
from parlay.paper.panels import Experiment, Role
from parlay.paper.results import belongs, protocol, protocol_key
from parlay.study import Row

__all__ = ["Measured", "PanelPoints", "gather_panel", "pooled_spread"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One layout and what its runs reached.

    Attributes:
        layout: kernels per width group.
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
        protocol: how they were trained; empty without trials.
        points: lowest energy first.
        others: the same under each other protocol, most layouts first.
    """

    experiment: Experiment
    protocol: str = ""
    points: tuple[Measured, ...] = ()
    others: tuple[PanelPoints, ...] = ()

    @cached_property
    def by_layout(self) -> dict[Layout, Measured]:
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

    def of(self, role: Role) -> tuple[Measured, ...]:
        """The points of one role."""
        return tuple(point for point in self.points if point.role is role)

    @cached_property
    def judging(self) -> tuple[Measured, ...]:
        """The points that a trend is judged by: the paper's own; in free order the random ones alone.

        The optima are left out there because they were chosen by what is to be judged.
        """
        free = self.experiment.name.startswith("free")
        return self.of(Role.SAMPLED) if free else tuple(p for p in self.points if p.role is not Role.EXTRA)

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
    groups: dict[str, list[Row]] = {}
    for row in rows:
        trial = row.trial
        name = "paper" if trial.recipe.name.startswith("paper-") else trial.recipe.name
        if recipe not in (None, name, trial.recipe.name) or steps not in (None, trial.steps):
            continue
        if row.accuracy is not None and belongs(row, experiment):
            groups.setdefault(protocol_key(trial), []).append(row)
    ranked = sorted(groups.values(), key=lambda g: (-len({r.trial.layout for r in g}), -g[0].trial.steps))
    made = [
        PanelPoints(experiment=experiment, protocol=protocol(group[0].trial), points=_points(experiment, group))
        for group in ranked
    ]
    if not made:
        return PanelPoints(experiment=experiment)
    return PanelPoints(experiment=experiment, protocol=made[0].protocol, points=made[0].points, others=tuple(made[1:]))


def pooled_spread(points: Sequence[Measured]) -> tuple[float, int]:
    """Standard deviation between seeds of one layout, in points, pooled over layouts; and its degrees of freedom.

    >>> one = dict(layout=(4,), role=Role.SAMPLED, note="", log_energy=0.0, macs=1)
    >>> pooled_spread([Measured(**one, accuracies=(70.0, 72.0)), Measured(**one, accuracies=(60.0, 62.0))])
    (1.4142135623730951, 2)
    """
    freedom = sum(len(point.accuracies) - 1 for point in points)
    squares = math.fsum((value - point.accuracy) ** 2 for point in points for value in point.accuracies)
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def _points(experiment: Experiment, rows: Sequence[Row]) -> tuple[Measured, ...]:
    by_layout: dict[Layout, dict[int, Row]] = {}
    for row in rows:
        by_layout.setdefault(row.trial.layout, {}).setdefault(row.trial.seed, row)
    choices = {choice.layout: choice for choice in experiment.choices}
    return tuple(
        sorted(
            (
                Measured(
                    layout=layout,
                    role=choices[layout].role,
                    note=choices[layout].note,
                    log_energy=experiment.family.energy(layout),
                    macs=experiment.family.macs(layout),
                    accuracies=tuple(
                        100 * row.accuracy for _, row in sorted(seeds.items()) if row.accuracy is not None
                    ),
                )
                for layout, seeds in by_layout.items()
            ),
            key=lambda point: (point.log_energy, point.layout),
        )
    )
