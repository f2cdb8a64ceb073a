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

__all__ = ["Conflict", "Reach", "Wider", "conflict", "reachable"]

Wider = tuple[str, Callable[[], Problem]]
"""An option with a milder value, in words, and the problem that it makes; not made before it is needed."""

CONFLICT_SECONDS = 10.0
"""Somebody waits for the message of an error."""

DOUBLINGS = 20
"""Of the smallest widths, until everything that is asked for at least is reached: a million times as wide."""
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
        remedies: changes of which any single one leaves a layout, in words, such as ``--ram 52416``; where none does
            alone, one of several options together. A layout was found for each.
    """

    parts: tuple[str, ...]
    irreducible: bool
    reach: tuple[Reach, ...]
    remedies: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "parts": list(self.parts),
            "irreducible": self.irreducible,
            "reach": [dict(vars(reach)) for reach in self.reach],
            "remedies": list(self.remedies),
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
                nothing = "nothing is reachable" if reach.proven else "what can be had is not known"
                lines.append(f"{reach.resource}: {nothing} while the other limits are kept")
                continue
            low, high = ("unknown" if end is None else f"{end:,}" for end in (reach.lowest, reach.highest))
            proven = "" if reach.proven else " (found so far)"
            lines.append(f"{reach.resource}: {low} to {high} can be had while the other limits are kept{proven}")
        if self.remedies:
            lines.append(f"would do: {', or '.join(self.remedies)}")
        return "\n".join(lines)


def conflict(
    problem: Problem,
    *,
    seconds: float = CONFLICT_SECONDS,
    limit: Callable[[int, Constraint], str] | None = None,
    wider: Sequence[Sequence[Wider]] = (),
) -> Conflict:
    """Which constraints and fences of an infeasible problem cannot be kept together.

    One after the other is left out; what can be spared is spared for good, so that every one of the rest is needed.

    Args:
        problem: a problem without a layout.
        seconds: time to find the conflict, as much again for what can be reached and for remedies; what is not settled
            by then is said not to be.
        limit: place of a constraint and a milder one in its stead -> the option that says so; no remedies without it.
        wider: milder values of each option that sets a fence, the mildest change first; each allows what the one
            before it does.

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
    share = seconds / len(problem.constraints)  # each its own, so that one that takes long leaves the others theirs
    reach = tuple(
        _reach(problem, index, _Asking(until=time.perf_counter() + share, each=share / SHARE))
        for index in range(len(problem.constraints))
    )
    if limit is None:
        return Conflict(parts=parts, irreducible=irreducible, reach=reach)
    ask = _Asking(until=time.perf_counter() + seconds, each=ask.each)
    return Conflict(
        parts=parts, irreducible=irreducible, reach=reach, remedies=tuple(_remedies(problem, reach, limit, wider, ask))
    )


def _remedies(
    problem: Problem,
    reach: Sequence[Reach],
    limit: Callable[[int, Constraint], str],
    wider: Sequence[Sequence[Wider]],
    ask: _Asking,
) -> Iterator[str]:
    """What would do, fences first; a layout is known for each."""
    is_found = False
    for values in wider:
        mildest = _mildest(values, ask)
        if mildest is not None:
            is_found = True
            yield mildest
    for place, (constraint, reached) in enumerate(zip(problem.constraints, reach, strict=True)):
        milder = _milder(problem, place, constraint, reached, ask)
        if milder is not None:
            is_found = True
            yield limit(place, milder)
    if is_found:
        return
    layouts = [_smallest(problem)]
    layouts += [
        layout
        for one in problem.constraints
        if (layout := ask.layout_of(replace(problem, constraints=(one,)))[0]) is not None
    ]
    for layout in layouts:
        milder = tuple(_allowing(constraint, layout) for constraint in problem.constraints)
        if not replace(problem, constraints=milder).violations(layout):
            pairs = enumerate(zip(problem.constraints, milder, strict=True))
            yield " with ".join(limit(place, new) for place, (old, new) in pairs if new != old)
            return


