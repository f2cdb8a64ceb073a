"""The paper's families in closed form."""

import pytest

from parlay import InputError, plain, resnet
from parlay.layout import Layout


@pytest.mark.parametrize(
    ("layout", "macs"), [((35, 36, 37, 43), 4.87e6), ((8, 14, 24, 159), 1.22e6), ((8, 16, 44, 78), 1.42e6)]
)
def test_plain_macs_of_facts(layout: Layout, macs: float) -> None:
    """Equal weights, four times the multiply-adds: the confound of the paper's figures."""
    family = plain(depth=4)
    assert family.weights(layout) == 38_592
    assert family.kernels(layout) == 4_288
    assert family.macs(layout) == pytest.approx(macs, rel=4e-3)


def test_resnet_32_of_he_et_al() -> None:
    """(16,16,32,64) has 51,248 kernels and the 464,154 parameters of ResNet-32 with parameter-free shortcuts."""
    family = resnet()
    assert family.kernels((16, 16, 32, 64)) == 51_248
    assert family.params((16, 16, 32, 64)) == 464_154


@pytest.mark.parametrize(
    ("layout", "peak"), [((35, 36, 37, 43), 38 * 1024), ((8, 16, 44, 78), 11 * 1024), ((132, 14, 146), 135 * 1024)]
)
def test_peak_memory_is_input_plus_output_of_the_widest_layer(layout: Layout, peak: int) -> None:
    """int8 figures of the first look at the data; four times as much in float32."""
    family = plain(depth=len(layout))
    assert family.peak_activation_bytes()(layout) == peak
    assert family.peak_activation_bytes("float32")(layout) == 4 * peak


def test_resnet_peak_holds_the_shortcut() -> None:
    """In the second convolution of a block three maps are live."""
    assert resnet(depth=14).peak_activation_bytes()((16, 16, 32, 64)) == 3 * 16 * 32 * 32


def test_kernel_sizes_that_differ() -> None:
    """Weights follow Eq. 1 layer by layer; kernels lose their meaning and say so."""
    family = plain(depth=3, kernel_size=(5, 3, 1), in_channels=2)
    assert family.weights((4, 5, 6)) == 25 * 2 * 4 + 9 * 4 * 5 + 5 * 6
    with pytest.raises(InputError, match="--weights"):
        _ = family.kernels


def test_space_of_the_paper() -> None:
    """A unit of ten layers is one group of multiplicity ten; in a problem order is increasing unless said otherwise."""
    space = resnet().problem(kernels=51_248).space
    assert [group.multiplicity for group in space.groups] == [1, 10, 10, 10]
    assert (16, 17, 32, 64) in space
    assert (16, 16, 32, 64) not in space
    assert sum(link.count for link in space.connections) == 31
    assert (16, 16, 32, 64) in resnet().space


@pytest.mark.parametrize(("make", "match"), [
    (lambda: plain(depth=0), "depth"),
    (lambda: plain(depth=10**9), "depth"),
    (lambda: plain(depth=True), "depth"),
    (lambda: resnet(depth=33), r"6n \+ 2"),
    (lambda: resnet(depth=2), r"6n \+ 2"),
    (lambda: plain(depth=4, kernel_size=(3, 3)), "one for all or 4"),
    (lambda: plain(depth=4, kernel_size=0), "kernel size"),
    (lambda: plain(depth=4, kernel_size=99), "at most 65 on images of side 32"),
    (lambda: resnet(kernel_size=(3, 3, 3, 67)), "at most 65 on images of side 32"),
    (lambda: plain(depth=4, image=7), "image side"),
    (lambda: plain(depth=4, in_channels=0), "in-channels"),
    (lambda: plain(depth=4, classes=-1), "classes"),
    (lambda: plain(depth=4).problem(), "exactly one of"),
    (lambda: plain(depth=4).problem(kernels=5, weights=45), "exactly one of"),
    (lambda: plain(depth=4).problem(kernels=0), "kernels"),
    (lambda: plain(depth=4).problem(kernels=10**30), "kernels"),
    (lambda: plain(depth=4).problem(kernels=4288, order="up"), "order"),
    (lambda: plain(depth=4).problem(kernels=4288, max_step=0.5), "max step"),
    (lambda: plain(depth=4).problem(kernels=4288, min_width=9, max_width=8), "largest width"),
    (lambda: plain(depth=4).problem(kernels=4288, score="best"), "score"),
    (lambda: plain(depth=4).check((1, 2, 3)), "3 widths for 4 groups"),
    (lambda: plain(depth=4).peak_activation_bytes("int3"), "dtype"),
])  # fmt: skip
def test_bad_input_gets_one_line(make: object, match: str) -> None:
    """Every bad value is met when it is given, with what is allowed."""
    with pytest.raises(InputError, match=match) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "allowed" in str(caught.value)
