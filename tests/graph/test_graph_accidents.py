"""Numbers that only happen to equal a width, a batch or a pixel count must not decide anything."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from graph_checks import Net, assert_exact, kept
from parlay.errors import TraceError
from parlay.graph import measure, trace

IMAGE = torch.zeros(1, 3, 8, 8)


def conv(i: int, o: int, **options: int) -> nn.Conv2d:
    return nn.Conv2d(i, o, 3, padding=1, **options)  # type: ignore[arg-type]


def head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


def literal_halves(net: Net, x: Tensor) -> Tensor:
    x = torch.relu(net.a(x))
    return net.head(net.b(torch.cat([x[:, :8], F.gelu(x[:, 8:])], 1)))


def pooled_channels(net: Net, x: Tensor) -> Tensor:
    x = torch.relu(net.a(x))
    y = torch.stack([F.max_pool1d(x.flatten(2).transpose(1, 2), 2)] * 4).mean((0, 2, 3))
    return net.head(x) * torch.sigmoid(y)[:, None]


def literal_padding(net: Net, x: Tensor) -> Tensor:
    return net.head(F.pad(net.a(x), (0, 0, 0, 0, 0, 8)).mean(1, keepdim=True).expand(-1, 4, -1, -1))


@pytest.mark.parametrize(
    "model",
    [
        Net(literal_halves, a=conv(3, 16), b=conv(16, 6), head=head(6)),
        Net(pooled_channels, a=conv(3, 8), head=head(8)),
        Net(literal_padding, a=conv(3, 8), head=head(4)),
    ],
    ids=["cut", "pool", "padding"],
)
def test_numbers_in_forward_never_give_a_wrong_prediction(model: nn.Module) -> None:
    """Whatever is kept free, is right; a width that a literal touches may be kept, or the model refused."""
    message = ""
    try:
        assert_exact(model, (3, 8, 8))
    except TraceError as error:
        message = str(error)
    assert message == "" or "no width is free" in message


def test_halves_of_a_width_count_as_channels() -> None:
    """A convolution that is cut in two has its own number of channels in the layout."""
    model = Net(lambda n, x: n.head(torch.cat(n.a(x).chunk(2, 1)[::-1], 1)), a=conv(3, 16), head=head(16))
    graph = trace(model, IMAGE)
    assert graph.layout == (16,)
    assert graph.space.groups[0].multiple_of == 2
    assert_exact(model, (3, 8, 8))


class GroupsOfFour(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 4, 3, 3) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, None, padding=1, groups=x.shape[1] // 4)


def test_groups_that_follow_a_width_are_found_out() -> None:
    """Shapes alone do not show it: groups are compared. The width they follow is kept, with the reason."""
    model = nn.Sequential(conv(3, 6), conv(6, 16), GroupsOfFour(), head(16))
    graph = trace(model, IMAGE)
    assert [group.name for group in graph.space.groups] == ["0"]
    assert graph.pinned == ("cut into groups (2: conv2d)",)
    for layout in graph.space.sample(6, 0):
        graph.build(layout)(torch.randn(2, 3, 8, 8))


class Queries(nn.Module):
    """Work that does not depend on the image, on as many rows as the traced batch has images."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(rows, 6))
        self.conv, self.queries, self.out = conv(3, 8), nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.conv(x).mean((2, 3)) + self.queries(self.table).mean(0))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_two_rows_are_no_batch(rows: int) -> None:
    """Multiply-adds of a part without a batch are counted in full."""
    graph = trace(Queries(rows), IMAGE)
    assert graph.macs(graph.layout) == measure(graph.model, [IMAGE]).macs
    assert graph.unchecked == ()


def positions(net: Net, x: Tensor) -> Tensor:
    """A map made for every image of the batch, and a cut by a number, so that numbers are taken as they are."""
    x = net.conv(x)
    x = torch.cat([x[:, :3], torch.sin(x[:, 3:])], 1)
    return net.head(x + net.embed(torch.ones(x.shape[0], 2, *x.shape[2:])))


def test_a_tensor_made_for_the_batch_is_counted_once_an_image() -> None:
    """Its first dimension is the batch, for it is added to activations; numbers elsewhere stay."""
    model = Net(positions, conv=conv(3, 8), embed=conv(2, 8), head=nn.Sequential(conv(8, 6), head(6)))
    graph = assert_exact(model, (3, 8, 8))
    assert graph.unchecked == ()
    assert [group.name for group in graph.space.groups] == ["head.0"]


