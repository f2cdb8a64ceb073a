"""Tracing leaves the model alone; building makes independent modules of the same class."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from graph_checks import assert_exact, kept
from parlay.errors import InputError, TraceError
from parlay.families import Family, plain, resnet
from parlay.graph import WidthGraph, trace

IMAGE = torch.zeros(1, 3, 8, 8)


class Small(nn.Module):
    """A residual network with dropout, a buffer and a raw parameter."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.inner = nn.Conv2d(width, 9, 3, padding=1, groups=3)
        self.back = nn.Conv2d(9, width, 1)
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.5))
        self.head = nn.Linear(width, 4)
        self.register_buffer("mean", torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x))) - self.mean
        return self.head((x + self.scale * self.back(torch.relu(self.inner(x)))).mean((2, 3)))


@pytest.fixture(scope="module")
def graph() -> WidthGraph:
    return trace(Small(), IMAGE)


def test_the_given_model_is_untouched() -> None:
    """Weights, statistics, modes, hooks and gradients stay; hooks are not called."""
    model = Small()
    model.norm.eval()
    model.stem.weight.requires_grad_(False)
    calls: list[str] = []
    model.stem.register_forward_hook(lambda *_: calls.append("hook"))
    before = copy.deepcopy(model.state_dict())
    graph = trace(model, IMAGE)
    built = graph.build((9, 12))
    built.train()(torch.randn(2, 3, 8, 8)).sum().backward()
    assert calls == []
    assert (model.training, model.norm.training) == (True, False)
    assert not model.stem.weight.requires_grad
    assert len(model.stem._forward_hooks) == 1
    assert all(parameter.grad is None for parameter in model.parameters())
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not built.get_submodule("stem").weight.requires_grad  # type: ignore[union-attr]
    assert not built.get_submodule("norm").training or built.training


def test_a_built_module_is_like_a_fresh_one(graph: WidthGraph) -> None:
    """Same class and forward; every layer's own numbers follow; nothing is shared with the model."""
    module = graph.build((9, 12))
    assert type(module) is Small
    assert repr(module.stem) == repr(nn.Conv2d(3, 9, 3, padding=1))
    assert repr(module.inner) == repr(nn.Conv2d(9, 12, 3, padding=1, groups=3))
    assert repr(module.norm) == repr(nn.BatchNorm2d(9))
    assert repr(module.head) == repr(nn.Linear(9, 4))
    assert module.mean.shape == (1, 9, 1, 1)
    assert torch.equal(module.scale, torch.full((9, 1, 1), 0.5))
    pointers = {tensor.data_ptr() for tensor in graph.model.state_dict().values()}
    same = graph.build(graph.layout)
    assert not pointers & {tensor.data_ptr() for tensor in same.state_dict().values()}


