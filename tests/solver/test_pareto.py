"""Pareto fronts: the levels that are asked, and the best layout at each."""

from parlay import Status, plain, solve
from parlay.solver import pareto, pareto_levels


def test_pareto_levels_span_the_front() -> None:
    """From the least multiply-adds any layout of the size has to those of the best one; scores fall with the level."""
    net = plain(depth=3)
    problem = net.problem(kernels=400)
    levels = pareto_levels(problem, net.macs, 4)
    assert (levels[0], levels[-1]) == (396_488, net.macs(solve(problem).best.layout))
    points = list(pareto(problem, net.macs, levels))
    assert [point.level for point in points] == levels[::-1]
    assert all(point.status is Status.OPTIMAL and (point.amount or 0) <= point.level for point in points)
    scores = [point.score_value for point in points]
    assert scores == sorted(scores, reverse=True)
