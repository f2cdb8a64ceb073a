"""What pruning maximises: sums over groups of a number for every width, from the importance of what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from parlay.energy import Score
from parlay.errors import InputError, unknown
from parlay.extras import Needs
from parlay.graph import WidthGraph
from parlay.layout import WidthSpace
from parlay.terms import GroupTerm, Terms

with Needs("pruning networks", extra="train"):
    import numpy as np
    from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEFAULT_OBJECTIVE", "OBJECTIVES", "TableScore", "TableTerm", "objective", "share_of"]

Table = Sequence[float]
"""For every number of units of a group from 0 on, a value."""


@final
@dataclass(frozen=True)
class TableTerm(GroupTerm):
    """A number for every width, from a table that never falls; straight lines between whole widths.

    Attributes:
        table: of 0, 1, 2, ... units.
        step: channels of a unit.
    """

    table: tuple[float, ...]
    step: int = 1

    def values(self, widths: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.interp(np.asarray(widths, dtype=np.float64) / self.step, np.arange(len(self.table)), self.table)


@final
class TableScore(Score):
    """A sum over groups of tables.

    >>> from parlay.layout import WidthGroup
    >>> score = TableScore(name="kept", tables=[(0.0, 3.0, 4.0), (0.0, 2.0, 2.5)])
    >>> score.terms(WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b"))))((2, 1))
    6.0
    """

    source = "parlay prune"
    summary = "sum over width groups of what its channels are worth"

    def __init__(self, *, name: str, tables: Sequence[Table], steps: Sequence[int] | None = None) -> None:
        self.name = name
        self.tables = tuple(tuple(float(value) for value in table) for table in tables)
        self.steps = tuple(steps) if steps is not None else (1,) * len(self.tables)

    def terms(self, space: WidthSpace) -> Terms:
        """The tables as terms.

        Raises:
            InputError: for a space of another number of groups.
        """
        if len(space) != len(self.tables):
            raise InputError(f"score {self.name}", given=f"{len(space)} groups", allowed=f"{len(self.tables)}")
        pairs = zip(self.tables, self.steps, strict=True)
        return Terms(groups=tuple((TableTerm(table, step),) for table, step in pairs), pairs={})


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


def objective(graph: WidthGraph, importance: Sequence[Tensor], name: str = DEFAULT_OBJECTIVE) -> TableScore:
    """The score that the solver maximises.

    Raises:
        InputError: for an unknown objective.
    """
    if name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES)
    steps = [group.multiple_of for group in graph.space.groups]
    table_of, weights_of = OBJECTIVES[name]
    tables: list[list[float]] = []
    for values, weight in zip(importance, weights_of(graph), strict=True):
        kept = np.concatenate([[0.0], np.cumsum(np.sort(values.double().numpy())[::-1])])
        table = weight * table_of(kept)[1:]
        tables.append([float(table[0]) - 1.0, *table.tolist()])  # no width has 0 units
    return TableScore(name=f"kept importance, {name}", tables=tables, steps=steps)
