"""What a network is but for its widths: the one class that families and traced models are of.

Whatever judges, limits, trains or draws layouts asks this of a network and nothing else, so that it works for the
paper's families and for any traced model alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from parlay.errors import unknown
from parlay.layout import Layout, WidthSpace
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from torch import nn

__all__ = ["AMOUNTS", "ELEMENT_BYTES", "ConvolutionShape", "Network", "element_bytes"]

ELEMENT_BYTES = {"int8": 1, "float16": 2, "bfloat16": 2, "float32": 4}
"""Bytes that a weight or an element of an activation takes."""

AMOUNTS = {"macs": "macs", "peak-memory": "peak_activation_bytes", "params": "params", "flash": "flash_bytes"}
"""What options call an amount -> its key in every JSON document."""

INT8_BIAS_BYTES = 4
"""Bytes of a bias beside int8 weights: engines add it to sums of 32 bits."""


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


class Network(ABC):
    """Everything about a network but its widths; every amount is exact, and a function of a layout.

    Attributes:
        title: the network in words.
        space: every layout the network can be built at: width groups, and which layers join them.
        params: all parameters.
        macs: multiply-adds for one image in evaluation mode.
        activations: elements that are live at each point of the forward pass, for one image; the largest is the peak.
        stored: what a device stores, in numbers of the weights' type and of the biases' type (docs/counting.md).
        convolution_shapes: the two-dimensional convolutions, in the order of the forward pass.
        input_shape: channels, height and width of the input; None where that is not one image.
        unchecked: amounts that a run does not confirm, in words; empty as a rule.

    >>> from parlay.families import plain
    >>> network: Network = plain(depth=4)
    >>> layout = network.check([35, 36, 37, 43])
    >>> network.params(layout), network.peak_activation_bytes("float32")(layout)
    (39334, 155648)
    """

    # No abstract properties: a dataclass could not have them as fields, as WidthGraph does.
    title: str
    space: WidthSpace
    params: Resource
    macs: Resource
    activations: PeakResource
    stored: tuple[Resource, Resource]
    convolution_shapes: tuple[ConvolutionShape, ...]
    input_shape: tuple[int, int, int] | None
    unchecked: tuple[str, ...] = ()

    @abstractmethod
    def check(self, layout: Sequence[int]) -> Layout:
        """The layout as a tuple, if the network can be built at it.

        Raises:
            InputError: otherwise.
        """

    @abstractmethod
    def build(self, layout: Sequence[int], *, seed: int | None = None) -> nn.Module:
        """A new module at a layout, its weights drawn from the seed, or from torch's generator without one.

        Raises:
            InputError: for a layout the network cannot be built at.
            MissingExtraError: when torch is not installed.
        """

    @final
    def peak_activation_bytes(self, dtype: str = "int8") -> PeakResource:
        """Peak activation memory for one image: the most that is live at any point of the forward pass.

        Live are its input, its output, and what is still to be read, such as a block's input beside its layers. Batch
        norm, ReLU and pooling are taken as fused into the layer before them, as inference engines do
        (docs/counting.md).

        Raises:
            InputError: for an unknown dtype.
        """
        size = element_bytes(dtype)
        points = tuple(point.times(size) for point in self.activations.points)
        return PeakResource(name="peak_activation_bytes", points=points)

    @final
    def flash_bytes(self, dtype: str = "int8") -> Resource:
        """What a device stores (docs/counting.md): weights of ``dtype``, batch norms folded into biases.

        Biases take four bytes where weights are int8, otherwise as many as a weight.

        Raises:
            InputError: for an unknown dtype.
        """
        size = element_bytes(dtype)
        weights, biases = self.stored
        return weights.times(size) + biases.times(INT8_BIAS_BYTES if dtype == "int8" else size)

    @final
    def resources(self, dtype: str = "int8") -> dict[str, Resource | PeakResource]:
        """What any layout costs, under the keys of every JSON document.

        Raises:
            InputError: for an unknown dtype.

        >>> from parlay.families import plain
        >>> plain(depth=4).resources()["macs"]((35, 36, 37, 43))
        4867486
        """
        return {
            "params": self.params,
            "macs": self.macs,
            "peak_activation_bytes": self.peak_activation_bytes(dtype),
            "flash_bytes": self.flash_bytes(dtype),
        }

    @final
    def amounts(self, layout: Layout, dtype: str = "int8") -> dict[str, int]:
        """What a layout costs, under the same keys.

        Raises:
            InputError: for another number of widths, or an unknown dtype.

        >>> from parlay.families import plain
        >>> plain(depth=4).amounts((35, 36, 37, 43))
        {'params': 39334, 'macs': 4867486, 'peak_activation_bytes': 38912, 'flash_bytes': 39666}
        """
        return {key: resource(layout) for key, resource in self.resources(dtype).items()}


def element_bytes(dtype: str) -> int:
    """Bytes of one element of a dtype.

    Raises:
        InputError: for an unknown dtype.

    >>> element_bytes("float16")
    2
    """
    if not isinstance(dtype, str) or dtype not in ELEMENT_BYTES:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise unknown("dtype", dtype, ELEMENT_BYTES)
    return ELEMENT_BYTES[dtype]
