"""Why there is no layout: conflicts, and what amounts can be reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parlay.errors import InputError
from parlay.layout import Layout, Order, WidthGroup
from parlay.problem import Constraint, Problem, Status
from parlay.resources import PeakResource, Resource
from parlay.solver.general.solve_general import GeneralRun
from parlay.solver.progress import Progress, StopSolvingError

__all__ = ["Conflict", "Reach", "conflict", "reachable"]

CONFLICT_SECONDS = 10.0
"""Somebody waits for the message of an error."""

SHARE = 8
"""A single question of a conflict takes at most this fraction of the time."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Amounts of one resource that layouts can have while they keep all other constraints.

    Attributes:
        resource: its name.
        lowest, highest: the least and the greatest amount found; None when none was found.
        proven: whether nothing lies beyond.
    """

    resource: str
    lowest: int | None
    highest: int | None
    proven: bool


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Why a problem has no layout.

    Attributes:
        parts: constraints and fences that cannot be kept together, in words.
        irreducible: whether leaving out any one of them was shown to leave a layout.
        reach: what each constrained resource can be, given the other constraints.
    """

    parts: tuple[str, ...]
    irreducible: bool
    reach: tuple[Reach, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "parts": list(self.parts),
            "irreducible": self.irreducible,
            "reach": [dict(vars(reach)) for reach in self.reach],
        }

    def summary(self) -> str:
        """What cannot be kept together and what each amount could be, in lines."""
        parts = "; ".join(self.parts)
        certainty = "each of them is needed for the conflict" if self.irreducible else "not all may be needed"
        is_alone = len(self.parts) == 1
        lines = [
            f"cannot be kept at any widths: {parts}" if is_alone else f"cannot be kept together: {parts} ({certainty})"
        ]
        for reach in self.reach:
            if reach.lowest is None and reach.highest is None:
                lines.append(f"{reach.resource}: nothing is reachable while the other limits are kept")
                continue
            low, high = ("unknown" if end is None else f"{end:,}" for end in (reach.lowest, reach.highest))
            proven = "" if reach.proven else " (found so far)"
            lines.append(f"{reach.resource}: {low} to {high} can be had while the other limits are kept{proven}")
        return "\n".join(lines)


def conflict(problem: Problem, *, seconds: float = CONFLICT_SECONDS) -> Conflict:
    """Which constraints and fences of an infeasible problem cannot be kept together.

    One after the other is left out; what can be spared is spared for good, so that every one of the rest is needed.

    Args:
        problem: a problem without a layout.
        seconds: time for everything; what is not settled by then is said not to be.

    Raises:
        InputError: when the problem has a layout, or whether it has was not settled.

    >>> from parlay import plain
    >>> found = conflict(plain(depth=3).problem(kernels=400, max_macs=390_000), seconds=300)
    >>> found.parts, found.irreducible
    (('kernels = 400', 'macs <= 390000', 'order increasing'), True)
    """
    begun = time.perf_counter()
    ask = _Asking(until=begun + seconds, each=seconds / SHARE)
    if ask.has_layout(problem) is not False:
        raise InputError("conflict", given="a problem that has a layout, or may have", allowed="one proven infeasible")
    kept = problem
    irreducible = True
    for part in list(_parts(problem)):
        without = part.left_out(kept)
        if without is None:
            continue
        answer = ask.has_layout(without)
        if answer is False:
            kept = without
        elif answer is None:
            irreducible = False
    parts = tuple(part.words for part in _parts(kept))
    reach = tuple(_reach(problem, index, ask) for index in range(len(problem.constraints)))
    return Conflict(parts=parts, irreducible=irreducible, reach=reach)


@dataclass(kw_only=True)
class _Asking:
    """Feasibility questions within a time."""

    until: float
    each: float

    def layout_of(self, problem: Problem) -> tuple[Layout | None, bool]:
        """Any layout, and whether it is settled that there is none."""
        left = self.until - time.perf_counter()
        if left <= 0:
            return None, False

        def enough(so_far: Progress) -> None:
            if so_far.best is not None:
                raise StopSolvingError

        run = GeneralRun(problem=problem, top_k=1, time_limit=min(self.each, left), progress=enough)
        try:
            result = run.run()
        except InputError:
            # without this part nothing limits the widths: a layout there is, unless the least is too much
            least = _least(problem)
            limits = ((c.resource(least), c.maximum) for c in problem.constraints)
            if any(most is not None and amount > most for amount, most in limits):
                return None, True
            return least, False
        if result.solutions:
            return result.best.layout, False
        return None, result.status is Status.INFEASIBLE

    def has_layout(self, problem: Problem) -> bool | None:
        """Whether there is a layout; None when that was not settled."""
        layout, is_settled = self.layout_of(problem)
        return True if layout is not None else (False if is_settled else None)


@dataclass(frozen=True, kw_only=True)
class _Part:
    words: str
    left_out: Callable[[Problem], Problem | None]


