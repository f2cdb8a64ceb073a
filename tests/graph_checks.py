"""What every traced model must satisfy, at random layouts: the oracle of the tracer's tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from parlay.graph import WidthGraph, measure, trace
from parlay.graph.slicing import Kept, Slicing, largest, norms


class Net(nn.Module):
    """Layers by name, and a forward pass given as a function of them."""

    def __init__(self, forward: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(self, *inputs)


def outputs_of(module: nn.Module, inputs: tuple[Any, ...]) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(module(*inputs)) if isinstance(leaf, Tensor)]


def assert_exact(model: nn.Module, *shapes: tuple[int, ...], layouts: int = 6, **options: Any) -> WidthGraph:
    """Predicted = counted, and the resized module runs forward in both modes and backward."""
    inputs = tuple(torch.randn(2, *shape) for shape in shapes)
    graph = trace(model, inputs, **options)
    today = [tuple(output.shape) for output in outputs_of(model, inputs)]
    for layout in [graph.layout, *graph.space.sample(layouts, 0)]:
        module = graph.build(layout)
        counted = measure(module, [item[:1] for item in inputs])
        predicted = (graph.params(layout), graph.macs(layout), graph.peak_activation_bytes()(layout))
        assert predicted == (counted.params, counted.macs, counted.peak_activation_bytes), layout
        module.eval()
        assert [tuple(output.shape) for output in outputs_of(module, inputs)] == today
        module.train()
        outputs = outputs_of(module, inputs)
        torch.stack([output.sum() for output in outputs if output.is_floating_point()]).sum().backward()
        for parameter in module.parameters():
            assert parameter.grad is None or parameter.grad.shape == parameter.shape
        assert any(parameter.grad is not None for parameter in module.parameters())
    return graph


def kept(graph: WidthGraph, layout: tuple[int, ...]) -> nn.Module:
    """The network at a layout with the units of largest norm."""
    return graph.build(layout, keep=largest(graph, norms(graph), layout))


def silenced(graph: WidthGraph, units: Kept) -> nn.Module:
    """The model at its own widths, every weight that reads a channel which is not kept being 0."""
    model = copy.deepcopy(graph.model)
    slicing = Slicing(graph=graph, kept=units, layout=graph.layout)
    tensors = dict(model.named_parameters())
    with torch.no_grad():
        for name, layer in graph.ledger.layers.items():
            for axis, dim in enumerate(graph.shapes[name]):
                if axis != layer.axis:
                    dropped = torch.ones(graph.size(dim, graph.layout), dtype=torch.bool)
                    dropped[slicing.positions(dim)[0]] = False
                    tensors[name].transpose(0, axis)[dropped] = 0
    return model
