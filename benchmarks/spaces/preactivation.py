"""A pre-activation ResNet for 32 x 32 images at a size that trains in minutes.

Norm and activation stand before every convolution, so that the stream is a sum of linear outputs; the blocks that
stride have a 1 x 1 convolution as shortcut. Source of the block: He et al. 2016, Identity Mappings in Deep Residual
Networks, Figure 1(b).
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["PreActivation"]


class Block(nn.Module):
    """Norm, ReLU, 3 x 3 convolution, twice, added to the input, or to its projection where the shape changes.

    Args:
        inputs, hidden, outputs: channels.
        stride: of the first convolution; with 1 the shortcut is the identity.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.widen = nn.Conv2d(inputs, hidden, 3, stride, 1, bias=False)
        self.second = nn.Sequential(nn.BatchNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, outputs, 3, 1, 1, bias=False))
        self.shortcut = None if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        active = self.first(x)
        around = x if self.shortcut is None else self.shortcut(active)
        return around + self.second(self.widen(active))


class PreActivation(nn.Module):
    """Stem, four blocks, norm, ReLU, mean over pixels, a linear layer; seven width groups.

    Args:
        num_classes: outputs.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.blocks = nn.Sequential(
            Block(8, 8, 8, stride=1),
            Block(8, 20, 20, stride=2),
            Block(20, 20, 20, stride=1),
            Block(20, 48, 48, stride=2),
        )
        self.last = nn.Sequential(nn.BatchNorm2d(48), nn.ReLU())
        self.classifier = nn.Linear(48, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, num_classes)."""
        return self.classifier(self.last(self.blocks(self.stem(x))).mean((2, 3)))
