"""The arms of a fit: which layouts are trained against each other, written down before any of them is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from parlay.compare.arm import ENERGY, ORIGINAL, RANDOM, UNIFORM, Arm, no_layout
from parlay.documents import finite
from parlay.energy import RECOMMENDED
from parlay.graph import WidthGraph
from parlay.layout import Layout, format_layout
from parlay.problem import Problem
from parlay.retrofit import Limits, Retrofit, retrofit_or_conflict
from parlay.retrofit.scaling import budget_use, keeps_budget, largest_scaling, random_layout
from parlay.solver import Progress

__all__ = ["choose_arms"]


def choose_arms(
    graph: WidthGraph,
    limits: Limits,
    *,
    given: Sequence[Layout] = (),
    seed: int = 0,
    time_limit: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    **fences: Any,
) -> tuple[tuple[Arm, ...], Problem]:
    """The arms under a device's limits; layouts that are the same are one arm with several names.

    Args:
        graph: the traced model.
        limits: what the device allows.
        given: the user's own layouts, whether they keep the limits or not.
        seed: of the random layout.
        time_limit: seconds for each of the two searches.
        progress: told how the searches go.
        fences: ``multiple_of``, ``min_ratio``, ``max_ratio``, ``order``, ``max_step`` as ``parlay.retrofit`` has them.

    Returns:
        The arms, the original first, and the problem with all limits and fences.

    Raises:
        InputError: when no layout keeps the limits, saying which cannot be kept together and what could be had.
    """
    layouts: dict[Layout, dict[str, str]] = {graph.layout: {ORIGINAL: "the model's own widths"}}
    problem: Problem | None = None
    for score in (ENERGY, RECOMMENDED):
        found, clash = retrofit_or_conflict(
            graph, limits, score=score, time_limit=time_limit, progress=progress, **fences
        )
        if not found.result.solutions:
            raise no_layout(found, clash)
        problem = found.problem
        layouts.setdefault(found.solutions()[0].layout, {})[score] = _searched(found)
    assert problem is not None
    scaled = largest_scaling(problem, graph.layout)
    if scaled is not None:
        ratio = f"{float(scaled.multiplier):.4g} ({scaled.multiplier})"
        how = f"every width times {ratio}, rounded down: the largest number that keeps every limit"
        layouts.setdefault(scaled.layout, {})[UNIFORM] = how
    for layout in given:
        if layout != graph.layout:
            layouts.setdefault(layout, {})[format_layout(layout)] = "given"
    drawn = random_layout(problem, seed=seed, others=layouts)
    how = (
        f"widths drawn evenly within their ranges (seed {seed}, draw {drawn.draws}), scaled together to the largest"
        f" that keeps every limit, then raised step by step at random until none can be; takes {drawn.use:.1%} of the"
        " tightest"
    )
    layouts.setdefault(drawn.layout, {})[RANDOM] = how
    return tuple(
        Arm(names=tuple(reasons), layout=layout, how=reasons, fits=keeps_budget(problem, layout))
        for layout, reasons in layouts.items()
    ), problem


def _searched(found: Retrofit) -> str:
    result, use = found.result, budget_use(found.problem, found.layout)
    gap = finite(result.gap)
    shown = "" if gap is None else f", gap {gap:.3g} in the score"
    score = found.problem.score
    return (
        f"highest {score.name}: {result.status.value}{shown}; takes {use:.1%} of the tightest limit;"
        f" {score.worth(found.problem.space)}"
    )
