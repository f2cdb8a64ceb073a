"""Numbers that a module's constructor kept and its forward uses as sizes.

``self.channels = channels`` is as common as reading ``x.shape``. Such an attribute must follow its width as the
constructor would have set it. Which one it is shows in the operators of the module's own forward: they handle a
dimension of that size.
"""

from __future__ import annotations

from typing import Any

from parlay.extras import Needs
from parlay.graph.call import Ledger, Shape
from parlay.graph.dims import ONE, Dim, Unknowns

with Needs("tracing networks", extra="train"):
    from torch import nn

__all__ = ["size_attributes"]


def size_attributes(model: nn.Module, ledger: Ledger, unknowns: Unknowns) -> dict[tuple[str, str], Shape]:
    """(module path, attribute) -> the dimension it is the size of, for modules that are not torch's own.

    A number that no dimension of the module's own operators has is left alone, and so is one that is already known.
    Where dimensions of one size differ, they are taken in their order; a run has to confirm it.
    """
    dims: dict[str, dict[int, list[Dim]]] = {}
    for (path, _), touched in ledger.touched.items():
        for dim in touched:
            if not unknowns.is_fixed(dim):
                for owner in (path, path.rpartition(".")[0]):  # what a layer reads, its parent's forward gave it
                    same = dims.setdefault(owner, {}).setdefault(unknowns.size(dim), [])
                    if unknowns.resolve(dim) not in same:
                        same.append(unknowns.resolve(dim))
    found: dict[tuple[str, str], Shape] = {}
    for path, module in model.named_modules():
        if type(module).__module__.startswith("torch.nn.") or path not in dims:
            continue
        for name, value in vars(module).items():
            shape = _shape(value, dims[path])
            if shape and (path, name) not in ledger.attributes:
                found[path, name] = shape
    return found


def _shape(value: Any, dims: dict[int, list[Dim]]) -> Shape:
    """The dimensions of one number or of a sequence of numbers; nothing where one is missing. A 1 is a 1."""
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not all(type(item) is int and (item == 1 or item in dims) for item in items) or set(items) <= {1}:
        return ()
    places = [items[:i].count(item) for i, item in enumerate(items)]
    return tuple(
        ONE if item == 1 else dims[item][min(place, len(dims[item]) - 1)]
        for item, place in zip(items, places, strict=True)
    )
