"""The paper's networks as modules; ``parlay.Family.build`` makes them.

``parlay.families`` says in closed form what these networks cost; the tests pin the two to each other, so that predicted
and counted parameters and multiply-adds agree to the unit.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from parlay.extras import Needs
from parlay.layout import Layout

with Needs("building networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

__all__ = ["PlainNet", "ResNet", "seeded"]

POOLED_LAYERS = 3


@contextmanager
def seeded(seed: int | None) -> Generator[None]:
    """Draw from this seed for a while and leave torch's global generator as it was; without a seed draw from it."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        yield


class PlainNet(nn.Module):
    """Convolution, batch norm, ReLU, ``depth`` times; 2x2 max pooling in each of the first three; mean; linear.

    Figure 2 of the paper is an image without a text; where the pooling stands is our reading of it.
    """

    def __init__(self, layout: Layout, *, kernel_sizes: Sequence[int], in_channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = in_channels
        for index, (width, kernel) in enumerate(zip(layout, kernel_sizes, strict=True)):
            layers += [*convolution(inputs, width, kernel), nn.BatchNorm2d(width)]
            if index < POOLED_LAYERS:
                layers.append(nn.MaxPool2d(2))  # before ReLU, with which it commutes: a quarter of the work
            layers.append(nn.ReLU(inplace=True))
            inputs = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        features: Tensor = self.features(images)  # N, n_last, h, w
        return self.classifier(features.mean((2, 3)))


class ResNet(nn.Module):
    """The CIFAR ResNet of Table 3: one convolution, then three units of n blocks; units 3 and 4 begin with stride 2."""

    def __init__(
        self, layout: Layout, *, kernel_sizes: Sequence[int], blocks: int, in_channels: int, classes: int
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            *convolution(in_channels, layout[0], kernel_sizes[0]),
            nn.BatchNorm2d(layout[0]),
            nn.ReLU(inplace=True),
        ]
        for unit in (1, 2, 3):
            inputs = layout[unit - 1]
            for block in range(blocks):
                stride = 2 if unit > 1 and block == 0 else 1
                layers.append(Block(inputs, layout[unit], kernel_sizes[unit], stride, opens_unit=block == 0))
                inputs = layout[unit]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(layout[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        features: Tensor = self.features(images)  # N, n_4, h, w
        return self.classifier(features.mean((2, 3)))


class Block(nn.Module):
    """Two convolutions beside a parameter-free shortcut (He et al. 2016, option A)."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int, *, opens_unit: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.opens_unit = opens_unit
        self.residual = nn.Sequential(
            *convolution(inputs, width, kernel, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            *convolution(width, width, kernel),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, width, ceil(h / stride), ceil(w / stride))."""
        residual: Tensor = self.residual(features)  # first: the padded shortcut would take memory beside it
        residual += self.shortcut(features) if self.opens_unit else features  # in place: nothing else needs the sum
        return functional.relu(residual, inplace=True)

    def shortcut(self, features: Tensor) -> Tensor:
        """Every stride-th pixel; zero channels are added where the width grows, the last ones cut where it shrinks.

        How many is asked of the layers at hand, not of the constructor, so that the network can be traced and built at
        other widths; the first block of a unit pads even by nothing.
        """
        kept = features[:, :, :: self.stride, :: self.stride] if self.stride > 1 else features
        norm = self.residual[-1]
        assert isinstance(norm, nn.BatchNorm2d)
        return functional.pad(kept, (0, 0, 0, 0, 0, norm.num_features - kept.shape[1]))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias whose output has ceil(side / stride) pixels a side, as one or two modules.

    An even kernel needs one row and column more behind than before; torch's own ``padding='same'`` warns about the copy
    that takes and refuses strides, so the padding is a module of its own.
    """
    before, behind = (kernel - 1) // 2, kernel // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=before if before == behind else 0, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # He et al. 2015
    return [conv] if before == behind else [nn.ZeroPad2d((before, behind, before, behind)), conv]