def _allowing(constraint: Constraint, layout: Layout) -> Constraint:
    """The constraint, widened to what a layout has."""
    amount = constraint.resource(layout)
    low, high = constraint.minimum, constraint.maximum
    if low is not None and low == high:
        return Constraint.equal(constraint.resource, amount)
    return replace(
        constraint,
        minimum=None if low is None else min(low, amount),
        maximum=None if high is None else max(high, amount),
    )


def _mildest(values: Sequence[Wider], ask: _Asking) -> str | None:
    """The first value that leaves a layout, by bisection; None where the last one leaves none, or it is not known."""
    if not values or not _leaves_a_layout(values[-1], ask):
        return None
    low, high = 0, len(values) - 1  # the mildest that does is within
    while low < high:
        middle = (low + high) // 2
        if _leaves_a_layout(values[middle], ask):
            high = middle
        else:
            low = middle + 1
    return values[high][0]


def _leaves_a_layout(value: Wider, ask: _Asking) -> bool:
    try:
        problem = value[1]()
    except InputError:  # such as a range of widths that holds no multiple
        return False
    return ask.has_layout(problem) is True


def _milder(problem: Problem, place: int, constraint: Constraint, reach: Reach, ask: _Asking) -> Constraint | None:
    """A constraint that a layout keeps together with all others, near what was asked; None where none was found."""
    if reach.lowest is None or reach.highest is None:
        return None
    low, high = constraint.minimum, constraint.maximum
    if high is not None and reach.lowest > high:
        return replace(constraint, maximum=reach.lowest, minimum=reach.lowest if low == high else low)
    if low is not None and reach.highest < low:
        return replace(constraint, minimum=reach.highest, maximum=reach.highest if low == high else high)
    if low is None or high is None:
        return None
    others = tuple(other for other in problem.constraints if other is not constraint)
    above = replace(constraint, minimum=high + 1, maximum=None)
    layout, _ = ask.layout_of(replace(problem, constraints=(*others[:place], above, *others[place:])))
    if layout is None:
        return None
    amount = constraint.resource(layout)
    return replace(constraint, maximum=amount, minimum=amount if low == high else low)


@dataclass(kw_only=True)
class _Asking:
    """Feasibility questions within a time."""

    until: float
    each: float

    def layout_of(self, problem: Problem) -> tuple[Layout | None, bool]:
        """Any layout, and whether it is settled that there is none.

        The smallest widths are looked at before anything is searched: they keep every upper limit that can be kept,
        and a search that begins at today's may not get there in its share of the time.
        """
        if not problem.violations(smallest := _smallest(problem)):
            return smallest, False
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
            return _unbounded(problem)
        if result.solutions:
            return result.best.layout, False
        return None, result.status is Status.INFEASIBLE

    def has_layout(self, problem: Problem) -> bool | None:
        """Whether there is a layout; None when that was not settled."""
        layout, is_settled = self.layout_of(problem)
        return True if layout is not None else (False if is_settled else None)


def _unbounded(problem: Problem) -> tuple[Layout | None, bool]:
    """A layout where nothing limits the widths from above, and whether it is settled that there is none."""
    least, layout = _least(problem), _smallest(problem)
    if any(c.maximum is not None and c.resource(least) > c.maximum for c in problem.constraints):
        return None, True
    for _ in range(DOUBLINGS):
        if not problem.violations(layout):
            return layout, False
        layout = tuple(2 * width for width in layout)
    return None, False


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


def _smallest(problem: Problem) -> Layout:
    """The smallest widths in their order; largest widths and steps are not looked at."""
    space = problem.space
    gap = {Order.FREE: None, Order.NONDECREASING: 0, Order.INCREASING: 1}[Order(space.order)]
    widths: list[int] = []
    for group in space.groups:
        least = group.first if gap is None or not widths else max(group.first, widths[-1] + gap)
        widths.append(-(-least // group.multiple_of) * group.multiple_of)
    return tuple(widths)


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
