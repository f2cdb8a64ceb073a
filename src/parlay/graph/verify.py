"""Does a trace hold? The model is built at random layouts and run, without data, on shapes alone."""

from __future__ import annotations

import traceback
from typing import Any

from parlay.errors import TraceError
from parlay.extras import Needs
from parlay.graph.export import quiet
from parlay.graph.interpret import last_line
from parlay.graph.measure import count_macs
from parlay.graph.widthgraph import WidthGraph
from parlay.layout import Layout

with Needs("tracing networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._pytree import tree_leaves

__all__ = ["verify"]

SEED = 0


def verify(graph: WidthGraph) -> None:
    """Build two random layouts, run them in both modes, and compare the shapes and multiply-adds with the prediction.

    Raises:
        TraceError: when the model fails there though it ran at today's widths: forward holds a width as a number.
    """
    outputs = _run(graph, graph.layout)
    counted = _counted(graph, graph.layout)
    agrees_today = counted == graph.macs(graph.layout)
    for layout in graph.space.sample(2, SEED, low=0.5, high=1.5):
        shapes = _run(graph, layout)
        if shapes != outputs:
            raise TraceError(
                type(graph.model).__name__,
                found=f"at other widths its outputs have shapes {shapes} instead of {outputs}",
            )
        if agrees_today and _counted(graph, layout) != graph.macs(layout):
            raise TraceError(
                type(graph.model).__name__,
                found="at other widths it does other work than its graph says: forward computes with a fixed width",
            )


def _run(graph: WidthGraph, layout: Layout) -> list[tuple[int, ...]]:
    """Output shapes in training and evaluation mode."""
    shapes: list[tuple[int, ...]] = []
    for training in (True, False):
        with FakeTensorMode(allow_non_fake_inputs=True) as mode, quiet():
            module = graph.module_at(layout, initialise=False).train(training)
            inputs = [mode.from_tensor(item) if isinstance(item, Tensor) else item for item in graph.example.inputs]
            try:
                result: Any = module(*inputs)
            except Exception as error:
                raise _hard_coded(module, layout, graph, error) from error
        shapes += [tuple(leaf.shape) for leaf in tree_leaves(_plain(result)) if isinstance(leaf, Tensor)]
    return shapes


def _counted(graph: WidthGraph, layout: Layout) -> int:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, quiet():
        module = graph.module_at(layout, initialise=False)
        inputs = [mode.from_tensor(i) if isinstance(i, Tensor) else i for i in graph.example.sized(1)]
        return count_macs(module, inputs)


def _plain(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value


def _hard_coded(module: nn.Module, layout: Layout, graph: WidthGraph, error: Exception) -> TraceError:
    line = last_line("".join(traceback.format_tb(error.__traceback__)))
    path = _failing_module(module, error)
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    kind = "today's widths" if layout == graph.layout else "other widths"
    return TraceError(
        f"forward of {type(module).__name__}",
        module=path,
        line=line,
        found=f"it fails at {kind}, so it holds a width as a number ({message[:200]})",
    )


def _failing_module(module: nn.Module, error: Exception) -> str:
    """Path of the innermost module of the model whose forward was running."""
    paths = {id(part): path for path, part in module.named_modules()}
    found = ""
    frame = error.__traceback__
    while frame is not None:
        owner = frame.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in paths:
            code = frame.tb_frame.f_code
            if "torch" not in code.co_filename.replace("\\", "/").split("/site-packages/")[-1].split("/")[0]:
                found = paths[id(owner)]
        frame = frame.tb_next
    return found


assert torch  # the fake tensors are torch's
