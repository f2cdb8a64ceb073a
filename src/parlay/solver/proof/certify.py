"""An independent recount of a result. It imports no solver, so that it cannot inherit a solver's mistakes.

Energies are recounted from 60-digit decimals instead of floats, sizes in Python's integers, fences width by width;
a small
problem is solved again by plain enumeration. What a proof rests on is checked for consistency: an OPTIMAL without
a proof that covers it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from parlay.formal import decimal_value
from parlay.layout import Layout, Order, WidthSpace, format_layout
from parlay.problem import Constraint, Problem, Result, Status
from parlay.resources import PeakResource, Resource
from parlay.solver.proof.replay import recompute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["Certificate", "certify"]

TOLERANCE = 1e-9
EFFORT_OF_A_STEP = 20
"""Extensions of partial layouts that take about as long as one step of a proof."""

LARGEST_DEPTH = 64
"""Groups from which a problem is not enumerated: it would hardly ever be small."""

DIGITS = Context(prec=45)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What the recount found.

    Attributes:
        findings: every fault, one sentence each; none when the result holds.
        is_enumerated: whether the problem was small enough to be solved again by enumeration.
        is_recomputed: whether every step of a proof by prices was followed and its bound found right.
    """

    findings: tuple[str, ...]
    is_enumerated: bool
    is_recomputed: bool = False

    @property
    def holds(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings


def certify(problem: Problem, result: Result, *, effort: int = 2_000_000) -> Certificate:
    """Recount a result independently.

    Args:
        problem: the question that was meant.
        result: the answer to check.
        effort: how many extensions of partial layouts an enumeration may cost; larger problems are not enumerated.

    >>> from dataclasses import replace
    >>> from parlay import plain, solve
    >>> problem = plain(depth=3).problem(kernels=4288)
    >>> result = solve(problem)
    >>> certify(problem, result).holds, certify(problem, replace(result, proof=None)).findings
    (True, ('OPTIMAL is claimed without a proof',))
    """
    findings: list[str] = []
    if result.problem != problem:
        findings.append("the result answers another problem")
    if len(result.solutions) > result.top_k:
        findings.append(f"{len(result.solutions)} solutions are listed though {result.top_k} were asked for")
    findings += _malformed(result)
    if findings:
        return Certificate(findings=tuple(findings), is_enumerated=False)
    for solution in result.solutions:
        name = format_layout(solution.layout)
        broken = problem.violations(solution.layout)
        findings += [f"{name}: {text}" for text in broken]
        if len(solution.layout) == len(problem.space) and min(solution.layout) >= 1:
            energy = _recounted(problem, solution.layout)
            if not _close(energy, solution.log_energy):
                findings.append(f"{name}: log-energy is {energy}, not {solution.log_energy} as claimed")
    if not findings:
        findings += _order_faults(problem, [solution.layout for solution in result.solutions])
    findings += _claim_faults(result)
    is_recomputed = False
    if not findings and result.proof is not None and result.proof.steps:
        found = recompute(problem, result, most_steps=effort // EFFORT_OF_A_STEP)
        is_recomputed = found.bound is not None and found.is_complete
        findings += found.faults
        if found.bound is not None and result.bound is not None and found.bound > result.bound + TOLERANCE:
            findings.append(f"the proof shows a bound of {found.bound}, not {result.bound}")
    table = _enumerated(problem, effort)
    if table is not None and not findings:
        findings += _enumeration_faults(problem, result, table)
    return Certificate(findings=tuple(findings), is_enumerated=table is not None, is_recomputed=is_recomputed)


def _malformed(result: Result) -> list[str]:
    """Values that no result can have, whatever the problem."""
    faults = [
        f"{solution.layout!r} is not a tuple of integers"
        for solution in result.solutions
        if type(solution.layout) is not tuple or any(type(width) is not int for width in solution.layout)
    ]
    proof = result.proof
    numbers = [result.bound, *(solution.log_energy for solution in result.solutions)]
    numbers += [] if proof is None else [proof.threshold, proof.bound, proof.multiplier]
    if any(number is not None and math.isnan(number) for number in numbers):
        faults.append("a bound, threshold, multiplier or log-energy is not a number")
    if type(result.status) is not Status:
        faults.append(f"{result.status!r} is no status")
    if result.runtime < 0 or (proof is not None and proof.labels < 0):
        faults.append("a runtime or a number of labels is negative")
    return faults


def _close(a: float, b: float) -> bool:
    return a == b or abs(a - b) <= TOLERANCE * max(1.0, abs(a) / 100)


def _recounted(problem: Problem, layout: Layout) -> float:
    """The log-energy from its exact form; from floats only where a score has no exact form."""
    formal = problem.terms.formal(layout)
    if formal is None:
        return -math.inf
    value = decimal_value(formal)
    return problem.log_energy(layout) if value is None else float(value)


def _rank(problem: Problem, layout: Layout) -> tuple[Decimal, Layout]:
    formal = problem.terms.formal(layout)
    if formal is None:
        return Decimal("Infinity"), layout
    value = decimal_value(formal)
    return -DIGITS.plus(Decimal(problem.log_energy(layout)) if value is None else value), layout


def _order_faults(problem: Problem, layouts: list[Layout]) -> list[str]:
    ranks = [_rank(problem, layout) for layout in layouts]
    return [
        f"{format_layout(before[1])} is listed before {format_layout(after[1])} against the stated order"
        for before, after in pairwise(ranks)
        if not before < after
    ]


def _claim_faults(result: Result) -> list[str]:
    """Whether status, bound and proof support each other."""
    faults: list[str] = []
    proof, status = result.proof, result.status
    if status in (Status.OPTIMAL, Status.INFEASIBLE) and proof is None:
        faults.append(f"{status.value} is claimed without a proof")
    if status in (Status.OPTIMAL, Status.FEASIBLE) and not result.solutions:
        faults.append(f"{status.value} is claimed without a solution")
    if status in (Status.INFEASIBLE, Status.UNKNOWN) and result.solutions:
        faults.append(f"{status.value} is claimed beside solutions")
    if result.solutions:
        best, worst = result.solutions[0].log_energy, result.solutions[-1].log_energy
        if result.bound is not None and result.bound < best - TOLERANCE:
            faults.append(f"the bound {result.bound} lies below the best log-energy {best}")
        if status is Status.OPTIMAL and result.bound != best:
            faults.append(f"OPTIMAL is claimed with bound {result.bound} away from the best log-energy {best}")
        if status is Status.OPTIMAL and proof is not None:
            complete = proof.threshold == -math.inf
            if not complete and (len(result.solutions) < result.top_k or proof.threshold > worst + TOLERANCE):
                faults.append(f"the proof covers log-energies from {proof.threshold} on, not all that is listed")
            if proof.bound < best - TOLERANCE and not math.isinf(best):
                faults.append(f"the proof's bound {proof.bound} lies below the best log-energy {best}")
    elif status is Status.INFEASIBLE and result.bound != -math.inf:
        faults.append(f"INFEASIBLE is claimed with bound {result.bound} instead of -inf")
    elif status is Status.INFEASIBLE and proof is not None and proof.threshold != -math.inf:
        faults.append(f"INFEASIBLE is claimed though the proof covers only log-energies from {proof.threshold} on")
    return faults


def _enumeration_faults(problem: Problem, result: Result, table: IntArray) -> list[str]:
    """Compare with every layout there is."""
    scores = _scores(problem, table)
    if len(table) == 0:
        return ["layouts are listed though none exists"] if result.solutions else _nearest_faults(problem, result)
    if result.status is Status.INFEASIBLE:
        return [f"INFEASIBLE is claimed though {format_layout(table[0].tolist())} satisfies every constraint"]
    if result.status is not Status.OPTIMAL:
        top = float(scores.max())
        low = result.bound is not None and result.bound < top - TOLERANCE
        return [f"the bound {result.bound} lies below the best log-energy {top}"] if low else []
    wanted = min(result.top_k, len(table))
    if len(result.solutions) != wanted:
        return [f"{len(result.solutions)} solutions are listed though {wanted} exist"]
    cut = float(np.sort(scores)[::-1][wanted - 1]) - TOLERANCE
    near = table[scores >= cut] if math.isfinite(cut) else table
    layouts = [tuple(int(w) for w in row) for row in near.tolist()]
    best = [layout for _, layout in sorted(_rank(problem, layout) for layout in layouts)][:wanted]
    listed = [solution.layout for solution in result.solutions]
    missing = [format_layout(layout) for layout in best if layout not in set(listed)]
    return [f"a better layout is missing: {', '.join(missing[:3])}"] if missing else []


def _nearest_faults(problem: Problem, result: Result) -> list[str]:
    """Whether the nearest sizes named lie on the right side of what was asked."""
    nearest, [constraint, *_] = result.nearest, problem.constraints
    if nearest is None:
        return []
    low, high = constraint.minimum, constraint.maximum
    wrong_below = nearest.below is not None and (low is None or nearest.below >= low)
    wrong_above = nearest.above is not None and (high is None or nearest.above <= high)
    return (
        [f"sizes {nearest.below} and {nearest.above} are not around {constraint}"] if wrong_below or wrong_above else []
    )


def _scores(problem: Problem, table: IntArray) -> NDArray[np.float64]:
    total = np.zeros(len(table))
    terms = problem.terms
    for g, parts in enumerate(terms.groups):
        for term in parts:
            total = total + term.values(table[:, g])
    for (g, h), parts in terms.pairs.items():
        for term in parts:
            total = total + term.values(table[:, g], table[:, h])
    return total


def _enumerated(problem: Problem, effort: int) -> IntArray | None:
    """Every layout that keeps fences and constraints, one a row; None when that would cost more than ``effort``.

    Group by group; each partial layout goes on with the widths that fences allow and that fit the budget with the
    cheapest widths behind them, in the last group with exactly those that meet it.
    """
    space = problem.space
    if len(space.groups) > LARGEST_DEPTH:
        return None
    points = [len(c.resource.points) if isinstance(c.resource, PeakResource) else 1 for c in problem.constraints]
    effort = 3 * effort // max(3, sum(points))  # every point of a peak is a resource of its own
    table = np.zeros((1, 0), dtype=np.int64)
    spent = 0
    for g, group in enumerate(space.groups):
        top = _largest_width(problem, g)
        if top is None or _overflows(problem, g, top):
            return None
        low, high = _fenced(space, g, table, top)
        count = (high - low) // group.multiple_of + 1
        if g < len(space.groups) - 1 and _at_least(problem, table, low, count, effort - spent) > effort - spent:
            return None
        for constraint in problem.constraints:
            count = _count_within(problem, constraint, table, low, count)
        skip = np.zeros_like(count)
        if g == len(space.groups) - 1:
            for constraint in problem.constraints:
                skip = np.maximum(skip, _count_below(problem, constraint, table, low, count))
        count = np.maximum(count - skip, 0)
        spent += int(count.sum())
        if spent > effort:
            return None
        rows = np.repeat(np.arange(len(table)), count)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        widths = low[rows] + (skip[rows] + place) * group.multiple_of
        table = np.concatenate([table[rows], widths[:, None]], axis=1)
    return table


def _overflows(problem: Problem, g: int, top: int) -> bool:
    tops = tuple(max(top, 1) if h >= g else 1 for h in range(len(problem.space.groups)))
    step = problem.space.max_step
    if step is not None and top * max(step.numerator, step.denominator) >= 1 << 62:
        return True
    return any(_amount(constraint.resource, tops) >= 1 << 62 for constraint in problem.constraints)


def _amount(resource: Resource | PeakResource, layout: Layout) -> int:
    """The amount, rounded down: on the way to a layout widths need not be what a divisor asks for."""
    if isinstance(resource, PeakResource):
        return max(_amount(point, layout) for point in resource.points)
    total = resource.constant + sum(c * width for c, width in zip(resource.linear, layout, strict=True))
    return (total + sum(c * layout[g] * layout[h] for g, h, c in resource.quadratic)) // resource.divisor


def _fenced(space: WidthSpace, g: int, table: IntArray, top: int) -> tuple[IntArray, IntArray]:
    """Smallest and largest width of group g that order, step and bounds allow after each partial layout."""
    group = space.groups[g]
    low, high = np.full(len(table), group.first, dtype=np.int64), np.full(len(table), top, dtype=np.int64)
    if g:
        before = table[:, -1]
        if space.order is not Order.FREE:
            low = np.maximum(low, before + (1 if space.order is Order.INCREASING else 0))
        if space.max_step is not None:
            up, down = space.max_step.numerator, space.max_step.denominator
            low = np.maximum(low, -(-before * down // up))
            high = np.minimum(high, before * up // down)
    low = -(-low // group.multiple_of) * group.multiple_of
    return low, np.maximum(high, low - 1)


def _cheapest(problem: Problem, table: IntArray, widths: IntArray) -> IntArray:
    """Partial layouts with one more width each and the smallest conceivable ones behind."""
    after = _least_after(problem.space, widths, int(table.shape[1]))
    return np.concatenate([table, widths[:, None], after], axis=1)


def _at_least(problem: Problem, table: IntArray, low: IntArray, count: IntArray, effort: int) -> int:
    """A number of longer partial layouts that exist for certain, from one look at each partial layout."""
    if len(table) == 0:
        return 0
    stride = problem.space.groups[int(table.shape[1])].multiple_of
    place = np.minimum(np.maximum(count, 1) - 1, 2 * max(effort, 0) // len(table) + 1)
    probe = _cheapest(problem, table, low + place * stride)
    fits = count > 0
    for constraint in problem.constraints:
        if constraint.maximum is not None:
            fits = fits & (_amounts(constraint.resource, probe) <= constraint.maximum)
    return int((place[fits] + 1).sum())


def _count_within(
    problem: Problem, constraint: Constraint, table: IntArray, low: IntArray, count: IntArray
) -> IntArray:
    """How many of the widths from ``low`` on fit a constraint's upper bound; its amounts grow with every width."""
    if constraint.maximum is None:
        return np.maximum(count, 0)
    limit = constraint.maximum
    return _first(problem, constraint, table, low, count, lambda amounts: amounts > limit)


def _count_below(problem: Problem, constraint: Constraint, table: IntArray, low: IntArray, count: IntArray) -> IntArray:
    """How many of the widths from ``low`` on stay below a constraint's lower bound, in the last group."""
    if constraint.minimum is None:
        return np.zeros_like(count)
    limit = constraint.minimum
    return _first(problem, constraint, table, low, count, lambda amounts: amounts >= limit)


def _first(
    problem: Problem,
    constraint: Constraint,
    table: IntArray,
    low: IntArray,
    count: IntArray,
    is_reached: Callable[[IntArray], NDArray[np.bool_]],
) -> IntArray:
    """By bisection, the first of ``count`` widths from ``low`` on at which the amount reaches something."""
    left, right = np.zeros_like(count), np.maximum(count, 0)
    stride = problem.space.groups[int(table.shape[1])].multiple_of

    def reached_at(place: IntArray) -> NDArray[np.bool_]:
        return is_reached(_amounts(constraint.resource, _cheapest(problem, table, low + place * stride)))

    left = np.where((right > 0) & ~reached_at(np.maximum(right - 1, 0)), right, left)  # often none reaches it
    while (left < right).any():
        middle = (left + right) // 2
        reached = reached_at(middle)
        active = left < right
        right = np.where(active & reached, middle, right)
        left = np.where(active & ~reached, middle + 1, left)
    return left


def _least_after(space: WidthSpace, last: IntArray, g: int) -> IntArray:
    """Lower bounds on the widths after group g, one column each, given the last widths chosen, shape (n,)."""
    after = space.groups[g + 1 :]
    least = np.array([group.first for group in after], dtype=np.int64)
    if space.order is Order.FREE:
        return np.broadcast_to(least, (len(last), len(after)))
    steps = np.arange(1, len(after) + 1) if space.order is Order.INCREASING else np.zeros(len(after), dtype=np.int64)
    return np.maximum(least, last[:, None] + steps)


def _amounts(resource: Resource | PeakResource, table: IntArray) -> IntArray:
    if isinstance(resource, PeakResource):
        return np.maximum.reduce([_amounts(point, table) for point in resource.points])
    linear, first, second, coefficient = _columns(resource)
    return (table @ linear + (table[:, first] * table[:, second]) @ coefficient + resource.constant) // resource.divisor


@lru_cache(maxsize=64)
def _columns(resource: Resource) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Linear coefficients; first group, second group and coefficient of every product."""
    table = np.array(resource.quadratic, dtype=np.int64).reshape(-1, 3)
    return np.array(resource.linear, dtype=np.int64), table[:, 0], table[:, 1], table[:, 2].copy()


def _largest_width(problem: Problem, g: int) -> int | None:
    """The largest width of group g that constraints and bounds leave, the others at their smallest."""
    smallest = [group.first for group in problem.space.groups]
    grows = problem.space.order is not Order.FREE
    limits = [_largest_for(c.resource, c.maximum, smallest, g, grows=grows) for c in problem.constraints]
    known = [limit for limit in (*limits, problem.space.groups[g].maximum) if limit is not None]
    return min(known, default=None)


def _largest_for(
    resource: Resource | PeakResource, maximum: int | None, smallest: list[int], g: int, *, grows: bool
) -> int | None:
    """By doubling and bisection: the largest width of group g within the budget; None when nothing limits it."""
    if maximum is None:
        return None

    def fits(width: int) -> bool:
        after = [max(least, width) if grows else least for least in smallest[g + 1 :]]
        return _amount(resource, (*smallest[:g], width, *after)) <= maximum

    if not fits(smallest[g]):
        return smallest[g] - 1
    high = smallest[g]
    while fits(high):
        if high > 1 << 45:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
