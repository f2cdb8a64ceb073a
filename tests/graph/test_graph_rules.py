"""Every kind of operator on a small network of its own: predicted numbers equal those of the resized module."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph_checks import Net, assert_exact
from parlay.errors import TraceError
from parlay.graph import Call, add_rule, trace
from parlay.graph.call import RULES, Shape


def conv(i: int, o: int, k: int = 3, **options: object) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, padding="same" if "stride" not in options else k // 2, **options)  # type: ignore[arg-type]


def head(width: int, classes: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def chain(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


class ChannelShuffle(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class RawParameters(nn.Module):
    """A matrix, a scale and a bias that no layer of torch's owns."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(12, 6) * 0.1)
        self.scale = nn.Parameter(torch.full((6, 1, 1), 1e-6))
        self.stem = conv(3, 12)
        self.last = conv(6, 7)
        self.head = head(7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1) @ self.matrix
        return self.head(self.last(x.permute(0, 3, 1, 2) * self.scale))


class SharedWeights(nn.Module):
    """One convolution used twice, one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.again = conv(8, 8)
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8)
        self.b.weight = self.a.weight
        self.out = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(torch.relu(self.again(self.stem(x))))
        return self.out(self.b(torch.relu(self.a(x.mean((2, 3))))))


class WeightStandardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, training=True, momentum=0.0).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, padding=1)


class Attention(nn.Module):
    """Multi-head attention over pixels, heads fixed, widths from shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16)
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.head((x + self.out(y.transpose(1, 2).reshape(b, n, c))).mean(1))


