"""An inverted-bottleneck network for 32 x 32 images: MobileNetV2's linear bottlenecks at a size that trains in minutes.

The stream is never followed by an activation; two of its four blocks have a shortcut, two stride over half the pixels
and have none. Source of the block: Sandler et al. 2018, MobileNetV2, Figure 3.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Inverted"]


class Block(nn.Module):
    """1 x 1 convolution to the hidden width, depthwise 3 x 3, 1 x 1 back without an activation.

    Args:
        inputs, hidden, outputs: channels.
        stride: of the depthwise convolution; with 1 the block has a shortcut.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.is_residual = stride == 1
        self.expand = nn.Sequential(nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()
        )
        self.project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        made = self.project(self.depthwise(self.expand(x)))
        return x + made if self.is_residual else made


class Inverted(nn.Module):
    """Stem, four blocks, a last 1 x 1 convolution, mean over pixels, a linear layer; eight width groups.

    Args:
        num_classes: outputs.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.blocks = nn.Sequential(
            Block(12, 36, 20, stride=2),
            Block(20, 72, 20, stride=1),
            Block(20, 96, 40, stride=2),
            Block(40, 192, 40, stride=1),
        )
        self.head = nn.Sequential(nn.Conv2d(40, 160, 1, bias=False), nn.BatchNorm2d(160), nn.ReLU())
        self.classifier = nn.Linear(160, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, num_classes)."""
        return self.classifier(self.head(self.blocks(self.stem(x))).mean((2, 3)))
