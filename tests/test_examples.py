"""The MLPerf Tiny networks of examples/: their published sizes, and that parlay traces and rebuilds them."""

from __future__ import annotations

import doctest
import json
import sys
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402

from parlay.cli.main import cli  # noqa: E402
from parlay.graph import measure, trace  # noqa: E402
from parlay.graph.specs import load_model  # noqa: E402

FILE = Path(__file__).resolve().parent.parent / "examples" / "mlperf_tiny.py"

# name, shape of one input, its outputs, trained parameters, running moments, multiply-adds, width groups
NETWORKS = [
    ("resnet8", (3, 32, 32), (10,), 78_186, 480, 12_501_632, 6),
    ("ds_cnn", (1, 49, 10), (12,), 23_756, 1_152, 2_656_768, 5),
    ("mobilenet_v1", (3, 96, 96), (2,), 216_322, 5_472, 7_489_664, 14),
    ("deep_autoencoder", (640,), (640,), 267_928, 2_064, 264_192, 9),
]
KERAS_TOTALS = {"resnet8": 78_666, "ds_cnn": 24_908, "mobilenet_v1": 221_794, "deep_autoencoder": 269_992}
SHAPES = {name: shape for name, shape, *_ in NETWORKS}


def network(name, **kwargs):
    return load_model(f"{FILE}:{name}", kwargs)


@cache
def graph_of(name):
    return trace(network(name), torch.zeros(1, *SHAPES[name]))


@pytest.mark.parametrize(("name", "shape", "outputs", "params", "moments", "macs", "groups"), NETWORKS)
def test_sizes_are_the_published_ones(name, shape, outputs, params, moments, macs, groups):
    """Parameters, running moments, multiply-adds and output shapes are those of the reference models."""
    model = network(name)
    running = sum(b.numel() for key, b in model.named_buffers() if key.rpartition(".")[2].startswith("running"))
    measured = measure(model, [torch.zeros(1, *shape)])
    assert (measured.params, running, measured.macs) == (params, moments, macs)
    assert params + running == KERAS_TOTALS[name]
    assert model(torch.zeros(2, *shape)).shape == (2, *outputs)


@pytest.mark.parametrize(("name", "shape", "outputs", "params", "moments", "macs", "groups"), NETWORKS)
def test_parlay_trace_counts_them(name, shape, outputs, params, moments, macs, groups):
    """The command line traces them and every weight layer but the last is in a group."""
    arguments = ["trace", f"{FILE}:{name}", "--input", "x".join(map(str, shape)), "--json"]
    outcome = CliRunner().invoke(cli, arguments)
    assert outcome.exit_code == 0, outcome.output
    facts = json.loads(outcome.stdout)
    assert (facts["params"], facts["macs"], len(facts["groups"])) == (params, macs, groups)
    assert facts["pinned"] == []
    free = {member for group in facts["groups"] for member in group["members"]}
    layers = [path for path, part in network(name).named_modules() if hasattr(part, "weight") and part.weight.dim() > 1]
    assert free == set(layers[:-1])


@pytest.mark.parametrize("name", SHAPES)
def test_random_layouts_are_what_was_predicted(name):
    """At ten random layouts the built network has the predicted sizes, runs in both modes, and trains."""
    graph = graph_of(name)
    inputs = [torch.zeros(1, *SHAPES[name])]
    layouts = graph.space.sample(10, 0)
    assert len(set(layouts)) == 10
    for layout in layouts:
        module = graph.build(layout, seed=0)
        measured = measure(module, inputs)
        predicted = (graph.params(layout), graph.macs(layout), graph.peak_activation_bytes()(layout))
        assert (measured.params, measured.macs, measured.peak_activation_bytes) == predicted
        batch = torch.randn(2, *SHAPES[name], generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert module.eval()(batch).isfinite().all()
        module.train()(batch).square().sum().backward()
        assert all(p.grad is not None and p.grad.shape == p.shape for p in module.parameters())


def test_keywords_change_classes_and_widths():
    """Factories take the classes and the widths."""
    assert network("resnet8", classes=100, width=8)(torch.zeros(2, 3, 32, 32)).shape == (2, 100)
    assert network("ds_cnn", classes=3, width=16)(torch.zeros(2, 1, 49, 10)).shape == (2, 3)
    assert network("mobilenet_v1", classes=5, width=4)(torch.zeros(2, 3, 96, 96)).shape == (2, 5)
    assert network("deep_autoencoder", inputs=64, width=16, code=2)(torch.zeros(2, 64)).shape == (2, 64)


@pytest.mark.parametrize(
    ("sides", "kernel", "stride"), [((49, 10), (10, 4), 2), ((32, 31), 3, 2), ((5, 4), 2, 1), ((7, 7), 1, 2)]
)
def test_same_padding_is_tensorflows(sides, kernel, stride):
    """The first pixel sees the padding in front, the last the one behind: as TensorFlow computes them."""
    network("ds_cnn")
    convolution = sys.modules["mlperf_tiny"].SameConv2d(1, 1, kernel, stride=stride, bias=False)
    torch.nn.init.ones_(convolution.weight)
    counted = convolution(torch.ones(1, 1, *sides))[0, 0]  # how many real pixels each output sees
    kernels = (kernel, kernel) if isinstance(kernel, int) else kernel
    expected = []
    for side, size in zip(sides, kernels, strict=True):
        count = -(-side // stride)
        front = max((count - 1) * stride + size - side, 0) // 2
        expected.append([min(side, i * stride - front + size) - max(0, i * stride - front) for i in range(count)])
    assert torch.equal(counted, torch.outer(torch.tensor(expected[0]), torch.tensor(expected[1])).float())


def test_docstring_examples_run():
    """The examples in the docstrings hold."""
    network("resnet8")
    outcome = doctest.testmod(sys.modules["mlperf_tiny"])
    assert outcome.attempted >= 4
    assert outcome.failed == 0
