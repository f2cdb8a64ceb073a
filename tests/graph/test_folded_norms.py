"""Flash: a batch norm is folded into a layer that is stored once, or it stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph_checks import Net
from parlay.graph import trace


def conv(i: int, o: int, k: int = 3, **options: bool) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, padding=k // 2, bias=False, **options)  # pyright: ignore[reportArgumentType]


def norm(width: int = 8, **options: bool) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, **options)


def net(forward: Callable[..., Tensor], **layers: nn.Module) -> Net:
    return Net(forward, **{"stem": conv(3, 8), "shared": conv(8, 8), "head": nn.Linear(8, 5), **layers})


def head(m: Net, x: Tensor) -> Tensor:
    return m.head(x.mean((2, 3)))


def twice(m: Net, x: Tensor) -> Tensor:
    x = m.stem(x)
    return head(m, F.relu(m.second(m.shared(F.relu(m.first(m.shared(x)))))))


def tied(first: nn.Module, second: nn.Module) -> Net:
    made = net(
        lambda m, x: head(m, m.second(m.other(F.relu(m.first(m.shared(m.stem(x))))))),
        other=conv(8, 8),
        first=first,
        second=second,
    )
    made.other.weight = made.shared.weight
    return made


W = 27 * 8 + 9 * 8 * 8 + 8 * 5
ONE = norm()
CASES: dict[str, tuple[Net, int]] = {
    "one norm behind one call": (net(lambda m, x: head(m, m.bn(m.shared(m.stem(x)))), bn=norm()), 8),
    "the same norm behind both calls": (net(lambda m, x: twice(m, x), first=ONE, second=ONE), 8),
    "two norms behind two calls": (net(lambda m, x: twice(m, x), first=norm(), second=norm()), 2 * 16),
    "a norm behind one call of two": (
        net(lambda m, x: twice(m, x), first=norm(), second=nn.Identity()),
        16,
    ),
    "one weight in two layers, two norms": (tied(norm(), norm()), 2 * 16),
    "norms without scale and shift": (
        net(lambda m, x: twice(m, x), first=norm(affine=False), second=norm(affine=False)),
        2 * 16,
    ),
    "a norm that is called twice and folds into nothing": (
        net(lambda m, x: head(m, m.bn(F.relu(m.bn(F.relu(m.shared(m.stem(x))))))), bn=norm()),
        16,
    ),
    "a norm by the image's own statistics": (
        net(lambda m, x: head(m, m.bn(m.shared(m.stem(x)))), bn=norm(track_running_stats=False)),
        16,
    ),
    "a norm of something else than the layer writes": (
        net(
            lambda m, x: m.head(m.bn(m.mix(m.shared(m.stem(x)).flatten(2).transpose(1, 2))).mean(1)),
            mix=nn.Linear(8, 8, bias=False),
            bn=nn.BatchNorm1d(16),
        ),
        2 * 16,
    ),
}
MORE_WEIGHTS = {"a norm of something else than the layer writes": 64}


@pytest.mark.parametrize("name", CASES)
def test_a_norm_folds_only_where_a_layer_is_stored_once(name: str) -> None:
    """W + 4 B by hand: 5 biases of the head, 8 of a layer that takes up a norm, 2 numbers a channel where it stays."""
    model, numbers = CASES[name]
    graph = trace(model, torch.zeros(1, 3, 4, 4))
    assert graph.flash_bytes("int8")(graph.layout) == W + MORE_WEIGHTS.get(name, 0) + 4 * (5 + numbers)
    wider = tuple(2 * width for width in graph.layout)
    counted = trace(graph.build(wider), torch.zeros(1, 3, 4, 4))
    assert graph.flash_bytes("int8")(wider) == counted.flash_bytes("int8")(wider)


def test_a_head_shared_by_levels_keeps_the_norms_of_each() -> None:
    """What is predicted is at least what the int8 file of the network stores."""
    from parlay.compare.quantise import export_float, quantised, stored_bytes

    def levels(m: Net, x: Tensor) -> Tensor:
        x, total = m.stem(x), torch.zeros(())
        for one in (m.first, m.second):
            total = total + F.relu(one(m.shared(x))).mean((2, 3))
            x = F.max_pool2d(x, 2)
        return m.head(total)

    torch.manual_seed(0)
    model = net(levels, first=norm(), second=norm())
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.randn(8, 3, 16, 16))
    graph = trace(model, torch.zeros(1, 3, 16, 16))
    images = torch.randn(100, 3, 16, 16).numpy()
    stored = stored_bytes(quantised(export_float(model, (3, 16, 16)), images))
    assert W + 4 * (5 + 2 * 16) == graph.flash_bytes("int8")(graph.layout) >= stored
