"""Plain networks: Figure 2 of Liao et al. (2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from parlay.errors import InputError
from parlay.families.family import LARGEST_DEPTH, Convolution, Family, each_group
from parlay.layout import Layout, require_integer
from parlay.resources import Resource

if TYPE_CHECKING:
    from torch import nn

__all__ = ["POOLED_LAYERS", "PlainFamily", "plain"]

POOLED_LAYERS = 3
"""Convolutions, the first ones, that are followed by 2x2 pooling (Figure 2)."""


@final
@dataclass(frozen=True, kw_only=True)
class PlainFamily(Family):
    """Convolution, batch norm, ReLU, ``depth`` times; 2x2 max pooling after each of the first three; global average
    pooling; one linear layer.

    Figure 2 of the paper is an image without a text; where the pooling stands is our reading of it.
    """

    name: ClassVar[str] = "plain"

    def __post_init__(self) -> None:
        super().__post_init__()
        pools = min(self.depth, POOLED_LAYERS)
        if self.image < 2**pools:
            raise InputError(
                "image side", given=self.image, allowed=f"at least {2**pools}, since {pools} poolings halve it"
            )

    @property
    def group_names(self) -> tuple[str, ...]:
        return tuple(f"conv{i}" for i in range(1, self.depth + 1))

    def convolutions(self) -> tuple[Convolution, ...]:
        return tuple(
            Convolution(
                target=i,
                source=i - 1 if i else None,
                kernel=kernel,
                resolution=self.image // 2 ** min(i, POOLED_LAYERS),
            )
            for i, kernel in enumerate(self.kernel_sizes)
        )

    def _module(self, layout: Layout) -> nn.Module:
        from parlay.nets import PlainNet

        return PlainNet(layout, kernel_sizes=self.kernel_sizes, in_channels=self.in_channels, classes=self.classes)

    def live_points(self) -> tuple[Resource, ...]:
        points = [
            self._live(f"conv{i}", (conv.source, conv.resolution), (conv.target, conv.resolution))
            for i, conv in enumerate(self.convolutions(), start=1)
        ]
        return (*points, self._live_classifier())


def plain(
    depth: int, *, kernel_size: int | Sequence[int] = 3, in_channels: int = 3, image: int = 32, classes: int = 10
) -> PlainFamily:
    """Plain networks of ``depth`` convolutions (Figure 2).

    Raises:
        InputError: for a depth below 1 or above 10,000, or other values out of range.

    >>> net = plain(depth=4)
    >>> net.kernels((35, 36, 37, 43)), net.weights((35, 36, 37, 43)), net.macs((35, 36, 37, 43))
    (4288, 38592, 4867486)
    """
    require_integer("depth", depth, largest=LARGEST_DEPTH)
    sizes = each_group(kernel_size, depth)
    return PlainFamily(depth=depth, kernel_sizes=sizes, in_channels=in_channels, image=image, classes=classes)
