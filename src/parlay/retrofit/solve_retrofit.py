"""``retrofit``: better widths for a traced model under what its device allows, with a certificate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from parlay.amounts import parse_ratio
from parlay.device.predict import ARENA, Predicted, predicted_file
from parlay.device.tflm import HOST, MICRO
from parlay.documents import html_table
from parlay.energy import RECOMMENDED, Score, get_score
from parlay.errors import InputError
from parlay.graph import WidthGraph
from parlay.graph.interpret import is_named
from parlay.layout import Layout, Order, WidthGroup
from parlay.problem import Constraint, Problem, Result, Solution, Status
from parlay.resources import PeakResource, RecountedPeak
from parlay.retrofit.limits import Limits
from parlay.retrofit.scaling import Scaled, largest_scaling
from parlay.solver import Conflict, Progress, conflict, solve
from parlay.solver.remedies import wider_fences

__all__ = ["Retrofit", "retrofit", "retrofit_or_conflict", "retrofit_problem", "score_for"]

FENCES = {"multiple_of": 1, "min_ratio": "0.5", "max_ratio": "2", "order": Order.FREE, "max_step": None}
"""Fences of a retrofit that says nothing of them."""
NUMBERS = {"multiple_of": int}
ROOM, ROOM_SECONDS = (0.97, 0.9, 0.8, 0.65), 4.0
"""Shares of RAM that a search without a plan tries first: the planner wastes 9 % on average and up to 50, measured."""


@dataclass(frozen=True, kw_only=True)
class Retrofit:
    """The answer.

    Attributes:
        graph: the traced model.
        limits: what was asked to be kept.
        problem: the question that was solved.
        result: the solver's answer, certified.
    """

    graph: WidthGraph
    limits: Limits
    problem: Problem
    result: Result

    @property
    def layout(self) -> Layout:
        """The best layout found.

        Raises:
            InputError: when there is none.
        """
        return self.result.best.layout

    @cached_property
    def before(self) -> float:
        """Score of today's layout."""
        return self.problem.score_value(self.graph.layout)

    @property
    def gained(self) -> float | None:
        """Share of the way from today's score to the bound that the best layout covers; None where it has no meaning.

        1 means that the best layout reaches the bound.
        """
        bound = self.result.bound
        if bound is None or not self.result.solutions or not math.isfinite(self.before):
            return None
        room = bound - self.before
        gain = self.result.best.score_value - self.before
        if room <= 0:
            return 1.0 if gain >= 0 else None
        return gain / room

    @cached_property
    def uniform(self) -> Scaled | None:
        """The usual way to fit: today's widths times one number, the largest that keeps the limits and the ranges.

        None where not even the smallest widths keep the limits. Fences between groups do not count.
        """
        return largest_scaling(self.problem, self.graph.layout)

    @property
    def keeps_today(self) -> bool:
        """Whether today's layout satisfies every constraint and fence."""
        return not self.problem.violations(self.graph.layout)

    def amounts(self, layout: Layout) -> dict[str, int]:
        """params, macs, peak activation bytes and flash bytes of a layout."""
        return self.graph.amounts(layout, self.limits.dtype)

    @cached_property
    def _file(self) -> Predicted | None:
        try:
            return predicted_file(self.graph) if self.limits.dtype == "int8" else None
        except InputError:  # a model with an operator whose form in the file is not known
            return None

    def engines(self, layout: Layout) -> dict[str, dict[str, int]]:
        """What each engine allocates at a layout, in bytes; none but ``live`` where that is not known.

        Of ``tflm``, for the int8 file that parlay exports: the arena of a 32-bit device, the part of it
        that is records, the arena on a 64-bit host, which tflite-micro prints, and the most that the file takes.
        """
        found = {"live": {"bytes": self.graph.amounts(layout, self.limits.dtype)["peak_activation_bytes"]}}
        if self._file is not None:
            plan = self.limits.plan
            device, host = self._file.arena(layout, MICRO, plan=plan), self._file.arena(layout, HOST, plan=plan)
            found["tflm"] = {
                "bytes": device.total,
                "records": device.tail,
                "host_bytes": host.used,
                "file_bytes": self._file.flash(plan=plan)(layout),
            }
        return found

    def solutions(self) -> tuple[Solution, ...]:
        """The layouts, best first, each checked once more against every limit by exact recount."""
        for solution in self.result.solutions:
            broken = self.problem.violations(solution.layout)
            assert not broken, broken
        return self.result.solutions

    def summary(self) -> str:
        """What is known, in lines: the solver's own (``Result.summary``) and how much of the possible was gained."""
        status, *rest = self.result.summary().splitlines()
        gained = [] if self.gained is None else [f"{self.gained:.1%} of the way from today to the bound"]
        return "\n".join([status, *gained, *rest])

    def _rows(self) -> list[tuple[str, int, int]]:
        """Every width, then every amount: its name, today, and in the best layout; none without a layout."""
        if not self.result.solutions:
            return []
        names = [group.name for group in self.graph.space.groups]
        before, after = self.amounts(self.graph.layout), self.amounts(self.layout)
        widths = zip(names, self.graph.layout, self.layout, strict=True)
        return [*widths, *((key, before[key], after[key]) for key in after)]

    def __str__(self) -> str:
        """Widths and amounts, today and in the best layout, and what is known."""
        return "\n".join([*(f"{name}: {old:,} -> {new:,}" for name, old, new in self._rows()), self.summary()])

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        rows = [(name, f"{old:,}", f"{new:,}") for name, old, new in self._rows()]
        return html_table(("", "today", "best"), rows, below=self.summary())


