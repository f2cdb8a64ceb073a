"""The networks are what the families say, to the unit."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from parlay.errors import InputError
from parlay.families import Family, plain, resnet
from parlay.layout import Layout
from parlay.nets import Block, convolution


def random_cases() -> list[tuple[Family, Layout]]:
    """Both families over odd images, kernel sizes, channels, classes and widths in any order."""
    draw = random.Random(20170)
    cases: list[tuple[Family, Layout]] = []
    for _ in range(40):
        inputs = {
            "in_channels": draw.choice((1, 2, 3, 4)),
            "image": draw.choice((8, 9, 11, 13, 15, 17, 32)),
            "classes": draw.choice((2, 3, 10, 17)),
        }
        depth = draw.randint(1, 6)
        cases.append(
            (
                plain(depth, kernel_size=[draw.randint(1, 6) for _ in range(depth)], **inputs),
                tuple(draw.randint(1, 20) for _ in range(depth)),
            )
        )
        cases.append(
            (
                resnet(draw.choice((8, 14, 20)), kernel_size=[draw.randint(1, 5) for _ in range(4)], **inputs),
                tuple(draw.randint(1, 12) for _ in range(4)),
            )
        )
    return cases


def counted(model: nn.Module, family: Family) -> tuple[int, int, torch.Size]:
    """Parameters and multiply-adds of a module, by counting, and the shape of its logits."""
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        logits = model(torch.zeros(1, family.in_channels, family.image, family.image))
    return sum(p.numel() for p in model.parameters()), flops.get_total_flops() // 2, logits.shape


def test_parameters_and_multiply_adds_are_counted_to_the_unit():
    """Closed forms equal what torch counts, on random layouts of both families."""
    for family, layout in random_cases():
        params, macs, shape = counted(family.build(layout), family)
        assert (params, macs) == (family.params(layout), family.macs(layout)), (family, layout)
        assert shape == (1, family.classes)


@pytest.mark.parametrize("family", [plain(4), resnet(32)], ids=["plain", "resnet"])
def test_the_papers_networks(family: Family):
    """The networks of Tables 4 and 5 as modules: 4,288 and 51,248 kernels, counted in the convolutions."""
    layout, kernels = ((35, 36, 37, 43), 4288) if family.name == "plain" else ((16, 16, 32, 64), 51248)
    model = family.build(layout)
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d))
    assert weights == kernels * 9
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == (4 if family.name == "plain" else 31)
    assert all(m.bias is None for m in model.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(("side", "stride"), [(7, 1), (8, 1), (7, 2), (8, 2)])
def test_padding_keeps_the_side(kernel: int, side: int, stride: int):
    """Odd and even kernels give ceil(side / stride) pixels, and torch warns about nothing."""
    out = nn.Sequential(*convolution(2, 3, kernel, stride))(torch.zeros(1, 2, side, side))
    assert out.shape == (1, 3, -(-side // stride), -(-side // stride))


def test_even_kernels_pad_as_torch_does():
    """Our padding of an even kernel is that of torch's padding='same'."""
    pad, conv = convolution(2, 3, 4)
    assert isinstance(conv, nn.Conv2d)
    images = torch.randn(2, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="zero-padded copy"):
        theirs = nn.functional.conv2d(images, conv.weight, padding="same")
    assert torch.allclose(conv(pad(images)), theirs, atol=1e-6)


def test_shortcuts_pad_slice_and_stride_without_parameters():
    """Growing widths get zero channels behind, shrinking ones lose the last, a stride keeps every second pixel."""
    images = torch.arange(2 * 4 * 5 * 5, dtype=torch.float32).reshape(2, 4, 5, 5)
    wider = Block(4, 6, 3, 2).shortcut(images)
    assert wider.shape == (2, 6, 3, 3)
    assert torch.equal(wider[:, :4], images[:, :, ::2, ::2])
    assert not wider[:, 4:].any()
    assert torch.equal(Block(4, 3, 3, 1).shortcut(images), images[:, :3])
    assert torch.equal(Block(4, 4, 3, 1).shortcut(images), images)


def test_initial_weights_come_from_the_seed_alone():
    """One seed gives one network, another gives another, and torch's own generator is left as it was."""
    family = plain(3, image=8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, third = (family.build((2, 3, 4), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    pairs = list(zip(first.parameters(), second.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    weights = [next(net.parameters()) for net in (first, third)]
    assert not torch.equal(*weights)


def test_a_layout_that_does_not_fit_is_refused():
    """Wrong length or a width of 0 is one clear error."""
    with pytest.raises(InputError, match="3 widths for 4 groups"):
        plain(4).build((1, 2, 3))
    with pytest.raises(InputError, match="width 0 of conv1 is not allowed"):
        plain(2).build((0, 3))
