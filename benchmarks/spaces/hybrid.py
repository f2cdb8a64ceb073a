"""A network for 32 x 32 images with both kinds of depthwise block, at a size that trains in a minute.

On streams of linear outputs, blocks whose depthwise convolution works on the stream, without an activation behind it
(Liu et al. 2022, ConvNeXt, with 3 x 3 and batch norms), alternate with blocks whose depthwise convolution works on the
hidden width, with one (Sandler et al. 2018, MobileNetV2).
"""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.spaces.inverted import Block as Inverted
from benchmarks.spaces.streams import Block as OnStream

__all__ = ["Hybrid"]


class Hybrid(nn.Module):
    """Stem of 4 x 4 pixels a patch, four blocks, a last 1 x 1 convolution, mean over pixels, a linear layer; seven
    width groups.

    Args:
        num_classes: outputs.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 4, 4, bias=False), nn.BatchNorm2d(24))
        self.blocks = nn.Sequential(
            OnStream(24, 80), Inverted(24, 80, 24, stride=1), Inverted(24, 96, 44, stride=2), OnStream(44, 144)
        )
        self.head = nn.Sequential(nn.Conv2d(44, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU())
        self.classifier = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, num_classes)."""
        return self.classifier(self.head(self.blocks(self.stem(x))).mean((2, 3)))
