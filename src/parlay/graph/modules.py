"""What each module of a traced model costs, with everything inside it: where parameters and multiply-adds go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.graph.polynomials import product
from parlay.resources import Resource

if TYPE_CHECKING:
    from torch import nn

    from parlay.graph.widthgraph import WidthGraph

__all__ = ["ModuleCosts", "costs_by_module"]


@dataclass(frozen=True, kw_only=True)
class ModuleCosts:
    """What one module costs as functions of a layout, with everything inside it.

    Attributes:
        kind: name of its class.
        params: parameters; one that several modules share counts where ``named_parameters`` names it first.
        macs: multiply-adds for one image in evaluation mode; of a layer that runs twice those of both.
        written: elements of the activations that are written in it, for one image.
    """

    kind: str
    params: Resource
    macs: Resource
    written: Resource


def costs_by_module(graph: WidthGraph) -> dict[str, ModuleCosts]:
    """Path of every module -> what it costs, parents before what is inside them; "" is the model itself."""
    names = _first_names(graph.model)
    parts: dict[str, dict[str, list[Resource]]] = {
        path: {"params": [], "macs": [], "written": []} for path, _ in graph.model.named_modules()
    }

    def note(kind: str, path: str, amount: Resource) -> None:
        for place in _upwards(path, names):
            parts[place][kind].append(amount)

    for name, parameter in graph.model.named_parameters():
        known = graph.shapes.get(name)
        amount = {(): parameter.numel()} if known is None else product(graph.unknowns, known)
        note("params", name.rpartition(".")[0], graph.variables.resource("params", amount))
    for work in graph.ledger.macs:
        amount = product(graph.unknowns, work.dims, work.factor)
        note("macs", work.owner, graph.variables.resource("macs", amount))
    for writer, size in graph.sizes:
        if writer is not None:
            note("written", writer, size)
    groups = len(graph.space)
    return {
        path: ModuleCosts(
            kind=type(graph.model.get_submodule(path)).__name__,
            **{kind: Resource.total(kind, groups, amounts) for kind, amounts in parts[path].items()},
        )
        for path in parts
    }


def _first_names(model: nn.Module) -> dict[str, str]:
    """Every name of every module -> the first name of the same module."""
    first: dict[int, str] = {}
    names: dict[str, str] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        names[path] = first.setdefault(id(module), path)
    return names


def _upwards(path: str, names: Mapping[str, str]) -> Iterator[str]:
    """The module and all that contain it; names that are no module's, such as a parameter's, count for the nearest."""
    while path and path not in names:
        path = path.rpartition(".")[0]
    path = names[path]
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""
