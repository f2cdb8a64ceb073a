"""What a score is taken of: one layout of a network, and what all layouts of that network share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parlay.families import Family
from parlay.layout import Layout, WidthSpace
from parlay.resources import Resource

if TYPE_CHECKING:
    from parlay.graph import WidthGraph

__all__ = [
    "ConvolutionShape",
    "Structure",
    "Subject",
    "family_structure",
    "family_subject",
    "graph_structure",
    "graph_subject",
]


@dataclass(frozen=True, kw_only=True)
class ConvolutionShape:
    """One convolution as a function of the widths.

    Attributes:
        fan_in: inputs of one output value, c k^2 / g for c input channels, kernels of side k and g groups.
        outputs: output channels.
        pixels: pixels of its output for one image (height x width).
    """

    fan_in: Resource
    outputs: Resource
    pixels: int


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What all layouts of one network share.

    Attributes:
        space: width groups, how many layers each sets, and which layers join which groups.
        convolutions: every convolution in the order of the forward pass; empty where they are not known.
        image: channels, height and width of the input; None where it is not known.
    """

    space: WidthSpace
    convolutions: tuple[ConvolutionShape, ...] = ()
    image: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One layout of a network; what is not known is None.

    Attributes:
        layout: the widths.
        structure: what it shares with the network's other layouts.
        params, macs: parameters and multiply-adds for one image.
        peak_memory: peak activation memory for one image, in bytes of int8.
        build: makes the network at this layout, in fp32 on the CPU, with weights drawn from a seed.
    """

    layout: Layout
    structure: Structure
    params: int | None = None
    macs: int | None = None
    peak_memory: int | None = None
    build: Callable[[int], Any] | None = None


def family_subject(family: Family, layout: Layout) -> Subject:
    """A layout of one of the paper's families, built by ``parlay.nets`` where a score asks for the network.

    Raises:
        InputError: for a layout that does not fit the family.

    >>> from parlay.families import plain
    >>> subject = family_subject(plain(4), (35, 36, 37, 43))
    >>> subject.params, subject.peak_memory, subject.structure.convolutions[1].fan_in((35, 36, 37, 43)) == 9 * 35
    (39334, 38912, True)
    """
    widths = family.check(layout)

    def build(seed: int) -> Any:
        return family.build(widths, seed=seed)

    return Subject(
        layout=widths,
        structure=family_structure(family),
        params=family.params(widths),
        macs=family.macs(widths),
        peak_memory=family.peak_activation_bytes()(widths),
        build=build,
    )


def family_structure(family: Family) -> Structure:
    """What all layouts of one of the paper's families share."""
    return Structure(
        space=family.space,
        convolutions=_family_convolutions(family),
        image=(family.in_channels, family.image, family.image),
    )


def _family_convolutions(family: Family) -> tuple[ConvolutionShape, ...]:
    groups = len(family.group_names)
    found: list[ConvolutionShape] = []
    for conv in family.convolutions():
        area = conv.kernel**2
        constant = area * family.in_channels if conv.source is None else 0
        linear = {} if conv.source is None else {conv.source: area}
        shape = ConvolutionShape(
            fan_in=Resource.of("fan-in", groups, constant=constant, linear=linear),
            outputs=Resource.of("outputs", groups, linear={conv.target: 1}),
            pixels=conv.resolution**2,
        )
        found += [shape] * conv.count
    return tuple(found)


def graph_subject(graph: WidthGraph, layout: Layout | None = None) -> Subject:
    """A layout of a traced model, today's where none is given.

    Raises:
        InputError: for a layout the model cannot be built at.
    """
    widths = graph.check(graph.layout if layout is None else layout)
    return Subject(
        layout=widths,
        structure=graph_structure(graph),
        params=graph.params(widths),
        macs=graph.macs(widths),
        peak_memory=graph.peak_activation_bytes()(widths),
        build=lambda seed: graph.build(widths, seed=seed),
    )


def graph_structure(graph: WidthGraph) -> Structure:
    """What all layouts of a traced model share."""
    return Structure(space=graph.space, convolutions=_graph_convolutions(graph), image=_image(graph))


def _image(graph: WidthGraph) -> tuple[int, int, int] | None:
    """The shape of the input, if it is one image."""
    inputs = graph.example.sized(1)
    shape = tuple(inputs[0].shape) if len(inputs) == 1 and hasattr(inputs[0], "shape") else ()
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 and inputs[0].is_floating_point() else None


def _graph_convolutions(graph: WidthGraph) -> tuple[ConvolutionShape, ...]:
    """The traced two-dimensional convolutions; the pixels are what is left of a layer's multiply-adds."""
    from parlay.graph.polynomials import product

    unknowns, resource = graph.unknowns, graph.variables.resource
    macs = {one.owner: one for one in reversed(graph.ledger.macs)}  # of a layer that is run twice: the first run
    found: list[ConvolutionShape] = []
    for weight, layer in graph.ledger.layers.items():
        shape = graph.shapes[weight]
        if len(shape) != 4 or layer.axis != 0 or layer.name not in macs:
            continue
        whole = macs[layer.name]
        amount = whole.factor
        for dim in whole.dims:
            amount *= unknowns.size(dim)
        elements = 1
        for dim in shape:
            elements *= unknowns.size(dim)
        found.append(
            ConvolutionShape(
                fan_in=resource("fan-in", product(unknowns, shape[1:])),
                outputs=resource("outputs", product(unknowns, shape[:1])),
                pixels=amount // (elements * unknowns.batch),
            )
        )
    return tuple(found)
