"""Operators without a rule: their multiply-adds are those of a run at today's widths, or said to be missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d

from graph_checks import Net
from parlay.errors import TraceError
from parlay.graph import count_macs, trace
from parlay.retrofit import Limits, retrofit

STEM = 27 * 12 * 64 + 12 * 9 * 20 * 16  # two convolutions of stride 2 on 16 x 16: 12 x 8 x 8 and 20 x 4 x 4
HEAD = 20 * 5


def net(forward: Callable[..., Tensor], **layers: nn.Module | nn.Parameter) -> Net:
    parts = {"a": nn.Conv2d(3, 12, 3, 2, 1), "b": nn.Conv2d(12, 20, 3, 2, 1), "out": nn.Linear(20, 5)}
    made = Net(forward, **{**parts, **{n: layer for n, layer in layers.items() if isinstance(layer, nn.Module)}})
    for name, layer in layers.items():
        if isinstance(layer, nn.Parameter):
            setattr(made, name, layer)
    return made


def stem(m: Net, x: Tensor) -> Tensor:
    return m.b(m.a(x).relu()).relu()


def sequence(m: Net, x: Tensor) -> Tensor:
    """16 steps of 20 channels."""
    return stem(m, x).flatten(2).transpose(1, 2)


def deformed(m: Net, x: Tensor) -> Tensor:
    x = stem(m, x)
    return m.out(m.deform(x, m.offsets(x)).mean((2, 3)))


def matrix(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) * 0.1)


@torch.library.custom_op("parlaytest::mix", mutates_args=())
def mix(x: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("bchw,dc->bdhw", x, weight)


@mix.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0], *x.shape[2:])


COUNTED: dict[str, tuple[Net, int]] = {
    "deform_conv2d": (
        net(
            deformed,
            offsets=nn.Conv2d(20, 18, 3, padding=1),
            deform=DeformConv2d(20, 20, 3, padding=1),
        ),
        STEM + 20 * 9 * 18 * 16 + 20 * 9 * 20 * 16,
    ),
    "bilinear": (
        net(lambda m, x: m.out(m.both(stem(m, x).mean((2, 3)), m.a(x).mean((2, 3)))), both=nn.Bilinear(20, 12, 20)),
        STEM + 27 * 12 * 64 + 20 * (20 * 12 + 12),
    ),
    "gru": (
        net(lambda m, x: m.out(m.cell(sequence(m, x))[0].mean(1)), cell=nn.GRU(20, 20, batch_first=True)),
        STEM + 16 * 3 * 20 * (20 + 20),
    ),
    "lstm": (
        net(lambda m, x: m.out(m.cell(sequence(m, x))[0].mean(1)), cell=nn.LSTM(20, 20, batch_first=True)),
        STEM + 16 * 4 * 20 * (20 + 20),
    ),
    "tensordot": (
        net(lambda m, x: m.out(torch.tensordot(stem(m, x).mean((2, 3)), m.w, 1)), w=matrix(20, 20)),
        STEM + 20 * 20,
    ),
    "einsum": (
        net(lambda m, x: m.out(torch.einsum("bc...,cd->bd...", stem(m, x), m.w).mean((2, 3))), w=matrix(20, 20)),
        STEM + 20 * 20 * 16,
    ),
    "erfinv": (net(lambda m, x: m.out(torch.erfinv(stem(m, x)).mean((2, 3)))), STEM),
}
UNCOUNTED = {
    "parlaytest.mix": net(lambda m, x: m.out(torch.ops.parlaytest.mix(stem(m, x), m.w).mean((2, 3))), w=matrix(20, 20)),
    "fft_fft2": net(lambda m, x: m.out(torch.fft.fft2(stem(m, x)).abs().mean((2, 3)))),
}
BEFORE = ["a", "b", "offsets"]


def pins(model: Net) -> list[str]:
    return [name for name in BEFORE if hasattr(model, name)]


@pytest.mark.parametrize("name", COUNTED)
def test_an_operator_without_a_rule_counts_as_in_a_run(name: str) -> None:
    """With the widths before it pinned, its multiply-adds are a constant, and the answer names the operator."""
    model, macs = COUNTED[name]
    rest = net(lambda m, x: m.last(F.relu(m.more(m.model(x)))), model=model, more=nn.Linear(5, 8), last=nn.Linear(8, 3))
    graph = trace(rest, torch.zeros(1, 3, 16, 16), pin=[f"model.{pin}" for pin in pins(model)])
    assert graph.macs(graph.layout) == macs + HEAD + 5 * 8 + 8 * 3
    named = [note for note in graph.unchecked if name in note]
    assert bool(named) is (name != "erfinv")  # element by element: there is nothing to count
    wider = tuple(width + 1 for width in graph.layout)
    assert count_macs(graph.build(wider), [torch.zeros(1, 3, 16, 16)]) <= graph.macs(wider)


@pytest.mark.parametrize("name", UNCOUNTED)
def test_what_nobody_counts_is_named(name: str) -> None:
    """An operator that torch has no formula for is said to be missing, by its name."""
    model = UNCOUNTED[name]
    rest = net(lambda m, x: m.last(F.relu(m.more(m.model(x)))), model=model, more=nn.Linear(5, 8), last=nn.Linear(8, 3))
    graph = trace(rest, torch.zeros(1, 3, 16, 16), pin=["model.a", "model.b"])
    [note] = graph.unchecked
    assert name in note
    assert "cannot count" in note


def test_a_limit_on_multiply_adds_covers_operators_without_a_rule() -> None:
    """The layout that retrofit finds keeps the limit with them, as a count of the built network has it."""
    model, macs = COUNTED["deform_conv2d"]
    rest = net(
        lambda m, x: m.last(F.relu(m.more(m.model(x)))), model=model, more=nn.Linear(5, 80), last=nn.Linear(80, 3)
    )
    graph = trace(rest, torch.zeros(1, 3, 16, 16), pin=["model.*"])
    found = retrofit(graph, Limits(max_macs=str(macs + HEAD + 8 * 50)))
    assert found.layout == (50,)
    assert count_macs(graph.build(found.layout), [torch.zeros(1, 3, 16, 16)]) == macs + HEAD + 8 * 50


def test_a_form_that_a_rule_does_not_cover_can_be_pinned() -> None:
    """The refusal names layers, and with them pinned the network is traced."""
    model, macs = COUNTED["einsum"]
    with pytest.raises(TraceError, match="einsum") as caught:
        trace(model, torch.zeros(1, 3, 16, 16))
    assert caught.value.pins == ("b",)
    graph = trace(model, torch.zeros(1, 3, 16, 16), pin=caught.value.pins)
    assert [group.name for group in graph.space.groups] == ["a"]
    assert graph.macs(graph.layout) == macs + HEAD