class Loop(nn.Module):
    """Eight channels and eight steps: only the channels follow the width."""

    def __init__(self, width: int = 8, steps: int = 8) -> None:
        super().__init__()
        self.width, self.steps = width, steps
        self.conv, self.cheap, self.head = conv(3, width), conv(width, width, groups=width), head(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y = torch.cat([x, self.cheap(x)], 1)[:, : self.width]
        for _ in range(self.steps):
            y = y + torch.sin(y) / self.steps
        return self.head(y)


def test_only_numbers_that_must_follow_do() -> None:
    """The smallest set of attributes with which resized models run; they are named."""
    graph = trace(Loop(), IMAGE)
    assert graph.followed == ("width",)
    module = graph.build((5,))
    assert (module.width, module.steps) == (5, 8)


class Attention(nn.Module):
    def __init__(self, width: int = 24, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(b, n, c))


def tokens(net: Net, x: Tensor) -> Tensor:
    x = net.patches(x).flatten(2).transpose(1, 2)
    return net.out((x + net.attention(net.norm(x))).mean(1))


def test_attention_in_a_module_of_its_own() -> None:
    """Its width is that of what the module is given; heads keep it a multiple."""
    layers = {"patches": nn.Conv2d(3, 24, 4, 4), "norm": nn.LayerNorm(24), "attention": Attention()}
    graph = assert_exact(Net(tokens, **layers, out=nn.Linear(24, 5)), (3, 8, 8))
    assert [(group.multiple_of, group.multiplicity) for group in graph.space.groups] == [(12, 3)] or [
        group.multiple_of for group in graph.space.groups
    ] == [4]


def test_as_many_groups_as_channels_keep_the_width() -> None:
    """GroupNorm(8, 8) is built for eight channels."""
    graph = assert_exact(nn.Sequential(conv(3, 8), nn.GroupNorm(8, 8), conv(8, 6), head(6)), (3, 8, 8))
    assert [group.name for group in graph.space.groups] == ["2"]


def test_channel_attention_by_a_convolution_says_what_it_keeps() -> None:
    """ECA slides over the channels, which are pixels to it."""

    def slide(net: Net, x: Tensor) -> Tensor:
        y = F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(-1, -2)
        return x * net.slide(y).transpose(-1, -2).unsqueeze(-1).sigmoid().expand_as(x)

    slider = Net(slide, slide=nn.Conv1d(1, 1, 3, padding=1, bias=False))
    graph = assert_exact(nn.Sequential(conv(3, 8), slider, conv(8, 6), head(6)), (3, 8, 8))
    assert [group.name for group in graph.space.groups] == ["2"]
    assert any("taken for pixels" in reason for reason in graph.pinned)


def test_the_pin_that_is_named_helps() -> None:
    """An operator with weights of its own needs only the layers before it."""
    model = Net(
        lambda n, x: n.out(n.lstm(n.conv(x).flatten(2).transpose(1, 2))[0].mean(1)),
        conv=conv(3, 8),
        lstm=nn.LSTM(8, 6, batch_first=True),
        out=nn.Linear(6, 4),
        other=nn.Identity(),
    )
    with pytest.raises(TraceError, match=r"operator lstm.*--pin '1\.conv'") as caught:
        trace(nn.Sequential(conv(3, 3), model), IMAGE)
    graph = trace(nn.Sequential(conv(3, 3), model), IMAGE, pin=caught.value.pins)
    assert [group.name for group in graph.space.groups] == ["0"]
    normalised = nn.Sequential(parametrizations.spectral_norm(conv(3, 8)), head(8))
    with pytest.raises(TraceError, match=r"parametrization in module 0.*remove_parametrizations"):
        trace(normalised, IMAGE)


def test_grouped_transposed_convolutions_keep_weights() -> None:
    """Their weight holds the channels of one group."""
    model = nn.Sequential(conv(3, 8), nn.ConvTranspose2d(8, 12, 2, 2, groups=4), nn.ReLU(), head(12))
    graph = trace(model, IMAGE)
    x = torch.randn(2, 3, 8, 8)
    assert kept(graph, (4, 8))(x).shape == (2, 5)
    assert torch.equal(kept(graph, graph.layout).eval()(x), model.eval()(x))


def test_dead_channels_go_first_where_a_layer_reads_and_writes_one_width() -> None:
    """A square matrix in a residual: what it writes counts, not what it reads."""

    def mixed(net: Net, x: Tensor) -> Tensor:
        x = torch.relu(net.conv(x))
        return net.head(x + torch.relu((x.permute(0, 2, 3, 1) @ net.matrix.weight).permute(0, 3, 1, 2)))

    class Matrix(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 8))

    model = Net(mixed, conv=conv(3, 8), matrix=Matrix(), head=head(8))
    dead = [1, 3, 4, 6]
    with torch.no_grad():
        model.conv.weight[dead] = 0  # type: ignore[union-attr,index]
        model.conv.bias[dead] = 0  # type: ignore[union-attr,index]
        model.matrix.weight[:, dead] = 0  # type: ignore[union-attr,index]
    x = torch.randn(2, 3, 8, 8)
    small = kept(trace(model, IMAGE), (4,))
    assert torch.allclose(small(x), model(x), atol=1e-5)
