"""A peak that is recounted at each layout: the solver bounds with its points and refuses what the recount refuses."""

from __future__ import annotations

import random
from itertools import product

import pytest

from parlay.energy import get_score
from parlay.layout import WidthGroup, WidthSpace
from parlay.problem import Constraint, Problem, Status
from parlay.resources import PeakResource, RecountedPeak, Resource
from parlay.retrofit.scaling import largest_scaling
from parlay.solver import solve
from parlay.solver.proof.certify import certify


def drawn(seed):
    """Four narrow groups, a size, and an arena whose plan wastes up to a third of it at two of five layouts."""
    draw = random.Random(seed)
    lows = [draw.randint(2, 12) for _ in range(4)]
    groups = tuple(
        WidthGroup(name=f"g{place}", minimum=low, maximum=low + draw.randint(2, 5)) for place, low in enumerate(lows)
    )
    size = Resource.of("params", 4, quadratic={(g, h): draw.randint(1, 9) for g, h in ((0, 1), (1, 2), (0, 2), (2, 3))})
    points = tuple(
        Resource.of("arena", 4, constant=draw.randint(0, 50), linear={g: draw.randint(1, 20) for g in pair})
        for pair in ((0, 1), (1, 2), (2, 3))
    )
    peak = PeakResource(name="arena", points=points)

    def recount(layout):
        wasted = random.Random(f"{seed} {layout}").choice((0, 0, 0, 0.15, 0.33))
        return int(peak(layout) * (1 + wasted))

    arena = RecountedPeak(name="arena", points=points, recount=recount)
    middle = tuple((group.minimum + (group.maximum or 0)) // 2 for group in groups)
    limits = (
        Constraint.at_most(size, int(size(middle) * draw.uniform(0.8, 1.3))),
        Constraint.at_most(arena, int(peak(middle) * draw.uniform(0.7, 1.3))),
    )
    return Problem(space=WidthSpace(groups=groups), score=get_score("energy-layer"), constraints=limits)


@pytest.mark.parametrize("top_k", [1, 4])
def test_answers_are_the_best_of_all_that_pass_the_recount(top_k):
    """Of 30 small problems no answer is handed out that the recount refuses, and none that passes is missed."""
    refused = 0
    for seed in range(30):
        problem = drawn(seed)
        every = list(product(*(range(group.minimum, (group.maximum or 0) + 1) for group in problem.space.groups)))
        good = sorted((-problem.score_value(one), one) for one in every if not problem.violations(one))
        found = solve(problem, top_k=top_k)
        assert found.status is (Status.OPTIMAL if good else Status.INFEASIBLE)
        assert [one.score_value for one in found.solutions] == pytest.approx([-score for score, _ in good[:top_k]])
        assert certify(problem, found).holds
        arena, most = problem.constraints[1].resource, problem.constraints[1].maximum
        assert isinstance(arena, RecountedPeak)
        assert most is not None
        points = PeakResource(name="arena", points=arena.points)
        better = [one for one in every if points(one) <= most < arena(one)]
        refused += any(problem.score_value(one) > -good[0][0] for one in better) if good else 0
    assert refused > 5  # problems whose best answer would have been another without the recount


def test_scaling_keeps_the_recount():
    """The largest multiple is the largest whose own recount keeps the limit, though a larger one may again."""
    for seed in range(30):
        problem = drawn(seed)
        found = largest_scaling(problem, [group.maximum or 0 for group in problem.space.groups])
        if found is not None:
            assert all(constraint.allows(constraint.resource(found.layout)) for constraint in problem.constraints)
