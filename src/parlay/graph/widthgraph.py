"""A traced model: its width groups, its exact polynomials, and new modules at any layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING

from parlay.errors import InputError
from parlay.extras import Needs
from parlay.families import ELEMENT_BYTES
from parlay.graph.build import Resizing, rebuilt
from parlay.graph.call import Ledger, Shape
from parlay.graph.dims import Dim, Unknowns
from parlay.graph.polynomials import Variables
from parlay.graph.space import TracedSpace
from parlay.layout import Layout
from parlay.resources import PeakResource, Resource

with Needs("tracing networks", extra="train"):
    import torch
    from torch import Tensor, nn

if TYPE_CHECKING:
    from parlay.graph.export import Example

__all__ = ["WidthGraph"]


@dataclass(frozen=True, kw_only=True)
class WidthGraph:
    """The coupled widths of a model.

    Attributes:
        model: the traced module, left as it was.
        space: the width groups (name, members, multiplicity, multiples) and today's widths.
        params: every parameter of the module, as a polynomial in the widths.
        macs: multiply-adds for one image in evaluation mode: convolutions, linear layers, matrix products.
        stored: what a device stores, in numbers of the weights' type and of the biases' type.
        activations: what is live at each point of the program in evaluation mode, in elements for one image; the
            largest is the peak.
        points: name of the operator at each of these points.
        pinned: dimensions that could not be kept free, and why.
        followed: attributes of the model's own modules that hold sizes and follow them in ``build``.
        unchecked: predictions that a run of the given model does not confirm, in words; empty as a rule.
    """

    model: nn.Module
    space: TracedSpace
    params: Resource
    macs: Resource
    stored: tuple[Resource, Resource]
    activations: PeakResource
    points: tuple[str, ...]
    pinned: tuple[str, ...]
    followed: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    example: Example
    unknowns: Unknowns = field(repr=False)
    variables: Variables = field(repr=False)
    shapes: Mapping[str, Shape] = field(repr=False)
    sizes: tuple[Resource, ...] = field(repr=False)
    ledger: Ledger = field(repr=False)

    @property
    def layout(self) -> Layout:
        """Today's widths."""
        return self.space.today

    def check(self, layout: Sequence[int]) -> Layout:
        """The layout as a tuple, if the model can be built at it.

        Raises:
            InputError: for another number of widths, or a width its group does not allow.
        """
        try:
            given = tuple(index(width) for width in layout)
        except TypeError:
            raise InputError("layout", given=repr(layout)[:80], allowed="integers, one a group") from None
        broken = self.space.violation(given)
        if broken is not None:
            names = ", ".join(group.name for group in self.space.groups[:4])
            raise InputError(
                "layout",
                given=broken,
                allowed=f"{len(self.space)} widths, one a group ({names}{', ...' if len(self.space) > 4 else ''})",
                remedy="parlay trace lists the groups and their multiples",
            )
        return given

    def peak_resource(self, dtype: str = "int8") -> PeakResource:
        """Peak activation memory in bytes, for one image: the largest of several polynomials.

        Raises:
            InputError: for an unknown dtype.
        """
        if dtype not in ELEMENT_BYTES:
            raise InputError("dtype", given=repr(dtype), allowed=", ".join(ELEMENT_BYTES))
        points = tuple(point.times(ELEMENT_BYTES[dtype]) for point in self.activations.points)
        return PeakResource(name="peak_activation_bytes", points=points)

    def flash_resource(self, dtype: str = "int8") -> Resource:
        """Bytes that the network takes in flash (docs/counting.md): weights of ``dtype``, batch norms folded.

        Biases take four bytes where weights are int8, otherwise as many as a weight.

        Raises:
            InputError: for an unknown dtype.
        """
        if dtype not in ELEMENT_BYTES:
            raise InputError("dtype", given=repr(dtype), allowed=", ".join(ELEMENT_BYTES))
        size = ELEMENT_BYTES[dtype]
        weights, biases = self.stored
        return weights.times(size) + biases.times(4 if dtype == "int8" else size)

    def peak_activation_bytes(self, layout: Sequence[int], dtype: str = "int8") -> int:
        """Peak activation memory of a layout in bytes, for one image (``parlay.graph.memory`` has the convention)."""
        return self.peak_resource(dtype)(self.check(layout))

    def build(self, layout: Sequence[int], *, keep_weights: bool = False, seed: int | None = None) -> nn.Module:
        """A new module of the model's class and forward code at a layout, on the same device, without hooks.

        Args:
            layout: one width a group.
            keep_weights: copy what overlaps. Where a group shrinks, the channels of largest weight norm stay, in their
                order; where it grows, the old ones come first and the new ones are initialised.
            seed: initialise from this seed and leave torch's generator as it was.

        Raises:
            InputError: for a layout the model cannot be built at.
            TraceError: for a buffer whose new content nobody knows.
        """
        widths = self.check(layout)
        if seed is None:
            module = self.module_at(widths, keep_weights=keep_weights)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                module = self.module_at(widths, keep_weights=keep_weights)
        assert sum(parameter.numel() for parameter in module.parameters()) == self.params(widths)
        return module

    def module_at(
        self, layout: Layout, *, keep_weights: bool = False, initialise: bool = True, device: str | None = None
    ) -> nn.Module:
        """``build`` without its checks, on another device too; without ``initialise`` weights are undefined."""
        resizing = Resizing(
            shapes=self.shapes,
            attributes=self.ledger.attributes,
            size=lambda dim: self.size(dim, layout),
            today=lambda dim: self.size(dim, self.layout),
            kept=(lambda dim: self._kept(dim, layout)) if keep_weights else None,
            initialise=initialise,
            device=device,
        )
        return rebuilt(self.model, resizing)

    def _unit(self, width: int, layout: Layout) -> int:
        """The value of an unknown at a layout."""
        index = self.variables.index.get(width)
        if index is None:
            return self.unknowns.sizes[width]
        return layout[index] // self.variables.scale[width]

    def size(self, dim: Dim, layout: Layout) -> int:
        """The size of a dimension of the traced graph at a layout."""
        return sum(s.outer * self._unit(s.width, layout) * s.inner for s in self.unknowns.resolve(dim))

    def _kept(self, dim: Dim, layout: Layout) -> tuple[Tensor, Tensor]:
        """Old and new positions along a dimension that correspond."""
        old: list[Tensor] = []
        new: list[Tensor] = []
        old_start = new_start = 0
        for width, outer, inner in self.unknowns.resolve(dim):
            before, after = self._unit(width, self.layout), self._unit(width, layout)
            chosen = self._chosen(width, after)
            places = torch.arange(len(chosen))
            blocks, within = torch.arange(outer)[:, None, None], torch.arange(inner)[None, None, :]
            old.append((old_start + (blocks * before + chosen[None, :, None]) * inner + within).flatten())
            new.append((new_start + (blocks * after + places[None, :, None]) * inner + within).flatten())
            old_start, new_start = old_start + outer * before * inner, new_start + outer * after * inner
        return torch.cat(old), torch.cat(new)

    def _chosen(self, width: int, size: int) -> Tensor:
        """Indices of the units of a width that stay: the most important ones, in their order."""
        importance = self._importance.get(width)
        if importance is None:
            return torch.arange(min(size, self.unknowns.sizes[width]))
        if size >= len(importance):
            return torch.arange(len(importance))
        return importance.argsort(descending=True, stable=True)[:size].sort().values

    @cached_property
    def _importance(self) -> dict[int, Tensor]:
        """Unknown -> sum of squared weights of each unit, over the layers that write it, each layer scaled to 1."""
        tensors = dict(self.model.named_parameters())
        found: dict[int, Tensor] = {}
        for layer in self.ledger.layers.values():
            name = f"{layer.name}.weight" if f"{layer.name}.weight" in tensors else layer.name
            weight = tensors[name].detach().double().cpu()
            axis = layer.axis
            norms = weight.square().transpose(0, axis).flatten(1).sum(1)
            norms /= max(float(norms.sum()), 1e-30)
            start = 0
            for segment in self.unknowns.resolve(self.shapes[name][axis]):
                length = self.unknowns.size((segment,))
                if segment.width in self.variables.index:
                    part = norms[start : start + length].reshape(segment.outer, -1, segment.inner).sum((0, 2))
                    found[segment.width] = found.get(segment.width, 0) + part
                start += length
        return found
