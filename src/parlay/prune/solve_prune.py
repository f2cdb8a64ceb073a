"""``prune``: the widths that keep most of a trained network under every limit, the channels, and a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parlay.errors import InputError
from parlay.extras import Needs
from parlay.graph import WidthGraph
from parlay.graph.slicing import Kept, largest
from parlay.layout import Layout
from parlay.problem import Result
from parlay.prune.objective import DEFAULT_OBJECTIVE, objective
from parlay.retrofit import Limits, Retrofit, retrofit_or_conflict
from parlay.solver import Conflict

with Needs("pruning networks", extra="train"):
    import torch
    from torch import Tensor, nn

__all__ = ["MIN_RATIO", "Pruned", "prune", "prune_or_conflict"]

MIN_RATIO = "0.1"
"""Widths stay above this share of today's: a trained block whose inner layer is a few channels is none any more."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The answer.

    Attributes:
        found: the question that was solved for the traced, trained model, and the solver's answer.
        importance: for every group, (units,).
    """

    found: Retrofit
    importance: tuple[Tensor, ...]

    @property
    def result(self) -> Result:
        """The solver's answer, certified."""
        return self.found.result

    @property
    def layout(self) -> Layout:
        """The widths.

        Raises:
            InputError: when none was found.
        """
        return self.found.layout

    @property
    def channels(self) -> Kept:
        """For every group the units that stay (``parlay.graph.slicing``): the most important ones."""
        return largest(self.found.graph, self.importance, self.layout)

    def build(self, *, seed: int = 0) -> nn.Module:
        """The network with the kept channels and their weights; its batch norms still have the old moments."""
        return self.found.graph.build(keep=self.channels, seed=seed)


def prune(graph: WidthGraph, importance: Sequence[Sequence[float] | Tensor], limits: Limits, **options: Any) -> Pruned:
    """The widths that keep the most importance under what a device allows, and the channels.

    Args:
        graph: the traced, trained model.
        importance: one number of at least 0 a unit, a sequence for every group: ``measure_importance``'s, or your own.
        limits: what must be kept.
        options: ``multiple_of``, ``min_ratio``, ``order``, ``max_step``, ``time_limit`` and ``progress`` as
            ``parlay.retrofit`` has them, and ``name``, the objective's (``OBJECTIVES``). No width grows.

    Raises:
        InputError: for importances of another shape or below 0, or fences that cannot be.

    >>> from parlay.families import plain
    >>> from parlay.graph import trace
    >>> from parlay.graph.slicing import norms
    >>> graph = trace(plain(depth=3, image=8).build((4, 8, 16)), torch.zeros(1, 3, 8, 8))
    >>> kept = prune(graph, norms(graph), Limits(max_params="0.5x"))
    >>> kept.result.status.value, [len(units) for units in kept.channels] == list(kept.layout)
    ('OPTIMAL', True)
    >>> sum(p.numel() for p in kept.build().parameters()) == graph.params(kept.layout)
    True
    """
    return prune_or_conflict(graph, importance, limits, **options)[0]


def prune_or_conflict(
    graph: WidthGraph,
    importance: Sequence[Sequence[float] | Tensor],
    limits: Limits,
    *,
    name: str = DEFAULT_OBJECTIVE,
    min_ratio: Any = MIN_RATIO,
    **options: Any,
) -> tuple[Pruned, Conflict | None]:
    """``prune``, and where nothing satisfies the limits, which of them conflict and what would do instead."""
    largest(graph, importance, graph.layout)  # says what is wrong with their shape
    values = tuple(torch.as_tensor(each, dtype=torch.float64) for each in importance)
    for group, each in zip(graph.space.groups, values, strict=True):
        if bool((each < 0).any()):
            raise InputError(
                f"importance of {group.name}", given=f"{float(each.min()):.3g}", allowed="numbers of at least 0"
            )
    score = objective(graph, values, name)
    found, clash = retrofit_or_conflict(graph, limits, score=score, min_ratio=min_ratio, max_ratio="1", **options)
    return Pruned(found=found, importance=values), clash