class KeptSizes(nn.Module):
    """Sizes that the constructor kept and forward uses, as many models do."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.width = width
        self.stem = conv(3, width)
        self.cheap = conv(width, width, groups=width)
        self.head = head(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        both = torch.cat([x, self.cheap(x)], 1)
        return self.head(both[:, : self.width])


def residual(net: Net, x: Tensor) -> Tensor:
    x = net.a(x)
    return net.head(torch.relu(x + net.c(torch.relu(net.b(x)))))


def squeeze_excite(net: Net, x: Tensor) -> Tensor:
    x = net.a(x)
    gate = net.up(torch.relu(net.down(x.mean((2, 3), keepdim=True))))
    return net.head(x * torch.sigmoid(gate))


def dense(net: Net, x: Tensor) -> Tensor:
    x = net.a(x)
    x = torch.cat([x, net.b(x)], 1)
    x = torch.cat([x, net.c(x)], 1)
    return net.head(net.d(x))


def halves(net: Net, x: Tensor) -> Tensor:
    a, b = net.a(x).chunk(2, 1)
    return net.head(net.b(torch.cat([a, torch.sigmoid(b)], 1)))


def parts(net: Net, x: Tensor) -> Tensor:
    a, b = net.c(torch.cat([net.a(x), net.b(x)], 1)).split([6, 10], 1)
    return net.head(torch.cat([net.d(a), b], 1))


def unequal(net: Net, x: Tensor) -> Tensor:
    """A sum of a concatenation and one convolution: its width is the sum of two."""
    return net.head(torch.cat([net.a(x), net.b(x)], 1) + net.c(x))


def channel_padding(net: Net, x: Tensor) -> Tensor:
    x = net.a(x)
    y = net.b(x)
    return net.head(y + F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1])))


def resized(net: Net, x: Tensor) -> Tensor:
    x = net.a(x)
    y = F.interpolate(net.b(F.max_pool2d(x, 2)), scale_factor=2.0, mode="bilinear")
    return net.c(torch.cat([x, y], 1))


def two_inputs(net: Net, x: Tensor, y: Tensor) -> Tensor:
    return net.out(net.a(x).mean((2, 3)) + net.b(y))


CASES: dict[str, tuple[nn.Module, tuple[tuple[int, ...], ...], int]] = {}
"""Name -> model, input shapes, free widths."""

IMAGE = ((3, 8, 8),)


def _case(name: str, model: nn.Module, groups: int, shapes: tuple[tuple[int, ...], ...] = IMAGE) -> None:
    CASES[name] = (model, shapes, groups)


_case("plain", chain(conv(3, 6), nn.BatchNorm2d(6), nn.ReLU(), conv(6, 9), nn.GELU(), head(9)), 2)
_case("flatten", chain(conv(3, 6), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 20), nn.Dropout(), nn.Linear(20, 5)), 2)
_case("grouped", chain(conv(3, 8), conv(8, 16, groups=4), conv(16, 8, groups=2), head(8)), 3)
_case("depthwise", chain(conv(3, 8), conv(8, 8, groups=8), conv(8, 24, groups=8), conv(24, 6, 1), head(6)), 2)
_case("dilated", chain(conv(3, 6, dilation=2), conv(6, 7, stride=2), head(7)), 2)
_case(
    "transposed", chain(conv(3, 6), nn.ConvTranspose2d(6, 8, 2, 2), nn.ConvTranspose2d(8, 12, 3, groups=4), head(12)), 3
)
_case("transposed depthwise", chain(conv(3, 6), nn.ConvTranspose2d(6, 6, 2, 2, groups=6), head(6)), 1)
_case(
    "conv1d",
    chain(nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 5, 3), nn.Flatten(), nn.Linear(60, 3)),
    2,
    ((4, 16),),
)
_case(
    "conv3d",
    chain(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.AvgPool3d(2), nn.Flatten(), nn.Linear(108, 3)),
    1,
    ((1, 8, 8, 8),),
)
_case(
    "linear",
    chain(nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8), nn.LayerNorm(8), nn.Linear(8, 4)),
    2,
    ((10,),),
)
_case(
    "norms",
    chain(
        conv(3, 8),
        nn.GroupNorm(4, 8),
        conv(8, 6),
        nn.InstanceNorm2d(6, affine=True),
        conv(6, 5),
        nn.GroupNorm(1, 5),
        conv(5, 4),
        nn.LocalResponseNorm(2),
        head(4),
    ),
    3,
)
_case(
    "instance norm without weights",
    chain(conv(3, 8), nn.InstanceNorm2d(8), nn.BatchNorm2d(8, affine=False), head(8)),
    1,
)
_case(
    "padded pixels", chain(conv(3, 8), nn.CircularPad2d(1), conv(8, 6), nn.ReflectionPad2d(1), conv(6, 5), head(5)), 3
)
_case("prelu", chain(conv(3, 8), nn.PReLU(8), conv(8, 6), nn.PReLU(), head(6)), 2)
_case(
    "pixel shuffle",
    chain(conv(3, 8), conv(8, 24), nn.PixelShuffle(2), conv(6, 5), nn.PixelUnshuffle(2), conv(20, 7), head(7)),
    4,
)
_case("glu", chain(conv(3, 12), nn.GLU(1), head(6)), 1)
_case("channel shuffle", chain(conv(3, 8), ChannelShuffle(), conv(8, 8, groups=2), nn.ChannelShuffle(2), head(8)), 2)
_case("residual", Net(residual, a=conv(3, 8), b=conv(8, 5), c=conv(5, 8), head=head(8)), 2)
_case(
    "squeeze and excite",
    Net(squeeze_excite, a=conv(3, 8), down=nn.Conv2d(8, 2, 1), up=nn.Conv2d(2, 8, 1), head=head(8)),
    2,
)
_case("dense", Net(dense, a=conv(3, 6), b=conv(6, 4), c=conv(10, 4), d=conv(14, 9), head=head(9)), 4)
_case("chunk", Net(halves, a=conv(3, 12), b=conv(12, 7), head=head(7)), 2)
_case("unequal sum", Net(unequal, a=conv(3, 5), b=conv(3, 7), c=conv(3, 12), head=head(12)), 2)
_case("channel padding", Net(channel_padding, a=conv(3, 6), b=conv(6, 9), head=head(9)), 2)
_case("interpolate", Net(resized, a=conv(3, 6), b=conv(6, 8), c=conv(14, 4)), 2)
_case("two inputs", Net(two_inputs, a=conv(3, 8), b=nn.Linear(6, 8), out=nn.Linear(8, 3)), 1, ((3, 8, 8), (6,)))
_case("raw parameters", RawParameters(), 3)
_case("shared weights", SharedWeights(), 1)
_case("weight standardisation", chain(conv(3, 6), WeightStandardised(6, 9, 3), head(9)), 2)
_case("attention", Attention(), 1)
_case("kept sizes", KeptSizes(), 1)


@pytest.mark.parametrize("name", CASES)
def test_predictions_equal_counts_at_random_layouts(name: str) -> None:
    """Parameters, multiply-adds and peak memory to the unit; forward in both modes and backward run."""
    model, shapes, groups = CASES[name]
    graph = assert_exact(model, *shapes)
    assert len(graph.space) == groups, [group.name for group in graph.space.groups]


def test_grouped_widths_keep_their_divisibility() -> None:
    """A convolution in four groups ties its input and output to multiples of four."""
    graph = trace(CASES["grouped"][0], torch.zeros(1, 3, 8, 8))
    assert [group.multiple_of for group in graph.space.groups] == [4, 4, 2]
    assert graph.space.violation((8, 18, 8)) is not None


def test_multiplicity_counts_weight_layers() -> None:
    """Depthwise layers count, batch norms do not."""
    graph = trace(CASES["depthwise"][0], torch.zeros(1, 3, 8, 8))
    assert [(group.name, group.multiplicity) for group in graph.space.groups] == [("0", 3), ("3", 1)]


def test_split_by_literal_sizes_is_found_out() -> None:
    """Sizes written as numbers do not follow the widths: refused, or kept, but never wrong."""
    model = Net(parts, a=conv(3, 5), b=conv(3, 4), c=conv(9, 16), d=conv(6, 3), head=head(13))
    graph = assert_exact(model, *IMAGE)
    assert "c" not in {group.name for group in graph.space.groups}


class Spectrum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.inner = conv(8, 6)
        self.head = head(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(torch.fft.fft2(self.stem(x)).real))


def test_an_unknown_operator_is_refused_with_its_place_and_a_remedy() -> None:
    """Operator, file and line, and the layer to pin; pinning it works."""
    with pytest.raises(TraceError, match=r"operator fft_fft2 at .*test_graph_rules\.py:\d+ .*--pin 'stem'") as caught:
        trace(Spectrum(), torch.zeros(1, 3, 8, 8))
    assert caught.value.pins == ("stem",)
    graph = assert_exact(Spectrum(), *IMAGE, pin=["stem"])
    assert [group.name for group in graph.space.groups] == ["inner"]


def test_a_rule_of_ones_own_teaches_an_operator() -> None:
    """add_rule makes the same model traceable in full."""

    def same(call: Call) -> Shape:
        return call.tensors[0].dims

    known = dict(RULES)
    try:
        for name in ("fft_fft2", "real", "view_as_real"):
            add_rule(f"aten.{name}", same)
        graph = trace(Spectrum(), torch.zeros(1, 3, 8, 8))
        assert [group.name for group in graph.space.groups] == ["stem", "inner"]
    finally:
        RULES.clear()
        RULES.update(known)


class HardCoded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16)
        self.last = conv(16, 8)
        self.head = head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.last(x.view(-1, 16, 64).view(-1, 16, 8, 8)))


def test_a_width_written_into_forward_is_refused_with_its_line() -> None:
    """Found by running resized copies; pinning the layer that sets the width works."""
    with pytest.raises(TraceError, match=r"test_graph_rules\.py:\d+ .*x\.view\(-1, 16, 64\).*--pin 'stem'"):
        trace(HardCoded(), torch.zeros(1, 3, 8, 8))
    graph = assert_exact(HardCoded(), *IMAGE, pin="stem")
    assert graph.layout == (8,)
