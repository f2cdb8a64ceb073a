"""The networks of Channel-Bench-Macro, rebuilt: ResNets and MobileNets of seven widths (Su et al. 2021, BCNet).

Each table gives parameters and flops of 16,384 networks; both are quadratics in the widths, and 16,384 rows fix their
36 coefficients exactly (``fitted``). They say which network it is: ``ChannelBenchResNet`` and ``ChannelBenchMobileNet``
have these coefficients to the unit. What no coefficient can say, which blocks have a shortcut, is as in the benchmark's
published code: identity around all blocks but the third, which changes width and resolution.

``flops`` are multiply-adds of convolutions and of the linear layer's weights for one image of 32 x 32; biases and batch
norms are not counted. That is what parlay calls macs.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from parlay.evidence.population import Population
from parlay.evidence.population import read_table as read_population
from parlay.graph import WidthGraph, trace
from parlay.resources import Resource

__all__ = [
    "SPACES",
    "ChannelBenchMobileNet",
    "ChannelBenchResNet",
    "Table",
    "fitted",
    "graph",
    "mobilenet",
    "network",
    "population",
    "read_table",
    "resnet",
]

CLASSES, SIDE = 10, 32


class ChannelBenchResNet(nn.Module):
    """Stem of stride 2, two blocks of width c0 at 16 x 16, one block to c4 at 8 x 8, two blocks of width c4.

    Args:
        widths: (c0, ..., c6). c0 is the stem's and the first two blocks' outer width, c1 and c2 their inner widths; c3
            is the inner width of the third block; c4 the outer width of the last three, c5 and c6 the inner widths of
            the last two.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        c0, c1, c2, c3, c4, c5, c6 = widths
        self.stem = nn.Sequential(*_unit(3, c0, stride=2), nn.ReLU())
        self.block1 = _block(c0, c1, c0)
        self.block2 = _block(c0, c2, c0)
        self.block3 = _block(c0, c3, c4, stride=2)
        self.block4 = _block(c4, c5, c4)
        self.block5 = _block(c4, c6, c4)
        self.classifier = nn.Linear(c4, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, 32, 32)."""
        x = self.stem(images)  # N, c0, 16, 16
        x = functional.relu(x + self.block1(x))
        x = functional.relu(x + self.block2(x))
        x = functional.relu(self.block3(x))  # N, c4, 8, 8
        x = functional.relu(x + self.block4(x))
        x = functional.relu(x + self.block5(x))
        return self.classifier(x.mean((2, 3)))


class ChannelBenchMobileNet(nn.Module):
    """Stem of stride 2, two inverted residuals of width c0 at 16 x 16, one to c4 at 8 x 8, one of width c4, 1x1 to c6.

    Args:
        widths: (c0, ..., c6). c0 and c4 are the widths of the two linear streams; c1, c2, c3 and c5 the hidden widths
            of the four blocks; c6 the width of the last convolution.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        c0, c1, c2, c3, c4, c5, c6 = widths
        self.stem = nn.Sequential(*_unit(3, c0, stride=2), nn.ReLU())
        self.block1 = _inverted(c0, c1, c0)
        self.block2 = _inverted(c0, c2, c0)
        self.block3 = _inverted(c0, c3, c4, stride=2)
        self.block4 = _inverted(c4, c5, c4)
        self.last = nn.Sequential(*_unit(c4, c6, kernel=1), nn.ReLU())
        self.classifier = nn.Linear(c6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, 32, 32)."""
        x = self.stem(images)  # N, c0, 16, 16
        x = x + self.block1(x)
        x = x + self.block2(x)
        x = self.block3(x)  # N, c4, 8, 8
        x = x + self.block4(x)
        return self.classifier(self.last(x).mean((2, 3)))


def _unit(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def _block(inputs: int, inner: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_unit(inputs, inner, stride=stride), nn.ReLU(), *_unit(inner, outputs))


def _inverted(inputs: int, hidden: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    widen, depthwise = _unit(inputs, hidden, kernel=1), _unit(hidden, hidden, stride=stride, groups=hidden)
    return nn.Sequential(*widen, nn.ReLU(), *depthwise, nn.ReLU(), *_unit(hidden, outputs, kernel=1))


SPACES: dict[str, tuple[Callable[[Sequence[int]], nn.Module], tuple[int, ...]]] = {
    "resnet": (ChannelBenchResNet, (256, 256, 256, 512, 512, 512, 512)),
    "mobilenet": (ChannelBenchMobileNet, (128, 768, 768, 768, 256, 1536, 1024)),
}
"""Table -> its network, and the widths of the largest; the benchmark has every quarter of each."""


def network(widths: Sequence[int], seed: int = 0, *, space: str = "resnet") -> nn.Module:
    """The network at seven widths, initialised by torch's defaults, as the benchmark's are, from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SPACES[space][0](widths)


