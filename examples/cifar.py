"""Two networks for 32x32 images with widths as they are usually chosen, for ``parlay trace``, ``retrofit`` and ``fit``.

::

    parlay trace examples/cifar.py:plain4 --input 3x32x32
    parlay trace examples/cifar.py:mobilenet --input 3x32x32

Both double their widths where the image is halved, the habit that a search is to be set against.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn

__all__ = ["mobilenet", "plain4"]


def plain4(*, num_classes: int = 10, width: int = 10) -> nn.Module:
    """The paper's plain network of four 3x3 convolutions, each twice as wide as the one before.

    Convolution, batch norm, ReLU; 2x2 max pooling behind the first three; global average pooling and one linear layer
    (``parlay.nets.PlainNet``). With a width of 10 its size is 4,230 kernels, next to the 4,288 of the paper's Table 1.

    Args:
        num_classes: outputs.
        width: channels of the first convolution.

    Returns:
        A module from images Bx3x32x32 to logits B x num_classes.

    >>> sum(p.numel() for p in plain4().parameters())
    39180
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    widths = [3, *(width * 2**index for index in range(4))]
    for index, (before, after) in enumerate(pairwise(widths), start=1):
        layers[f"conv{index}"] = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers[f"norm{index}"] = nn.BatchNorm2d(after)
        layers[f"relu{index}"] = nn.ReLU(inplace=True)
        if index < 4:
            layers[f"pool{index}"] = nn.MaxPool2d(2)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(widths[-1], num_classes)
    return nn.Sequential(layers)


def mobilenet(*, num_classes: int = 10, width: int = 16) -> nn.Module:
    """A small MobileNet for 32x32 images: a convolution, then five depthwise separable ones, three with stride 2.

    After Howard et al., "MobileNets", 2017: each separable convolution is a 3x3 depthwise and a 1x1 convolution, both
    with batch norm and ReLU.

    Args:
        num_classes: outputs.
        width: channels of the first convolution; the separable ones have 2, 4, 4, 8 and 8 times as many.

    Returns:
        A module from images Bx3x32x32 to logits B x num_classes.

    >>> sum(p.numel() for p in mobilenet().parameters())
    37162
    """
    stages = ((width, 1), (2 * width, 2), (4 * width, 2), (4 * width, 1), (8 * width, 2), (8 * width, 1))
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=_unit(3, width, 3))
    for index, ((before, _), (after, stride)) in enumerate(pairwise(stages), start=1):
        layers[f"depthwise{index}"] = _unit(before, before, 3, stride=stride, groups=before)
        layers[f"pointwise{index}"] = _unit(before, after, 1)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(stages[-1][0], num_classes)
    return nn.Sequential(layers)


def _unit(before: int, after: int, side: int, *, stride: int = 1, groups: int = 1) -> nn.Module:
    conv = nn.Conv2d(before, after, side, stride=stride, padding=side // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(after), relu=nn.ReLU(inplace=True)))