def test_a_seed_repeats_and_leaves_torch_alone(graph: WidthGraph) -> None:
    """Equal seeds give equal weights; the global generator does not move."""
    state = torch.get_rng_state()
    first, second, other = (graph.build((6, 12), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.stem.weight, second.stem.weight)  # type: ignore[union-attr]
    assert not torch.equal(first.stem.weight, other.stem.weight)  # type: ignore[union-attr]


def test_initialisation_is_that_of_the_layers(graph: WidthGraph) -> None:
    """A convolution built at 63 channels has the spread that torch gives 63 channels."""
    module = graph.build((63, 66), seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = nn.Conv2d(66, 63, 1)
    built = module.get_submodule("back").weight  # type: ignore[union-attr]
    assert torch.isclose(built.std(), fresh.weight.std(), rtol=0.1)
    assert torch.equal(module.norm.running_var, torch.ones(63))  # type: ignore[union-attr]


def test_keeping_weights_at_todays_widths_is_a_copy(graph: WidthGraph) -> None:
    """The same function, bit for bit."""
    model = graph.model
    with torch.no_grad():
        model(torch.randn(8, 3, 8, 8))  # statistics that are not those of a new module
    copied = kept(graph, graph.layout)
    x = torch.randn(2, 3, 8, 8)
    modes = model.training
    try:
        assert torch.equal(model.eval()(x), copied.eval()(x))
    finally:
        model.train(modes)


def test_the_most_important_channels_stay() -> None:
    """Shrinking keeps the channels of largest weight norm, in their order, everywhere alike."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4, 2))
    with torch.no_grad():
        for channel, size in enumerate((1.0, 9.0, 0.1, 4.0)):
            model[0].weight[channel] = size
        model[3].weight.copy_(torch.arange(32.0).reshape(2, 16))
    graph = trace(model, torch.zeros(1, 3, 2, 2))
    small = kept(graph, (2,))
    assert small[0].weight[:, 0, 0, 0].tolist() == [9.0, 4.0]  # type: ignore[index]
    assert small[3].weight[0].tolist() == [4, 5, 6, 7, 12, 13, 14, 15]  # type: ignore[index]
    large = kept(graph, (6,))
    assert large[0].weight[:4, 0, 0, 0].tolist() == [1.0, 9.0, pytest.approx(0.1), 4.0]  # type: ignore[index]
    assert large[3].weight[1, :16].tolist() == list(range(16, 32))  # type: ignore[index]


def test_grown_concatenations_keep_their_parts_apart() -> None:
    """The second part of a concatenation moves behind the grown first one."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 3, 1)
            self.out = nn.Conv2d(5, 4, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.cat([self.a(x), self.b(x)], 1))

    model = Two()
    grown = kept(trace(model, IMAGE), (4, 3))
    assert torch.equal(grown.out.weight[:, [0, 1, 4, 5, 6]], model.out.weight)  # type: ignore[union-attr,index]


@pytest.mark.parametrize(
    ("family", "layout"),
    [
        (plain(depth=4), (35, 36, 37, 43)),
        (plain(depth=2, kernel_size=(5, 2), image=10), (6, 4)),
        (resnet(8), (9, 12, 10, 7)),
        (resnet(14, kernel_size=4, image=16), (5, 8, 11, 14)),
    ],
    ids=lambda value: getattr(value, "title", "-".join(map(str, value)) if isinstance(value, tuple) else None),
)
def test_the_closed_forms_of_the_families_are_the_traced_polynomials(family: Family, layout: tuple[int, ...]) -> None:
    """Parameters, multiply-adds, peak memory and flash agree at every layout; a unit's equal layers are own widths."""
    graph = trace(family.build(layout), torch.zeros(1, 3, family.image, family.image))
    group_of = [layout.index(width) for width in graph.layout]
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        widths = tuple(int(w) for w in torch.randint(1, 80, (len(layout),), generator=generator))
        traced = tuple(widths[g] for g in group_of)
        for dtype in ("int8", "float32"):
            assert graph.amounts(traced, dtype) == family.amounts(widths, dtype)


def test_wrong_layouts_are_refused(graph: WidthGraph) -> None:
    """Number of widths, multiples, positive widths: one line with what is allowed."""
    wrong = (((9,), "1 widths for 2"), ((9, 10), "multiple of 3"), ((0, 12), "not allowed"), ((9.5, 12), "9.5"))
    for layout, words in wrong:
        with pytest.raises(InputError, match=words):
            graph.build(layout)
    with pytest.raises(InputError, match=r"dtype: got 'int4'"):
        graph.peak_activation_bytes("int4")


def test_sampling_is_seeded_and_within_its_ratios(graph: WidthGraph) -> None:
    """An integer or a generator; every layout valid; bad ratios refused."""
    import numpy as np

    first = graph.space.sample(20, 3)
    assert first == graph.space.sample(20, np.random.default_rng(3))
    assert all(graph.space.violation(layout) is None for layout in first)
    assert {layout[0] for layout in graph.space.sample(300, 0)} == {3, 6, 9, 12}
    assert {layout[1] for layout in graph.space.sample(300, 0, low=0.5, high=1.0)} == {6, 9}
    for low, high in ((0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(InputError, match="ratios"):
            graph.space.sample(1, 0, low=low, high=high)


def test_models_that_cannot_be_traced_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with one line that says why and what helps; torch's own print of the graph is held back."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return y if float(y.sum()) > 0 else -y

    with pytest.raises(TraceError, match=r"torch\.export cannot follow .*test_graph_build\.py:\d+ return y if"):
        trace(Branches(), IMAGE)
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match=r"input 1x8x8 of Small: got RuntimeError.*allowed"):
        trace(Small(), torch.zeros(1, 1, 8, 8))
    with pytest.raises(InputError, match="did you mean inner"):
        trace(Small(), IMAGE, pin=["innr"])
    with pytest.raises(InputError, match="no tensor"):
        trace(Small(), ())
    pruned = Small()
    prune.l1_unstructured(pruned.stem, "weight", 0.5)
    with pytest.raises(TraceError, match=r"prune\.remove"):
        trace(pruned, IMAGE)


def test_a_buffer_that_cannot_be_resized_keeps_its_width() -> None:
    """Fixed content that differs along a width has no meaning at another one."""

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), nn.Linear(5, 2)
            self.register_buffer("weighting", torch.arange(4.0)[:, None, None])

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.last(self.conv(x) * self.weighting).mean((2, 3)))

    graph = assert_exact(Weighted(), (3, 8, 8))
    assert [group.name for group in graph.space.groups] == ["last"]
    assert graph.pinned == ("entries of buffer weighting differ",)


def test_a_trace_in_half_precision_and_of_any_batch() -> None:
    """Dtype and batch of the example do not matter; the built module keeps the dtype."""
    graph = trace(Small().bfloat16(), torch.zeros(5, 3, 8, 8, dtype=torch.bfloat16))
    assert graph.build((3, 6)).stem.weight.dtype is torch.bfloat16  # type: ignore[union-attr]
    assert graph.params(graph.layout) == trace(Small(), IMAGE).params((6, 9))
