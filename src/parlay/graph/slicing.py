"""Which channels of a trained network stay: the units of every group, and where they are along every dimension.

A unit is what a width gains or loses in one step: one channel, or the channels that can only go together (one of every
group of a grouped convolution, both halves of a gate). A group of width w in steps of s has w / s units, numbered in
the order of the channels of its first layer. Whatever holds a unit - filters that write it, weights that read it,
norms, biases, running moments, pixels of a flattened map - is found from the dimensions of the traced graph, so that
residual sums, concatenations, groups, gates and tied weights need no cases here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.errors import InputError
from parlay.extras import Needs
from parlay.graph.dims import Dim
from parlay.layout import Layout

with Needs("slicing networks", extra="train"):
    import torch
    from torch import Tensor

if TYPE_CHECKING:
    from parlay.graph.widthgraph import WidthGraph

__all__ = ["Kept", "Slicing", "checked", "largest", "norms", "sums_by_unit", "units_of"]

Kept = tuple[tuple[int, ...], ...]
"""For every group the units that stay, ascending."""


def units_of(graph: WidthGraph, layout: Layout) -> tuple[int, ...]:
    """How many units every group has at a layout.

    >>> import torch
    >>> from parlay.families import plain
    >>> from parlay.graph import trace
    >>> units_of(trace(plain(depth=2, image=8).build((4, 6)), torch.zeros(1, 3, 8, 8)), (3, 5))
    (3, 5)
    """
    return tuple(width // group.multiple_of for width, group in zip(layout, graph.space.groups, strict=True))


def checked(graph: WidthGraph, keep: Sequence[Sequence[int]], layout: Layout | None = None) -> tuple[Kept, Layout]:
    """Kept units as they are used, and the layout they make, or the given one.

    Raises:
        InputError: unless there are ascending units of today's for every group, at least one, and as many as the
            layout has, or all of today's where it is wider.
    """
    today = units_of(graph, graph.layout)
    if len(keep) != len(today):
        raise InputError("kept channels", given=f"{len(keep)} groups", allowed=f"the {len(today)} groups of the model")
    kept = tuple(tuple(int(unit) for unit in units) for units in keep)
    for group, units, count in zip(graph.space.groups, kept, today, strict=True):
        if not units or list(units) != sorted(set(units)) or not 0 <= units[0] <= units[-1] < count:
            raise InputError(
                f"kept channels of {group.name}",
                given=f"{len(units)} numbers{f' from {min(units)} to {max(units)}' if units else ''}",
                allowed=f"different ones of 0 to {count - 1}, ascending, at least one",
            )
    made = tuple(len(units) * group.multiple_of for units, group in zip(kept, graph.space.groups, strict=True))
    if layout is None:
        return kept, made
    for group, units, count, now in zip(graph.space.groups, kept, units_of(graph, layout), today, strict=True):
        if len(units) != min(count, now):
            raise InputError(
                f"kept channels of {group.name}",
                given=len(units),
                allowed=f"{min(count, now)}: as many as the layout has, or all of today's where it is wider",
            )
    return kept, layout


def largest(graph: WidthGraph, importance: Sequence[Sequence[float] | Tensor], layout: Layout) -> Kept:
    """The most important units of every group, as many as a layout has; all of today's where it is wider.

    Args:
        graph: the traced model.
        importance: one number a unit of today's, a sequence for every group; of equal ones the first stay.
        layout: one width a group.

    Raises:
        InputError: for another number of groups or of units, or what is not finite.
    """
    today = units_of(graph, graph.layout)
    if len(importance) != len(today):
        raise InputError("importance", given=f"{len(importance)} groups", allowed=f"the {len(today)} of the model")
    kept: list[tuple[int, ...]] = []
    for group, values, now, count in zip(graph.space.groups, importance, today, units_of(graph, layout), strict=True):
        ranked = torch.as_tensor(values, dtype=torch.float64)
        if ranked.shape != (now,) or not bool(ranked.isfinite().all()):
            raise InputError(
                f"importance of {group.name}",
                given=f"shape {tuple(ranked.shape)}" if ranked.shape != (now,) else "numbers that are not finite",
                allowed=f"{now} finite numbers, one a channel that can go alone",
            )
        kept.append(tuple(ranked.argsort(descending=True, stable=True)[:count].sort().values.tolist()))
    return tuple(kept)


def norms(graph: WidthGraph) -> tuple[Tensor, ...]:
    """For every group, (units,): the sum of squared weights of each unit over the layers that write it.

    Each layer's weights are scaled to a sum of squares of 1 first, so that layers of a group count alike.
    """
    tensors = dict(graph.model.named_parameters())
    found = [torch.zeros(count, dtype=torch.float64) for count in units_of(graph, graph.layout)]
    for name, layer in graph.ledger.layers.items():
        weight = tensors[name].detach().double().cpu()
        squares = weight.square().transpose(0, layer.axis).flatten(1).sum(1)
        squares /= max(float(squares.sum()), 1e-30)
        for g, part in sums_by_unit(graph, graph.shapes[name][layer.axis], squares).items():
            found[g] += part
    return tuple(found)


def sums_by_unit(graph: WidthGraph, dim: Dim, values: Tensor) -> dict[int, Tensor]:
    """Values along a dimension, summed for every unit: group -> (units,), for the groups that the dimension holds.

    Args:
        graph: the traced model.
        dim: a dimension of one of its parameters.
        values: (positions,), one a position along it today.
    """
    found: dict[int, Tensor] = {}
    start = 0
    for segment in graph.unknowns.resolve(dim):
        length = graph.unknowns.size((segment,))
        group = graph.variables.index.get(segment.width)
        if group is not None:
            part = values[start : start + length].reshape(segment.outer, -1, segment.inner).sum((0, 2))
            found[group] = found[group] + part if group in found else part
        start += length
    return found


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """Where kept units were along any dimension, and where they are in the new network.

    Attributes:
        graph: the traced model.
        kept: the units that stay.
        layout: the new network's; the kept units are its first ones.
    """

    graph: WidthGraph
    kept: Kept
    layout: Layout

    def positions(self, dim: Dim) -> tuple[Tensor, Tensor]:
        """Old and new positions along a dimension that correspond."""
        unknowns, index = self.graph.unknowns, self.graph.variables.index
        counts: Mapping[int, int] = dict(enumerate(units_of(self.graph, self.layout)))
        old: list[Tensor] = []
        new: list[Tensor] = []
        old_start = new_start = 0
        for width, outer, inner in unknowns.resolve(dim):
            before = after = unknowns.sizes[width]
            chosen = torch.arange(before)
            if width in index:
                chosen, after = torch.tensor(self.kept[index[width]]), counts[index[width]]
            places = torch.arange(len(chosen))
            blocks, within = torch.arange(outer)[:, None, None], torch.arange(inner)[None, None, :]
            old.append((old_start + (blocks * before + chosen[None, :, None]) * inner + within).flatten())
            new.append((new_start + (blocks * after + places[None, :, None]) * inner + within).flatten())
            old_start, new_start = old_start + outer * before * inner, new_start + outer * after * inner
        return torch.cat(old), torch.cat(new)