def retrofit(
    graph: WidthGraph,
    limits: Limits | None = None,
    *,
    multiple_of: int = 1,
    min_ratio: str | float | Fraction = "0.5",
    max_ratio: str | float | Fraction = "2",
    order: Order | str = Order.FREE,
    max_step: Fraction | str | float | None = None,
    score: Score | str = RECOMMENDED,
    pin: Sequence[str] = (),
    top_k: int = 1,
    time_limit: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Retrofit:
    """Better widths for a model, under what its device allows.

    Args:
        graph: the traced model.
        limits: what must be kept; without it, at most today's parameters, multiply-adds and peak memory.
        multiple_of: every free width is a multiple of this.
        min_ratio, max_ratio: widths stay between these ratios of today's.
        order, max_step: fences between groups that follow each other in the list of groups.
        score: what is maximised.
        pin: patterns of module paths, as ``trace`` takes them: groups with such a layer keep today's widths.
        top_k: how many layouts.
        time_limit: seconds; what is best by then is FEASIBLE with its certified gap. None ends the search when the
            gap is small for the time it took, and after a minute at the latest.
        progress: called now and then.

    Raises:
        InputError: for limits or fences that cannot be, or a score that the model does not have.

    >>> import torch
    >>> from parlay.families import plain
    >>> from parlay.graph import trace
    >>> graph = trace(plain(depth=3, image=8).build((4, 8, 16)), torch.zeros(1, 3, 8, 8))
    >>> found = retrofit(graph, Limits(params="same"))
    >>> found.result.status.value, graph.params(found.layout) == graph.params(graph.layout)
    ('OPTIMAL', True)
    """
    limits = Limits() if limits is None else limits
    problem = retrofit_problem(
        graph,
        limits,
        multiple_of=multiple_of,
        min_ratio=min_ratio,
        max_ratio=max_ratio,
        order=order,
        max_step=max_step,
        score=score,
        pin=pin,
    )
    start = () if problem.violations(graph.layout) else (graph.layout,)
    if not limits.plan and limits.ram is not None:
        start += _with_room(problem, time_limit)
    result = solve(problem, top_k=top_k, time_limit=time_limit, progress=progress, start=start)
    return Retrofit(graph=graph, limits=limits, problem=problem, result=result)


def _with_room(problem: Problem, time_limit: float | None) -> tuple[Layout, ...]:
    """A good layout with room for what the engine's own planner wastes; none where none is found.

    The best layouts live within the limit to the last byte, and a planner that wastes refuses them by the thousand; so
    a search that leaves a part of the limit free comes first.
    """
    for share in ROOM:
        extra = [
            Constraint.at_most(PeakResource(name=one.name, points=one.points), int(most * share))
            for constraint in problem.constraints
            if isinstance(one := constraint.resource, RecountedPeak) and one.name == ARENA
            if (most := constraint.maximum) is not None
        ]
        tighter = replace(problem, constraints=(*problem.constraints, *extra))
        seconds = ROOM_SECONDS if time_limit is None else min(ROOM_SECONDS, time_limit / 10)
        found = solve(tighter, time_limit=seconds)
        if found.solutions:
            return (found.best.layout,)
    return ()


def retrofit_or_conflict(graph: WidthGraph, limits: Limits, **options: Any) -> tuple[Retrofit, Conflict | None]:
    """``retrofit``, and where nothing satisfies the limits, which of them conflict and what would do instead."""
    found = retrofit(graph, limits, **options)
    if found.result.status is not Status.INFEASIBLE:
        return found, None
    asked = {name: options[name] for name in (*FENCES, "score") if name in options}
    constraints = found.problem.constraints
    return found, conflict(
        found.problem,
        limit=lambda place, new: limits.words(constraints[place], new),
        wider=wider_fences(
            lambda **fence: retrofit_problem(
                graph, limits, **{**asked, **{name: NUMBERS.get(name, str)(text) for name, text in fence.items()}}
            ),
            {**FENCES, **asked},
        ),
    )


def retrofit_problem(
    graph: WidthGraph,
    limits: Limits,
    *,
    multiple_of: int = 1,
    min_ratio: str | float | Fraction = "0.5",
    max_ratio: str | float | Fraction = "2",
    order: Order | str = Order.FREE,
    max_step: Fraction | str | float | None = None,
    score: Score | str = RECOMMENDED,
    pin: Sequence[str] = (),
) -> Problem:
    """The question that ``retrofit`` solves; the arguments are its own.

    Args:
        pin: patterns of module paths, as ``trace`` takes them: groups with such a layer keep today's widths.

    Raises:
        InputError: as ``retrofit``, or for a pattern that no layer of a group has.
    """
    if type(multiple_of) is not int or not 1 <= multiple_of <= 10**6:
        raise InputError("multiple-of", given=repr(multiple_of), allowed="an integer of at least 1")
    low, high = parse_ratio(min_ratio, "min-ratio"), parse_ratio(max_ratio, "max-ratio")
    if low > high:
        raise InputError("ratios", given=f"{low} to {high}", allowed="a min-ratio of at most the max-ratio")
    groups = tuple(
        _ranged(group, today, low, high, multiple_of)
        for group, today in zip(graph.space.groups, graph.layout, strict=True)
    )
    groups = _pinned(groups, graph.layout, pin)
    space = replace(graph.space, groups=groups).fenced(order=order, max_step=max_step)
    chosen = score_for(graph, score)
    return Problem(space=space, score=chosen, constraints=limits.constraints(graph))


def score_for(graph: WidthGraph, score: Score | str) -> Score:
    """A score, if the model has what it reads.

    Raises:
        InputError: otherwise, or for an unknown name.
    """
    chosen = score if isinstance(score, Score) else get_score(score)
    if chosen.name == "pair-harmonic" and len(graph.space.connections) < len(graph.ledger.layers):
        raise InputError(
            "score",
            given=chosen.name,
            allowed="step-energy or energy-layer for this model",
            remedy="some of its layers read a concatenation or write several widths, which are no pairs",
        )
    return chosen


def _pinned(groups: tuple[WidthGroup, ...], today: Layout, pin: Sequence[str]) -> tuple[WidthGroup, ...]:
    """Groups with a layer that matches a pattern at today's widths, the others as they are."""
    for pattern in pin:
        if not any(is_named(layer, pattern) for group in groups for layer in group.members):
            layers = ", ".join(group.members[0] for group in groups)
            raise InputError("pin", given=repr(pattern), allowed=f"a pattern of layers, such as {layers}")
    return tuple(
        replace(group, minimum=width, maximum=width, multiple_of=1)
        if any(is_named(layer, pattern) for layer in group.members for pattern in pin)
        else group
        for group, width in zip(groups, today, strict=True)
    )


def _ranged(group: WidthGroup, today: int, low: Fraction, high: Fraction, multiple_of: int) -> WidthGroup:
    step = math.lcm(group.multiple_of, multiple_of)
    minimum = max(1, math.ceil(low * today))
    maximum = math.floor(high * today)
    if -(-minimum // step) * step > maximum:
        raise InputError(
            f"widths of {group.name}",
            given=f"{minimum} to {maximum}, {low} to {high} times today's {today}",
            allowed=f"a range that holds a multiple of {step}",
            remedy=f"widen the ratios, or keep it with --pin '{group.members[0]}'",
        )
    return replace(group, minimum=minimum, maximum=maximum, multiple_of=step)
