"""A traced model: its width groups, its exact polynomials, and new modules at any layout."""

# pyright: reportIncompatibleVariableOverride=false
# A property reads like the attribute that it stands for.

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from parlay.errors import InputError
from parlay.extras import Needs
from parlay.graph.build import Resizing, rebuilt, refuse_meta
from parlay.graph.call import Ledger, Shape
from parlay.graph.dims import Dim, Unknowns
from parlay.graph.interpret import Step
from parlay.graph.modules import ModuleCosts, costs_by_module
from parlay.graph.polynomials import Variables, product
from parlay.graph.slicing import Slicing, checked
from parlay.graph.space import TracedSpace
from parlay.layout import Layout
from parlay.network import ConvolutionShape, Network
from parlay.resources import PeakResource, Resource

with Needs("tracing networks", extra="train"):
    import torch
    from torch import Tensor, nn

if TYPE_CHECKING:
    from parlay.graph.programs import Example

__all__ = ["WidthGraph"]


@dataclass(frozen=True, kw_only=True)
class WidthGraph(Network):
    """The coupled widths of a model, and what they cost.

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
        unchecked: what to know of the numbers, in words: operators whose multiply-adds are not counted or only at
            today's widths, and predictions that a run of the given model does not confirm; empty as a rule.
        steps: the operators of the program in evaluation mode, and the storages that each reads and writes.
        ends: the storages of inputs, with their dimensions, and those of outputs.
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
    sizes: tuple[tuple[str | None, Resource], ...] = field(repr=False)
    ledger: Ledger = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    ends: tuple[tuple[tuple[int, Shape], ...], tuple[int, ...]] = field(repr=False)

    @property
    def layout(self) -> Layout:
        """Today's widths."""
        return self.space.today

    @property
    def title(self) -> str:
        """The model in words: the name of its class."""
        return type(self.model).__name__

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of the input, if it is one image."""
        inputs = self.example.sized(1)
        shape = tuple(inputs[0].shape) if len(inputs) == 1 and isinstance(inputs[0], Tensor) else ()
        return (shape[1], shape[2], shape[3]) if len(shape) == 4 and inputs[0].is_floating_point() else None

    def check(self, layout: Sequence[int]) -> Layout:
        """The layout as a tuple, if the model can be built at it.

        Raises:
            InputError: for another number of widths, or a width its group does not allow.
        """
        return self.space.check(layout, remedy="parlay trace lists the groups and their multiples")

    @cached_property
    def convolution_shapes(self) -> tuple[ConvolutionShape, ...]:
        """The two-dimensional convolutions; the pixels are what is left of a layer's multiply-adds."""
        unknowns, resource = self.unknowns, self.variables.resource
        macs = {one.owner: one for one in reversed(self.ledger.macs)}  # of a layer that is run twice: the first run
        found: list[ConvolutionShape] = []
        for weight, layer in self.ledger.layers.items():
            shape = self.shapes[weight]
            if len(shape) != 4 or layer.axis != 0 or layer.name not in macs:
                continue
            whole = macs[layer.name]
            amount = whole.factor * math.prod(unknowns.size(dim) for dim in whole.dims)
            elements = math.prod(unknowns.size(dim) for dim in shape)
            found.append(
                ConvolutionShape(
                    fan_in=resource("fan-in", product(unknowns, shape[1:])),
                    outputs=resource("outputs", product(unknowns, shape[:1])),
                    pixels=amount // (elements * unknowns.batch),
                )
            )
        return tuple(found)

    def build(
        self,
        layout: Sequence[int] | None = None,
        *,
        keep: Sequence[Sequence[int]] | None = None,
        seed: int | None = None,
    ) -> nn.Module:
        """A new module of the model's class and forward code at a layout, on the same device, without hooks.

        Args:
            layout: one width a group; with ``keep`` alone, the widths of what is kept.
            keep: the units of every group that keep their weights (``parlay.graph.slicing``), as ``largest`` or
                ``parlay.prune`` choose them; every weight, norm and running moment of theirs is the model's own. Where
                a group grows, all of today's come first and the new ones are initialised. None initialises all.
            seed: initialise from this seed and leave torch's generator as it was.

        Raises:
            InputError: for a layout the model cannot be built at, units that there are not, or weights to keep on the
                meta device.
            TraceError: for a buffer whose new content nobody knows.

        >>> from parlay.families import plain
        >>> from parlay.graph import trace
        >>> graph = trace(plain(depth=2, image=8).build((4, 6)), torch.zeros(1, 3, 8, 8))
        >>> small = graph.build(keep=[(0, 2), (1, 2, 5)])
        >>> torch.equal(small.features[4].weight, graph.model.features[4].weight[[1, 2, 5]][:, [0, 2]])
        True
        """
        slicing: Slicing | None = None
        if keep is not None:
            refuse_meta(self.model, "weights that are kept")
            kept, widths = checked(self, keep, None if layout is None else self.check(layout))
            slicing = Slicing(graph=self, kept=kept, layout=widths)
        elif layout is None:
            raise InputError("layout", given="none", allowed="one width a group, or what is kept of every group")
        else:
            widths = self.check(layout)
        if seed is None:
            module = self.module_at(widths, slicing=slicing)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                module = self.module_at(widths, slicing=slicing)
        assert sum(parameter.numel() for parameter in module.parameters()) == self.params(widths)
        return module

    def by_module(self) -> dict[str, ModuleCosts]:
        """What every module costs with everything inside it, by its path; "" is the model, parents come first.

        >>> from parlay.families import plain
        >>> from parlay.graph import trace
        >>> graph = trace(plain(depth=2, image=8).build((4, 6)), torch.zeros(1, 3, 8, 8))
        >>> {path: costs.params(graph.layout) for path, costs in graph.by_module().items() if path.count(".") == 0}
        {'': 414, 'features': 344, 'classifier': 70}
        """
        return costs_by_module(self)

    def module_at(
        self, layout: Layout, *, slicing: Slicing | None = None, initialise: bool = True, device: str | None = None
    ) -> nn.Module:
        """``build`` without its checks, on another device too; without ``initialise`` weights are undefined."""
        resizing = Resizing(
            shapes=self.shapes,
            attributes=self.ledger.attributes,
            size=lambda dim: self.size(dim, layout),
            today=lambda dim: self.size(dim, self.layout),
            kept=None if slicing is None else slicing.positions,
            initialise=initialise,
            device=device,
        )
        return rebuilt(self.model, resizing)

    def elements(self, shape: Shape) -> Resource:
        """Elements of a tensor of the traced program, for one image."""
        return self.variables.resource("elements", product(self.unknowns, shape))

    def _unit(self, width: int, layout: Layout) -> int:
        """The value of an unknown at a layout."""
        index = self.variables.index.get(width)
        if index is None:
            return self.unknowns.sizes[width]
        return layout[index] // self.variables.scale[width]

    def size(self, dim: Dim, layout: Layout) -> int:
        """The size of a dimension of the traced graph at a layout."""
        return sum(s.outer * self._unit(s.width, layout) * s.inner for s in self.unknowns.resolve(dim))
