"""A network for 32 x 32 images with both kinds of depthwise block, at a size that trains in a minute.

On streams of linear outputs, blocks whose depthwise convolution works on the stream, without an activation behind it
(Liu et al. 2022, ConvNeXt, with 3 x 3 and batch norms), alternate with blocks whose depthwise convolution works on the
hidden width, with one (Sandler et al. 2018, MobileNetV2).
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Hybrid"]


def depthwise(channels: int, stride: int = 1) -> list[nn.Module]:
    """A 3 x 3 convolution of every channel by itself, and a norm."""
    return [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), nn.BatchNorm2d(channels)]


def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    """A 1 x 1 convolution and a norm."""
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """Layers, added to what they read."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return x + self.layers(x)


class Hybrid(nn.Module):
    """Stem of 4 x 4 pixels a patch, four blocks, a last 1 x 1 convolution, mean over pixels, a linear layer; seven
    width groups.

    Args:
        num_classes: outputs.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 4, 4, bias=False), nn.BatchNorm2d(24))
        self.first = Residual(*depthwise(24), *pointwise(24, 80), nn.ReLU(), *pointwise(80, 24))
        self.second = Residual(*pointwise(24, 80), nn.ReLU(), *depthwise(80), nn.ReLU(), *pointwise(80, 24))
        self.down = nn.Sequential(
            *pointwise(24, 96), nn.ReLU(), *depthwise(96, stride=2), nn.ReLU(), *pointwise(96, 44)
        )
        self.third = Residual(*depthwise(44), *pointwise(44, 144), nn.ReLU(), *pointwise(144, 44))
        self.head = nn.Sequential(*pointwise(44, 128), nn.ReLU())
        self.classifier = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, num_classes)."""
        made = self.third(self.down(self.second(self.first(self.stem(x)))))
        return self.classifier(self.head(made).mean((2, 3)))
