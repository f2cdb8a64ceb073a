"""What each module costs: sums over the tree, beside torch's own counts of modules built at other widths."""

from __future__ import annotations

import json

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from parlay.cli.main import run
from parlay.families import plain
from parlay.graph import WidthGraph, trace
from parlay.graph.recount import counting


class Nested(nn.Module):
    """A layer that runs twice under two names, work in the model's own forward, and parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.again = nn.Sequential(self.shared)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.head = nn.Parameter(torch.zeros(5, 8))

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        x = self.again(functional.relu(self.shared(x))) * self.scale + x
        return functional.linear(x.mean((2, 3)), self.head)


def check_sums(graph: WidthGraph) -> None:
    """The model's row is the totals; every module's is that of torch at its layout: parameters, and operations."""
    costs = graph.by_module()
    modules = dict(graph.model.named_modules())
    assert list(costs) == list(modules)
    for layout in (graph.layout, *graph.space.sample(3, 5)):
        whole = costs[""]
        assert whole.params(layout) == graph.params(layout)
        assert whole.macs(layout) == graph.macs(layout)
        assert whole.written(layout) == sum(size(layout) for writer, size in graph.sizes if writer is not None)
        built = graph.build(layout, seed=0).eval()
        with torch.no_grad(), counting() as counter:
            built(*graph.example.sized(1))
        counted = {name: sum(kinds.values()) for name, kinds in counter.get_flop_counts().items()}
        root = type(built).__name__
        for path, module in built.named_modules():
            inside = [name for name, _ in module.named_parameters()]
            own = {f"{path}.{name}".lstrip(".") for name in inside} & {name for name, _ in built.named_parameters()}
            assert costs[path].params(layout) == sum(p.numel() for n, p in built.named_parameters() if n in own)
            assert 2 * costs[path].macs(layout) == counted.get(f"{root}.{path}" if path else root, 0), path
            children = [name for name in costs if name.rpartition(".")[0] == path and name]
            for child in children:
                assert costs[child].written(layout) <= costs[path].written(layout)


def test_costs_of_modules_are_torchs() -> None:
    """Of a torchvision network at random layouts, to the unit."""
    model = torchvision.models.resnet18(weights=None, num_classes=7)
    check_sums(trace(model, torch.zeros(1, 3, 32, 32), check=False))


@pytest.mark.parametrize("inner", [True, False])
def test_inverted_bottlenecks(inner: bool) -> None:
    """Grouped convolutions, whose polynomials have divisors, and a network inside another module."""
    model = torchvision.models.mobilenet_v2(weights=None, num_classes=5)
    graph = trace(nn.Sequential(model) if inner else model, torch.zeros(1, 3, 32, 32), check=False)
    costs = graph.by_module()
    for layout in graph.space.sample(2, 3):
        assert costs[""].macs(layout) == graph.macs(layout)
        assert sum(costs[name].params(layout) for name in costs if name.count(".") == 0 and name) == graph.params(
            layout
        )


def test_what_stands_in_forward_counts_for_the_model() -> None:
    """A shared layer counts once in params, twice in macs, under its first name; free functions for the root."""
    graph = trace(Nested(), torch.zeros(1, 3, 8, 8))
    costs = graph.by_module()
    for layout in [graph.layout, *graph.space.sample(3, 1)]:
        [width] = layout
        assert costs[""].params(layout) == graph.params(layout)
        assert costs[""].macs(layout) == graph.macs(layout)
        assert costs["stem"].macs(layout) == costs["stem.0"].macs(layout) == 27 * width * 64
        assert costs["shared"].macs(layout) == 2 * 9 * width**2 * 64
        assert costs["stem.1"].params(layout) == 2 * width
        assert costs["shared"].params(layout) == 9 * width**2 + width
        inside = costs["stem"].params(layout) + costs["shared"].params(layout)
        assert costs[""].params(layout) - inside == width + 5 * width


def test_the_command_line_shows_modules(capsys: pytest.CaptureFixture[str]) -> None:
    """``--by-module`` prints the tree, ``--json`` has every module; the first row is the whole."""
    arguments = ("trace", "torchvision/resnet18", "--input", "3x32x32")
    assert run([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    whole, conv = facts["modules"][0], facts["modules"][1]
    assert (whole["module"], whole["class"], whole["params"], whole["macs"]) == (
        "", "ResNet", facts["params"], facts["macs"],
    )  # fmt: skip
    assert conv == {
        "module": "conv1", "class": "Conv2d", "params": 9408, "macs": 9408 * 256, "written_bytes": 64 * 256,
    }  # fmt: skip
    assert run([*arguments, "--by-module"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["conv1", "Conv2d", "9,408", "2,408,448", "16,384"] for line in lines)
    assert run([*arguments]) == 0
    assert "bytes written" not in capsys.readouterr().out


def test_families_by_module() -> None:
    """The features of a plain network have all convolutions and norms, the classifier the rest."""
    family, layout = plain(3, image=8), (4, 6, 8)
    graph = trace(family.build(layout), torch.zeros(1, 3, 8, 8))
    costs = graph.by_module()
    assert costs["classifier"].params(layout) == 8 * 10 + 10
    assert costs["features"].params(layout) == family.params(layout) - 90
    assert costs["features"].macs(layout) == family.macs(layout) - 80
