"""What the solver is compared with on pruning: greedy removal and the knapsack keep every limit, and reach no more."""

import numpy as np
import pytest
from benchmarks.pruning import Rows, run_greedy, run_knapsack

from parlay import Constraint, PeakResource, Problem, Resource, WidthGroup, WidthSpace, solve
from parlay.tabulated import TabulatedScore


def three_groups(seed: int) -> Problem:
    """Three groups in a row under two sums and a peak, half of what today's widths take."""
    rng = np.random.default_rng(seed)
    names = {"a": 8, "b": 12, "c": 16}
    tables = {name: np.cumsum(np.sort(rng.exponential(size=width))[::-1]) for name, width in names.items()}
    params = Resource.of("params", 3, constant=10, linear={0: 27, 2: 10}, quadratic={(0, 1): 9, (1, 2): 9, (1, 1): 2})
    macs = Resource.of("macs", 3, linear={0: 432}, quadratic={(0, 1): 144, (1, 2): 36})
    points = tuple(Resource.of(f"p{g}", 3, linear={g: 16, g + 1: 4}) for g in range(2))
    today = tuple(names.values())
    resources = (params, macs, PeakResource(name="peak", points=points))
    return Problem(
        space=WidthSpace(groups=tuple(WidthGroup(name=name, maximum=width) for name, width in names.items())),
        score=TabulatedScore(tables),
        constraints=tuple(Constraint.at_most(resource, resource(today) // 2) for resource in resources),
    )


@pytest.mark.parametrize("seed", range(3))
def test_rivals_keep_the_limits_and_reach_no_more(seed: int) -> None:
    """Their layouts satisfy the question, and none scores above the proven optimum."""
    problem = three_groups(seed)
    best = solve(problem, time_limit=60).best.score_value
    for rival in (run_greedy, run_knapsack):
        layout = rival(problem)["layout"]
        assert problem.violations(layout) == []
        assert problem.score_value(layout) <= best + 1e-9


def test_rows_are_the_resources() -> None:
    """Amounts in doubles are the exact ones, and a step by one costs slope plus square."""
    problem = three_groups(0)
    rows = Rows(problem)
    widths = np.array([3.0, 5.0, 7.0])
    resources = [point for c in problem.constraints for point in getattr(c.resource, "points", (c.resource,))]
    assert rows.amounts(widths).tolist() == [resource((3, 5, 7)) for resource in resources]
    step = rows.amounts(np.array([3.0, 6.0, 7.0])) - rows.amounts(widths)
    assert step.tolist() == (rows.slopes(widths) + rows.square)[:, 1].tolist()
