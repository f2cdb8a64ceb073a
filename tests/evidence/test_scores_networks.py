"""Scores of built networks: values worked out by hand, invariants, and that the network stays as it was."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from parlay import InputError, plain, resnet
from parlay.data import load
from parlay.evidence.networks import (
    NETWORK_SCORES,
    Batch,
    batch_of,
    classes_of,
    grad_norm,
    naswot,
    network_score,
    switching_kernel,
    synflow,
)
from parlay.evidence.scores import applicable, score
from parlay.graph import trace


def two_layers(*, norm: bool = False, bias: tuple[float, float] | None = None) -> nn.Module:
    """One pixel, w1 = (2, -1), ReLU, w2 = ((1, -3), (2, 4)), two logits."""
    first, second = nn.Conv2d(1, 2, 1, bias=bias is not None), nn.Conv2d(2, 2, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([2.0, -1.0])[:, None, None, None])
        second.weight.copy_(torch.tensor([[1.0, -3.0], [2.0, 4.0]])[:, :, None, None])
        if first.bias is not None:
            first.bias.copy_(torch.tensor(bias))
    between = [nn.BatchNorm2d(2)] if norm else []
    return nn.Sequential(first, *between, nn.ReLU(inplace=True), second, nn.Flatten())


def pixels(*values: float, labels: tuple[int, ...] | None = None) -> Batch:
    """Images of one pixel."""
    images = torch.tensor(values)[:, None, None, None]
    return Batch(images=images, labels=torch.tensor(labels or (0,) * len(values)), source="by hand")


def test_synflow_by_hand() -> None:
    """Absolute weights send 1 to (2, 1), then to (2 + 3, 4 + 4): R = 13, and both layers carry all of it."""
    assert synflow(two_layers(), (1, 1, 1)) == pytest.approx(26, rel=1e-14)


def test_synflow_takes_absolute_biases_and_leaves_norms_out() -> None:
    """Biases (-1, 0): hidden (3, 1), R = 6 + 10 = 16; w2 carries 16, w1 2 x 3 + 1 x 7 = 13. A norm changes nothing."""
    assert synflow(two_layers(bias=(-1.0, 0.0)), (1, 1, 1)) == pytest.approx(29, rel=1e-14)
    assert synflow(two_layers(norm=True), (1, 1, 1)) == pytest.approx(26, rel=1e-14)


def test_grad_norm_by_hand() -> None:
    """One pixel of 1, label 0: hidden (2, 0), logits (2, 4), q = e^4 / (e^2 + e^4).

    By logits (-q, q); by w2 ((-2q, 0), (2q, 0)), norm 2 sqrt(2) q; by hidden (q, 7q), of which ReLU passes the first,
    so by w1 (q, 0), norm q.
    """
    q = 1 / (1 + math.exp(-2))
    assert grad_norm(two_layers(), pixels(1.0)) == pytest.approx(q * (1 + 2 * math.sqrt(2)), rel=1e-6)


def test_naswot_by_hand() -> None:
    """w = (2, -1), bias (0, 3): 1 has the code (1, 1), -1 and -4 have (0, 1): K of the first two is ((2, 1), (1, 2)).

    Its determinant is 3; the last two images switch alike, so that with all three it is 0.
    """
    net = two_layers(bias=(0.0, 3.0))
    assert naswot(net, pixels(1.0, -1.0)) == pytest.approx(math.log(3), rel=1e-12)
    assert naswot(net, pixels(1.0, -1.0, -4.0)) == -math.inf


def test_naswots_kernel_is_symmetric_and_counts_units() -> None:
    """K = K^T, every unit agrees with itself on the diagonal: 4 x 4 x 4 + 6 x 2 x 2 ReLUs, which stand
    behind the pooling; nothing off it is larger."""
    family = plain(2, image=8)
    batch = batch_of(None, image=(3, 8, 8), classes=10, size=6)
    kernel = switching_kernel(family.build((4, 6), seed=0), batch)
    assert torch.equal(kernel, kernel.T)
    assert kernel.diagonal().tolist() == [4 * 16 + 6 * 4] * 6
    assert kernel.max() == kernel[0, 0]
    assert torch.linalg.eigvalsh(kernel).min() > -1e-9  # a sum of Gram matrices


class FunctionalReLU(nn.Module):
    """The same ReLUs as functions."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, images: Tensor) -> Tensor:
        return self.second(functional.relu(self.first(images))).flatten(1)


def test_relus_count_as_modules_and_as_functions() -> None:
    """NASWOT sees operators, not modules; ReLU6 counts too, a tanh or hardtanh does not."""
    net = two_layers(bias=(0.0, 3.0))
    assert isinstance(net, nn.Sequential)
    assert naswot(FunctionalReLU(net[0], net[2]), pixels(1.0, -1.0)) == naswot(net, pixels(1.0, -1.0))
    assert naswot(nn.Sequential(net[0], nn.ReLU6(), net[2]), pixels(1.0, -1.0)) == pytest.approx(math.log(3))
    for other in (nn.Tanh(), nn.Hardtanh()):
        with pytest.raises(InputError, match="without ReLU"):
            naswot(nn.Sequential(net[0], other, net[2]), pixels(1.0, -1.0))


