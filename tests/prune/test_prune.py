"""What pruning keeps: importance against derivatives by hand, the search against brute force, lengths and moments."""

# ruff: noqa: E402

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn

from parlay.cli.prune import KINDS
from parlay.data import Dataset, load
from parlay.errors import InputError
from parlay.graph import WidthGraph, trace
from parlay.graph.lengths import ORDINARY, bring_to_length
from parlay.graph.slicing import norms
from parlay.prune import IMPORTANCES, OBJECTIVES, measure_importance, prune
from parlay.prune.importance import BATCH
from parlay.prune.objective import objective
from parlay.prune.solve_prune import prune_or_conflict
from parlay.retrofit import Limits
from parlay.train.inputs import Inputs
from parlay.train.norms import reestimate_norms


class Residual(nn.Module):
    """A stream that two layers write and two read, and an inner width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.inner_norm = nn.Conv2d(6, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.back, self.head = nn.Conv2d(5, 6, 1), nn.Linear(6, 10)
        self.gates: list[Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        stream = torch.relu(self.norm(self.stem(x)))
        inner = torch.relu(self.inner_norm(self.inner(self.gated(0, stream))))
        return self.head(
            self.gated(0, (stream + self.back(self.gated(1, inner))).mean((2, 3), keepdim=True)).flatten(1)
        )

    def gated(self, g: int, read: Tensor) -> Tensor:
        """What is read, through gates where there are some."""
        return read if self.gates is None else read * self.gates[g].reshape(-1, 1, 1)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").with_validation(89)


@pytest.fixture(scope="module")
def graph() -> WidthGraph:
    torch.manual_seed(3)
    model = Residual()
    for part in (model.norm, model.inner_norm):
        nn.init.uniform_(part.weight, 0.5, 1.5)
        nn.init.normal_(part.running_mean, std=0.3)  # type: ignore[arg-type]
    return trace(model.eval(), torch.zeros(1, 1, 8, 8))


def loss_of_first(graph: WidthGraph, data: Dataset) -> Tensor:
    """The mean loss of the images that importance is measured on when it may look at one batch."""
    order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(0))[:BATCH]
    logits = Inputs.of(data, device="cpu").logits(graph.model, data.train_images[order])
    return nn.functional.cross_entropy(logits, data.train_labels[order])


def test_fisher_is_the_squared_derivative_of_a_gate_on_all_that_is_read(graph: WidthGraph, data: Dataset) -> None:
    """Half of it, times the batch: of a stream that several layers read, by one gate on all of them."""
    model = graph.model
    assert isinstance(model, Residual)
    model.gates = [torch.ones(6, requires_grad=True), torch.ones(5, requires_grad=True)]
    derivatives = torch.autograd.grad(loss_of_first(graph, data), model.gates)
    model.gates = None
    found = measure_importance(graph, data, "fisher", images=BATCH)
    for values, derivative in zip(found, derivatives, strict=True):
        assert torch.allclose(values, 0.5 * BATCH * derivative.double().square(), rtol=1e-3)


def test_taylor_counts_writers_norms_and_readers(graph: WidthGraph, data: Dataset) -> None:
    """abs(w g) of every weight that holds a channel, whichever dimension it is in."""
    named = dict(graph.model.named_parameters())
    gradients = torch.autograd.grad(loss_of_first(graph, data), list(named.values()))
    each = {name: (p * g).detach().double() for (name, p), g in zip(named.items(), gradients, strict=True)}

    def rows(*names: str) -> Tensor:
        return sum(each[name].abs().flatten(1).sum(1) if each[name].ndim > 1 else each[name].abs() for name in names)  # type: ignore[return-value]

    def columns(*names: str) -> Tensor:
        return sum(each[name].abs().transpose(0, 1).flatten(1).sum(1) for name in names)  # type: ignore[return-value]

    stream, inner = measure_importance(graph, data, "taylor", images=BATCH)
    written = rows("stem.weight", "stem.bias", "norm.weight", "norm.bias", "back.weight", "back.bias")
    assert torch.allclose(stream, written + columns("inner.weight", "head.weight"), rtol=1e-3)
    passed = rows("inner.weight", "inner_norm.weight", "inner_norm.bias") + columns("back.weight")
    assert torch.allclose(inner, passed, rtol=1e-3)


def test_scales_are_those_of_the_norms_and_each_group_needs_one(graph: WidthGraph, data: Dataset) -> None:
    """The mean of abs of the scales; a group without a norm is named with the way out."""
    stream, inner = measure_importance(graph, data, "bn-scale")
    assert torch.equal(stream, graph.model.norm.weight.detach().abs().double())  # type: ignore[union-attr]
    assert torch.equal(inner, graph.model.inner_norm.weight.detach().abs().double())  # type: ignore[union-attr]
    without = trace(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10)), torch.zeros(1, 1, 8, 8))
    with pytest.raises(InputError, match=r"importance bn-scale of 0: got no batch norm.*--importance taylor"):
        measure_importance(without, data, "bn-scale")


def test_measuring_leaves_the_model_as_it_was(graph: WidthGraph, data: Dataset) -> None:
    """Weights, moments, modes and gradients; validation and test images are not looked at."""
    before = {name: tensor.clone() for name, tensor in graph.model.state_dict().items()}
    graph.model.train()
    blind = replace(
        data,
        validation_images=255 - data.validation_images,
        test_images=255 - data.test_images,
        test_labels=data.test_labels.flip(0),
    )
    assert torch.equal(measure_importance(graph, blind, "fisher")[0], measure_importance(graph, data, "fisher")[0])
    assert graph.model.training and all(p.grad is None for p in graph.model.parameters())
    graph.model.eval()
    assert all(torch.equal(tensor, before[name]) for name, tensor in graph.model.state_dict().items())
    with pytest.raises(InputError, match=r"importance.*taylor"):
        measure_importance(graph, data, "tailor")
    assert KINDS == IMPORTANCES  # what the command offers, which loads no torch


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_search_is_exact(graph: WidthGraph, name: str) -> None:
    """As good as the best of all layouts under two limits, for every objective and any importances."""
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        own = tuple(torch.rand(count, generator=generator).double() ** 3 for count in graph.layout)
        limits = Limits(max_params="0.55x", max_macs="0.6x")
        kept = prune(graph, own, limits, name=name)
        terms = kept.found.problem.terms
        rows = limits.constraints(graph)
        layouts = itertools.product(*(range(1, width + 1) for width in graph.layout))
        best = max(terms(layout) for layout in layouts if all(row.allows(row.resource(layout)) for row in rows))
        assert kept.result.status.value == "OPTIMAL"
        assert kept.result.best.score_value == pytest.approx(best, rel=1e-9)
        for units, values in zip(kept.channels, own, strict=True):
            assert values[list(units)].min() >= values.sort(descending=True).values[len(units) - 1]
        assert sum(p.numel() for p in kept.build().parameters()) == graph.params(kept.layout)


def test_importance_of_ones_own(graph: WidthGraph) -> None:
    """Lists do; another shape, numbers below 0 and pins that name nothing are refused in a line."""
    kept = prune(graph, [[1, 2, 3, 4, 5, 6], [5, 4, 3, 2, 1]], Limits(max_params="0.6x"), pin=["inner"])
    assert kept.channels[1] == (0, 1, 2, 3, 4) and kept.channels[0][-1] == 5
    for own, options, said in (
        ([[1.0] * 6], {}, "1 groups; allowed: the 2"),
        ([[1.0] * 6, [1.0] * 4], {}, "importance of inner: got shape"),
        ([[1.0] * 6, [-1.0] * 5], {}, "importance of inner: got -1; allowed: numbers of at least 0"),
        ([[1.0] * 6, [float("nan")] * 5], {}, "not finite"),
        ([[1.0] * 6, [1.0] * 5], {"pin": ["iner"]}, "inner"),
        ([[1.0] * 6, [1.0] * 5], {"name": "summ"}, "objective.*sum"),
    ):
        with pytest.raises(InputError, match=said):
            prune(graph, own, Limits(max_params="0.6x"), **options)


def test_filters_are_brought_to_length_and_the_function_stays(graph: WidthGraph) -> None:
    """Whatever their lengths were, also where the norm's epsilon counts; what no norm follows is left alone."""
    module = graph.build(graph.layout, keep=[range(6), range(5)]).double().eval()
    with torch.no_grad():
        for layer, norm in ((module.stem, module.norm), (module.inner, module.inner_norm)):
            scale = torch.logspace(-3, 1, len(norm.weight)).double()
            layer.weight.mul_(scale.reshape(-1, 1, 1, 1))
            norm.running_var.mul_(scale.square())
    x = torch.randn(4, 1, 8, 8).double()
    before, back = module(x), module.back.weight.clone()
    after = bring_to_length(graph, module)(x)
    assert torch.allclose(before, after, rtol=0, atol=1e-9)
    assert torch.allclose(module.stem.weight.flatten(1).norm(dim=1), torch.tensor(ORDINARY).double())
    assert torch.allclose(module.inner.weight.flatten(1).norm(dim=1), torch.tensor(ORDINARY).double())
    assert torch.equal(module.back.weight, back)


