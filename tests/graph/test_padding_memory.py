"""Padding costs memory unless the layers that read it make it up."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from torch import Tensor, nn
from torch.nn import functional as F

from graph_checks import Net, assert_exact

SMALL, PADDED, AFTER = 6 * 8 * 8, 6 * 12 * 12, 4 * 8 * 8  # elements before the pad, with it, and behind the layer

FREE: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "zeros": lambda m, x: m.read(F.pad(x, [2] * 4)),
    "zeros by a module": lambda m, x: m.read(nn.ZeroPad2d(2)(x)),
    "a constant that is zero": lambda m, x: m.read(F.pad(x, [2] * 4, value=0.0)),
}
WRITTEN: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "reflect": lambda m, x: m.read(F.pad(x, [2] * 4, mode="reflect")),
    "replicate": lambda m, x: m.read(F.pad(x, [2] * 4, mode="replicate")),
    "ones": lambda m, x: m.read(F.pad(x, [2] * 4, value=1.0)),
    "-inf before a convolution": lambda m, x: m.read(F.pad(x, [2] * 4, value=-1e9)),
    "zeros that a sum reads too": lambda m, x: m.read(y := F.pad(x, [2] * 4)) + y.mean(),
    "zeros around a norm": lambda m, x: m.read(m.norm(F.pad(x, [2] * 4))),
    "zeros around zeros": lambda m, x: m.read(F.pad(F.pad(x, [1, 1, 1, 1]).relu(), [1] * 4)),
}


def net(middle: Callable[[Net, Tensor], Tensor]) -> Net:
    return Net(
        lambda m, x: m.head(middle(m, m.first(x).relu()).mean((2, 3))),
        first=nn.Conv2d(1, 6, 3, padding=1),
        norm=nn.BatchNorm2d(6),
        read=nn.Conv2d(6, 4, 5),
        head=nn.Linear(4, 3),
    )


@pytest.mark.parametrize("name", FREE)
def test_zeros_that_a_convolution_reads_are_free(name: str) -> None:
    """The peak is what the convolution reads without the padding and what it writes."""
    graph = assert_exact(net(FREE[name]), (1, 8, 8))
    assert graph.peak_activation_bytes()(graph.layout) == SMALL + AFTER
    assert graph.unchecked == ()


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "zeros around zeros"])
def test_other_padding_is_written_out(name: str) -> None:
    """The padded map lives beside what the convolution writes, in the prediction and in the run."""
    graph = assert_exact(net(WRITTEN[name]), (1, 8, 8))
    assert graph.peak_activation_bytes()(graph.layout) == PADDED + AFTER
    assert graph.unchecked == ()


def test_padding_between_other_operators_is_written_out() -> None:
    """The inner of two pads is read by an activation; the outer one is the convolution's."""
    graph = assert_exact(net(WRITTEN["zeros around zeros"]), (1, 8, 8))
    assert graph.peak_activation_bytes()(graph.layout) == 6 * 10 * 10 + AFTER


def test_a_padding_of_a_convolution_by_its_mode() -> None:
    """nn.Conv2d(padding_mode=...) pads by itself, and as much."""
    for mode, middle in (("zeros", SMALL), ("reflect", PADDED), ("replicate", PADDED)):
        model = net(lambda m, x: m.read(x))
        model.read = nn.Conv2d(6, 4, 5, padding=2, padding_mode=mode)
        graph = assert_exact(model, (1, 8, 8))
        assert graph.peak_activation_bytes()(graph.layout) == middle + AFTER


def test_a_maximum_makes_up_what_is_never_largest() -> None:
    """Minus infinity around the pixels of a max pooling is free, as TensorFlow's padding of poolings is built."""
    pool = net(lambda m, x: m.read(F.max_pool2d(F.pad(x, [2] * 4, value=-math.inf), 5, 1)))
    pool.read = nn.Conv2d(6, 4, 1)
    graph = assert_exact(pool, (1, 8, 8))
    assert graph.peak_activation_bytes()(graph.layout) == SMALL + AFTER


def test_one_dimension_and_three() -> None:
    """Signals and volumes are padded alike."""
    for rank, layer in ((1, nn.Conv1d), (3, nn.Conv3d)):
        sizes = {}
        for mode in ("constant", "replicate"):
            model = Net(
                lambda m, x, mode=mode, rank=rank: m.head(
                    m.read(F.pad(m.first(x), [2] * 2 * rank, mode=mode)).flatten(2).mean(2)
                ),
                first=layer(1, 6, 3, padding=1),
                read=layer(6, 4, 5),
                head=nn.Linear(4, 3),
            )
            graph = assert_exact(model, (1, *[8] * rank))
            sizes[mode] = graph.peak_activation_bytes()(graph.layout)
        assert sizes == {"constant": 10 * 8**rank, "replicate": 6 * 12**rank + 4 * 8**rank}


def test_a_padded_output_exists() -> None:
    """What a network returns is there in full, padding included."""
    model = Net(
        lambda m, x: F.pad(m.b(m.a(x).relu()), [3] * 4),
        a=nn.Conv2d(1, 6, 3, padding=1),
        b=nn.Conv2d(6, 4, 3, padding=1),
    )
    graph = assert_exact(model, (1, 8, 8))
    assert graph.peak_activation_bytes()(graph.layout) == 4 * 14 * 14
