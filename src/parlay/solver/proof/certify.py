"""An independent recount of a result. It imports no solver, so that it cannot inherit a solver's mistakes.

Energies are recounted from 60-digit decimals instead of floats, sizes in Python's integers, fences width by width; a
small problem is solved again by plain enumeration. What a proof rests on is checked for consistency: an OPTIMAL without
a proof that covers it is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from parlay.formal import decimal_value
from parlay.layout import Layout, format_layout
from parlay.problem import Problem, Result, Solution, Status
from parlay.solver.proof.enumeration import enumerated, float_scores
from parlay.solver.proof.replay import TOLERANCE, Replayed, replay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Certificate", "certify"]

EFFORT_OF_A_STEP = 20
"""Extensions of partial layouts that take about as long as one step of a proof."""

DIGITS = Context(prec=45)
"""Formal sums are evaluated to 60 digits; unequal ones that agree in 45 have not been met."""


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
    malformed = _malformed(problem, result)
    if malformed:
        return Certificate(findings=tuple(malformed), is_enumerated=False)
    findings = [fault for solution in result.solutions for fault in _solution_faults(problem, solution)]
    if not findings:
        findings = _order_faults(problem, [solution.layout for solution in result.solutions])
    findings += _claim_faults(result)
    found = Replayed() if findings else replay(problem, result, most_steps=effort // EFFORT_OF_A_STEP)
    findings += _proof_faults(found, result)
    table = enumerated(problem, effort)
    if table is not None and not findings:
        findings = _enumeration_faults(problem, result, table)
    return Certificate(findings=tuple(findings), is_enumerated=table is not None, is_recomputed=found.is_complete)


def _malformed(problem: Problem, result: Result) -> list[str]:
    """What makes the rest of the recount pointless: another question, or values that no result can have."""
    faults: list[str] = []
    if result.problem != problem:
        faults.append("the result answers another problem")
    if len(result.solutions) > result.top_k:
        faults.append(f"{len(result.solutions)} solutions are listed though {result.top_k} were asked for")
    faults += [
        f"{solution.layout!r} is not a tuple of integers"
        for solution in result.solutions
        if type(solution.layout) is not tuple or any(type(width) is not int for width in solution.layout)
    ]
    if type(result.status) is not Status:
        faults.append(f"{result.status!r} is no status")
    return faults + _number_faults(result)


def _number_faults(result: Result) -> list[str]:
    """Floats that are none, and counts below 0."""
    proof = result.proof
    numbers = [number for one in result.solutions for number in (one.score_value, one.log_energy)]
    numbers += [] if result.bound is None else [result.bound]
    numbers += [] if proof is None else [proof.threshold, proof.bound, proof.multiplier]
    faults: list[str] = []
    if any(math.isnan(number) for number in numbers):
        faults.append("a bound, threshold, multiplier, score or energy is not a number")
    if result.runtime < 0 or (proof is not None and proof.labels < 0):
        faults.append("a runtime or a number of labels is negative")
    return faults


def _solution_faults(problem: Problem, solution: Solution) -> list[str]:
    """What a layout breaks, and whether its score and energy are those claimed."""
    layout = solution.layout
    name = format_layout(layout)
    faults = [f"{name}: {text}" for text in problem.violations(layout)]
    if len(layout) == len(problem.space) and min(layout) >= 1:
        score = _recounted(problem, layout)
        if not _close(score, solution.score_value):
            faults.append(f"{name}: score is {score}, not {solution.score_value} as claimed")
        energy = problem.solution(layout, score).log_energy
        if not _close(energy, solution.log_energy):
            faults.append(f"{name}: log energy is {energy}, not {solution.log_energy} as claimed")
    return faults


def _proof_faults(found: Replayed, result: Result) -> list[str]:
    """Steps that are wrong, or a bound claimed that they do not show."""
    faults = list(found.faults)
    if found.bound is not None and result.bound is not None and found.bound > result.bound + TOLERANCE:
        faults.append(f"the proof shows a bound of {found.bound}, not {result.bound}")
    return faults


def _close(a: float, b: float) -> bool:
    return a == b or abs(a - b) <= TOLERANCE * max(1.0, abs(a) / 100)


def _recounted(problem: Problem, layout: Layout) -> float:
    """The score from its exact form; from floats only where a score has no exact form."""
    formal = problem.terms.formal(layout)
    if formal is None:
        return -math.inf
    value = decimal_value(formal)
    return problem.score_value(layout) if value is None else float(value)


def _rank(problem: Problem, layout: Layout) -> tuple[Decimal, Layout]:
    formal = problem.terms.formal(layout)
    if formal is None:
        return Decimal("Infinity"), layout
    value = decimal_value(formal)
    return -DIGITS.plus(Decimal(problem.score_value(layout)) if value is None else value), layout


def _order_faults(problem: Problem, layouts: list[Layout]) -> list[str]:
    ranks = [_rank(problem, layout) for layout in layouts]
    return [
        f"{format_layout(before[1])} is listed before {format_layout(after[1])} against the stated order"
        for before, after in pairwise(ranks)
        if not before < after
    ]


def _claim_faults(result: Result) -> list[str]:
    """Whether status, bound and proof support each other."""
    status = result.status
    contradictions = (
        ((Status.OPTIMAL, Status.INFEASIBLE), result.proof is None, "without a proof"),
        ((Status.OPTIMAL, Status.FEASIBLE), not result.solutions, "without a solution"),
        ((Status.INFEASIBLE, Status.UNKNOWN), bool(result.solutions), "beside solutions"),
    )
    faults = [
        f"{status.value} is claimed {how}" for those, applies, how in contradictions if applies and status in those
    ]
    if result.solutions:
        return faults + _bound_faults(result) + _coverage_faults(result)
    return faults + (_infeasible_faults(result) if status is Status.INFEASIBLE else [])


def _infeasible_faults(result: Result) -> list[str]:
    """Whether bound and proof of an empty answer cover everything."""
    if result.bound != -math.inf:
        return [f"INFEASIBLE is claimed with bound {result.bound} instead of -inf"]
    if result.proof is not None and result.proof.threshold != -math.inf:
        covered = result.proof.threshold
        return [f"INFEASIBLE is claimed though the proof covers only log-energies from {covered} on"]
    return []


def _bound_faults(result: Result) -> list[str]:
    """Whether the bound lies where solutions and status put it."""
    best = result.solutions[0].score_value
    faults: list[str] = []
    if result.bound is not None and result.bound < best - TOLERANCE:
        faults.append(f"the bound {result.bound} lies below the best score {best}")
    if result.status is Status.OPTIMAL and result.bound != best:
        faults.append(f"OPTIMAL is claimed with bound {result.bound} away from the best score {best}")
    return faults


def _coverage_faults(result: Result) -> list[str]:
    """Whether a proof of optimality reaches down to the last solution and up to the first."""
    proof = result.proof
    if result.status is not Status.OPTIMAL or proof is None:
        return []
    best, worst = result.solutions[0].score_value, result.solutions[-1].score_value
    faults: list[str] = []
    is_complete = proof.threshold == -math.inf
    if not is_complete and (len(result.solutions) < result.top_k or proof.threshold > worst + TOLERANCE):
        faults.append(f"the proof covers log-energies from {proof.threshold} on, not all that is listed")
    if proof.bound < best - TOLERANCE and not math.isinf(best):
        faults.append(f"the proof's bound {proof.bound} lies below the best score {best}")
    return faults


def _enumeration_faults(problem: Problem, result: Result, table: IntArray) -> list[str]:
    """Compare with every layout there is, shape (layouts, groups)."""
    if len(table) == 0:
        return ["layouts are listed though none exists"] if result.solutions else _nearest_faults(problem, result)
    if result.status is Status.INFEASIBLE:
        return [f"INFEASIBLE is claimed though {format_layout(table[0].tolist())} satisfies every constraint"]
    scores = float_scores(problem, table)
    if result.status is Status.OPTIMAL:
        return _missing(problem, result, table, scores)
    top = float(scores.max())
    is_low = result.bound is not None and result.bound < top - TOLERANCE
    return [f"the bound {result.bound} lies below the best score {top}"] if is_low else []


def _missing(problem: Problem, result: Result, table: IntArray, scores: FloatArray) -> list[str]:
    """Layouts that should stand among the solutions; floats only leave out what is clearly worse."""
    wanted = min(result.top_k, len(table))
    if len(result.solutions) != wanted:
        return [f"{len(result.solutions)} solutions are listed though {wanted} exist"]
    least = float(np.sort(scores)[::-1][wanted - 1]) - TOLERANCE
    near = table[scores >= least] if math.isfinite(least) else table
    best = [layout for _, layout in sorted(_rank(problem, tuple(row)) for row in near.tolist())][:wanted]
    listed = {solution.layout for solution in result.solutions}
    missing = [layout for layout in best if layout not in listed][:3]
    return [f"a better layout is missing: {', '.join(map(format_layout, missing))}"] if missing else []


def _nearest_faults(problem: Problem, result: Result) -> list[str]:
    """Whether the nearest sizes named lie on the right side of what was asked."""
    nearest, [constraint, *_] = result.nearest, problem.constraints
    if nearest is None:
        return []
    low, high = constraint.minimum, constraint.maximum
    is_wrong_below = nearest.below is not None and (low is None or nearest.below >= low)
    is_wrong_above = nearest.above is not None and (high is None or nearest.above <= high)
    if is_wrong_below or is_wrong_above:
        return [f"sizes {nearest.below} and {nearest.above} are not around {constraint}"]
    return []
