"""The best score at every level of one resource, all else kept: what fewer multiply-adds cost in score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parlay.documents import finite
from parlay.errors import InputError
from parlay.layout import Layout
from parlay.problem import Constraint, Problem, Status
from parlay.resources import PeakResource, Resource
from parlay.solver.explain import reachable
from parlay.solver.progress import Progress
from parlay.solver.solve import solve

__all__ = ["ParetoPoint", "pareto", "pareto_levels"]

LARGEST_COUNT = 1_000
"""More levels than a picture has columns of pixels."""

LEVEL_SECONDS = 20.0
"""For a level that is not proven sooner: ten levels take minutes, not hours."""


@dataclass(frozen=True, kw_only=True)
class ParetoPoint:
    """The best layout at one level.

    Attributes:
        level: the most that is allowed of the resource.
        status: what is known of the answer.
        layout: the best layout, or None.
        score_value: its score.
        amount: what it uses of the resource.
        gap: bound minus best, absolute; 0 when OPTIMAL.
    """

    level: int
    status: Status
    layout: Layout | None
    score_value: float | None
    amount: int | None
    gap: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what JSON has no number for is null."""
        return {
            "level": self.level,
            "amount": self.amount,
            "score_value": finite(self.score_value),
            "gap": finite(self.gap),
            "status": self.status.value,
            "layout": None if self.layout is None else list(self.layout),
        }


def pareto_levels(
    problem: Problem, resource: Resource | PeakResource, count: int, *, seconds: float = LEVEL_SECONDS
) -> list[int]:
    """Levels in equal ratios from the least amount a layout can have to what the best layout without a level uses.

    Args:
        problem: the question without a level.
        resource: what is to be levelled.
        count: how many, at least 2.
        seconds: time for either end.

    Raises:
        InputError: for a count below 2, or when no layout was found.
    """
    if type(count) is not int or not 2 <= count <= LARGEST_COUNT:
        raise InputError("levels", given=count, allowed=f"an integer from 2 to {LARGEST_COUNT}")
    result = solve(problem, time_limit=seconds)
    least = tuple(group.first for group in problem.space.groups)
    if problem.violations(least):
        lowest = reachable(problem, resource, seconds=seconds, accuracy=1e-3).lowest
    else:  # as coefficients are not negative, no layout has less
        lowest = resource(least)
    if not result.solutions or lowest is None:
        raise InputError("levels", given=result.status.value, allowed="a question that has a layout")
    highest = resource(result.best.layout)
    ratio = (highest / max(lowest, 1)) ** (1 / (count - 1))
    inner = [math.ceil(lowest * ratio**place) for place in range(1, count - 1)]
    return sorted({min(lowest, highest), *(min(level, highest) for level in inner), highest})


def pareto(
    problem: Problem,
    resource: Resource | PeakResource,
    levels: Sequence[int],
    *,
    time_limit: float | None = LEVEL_SECONDS,
    known: Mapping[int, ParetoPoint] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[ParetoPoint]:
    """The best layout at every level, highest level first, each as soon as it is solved.

    Args:
        problem: the question without a level.
        resource: what is levelled.
        levels: the most allowed of it, one problem each.
        time_limit: seconds a level; None as in ``solve``.
        known: points solved before, by level, which are not solved again.
        progress: as in ``solve``.

    >>> from parlay import plain
    >>> net = plain(depth=4)
    >>> points = pareto(net.problem(kernels=4_288), net.macs, [5_000_000, 3_000_000])
    >>> [(point.layout, point.status.value) for point in points]
    [((35, 36, 37, 43), 'OPTIMAL'), ((22, 29, 32, 83), 'OPTIMAL')]
    """
    before: list[Layout] = []
    for level in sorted(set(levels), reverse=True):
        point = (known or {}).get(level)
        if point is None:
            constraints = (*problem.constraints, Constraint.at_most(resource, level))
            asked = replace(problem, constraints=constraints)
            result = solve(asked, time_limit=time_limit, start=before, progress=progress)
            layout = result.best.layout if result.solutions else None
            point = ParetoPoint(
                level=level,
                status=result.status,
                layout=layout,
                score_value=result.best.score_value if result.solutions else None,
                amount=None if layout is None else resource(layout),
                gap=result.gap,
            )
        if point.layout is not None:
            before = [point.layout]
        yield point
