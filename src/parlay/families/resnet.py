"""The CIFAR ResNets of Table 3 of Liao et al. (2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, final

from parlay.errors import InputError
from parlay.families.family import LARGEST_DEPTH, Convolution, Family, each_group
from parlay.layout import Layout, require_integer
from parlay.resources import Resource

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ResNetFamily", "resnet"]


@final
@dataclass(frozen=True, kw_only=True)
class ResNetFamily(Family):
    """The CIFAR ResNet of depth 6n + 2 with parameter-free shortcuts (Table 3).

    Unit 1 is one convolution; units 2 to 4 are n blocks of two convolutions each, units 3 and 4 begin with stride 2. A
    shortcut that meets another width is padded with zeros or sliced.
    """

    name: ClassVar[str] = "resnet"

    def __post_init__(self) -> None:
        if self.depth < 8 or (self.depth - 2) % 6:
            raise InputError("depth of a resnet", given=self.depth, allowed="6n + 2: 8, 14, 20, 26, 32, ...")
        super().__post_init__()

    @property
    def blocks(self) -> int:
        """Blocks in each of the units 2 to 4."""
        return (self.depth - 2) // 6

    @property
    def group_names(self) -> tuple[str, ...]:
        return ("unit1", "unit2", "unit3", "unit4")

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Side of the feature maps of each unit, in pixels."""
        half = (self.image + 1) // 2
        return (self.image, self.image, half, (half + 1) // 2)

    def convolutions(self) -> tuple[Convolution, ...]:
        convs = [Convolution(target=0, source=None, kernel=self.kernel_sizes[0], resolution=self.image)]
        for unit in (1, 2, 3):
            one = Convolution(
                target=unit,
                source=unit - 1,
                kernel=self.kernel_sizes[unit],
                resolution=self.sides[unit],
                share=Fraction(1, 2),  # around every block there is a shortcut
            )
            convs += [one, replace(one, source=unit, count=2 * self.blocks - 1)]
        return tuple(convs)

    def _module(self, layout: Layout) -> nn.Module:
        from parlay.nets import ResNet

        return ResNet(
            layout,
            kernel_sizes=self.kernel_sizes,
            blocks=self.blocks,
            in_channels=self.in_channels,
            classes=self.classes,
        )

    def live_points(self) -> tuple[Resource, ...]:
        points = [self._live("unit1", (None, self.image), (0, self.image))]
        for unit in (1, 2, 3):
            before, now = (unit - 1, self.sides[unit - 1]), (unit, self.sides[unit])
            points.append(self._live(f"unit{unit + 1} block1 conv1", before, now))
            points.append(self._live(f"unit{unit + 1} block1 conv2", before, now, now))
            if self.blocks > 1:
                points.append(self._live(f"unit{unit + 1} block2 conv2", now, now, now))
        return (*points, self._live_classifier())


def resnet(
    depth: int = 32, *, kernel_size: int | Sequence[int] = 3, in_channels: int = 3, image: int = 32, classes: int = 10
) -> ResNetFamily:
    """ResNets of ``depth`` = 6n + 2 (Table 3).

    Raises:
        InputError: for any other depth, or values out of range.

    >>> resnet(depth=32).kernels((16, 16, 32, 64))
    51248
    """
    require_integer("depth", depth, largest=LARGEST_DEPTH)
    sizes = each_group(kernel_size, 4)
    return ResNetFamily(depth=depth, kernel_sizes=sizes, in_channels=in_channels, image=image, classes=classes)