def _parts(problem: Problem) -> Iterator[_Part]:
    """Everything of a problem that might be left out."""
    for constraint in problem.constraints:
        yield _Part(words=str(constraint), left_out=lambda p, c=constraint: _without(p, c))
    space = problem.space
    if space.order is not Order.FREE:
        yield _Part(
            words=f"order {space.order}", left_out=lambda p: replace(p, space=replace(p.space, order=Order.FREE))
        )
    if space.max_step is not None:
        yield _Part(
            words=f"largest step {space.max_step}",
            left_out=lambda p: replace(p, space=replace(p.space, max_step=None)),
        )
    changes: tuple[tuple[str, Callable[[WidthGroup], bool], Callable[[WidthGroup], WidthGroup]], ...] = (
        ("multiples of widths", lambda g: g.multiple_of > 1, lambda g: replace(g, multiple_of=1)),
        ("smallest widths", lambda g: g.first > g.multiple_of, lambda g: replace(g, minimum=1)),
        ("largest widths", lambda g: g.maximum is not None, lambda g: replace(g, maximum=None)),
    )
    for words, applies, change in changes:
        if any(applies(group) for group in space.groups):
            yield _Part(words=words, left_out=lambda p, change=change: _changed(p, change))


def _without(problem: Problem, constraint: Constraint) -> Problem | None:
    rest = tuple(other for other in problem.constraints if other is not constraint)
    return replace(problem, constraints=rest)


def _changed(problem: Problem, change: Callable[[WidthGroup], WidthGroup]) -> Problem | None:
    """The problem with changed groups; None where a divisor of a resource needs the multiples."""
    forms = [form for c in problem.constraints for form in _forms(c.resource)]
    groups = tuple(change(group) for group in problem.space.groups)
    is_divided = any(form.divisor > 1 for form in forms)
    if is_divided and any(a.multiple_of != b.multiple_of for a, b in zip(groups, problem.space.groups, strict=True)):
        return None
    return replace(problem, space=replace(problem.space, groups=groups))


def _forms(resource: Resource | PeakResource) -> Sequence[Resource]:
    return resource.points if isinstance(resource, PeakResource) else (resource,)


def reachable(
    problem: Problem, resource: Resource | PeakResource, *, seconds: float = CONFLICT_SECONDS, accuracy: float = 0.0
) -> Reach:
    """What amounts of a resource the layouts of a problem can have.

    Args:
        problem: the question.
        resource: what is measured.
        seconds: time for both ends.
        accuracy: an end is near enough when nothing lies beyond it by more than this fraction.

    >>> from parlay import plain
    >>> net = plain(depth=3)
    >>> found = reachable(net.problem(kernels=400), net.macs, seconds=300)
    >>> found.lowest, found.highest, found.proven
    (396488, 811168, True)
    """
    ask = _Asking(until=time.perf_counter() + seconds, each=seconds / SHARE)
    return _within(problem, resource, ask, accuracy)


def _reach(problem: Problem, index: int, ask: _Asking) -> Reach:
    """What one constrained resource can be, given the other constraints."""
    others = tuple(other for place, other in enumerate(problem.constraints) if place != index)
    return _within(replace(problem, constraints=others), problem.constraints[index].resource, ask)


def _within(problem: Problem, resource: Resource | PeakResource, ask: _Asking, accuracy: float = 0.0) -> Reach:
    """By bisection with feasibility questions: the least and the greatest amount of a resource."""

    def amount(low: int | None, high: int | None) -> tuple[int | None, bool]:
        ranged = Constraint(resource=resource, minimum=low, maximum=high)
        layout, is_settled = ask.layout_of(replace(problem, constraints=(*problem.constraints, ranged)))
        return (None if layout is None else resource(layout)), is_settled

    found, is_settled = amount(0, None) if _is_bounded(problem, problem.constraints) else (None, False)
    if found is None:
        return Reach(resource=resource.name, lowest=None, highest=None, proven=is_settled)
    ends: list[int] = []
    proven = True
    for sign in (-1, 1):
        reached, beyond = found, resource(_least(problem)) if sign < 0 else _most(problem, resource)
        while abs(beyond - reached) > accuracy * reached:
            middle = reached + sign * max(1, abs(beyond - reached) // 2)
            further, is_settled = amount(*((None, middle) if sign < 0 else (middle, None)))
            if further is not None:
                reached = further
            elif is_settled:
                beyond = middle - sign
            else:
                proven = False
                break
        ends.append(reached)
    return Reach(resource=resource.name, lowest=ends[0], highest=ends[1], proven=proven)


def _least(problem: Problem) -> Layout:
    """The smallest widths: as coefficients are not negative, no layout costs less."""
    return tuple(group.first for group in problem.space.groups)


def _is_bounded(problem: Problem, others: Sequence[Constraint]) -> bool:
    return bool(others) or all(group.maximum is not None for group in problem.space.groups)


def _most(problem: Problem, resource: Resource | PeakResource) -> int:
    """An amount no layout exceeds, for a start."""
    tops = [group.maximum for group in problem.space.groups]
    if all(top is not None for top in tops):
        widths = tuple(
            top // group.multiple_of * group.multiple_of
            for group, top in zip(problem.space.groups, tops, strict=True)
            if top is not None
        )
        return resource(widths)
    return 1 << 48
