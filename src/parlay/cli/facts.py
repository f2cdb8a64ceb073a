"""What several commands tell of a question, of an answer and of a layout, by JSON key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parlay.documents import finite

if TYPE_CHECKING:
    from parlay.families import Family
    from parlay.layout import Layout
    from parlay.problem import Problem, Result, Status

__all__ = ["exit_code", "layout_facts", "question_facts", "question_words", "result_facts"]


def exit_code(status: Status) -> int:
    """0 with an answer, 1 where it is proven that there is none, 4 where that is not known."""
    return {"INFEASIBLE": 1, "UNKNOWN": 4}.get(status.value, 0)


def layout_facts(family: Family, problem: Problem, layout: Layout) -> dict[str, Any]:
    """One layout: its energy, its score and what it costs."""
    return {**problem.solution(layout).to_json(), **family.sizes(layout), **family.amounts(layout)}


def question_facts(family: Family, problem: Problem) -> dict[str, Any]:
    """The question."""
    space = problem.space
    return {
        "family": family.name,
        "depth": family.depth,
        "size": str(problem.constraints[0]),
        "order": str(space.order),
        "max_step": None if space.max_step is None else str(space.max_step),
    }


def question_words(title: str, problem: Problem) -> str:
    """The question about a network in a line; it has no score, of which counting knows nothing."""
    limits = ", ".join(str(constraint) for constraint in problem.constraints)
    return f"{title}, {limits}, order {problem.space.order}"


def result_facts(result: Result) -> dict[str, Any]:
    """What is known of an answer; -inf and unknown numbers are null."""
    return {
        "status": result.status.value,
        "meaning": result.status.meaning,
        "bound": finite(result.bound),
        "gap": finite(result.gap),
        "runtime": result.runtime,
        "score": result.problem.score.name,
        "worth": result.problem.score.worth(result.problem.space),
        "top_k": result.top_k,
        "fences": result.fences_reached(),
    }
