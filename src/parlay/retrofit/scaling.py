"""Layouts along a ray: every width times one number, as large as the budget allows, and random rays."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from parlay.errors import InputError
from parlay.layout import Layout, Order
from parlay.problem import Constraint, Problem
from parlay.resources import PeakResource, Resource

__all__ = ["RandomDraw", "Scaled", "budget_use", "keeps_budget", "largest_scaling", "random_layout"]

DRAWS = 200
"""Random rays before it is said that none keeps budget and fences: with one in fifty that does, a miss in 57 calls."""


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A layout on a ray.

    Attributes:
        layout: floor(multiplier x direction), brought to multiples and into the range of each group.
        multiplier: the number that every width of the direction was multiplied by.
    """

    layout: Layout
    multiplier: Fraction


@dataclass(frozen=True, kw_only=True)
class RandomDraw:
    """A random layout that uses the budget up.

    Attributes:
        layout: the widths.
        use: largest share that it takes of any of its limits, 0 to 1.
        draws: number of the draw that gave it.
    """

    layout: Layout
    use: float
    draws: int


def _amount(constraint: Constraint, layout: Layout) -> int:
    return constraint.resource(layout)


def _by_points(constraint: Constraint, layout: Layout) -> int:
    """As far as polynomials say it: a recounted peak may fall where a width grows."""
    resource = constraint.resource
    points = resource.points if isinstance(resource, PeakResource) else (resource,)
    return max(point(layout) for point in points)


def keeps_budget(problem: Problem, layout: Layout) -> bool:
    """Whether a layout takes at most what every constraint allows; a least amount, and fences, do not count."""
    return all(c.maximum is None or c.resource(layout) <= c.maximum for c in problem.constraints)


def budget_use(problem: Problem, layout: Layout) -> float:
    """The largest share that a layout takes of any limit."""
    shares = [c.resource(layout) / c.maximum for c in problem.constraints if c.maximum]
    return max(shares, default=0.0)


def largest_scaling(problem: Problem, direction: Sequence[int]) -> Scaled | None:
    """The largest multiple of a direction that keeps the budget, exactly; None where not even the smallest does.

    A width changes only where the multiplier passes a multiple of the group's step over the group's direction. These
    finitely many numbers are the candidates, and the layout between two of them is that of the smaller one. Where no
    coefficient of a limit is negative the amounts never fall along the ray, so that bisection is exact, but for a peak
    that is recounted: from there downwards, and otherwise from the top, every candidate is looked at.

    Args:
        problem: limits, and ranges and multiples of the widths; every group needs a largest width.
        direction: what is multiplied, one positive number a group.

    >>> from parlay.families import plain
    >>> problem = plain(3).problem(max_weights=3000, max_width=64, order="free")
    >>> largest_scaling(problem, (8, 8, 8))
    Scaled(layout=(12, 12, 12), multiplier=Fraction(3, 2))
    """
    found: set[Fraction] = set()
    for group, along in zip(problem.space.groups, direction, strict=True):
        assert group.maximum is not None
        step = group.multiple_of
        found |= {Fraction(width, along) for width in range(group.first, group.maximum + 1, step)}
    multipliers = sorted(found)

    def fits(place: int, amount: Callable[[Constraint, Layout], int] = _amount) -> bool:
        layout = _at(problem, direction, multipliers[place])
        return all(c.maximum is None or amount(c, layout) <= c.maximum for c in problem.constraints)

    if not fits(0):
        return None
    best, above = 0, len(multipliers)
    if all(_never_falls(constraint.resource) for constraint in problem.constraints):
        while above - best > 1:
            middle = (best + above) // 2
            best, above = (middle, above) if fits(middle, _by_points) else (best, middle)
        above = best + 1
    best = next(place for place in reversed(range(above)) if fits(place))
    return Scaled(layout=_at(problem, direction, multipliers[best]), multiplier=multipliers[best])


def random_layout(problem: Problem, *, seed: int, others: Collection[Layout] = ()) -> RandomDraw:
    """A random layout that uses the budget up: within all limits and fences, no width can take a step more.

    A direction is drawn, each width evenly among the choices of its group, and scaled up or down to the largest that
    keeps the budget (``largest_scaling``); then widths drawn at random take one step after the other until none can.

    Args:
        problem: limits and fences; the score has no part in it.
        seed: same seed, same layout, on any machine.
        others: layouts to draw again for, if there is another one.

    Raises:
        InputError: when no draw keeps budget and fences.

    >>> from parlay.families import plain
    >>> problem = plain(3).problem(max_weights=3000, max_width=64, order="free")
    >>> drawn = random_layout(problem, seed=0)
    >>> problem.violations(drawn.layout), drawn.use > 0.98
    ([], True)
    """
    generator = random.Random(seed)
    known: RandomDraw | None = None
    for number in range(1, DRAWS + 1):
        direction: list[int] = []
        for group in problem.space.groups:
            assert group.maximum is not None
            choices = range(group.first, group.maximum + 1, group.multiple_of)
            direction.append(choices[generator.randrange(len(choices))])
        scaled = largest_scaling(problem, direction)
        if scaled is None or problem.space.violation(scaled.layout) is not None:
            continue
        layout = _filled(problem, scaled.layout, generator)
        found = RandomDraw(layout=layout, use=budget_use(problem, layout), draws=number)
        if layout not in others:
            return found
        known = known or found
    if known is not None:
        return known
    raise InputError(
        "random layout",
        given=f"none of {DRAWS} draws keeps the budget and the fences",
        allowed="fences that random widths meet",
        remedy="loosen --order or --max-step",
    )


def _filled(problem: Problem, layout: Layout, generator: random.Random) -> Layout:
    """The layout with widths raised a step at a time, drawn at random, until none can be."""
    stuck: set[int] = set()
    while len(stuck) < len(layout):
        g = generator.choice([g for g in range(len(layout)) if g not in stuck])
        bigger = (*layout[:g], layout[g] + problem.space.groups[g].multiple_of, *layout[g + 1 :])
        if problem.space.violation(bigger) is None and keeps_budget(problem, bigger):
            layout = bigger
            if problem.space.order is not Order.FREE or problem.space.max_step is not None:
                stuck.clear()  # a fence between two groups may have given way
        else:
            stuck.add(g)
    return layout


def _at(problem: Problem, direction: Sequence[int], multiplier: Fraction) -> Layout:
    layout: list[int] = []
    for group, along in zip(problem.space.groups, direction, strict=True):
        assert group.maximum is not None
        step = group.multiple_of
        width = floor(multiplier * along) // step * step
        layout.append(min(max(width, group.first), group.maximum // step * step))
    return tuple(layout)


def _never_falls(resource: Resource | PeakResource) -> bool:
    points = resource.points if isinstance(resource, PeakResource) else (resource,)
    return all(c >= 0 for p in points for c in (*p.linear, *(term[2] for term in p.quadratic)))
