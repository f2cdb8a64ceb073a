"""The stated order of solutions: exact score, highest first; equal scores by widths, smaller first width first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from itertools import pairwise

from parlay.formal import decimal_value
from parlay.layout import Layout
from parlay.problem import Problem, Solution

__all__ = ["ranked"]

CLOSE = 1e-9
"""Sums of some hundred floats of size 1 to 1000 are right to about 1e-12: what differs by more is ordered by them."""

ROUNDED = Context(prec=45)
"""Formal sums are evaluated to 60 digits; unequal ones that agree in 45 have not been met."""


def ranked(problem: Problem, layouts: Iterable[Layout], top_k: int | None = None) -> list[Solution]:
    """The layouts as solutions, best first, at most ``top_k``.

    Floats order what differs by more than 1e-9; what is closer is compared exactly, so a tie is found to be one.

    >>> from parlay.families import plain
    >>> problem = plain(depth=2).problem(max_weights=10**6)
    >>> [solution.layout for solution in ranked(problem, [(4, 4), (2, 16), (3, 5)])]
    [(2, 16), (4, 4), (3, 5)]
    """
    scorer = _Scorer(problem)
    solutions = [problem.solution(layout, scorer.score_value(layout)) for layout in layouts]
    solutions.sort(key=lambda solution: (-solution.score_value, solution.layout))
    ordered: list[Solution] = []
    for run in _close_runs(solutions):
        ordered += run if len(run) == 1 else _exactly(scorer, run)
        if top_k is not None and len(ordered) >= top_k:
            return ordered[:top_k]
    return ordered


class _Scorer:
    """Scores by the widths that each kind of term sees: layouts that only exchange these have one score, found once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        terms = problem.terms
        self.is_exchangeable = not terms.pairs and len(set(terms.groups)) == 1
        self._floats: dict[Layout, float] = {}
        self._decimals: dict[Layout, Decimal | None] = {}

    def score_value(self, layout: Layout) -> float:
        """The score in log form: a correctly rounded sum, so its order does not matter."""
        key = self._key(layout)
        if key not in self._floats:
            self._floats[key] = self.problem.score_value(layout)
        return self._floats[key]

    def exact(self, solution: Solution) -> Decimal:
        """45 digits of the score: equal formal sums give equal digits, and unequal ones differ long before."""
        key = self._key(solution.layout)
        if key not in self._decimals:
            formal = self.problem.terms.formal(solution.layout)
            value = Decimal("-Infinity") if formal is None else decimal_value(formal)
            self._decimals[key] = None if value is None else ROUNDED.plus(value)
        value = self._decimals[key]
        return Decimal(solution.score_value) if value is None else value

    def _key(self, layout: Layout) -> Layout:
        return tuple(sorted(layout)) if self.is_exchangeable else layout


def _close_runs(solutions: Sequence[Solution]) -> Iterable[list[Solution]]:
    """Runs of neighbours whose float scores differ by at most 1e-9 each."""
    run: list[Solution] = list(solutions[:1])
    for before, now in pairwise(solutions):
        if before.score_value == now.score_value or before.score_value - now.score_value <= CLOSE:
            run.append(now)
        else:
            yield run
            run = [now]
    if run:
        yield run


def _exactly(scorer: _Scorer, run: list[Solution]) -> list[Solution]:
    """One run in exact order; tied solutions get the float of the first, so that a tie is seen in the numbers too."""
    keyed = sorted(((-scorer.exact(solution), solution.layout, solution) for solution in run), key=lambda key: key[:2])
    result: list[Solution] = []
    for (value, _, solution), before in zip(keyed, [None, *keyed], strict=False):
        tied = before is not None and value == before[0] and not math.isinf(solution.score_value)
        result.append(scorer.problem.solution(solution.layout, result[-1].score_value) if tied else solution)
    return result