def test_moments_are_those_of_the_weights_now(graph: WidthGraph, data: Dataset) -> None:
    """The mean over batches of training images, whatever was there before; momentum and modes come back."""
    module = graph.build(keep=[(0, 2, 5), (1, 3)])
    module.norm.momentum = 0.3  # type: ignore[union-attr]
    reestimate_norms(module, data, images=64, batch=64)
    order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(0))[:64]
    inputs = Inputs.of(data, device="cpu")
    images = (data.train_images[order] - inputs.means) / inputs.deviations
    found = module.stem(images)
    assert torch.allclose(module.norm.running_mean, found.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(module.norm.running_var, found.transpose(0, 1).flatten(1).var(1), rtol=1e-4)
    assert module.norm.momentum == 0.3 and not module.norm.training


def test_sums_need_numbers_that_can_be_added(graph: WidthGraph) -> None:
    """A group of zeros is as good at every width as at another, by its share."""
    score = objective(graph, (torch.zeros(6).double(), norms(graph)[1]), "share")
    assert list(score.tables["stem"].entries) == pytest.approx([n / 6 for n in range(1, 7)])


def test_a_budget_that_nothing_keeps_names_the_smallest_that_can_be_had(graph: WidthGraph) -> None:
    """The remedy is what the smallest widths need, not today's amount, under which there is nothing to prune."""
    pruned, clash = prune_or_conflict(graph, norms(graph), Limits(ram=1))
    least = graph.peak_activation_bytes("int8")([group.first for group in pruned.result.problem.space.groups])
    assert clash is not None and clash.remedies == (f"--ram {least}",)
    assert least < graph.peak_activation_bytes("int8")(graph.layout)
