"""The front door: ``solve`` answers a problem and has the answer certified."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from parlay.errors import CertificateError, InputError
from parlay.families import Family
from parlay.layout import Layout
from parlay.problem import Problem, Result
from parlay.solver.chain.chain import is_chain
from parlay.solver.chain.solve_chain import ChainRun
from parlay.solver.general.solve_general import GeneralRun
from parlay.solver.progress import Progress
from parlay.solver.proof.certify import certify

__all__ = ["solve"]

LARGEST_TOP_K = 1_000_000
"""So many layouts of 1,000 widths take more than 8 GB; a longer list is for ``list_layouts``."""

QUICK_CERTIFICATE = 600
"""Effort of the certificate that every answer gets: 600 partial layouts, or 30 steps of a proof; more is for asking."""


def solve(
    question: Problem | Family,
    *,
    top_k: int = 1,
    time_limit: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    start: Sequence[Layout] = (),
    **size_and_fences: Any,
) -> Result:
    """The ``top_k`` layouts of highest score, proven.

    Args:
        question: a problem, or a family together with a size and fences as ``Family.problem`` takes them.
        top_k: how many layouts, at least 1.
        time_limit: seconds; when they pass, the best found so far is returned as FEASIBLE with a true gap. Without one,
            a problem on a chain with one size is solved to the end, any other for at most a minute (``PATIENCE``).
        progress: called now and then while solving; raises ``StopSolvingError`` to end it early.
        start: layouts to begin with, such as today's; the answer is never worse than one that keeps everything.
        **size_and_fences: ``kernels=4288``, ``order="free"``, ...; only with a family.

    Returns:
        A ``Result``: OPTIMAL means that all the solutions listed are proven best, in order.

    Raises:
        InputError: for a question that cannot be posed.
        CertificateError: when the answer fails its recount, which would be a bug of parlay.

    >>> from parlay import plain, solve
    >>> result = solve(plain(depth=4), kernels=4288, top_k=2)
    >>> result.status.value, [solution.layout for solution in result.solutions]
    ('OPTIMAL', [(35, 36, 37, 43), (33, 35, 37, 47)])
    """
    if isinstance(question, Family):
        unknown = sorted(set(size_and_fences) - set(signature(question.problem).parameters))
        if unknown:
            known = ", ".join(signature(question.problem).parameters)
            raise InputError("option", given=", ".join(unknown), allowed=known)
        question = question.problem(**size_and_fences)
    elif size_and_fences:
        raise InputError(
            "solve", given=", ".join(size_and_fences), allowed="sizes and fences together with a family only"
        )
    if type(top_k) is not int or not 1 <= top_k <= LARGEST_TOP_K:
        raise InputError("top-k", given=top_k, allowed=f"an integer from 1 to {LARGEST_TOP_K}")
    is_number = isinstance(time_limit, int | float)
    if time_limit is not None and not (is_number and math.isfinite(time_limit) and time_limit > 0):
        raise InputError("time limit", given=repr(time_limit), allowed="seconds above 0")
    if is_chain(question):
        result = ChainRun(problem=question, top_k=top_k, time_limit=time_limit, progress=progress).run()
    else:
        result = _general(question, top_k, time_limit, progress, start)
    certificate = certify(question, result, effort=QUICK_CERTIFICATE)
    if not certificate.holds:
        raise CertificateError("; ".join(certificate.findings))
    return result


def _general(
    problem: Problem,
    top_k: int,
    time_limit: float | None,
    progress: Callable[[Progress], None] | None,
    start: Sequence[Layout],
) -> Result:
    """Answer a problem on any graph, under any number of constraints."""
    for layout in start:
        if len(layout) != len(problem.space):
            raise InputError("start", given=f"{len(layout)} widths", allowed=f"{len(problem.space)}, one a group")
    starts = tuple(tuple(layout) for layout in start)
    return GeneralRun(problem=problem, top_k=top_k, time_limit=time_limit, progress=progress, starts=starts).run()