def test_synflow_is_conserved_and_positive() -> None:
    """Without biases every layer carries the whole flow: the score is the number of layers times R."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, bias=False),
        nn.ReLU(), nn.Flatten(), nn.Linear(20, 3, bias=False),
    )  # fmt: skip
    absolute = copy.deepcopy(net).double()
    with torch.no_grad():
        for parameter in absolute.parameters():
            parameter.abs_()
        flow = float(absolute(torch.ones(1, 3, 8, 8, dtype=torch.float64)[:, :, :8, :8]).sum())
    assert flow > 0
    assert synflow(net, (3, 8, 8)) == pytest.approx(3 * flow, rel=1e-12)


@pytest.mark.parametrize("name", NETWORK_SCORES)
def test_the_network_stays_as_it_was(name: str) -> None:
    """Weights, statistics, gradients, modes and torch's generator are the same afterwards; so is a second value."""
    model = resnet(8, image=8).build((3, 4, 5, 6), seed=0)
    model.features[1].eval()
    before = copy.deepcopy(model.state_dict())
    modes, generator = [module.training for module in model.modules()], torch.get_rng_state()
    batch = batch_of(None, image=(3, 8, 8), classes=10, size=4)
    values = {NETWORK_SCORES[name](model, batch, 0) for _ in range(2)}
    assert len(values) == 1
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("name", NETWORK_SCORES)
def test_scores_are_drawn_from_the_seed(name: str) -> None:
    """The same seed gives the same value, another one another value."""
    family = plain(3, image=8)
    values = [score(name, family, (4, 6, 8), batch_size=4, seed=seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert all(math.isfinite(value) for value in values)


def test_batches_are_training_images_or_noise() -> None:
    """Real images come normalised, from the training set, with their labels; the batch says what it is."""
    digits = load("digits")
    batch = batch_of(digits, image=(1, 8, 8), classes=10, size=500)
    assert batch.source == "digits"
    assert abs(float(batch.images.mean())) < 0.1
    assert 0.9 < float(batch.images.std()) < 1.1
    assert set(batch.labels.tolist()) <= set(range(10))
    assert torch.equal(batch.images, batch_of(digits, image=(1, 8, 8), classes=10, size=500).images)
    with pytest.raises(InputError, match="as the network reads them"):
        batch_of(digits, image=(3, 8, 8), classes=10)
    with pytest.raises(InputError, match="at most 5 classes"):
        batch_of(digits, image=(1, 8, 8), classes=5)


def test_networks_that_give_no_logits_are_refused() -> None:
    """Feature maps are no logits."""
    with pytest.raises(InputError, match="one tensor of logits"):
        classes_of(nn.Conv2d(3, 4, 1), (3, 2, 2))


def test_scores_of_a_traced_model() -> None:
    """A traced torchvision model has every score, at today's layout and at another one, real amounts included."""
    model = torchvision.models.resnet18(weights=None, num_classes=7)
    graph = trace(model, torch.zeros(1, 3, 32, 32), check=False)
    today, halved = graph.layout, tuple(width // 8 for width in graph.layout)
    names = applicable(graph)
    assert set(NETWORK_SCORES) | {"entropy", "pair-harmonic", "peak-memory"} <= set(names)
    assert score("params", graph, today) == sum(parameter.numel() for parameter in model.parameters())
    assert len(graph.convolution_shapes) == 20  # 17, and three projections
    values = {name: network_score(name, graph, halved, batch_size=4) for name in NETWORK_SCORES}
    assert all(math.isfinite(value) for value in values.values())
    assert values["synflow"] > 0
    assert score("sum-log", graph, today) - score("sum-log", graph, halved) == pytest.approx(20 * math.log(8))


def test_entropy_of_a_trace_is_that_of_the_family() -> None:
    """The traced network has the same convolutions at the same resolutions as the closed form."""
    family, layout = resnet(8, image=16), (3, 4, 5, 6)
    traced = trace(family.build(layout), torch.zeros(1, 3, 16, 16), check=False)
    assert score("entropy", traced, traced.layout) == pytest.approx(score("entropy", family, layout), rel=1e-12)


class Gated(nn.Module):
    """Convolution, squeeze-and-excitation gate, convolution."""

    def __init__(self, *, gated: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)
        self.squeeze = nn.Conv2d(8, 8, 1) if gated else None
        self.classifier = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.first(images))
        if self.squeeze is not None:
            x = x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.classifier(functional.relu(self.second(x)).mean((2, 3)))


def test_entropy_leaves_gates_out() -> None:
    """A gate works on one pixel between larger maps; with or without it the entropy is that of the trunk."""
    example = torch.zeros(1, 3, 8, 8)
    with_gate, without = (trace(Gated(gated=gated), example, check=False) for gated in (True, False))
    assert score("entropy", with_gate, with_gate.layout) == pytest.approx(
        score("entropy", without, without.layout), rel=1e-12
    )
    assert len(with_gate.convolution_shapes) == 3
