"""A network of two linear streams for 32 x 32 images: ConvNeXt's blocks at a size that trains in minutes.

No output of a stem, a projection or a depthwise convolution is followed by an activation; each block has one, behind
its hidden width, and all have a shortcut. Source of the block: Liu et al. 2022, A ConvNet for the 2020s, Figure 4, with
3 x 3 instead of 7 x 7 and batch norms instead of layer norms.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Streams"]


class Block(nn.Module):
    """Depthwise 3 x 3 convolution, norm, 1 x 1 to the hidden width, ReLU, 1 x 1 back, added to the input.

    Args:
        channels: of the stream.
        hidden: between the two 1 x 1 convolutions.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, hidden, 1)
        self.act = nn.ReLU()
        self.project = nn.Sequential(nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same."""
        return x + self.project(self.act(self.expand(self.norm(self.depthwise(x)))))


class Streams(nn.Module):
    """Stem of 4 x 4 pixels a patch, two blocks, a linear layer to half the pixels, two blocks; six width groups.

    Args:
        num_classes: outputs.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 20, 4, 4, bias=False), nn.BatchNorm2d(20))
        self.first = nn.Sequential(Block(20, 80), Block(20, 80))
        self.down = nn.Sequential(nn.BatchNorm2d(20), nn.Conv2d(20, 44, 2, 2, bias=False))
        self.second = nn.Sequential(Block(44, 176), Block(44, 176))
        self.norm = nn.BatchNorm2d(44)
        self.classifier = nn.Linear(44, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, num_classes)."""
        made = self.second(self.down(self.first(self.stem(x))))
        return self.classifier(self.norm(made).mean((2, 3)))
