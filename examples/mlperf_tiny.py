"""The four networks of MLPerf Tiny, from their published descriptions, for ``parlay trace`` and ``parlay retrofit``.

::

    parlay trace examples/mlperf_tiny.py:resnet8 --input 3x32x32
    parlay trace examples/mlperf_tiny.py:resnet8_wide --input 3x32x32
    parlay trace examples/mlperf_tiny.py:ds_cnn --input 1x49x10
    parlay trace examples/mlperf_tiny.py:mobilenet_v1 --input 3x96x96
    parlay trace examples/mlperf_tiny.py:deep_autoencoder --input 640

Source: Banbury et al., "MLPerf Tiny Benchmark", NeurIPS 2021 Datasets and Benchmarks, and the structure of the suite's
Keras reference models. As there, convolutions have a bias beside their batch norm, batch norm has epsilon 0.001 and
keeps 0.99 of its running statistics, and padding is TensorFlow's "same", which puts the odd pixel behind. Unlike there,
the networks return logits (no softmax), and weights have torch's initial values.

Parameters. Keras adds the running mean and variance of batch norm to its total, as non-trainable parameters; torch and
parlay call them buffers and do not. So a total of Keras is our parameters + 2 x channels under batch norm:

=================  ==========  ===============  ==========  ================  ==========
network            our params  running moments  Keras       our multiply-adds  published
=================  ==========  ===============  ==========  ================  ==========
resnet8                78,186              480      78,666        12,501,632    12.502 M
ds_cnn                 23,756            1,152      24,908         2,656,768     2.657 M
mobilenet_v1          216,322            5,472     221,794         7,489,664     7.490 M
deep_autoencoder      267,928            2,064     269,992           264,192   264.192 k
=================  ==========  ===============  ==========  ================  ==========

Multiply-adds, here and published (Silicon Labs' Machine Learning Toolkit, which profiles the suite's quantised models),
are those of convolutions and linear layers.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["deep_autoencoder", "ds_cnn", "mobilenet_v1", "resnet8", "resnet8_wide"]


def resnet8(*, classes: int = 10, width: int = 16, momentum: float = 0.01) -> nn.Module:
    """ResNet-8 for CIFAR-10: image classification.

    A convolution, then three residual stacks of two 3x3 convolutions with ``width``, 2 and 4 times ``width`` channels;
    the second and third halve the image, and a 1x1 convolution without batch norm shortens them. Published: 78,666
    parameters with running moments, 12.5 million multiply-adds; here 78,186 + 480 and 12,501,632.

    Args:
        classes: outputs.
        width: channels of the first stack.
        momentum: weight of a new batch in batch norm's running moments. The suite's 0.01 lags behind weights that
            still move, which costs a short training (hundreds of steps) many points; take 0.1 for those.

    Returns:
        A module from images Bx3xHxW, 32x32 in the benchmark, to logits B x classes.

    >>> sum(p.numel() for p in resnet8().parameters())
    78186
    """
    network = _named(
        stem=_unit(SameConv2d(3, width, 3)),
        stack1=ResidualStack(width, width, stride=1),
        stack2=ResidualStack(width, 2 * width, stride=2),
        stack3=ResidualStack(2 * width, 4 * width, stride=2),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Linear(4 * width, classes),
    )
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = momentum
    return network


def resnet8_wide(*, classes: int = 10, momentum: float = 0.01) -> nn.Module:
    """The suite's second ResNet-8, 40-80-160: a network to prune to the first one's budget.

    Args:
        classes, momentum: as of ``resnet8``.

    >>> sum(p.numel() for p in resnet8_wide().parameters())
    481530
    """
    return resnet8(classes=classes, width=40, momentum=momentum)


def ds_cnn(*, classes: int = 12, width: int = 64) -> nn.Module:
    """DS-CNN: keyword spotting in the coefficients (MFCC) of one second of sound.

    A 10x4 convolution of stride 2, then four pairs of a 3x3 depthwise and a 1x1 convolution, all with ``width``
    channels. Published: 24,908 parameters with running moments, 2.7 million multiply-adds; here 23,756 + 1,152 and
    2,656,768.

    Args:
        classes: words told apart, silence and unknown among them.
        width: channels of every layer.

    Returns:
        A module from Bx1xHxW, 49 frames of 10 coefficients in the benchmark, to logits B x classes.

    >>> sum(p.numel() for p in ds_cnn().parameters())
    23756
    """
    return _named(
        stem=_unit(SameConv2d(1, width, (10, 4), stride=2)),
        dropout1=nn.Dropout(0.2),
        **{f"block{number}": _separable(width, width) for number in range(1, 5)},
        dropout2=nn.Dropout(0.4),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Linear(width, classes),
    )


def mobilenet_v1(*, classes: int = 2, width: int = 8) -> nn.Module:
    """MobileNetV1 of width multiplier 0.25: visual wake words, is there a person in the image.

    A 3x3 convolution of stride 2, then thirteen pairs of a 3x3 depthwise and a 1x1 convolution. Published: 7.5 million
    multiply-adds; here 7,489,664. Parameters with running moments, 221,794, are counted from the reference's layers:
    216,322 + 5,472. The 0.47 million often quoted for MobileNetV1 0.25 are those of 1,000 classes.

    Args:
        classes: outputs.
        width: channels of the first convolution, 32 times the width multiplier.

    Returns:
        A module from images Bx3xHxW, 96x96 in the benchmark, to logits B x classes.

    >>> sum(p.numel() for p in mobilenet_v1().parameters())
    216322
    """
    widths = [width * times for times in (1, 2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32)]
    halving = (2, 4, 6, 12)  # pairs whose depthwise convolution has stride 2, counted from 1
    return _named(
        stem=_unit(SameConv2d(3, width, 3, stride=2)),
        **{
            f"block{number}": _separable(before, after, stride=2 if number in halving else 1)
            for number, (before, after) in enumerate(pairwise(widths), start=1)
        },
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Linear(widths[-1], classes),
    )


def deep_autoencoder(*, inputs: int = 640, width: int = 128, code: int = 8) -> nn.Module:
    """The fully connected autoencoder: anomaly detection in the sound of machines.

    Linear layers of ``width``, the narrow one of ``code``, each with batch norm and ReLU, and a linear output.
    Published: 269,992 parameters with running moments, 264 thousand multiply-adds; here 267,928 + 2,064 and 264,192.

    Args:
        inputs: values in and out: 5 frames of 128 mel bands in the benchmark.
        width: outputs of the hidden layers.
        code: outputs of the narrowest layer.

    Returns:
        A module from B x inputs to B x inputs.

    >>> sum(p.numel() for p in deep_autoencoder().parameters())
    267928
    """
    widths = (inputs, *[width] * 4, code, *[width] * 4)
    hidden = {
        f"hidden{number}": _named(
            linear=nn.Linear(before, after), norm=nn.BatchNorm1d(after, eps=1e-3, momentum=0.01), relu=nn.ReLU()
        )
        for number, (before, after) in enumerate(pairwise(widths), start=1)
    }
    return _named(**hidden, output=nn.Linear(width, inputs))


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: the output has ceil(side / stride) pixels.

    Where the number of padded pixels is odd, one more is behind than in front; torch pads both alike.
    """

    def forward(self, input: Tensor) -> Tensor:  # the base class's name
        """BxCxHxW to B x out_channels x ceil(H / stride) x ceil(W / stride)."""
        amounts: list[int] = []
        sides = zip(input.shape[-2:], self.kernel_size, self.stride, strict=True)
        for side, kernel, stride in reversed(list(sides)):  # F.pad begins with the last dimension
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            amounts += [total // 2, total - total // 2]
        return super().forward(F.pad(input, amounts) if any(amounts) else input)


class ResidualStack(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut; a 1x1 convolution where the sizes differ."""

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        self.first = _unit(SameConv2d(before, after, 3, stride=stride))
        self.second = _unit(SameConv2d(after, after, 3), activation=nn.Identity())
        is_same = before == after and stride == 1
        self.shortcut = nn.Identity() if is_same else SameConv2d(before, after, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Bx before xHxW to B x after x ceil(H / stride) x ceil(W / stride)."""
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def _unit(conv: nn.Conv2d, *, activation: nn.Module | None = None) -> nn.Module:
    """A convolution, batch norm, and ReLU unless another activation is given."""
    norm = nn.BatchNorm2d(conv.out_channels, eps=1e-3, momentum=0.01)
    return _named(conv=conv, norm=norm, activation=activation or nn.ReLU())


def _separable(before: int, after: int, *, stride: int = 1) -> nn.Module:
    """A depthwise and a pointwise convolution, each with batch norm and ReLU."""
    return _named(
        depthwise=_unit(SameConv2d(before, before, 3, stride=stride, groups=before)),
        pointwise=_unit(SameConv2d(before, after, 1)),
    )


def _named(**layers: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(layers))
