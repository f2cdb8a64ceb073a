"""The arms of a fit: which layouts are trained against each other, written down before any of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlay.documents import finite
from parlay.errors import InputError
from parlay.evidence.scores import RECOMMENDED
from parlay.graph import WidthGraph
from parlay.layout import Layout, format_layout
from parlay.problem import Problem
from parlay.retrofit import Limits, Retrofit, retrofit_or_conflict
from parlay.retrofit.scaling import budget_use, keeps_budget, largest_scaling, random_layout
from parlay.solver import Conflict, Progress

__all__ = ["ENERGY", "ORIGINAL", "RANDOM", "UNIFORM", "Arm", "choose_arms"]

ORIGINAL, ENERGY, UNIFORM, RANDOM = "original", "energy-layer", "uniform", "random"
"""Names of the arms; the fifth bears the recommended score's, those that the user gave are called by their layouts."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One layout, and every reason why it is trained.

    Attributes:
        names: the arms it is; the first one calls it.
        layout: its widths.
        how: name -> how the layout was found, in words.
        fits: whether it keeps every limit.
    """

    names: tuple[str, ...]
    layout: Layout
    how: Mapping[str, str]
    fits: bool

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return " = ".join(self.names)

    def to_json(self) -> dict[str, Any]:
        """The arm in JSON values."""
        return {"names": list(self.names), "layout": list(self.layout), "how": dict(self.how), "fits": self.fits}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Arm:
        """The arm that ``to_json`` made."""
        return cls(names=tuple(values["names"]), layout=tuple(values["layout"]), how=values["how"], fits=values["fits"])


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
            raise _nothing(found, clash)
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
    return f"highest {found.problem.score.name}: {result.status.value}{shown}; takes {use:.1%} of the tightest limit"


def _nothing(found: Retrofit, clash: Conflict | None) -> InputError:
    wanted = "; ".join(str(constraint) for constraint in found.problem.constraints)
    parts = "" if clash is None else f"cannot be kept together: {'; '.join(clash.parts)}"
    could = f"would do: {', or '.join(clash.remedies)}" if clash and clash.remedies else "allow more, or more time"
    return InputError(
        "budget",
        given=f"{wanted} ({found.result.status.value})",
        allowed="limits that some layout within the ratios keeps",
        remedy="; ".join(part for part in (parts, could) if part),
    )
