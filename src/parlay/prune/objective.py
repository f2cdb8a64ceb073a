"""What pruning maximises: sums over groups of a number for every width, from the importance of what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from parlay.errors import unknown
from parlay.extras import Needs
from parlay.graph import WidthGraph
from parlay.tabulated import TabulatedScore

with Needs("pruning networks", extra="train"):
    import numpy as np
    from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEFAULT_OBJECTIVE", "OBJECTIVES", "objective", "score_of", "share_of"]


def share_of(kept: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is kept, as a share of all; where all is 0, every unit counts alike."""
    return kept / kept[-1] if kept[-1] > 0 else np.linspace(0, 1, len(kept))


def _log_share(kept: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.log(share_of(kept))


def _once(graph: WidthGraph) -> list[float]:
    return [1.0] * len(graph.space.groups)


def _layers(graph: WidthGraph) -> list[float]:
    return [float(group.multiplicity) for group in graph.space.groups]


def _connections(graph: WidthGraph) -> list[float]:
    """How often layers write a group or read it; a layer that reads several groups counts for each."""
    index, unknowns = graph.variables.index, graph.unknowns
    found = _once(graph)
    for layer in graph.ledger.layers.values():
        for dim in (layer.inputs, layer.outputs):
            for group in {index[s.width] for s in unknowns.resolve(dim) if s.width in index}:
                found[group] += 1
    return [count - 1 for count in found]


OBJECTIVES: Mapping[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], Callable[..., list[float]]]] = {
    "sum": (lambda kept: kept, _once),
    "share": (lambda kept: share_of(kept), _once),
    "relative": (lambda kept: share_of(kept) * (len(kept) - 1), _once),
    "log-group": (_log_share, _once),
    "log-layer": (_log_share, _layers),
    "log-connection": (_log_share, _connections),
}
"""Objective -> a group's value from the importance that its 0, 1, 2, ... most important units have together, and what
every group's is multiplied by. docs/prune.md defines them, and says which ranks best.
"""

DEFAULT_OBJECTIVE = "log-connection"


def objective(graph: WidthGraph, importance: Sequence[Tensor], name: str = DEFAULT_OBJECTIVE) -> TabulatedScore:
    """The score that the solver maximises.

    Raises:
        InputError: for an unknown objective.
    """
    if name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES)
    table_of, weights_of = OBJECTIVES[name]
    total = sum(float(values.sum()) for values in importance) or 1.0  # what is kept of all: of whatever size they are
    tables: list[NDArray[np.float64]] = []
    for values, weight in zip(importance, weights_of(graph), strict=True):
        kept = np.concatenate([[0.0], np.cumsum(np.sort(values.double().numpy() / total)[::-1])])
        tables.append(weight * table_of(kept)[1:])
    return score_of(graph, tables)


def score_of(graph: WidthGraph, tables: Sequence[NDArray[np.float64]]) -> TabulatedScore:
    """A score from a table a group with one value for 1, 2, 3, ... units."""
    by_name: dict[str, NDArray[np.float64]] = {}
    for group, table in zip(graph.space.groups, tables, strict=True):
        widths = np.arange(1, len(table) * group.multiple_of + 1) / group.multiple_of
        by_name[group.name] = np.interp(widths, np.arange(1, len(table) + 1), table)
    return TabulatedScore(by_name)