def resnet() -> nn.Module:
    """The smallest ResNet of the benchmark."""
    return network(_smallest("resnet"))


def mobilenet() -> nn.Module:
    """The smallest MobileNet of the benchmark."""
    return network(_smallest("mobilenet"), space="mobilenet")


def _smallest(space: str) -> tuple[int, ...]:
    return tuple(width // 4 for width in SPACES[space][1])


@cache
def graph(space: str = "resnet") -> WidthGraph:
    """The smallest network of a table, traced: its seven groups are those of c0 to c6, in the order of the trace.

    That is the table's for ResNets and for MobileNets alike.
    """
    traced = trace(network(_smallest(space), space=space), torch.zeros(1, 3, SIDE, SIDE))
    assert traced.layout == _smallest(space)
    return traced


@dataclass(frozen=True, kw_only=True)
class Table:
    """The benchmark's table.

    Attributes:
        widths: int (16384, 7).
        accuracy: float (16384, 3), three runs, in percent.
        params, flops: int (16384,).
    """

    widths: np.ndarray
    accuracy: np.ndarray
    params: np.ndarray
    flops: np.ndarray


def read_table(path: Path) -> Table:
    """Read ``resnet.csv.gz`` or ``mobilenet.csv.gz``: columns c0 to c6, acc1 to acc3, params, flops."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = [f"c{g}" for g in range(7)]
    return Table(
        widths=np.array([[int(row[name]) for name in columns] for row in rows]),
        accuracy=np.array([[float(row[f"acc{run}"]) for run in (1, 2, 3)] for row in rows]),
        params=np.array([int(row["params"]) for row in rows]),
        flops=np.array([int(row["flops"]) for row in rows]),
    )


def population(path: Path, space: str) -> Population:
    """A table as the commands read it, with the traced network that its widths are of."""
    return read_population(
        path,
        widths=[f"c{g}" for g in range(7)],
        accuracy=["acc1", "acc2", "acc3"],
        params="params",
        macs="flops",
        network=graph(space),
    )


def fitted(name: str, widths: np.ndarray, amounts: np.ndarray) -> Resource:
    """The one integer polynomial of degree two through every row.

    Least squares in floats, rounded, and then checked in integers on all rows.

    Raises:
        ValueError: when no integer polynomial goes through them.
    """
    groups = widths.shape[1]
    pairs = list(combinations_with_replacement(range(groups), 2))
    columns = np.column_stack([np.ones(len(widths), int), widths, *(widths[:, g] * widths[:, h] for g, h in pairs)])
    scale = columns.max(0)
    solution = np.linalg.lstsq(columns / scale, amounts.astype(float), rcond=None)[0] / scale
    whole = np.rint(solution).astype(int)
    if not np.array_equal(columns @ whole, amounts):
        raise ValueError(f"{name}: no integer polynomial of degree two goes through all rows")
    linear, quadratic = whole[1 : groups + 1], whole[groups + 1 :]
    return Resource.of(
        name,
        groups,
        constant=int(whole[0]),
        linear=dict(enumerate(linear.tolist())),
        quadratic=dict(zip(pairs, quadratic.tolist(), strict=True)),
    )
