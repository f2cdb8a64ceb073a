"""Does a trace hold? The model is built at random layouts and run, without data, on shapes alone."""

from __future__ import annotations

import traceback
from typing import Any

from parlay.errors import TraceError
from parlay.extras import Needs
from parlay.graph.export import BATCH_SIZE, quiet
from parlay.graph.interpret import last_line
from parlay.graph.widthgraph import WidthGraph
from parlay.layout import Layout

with Needs("tracing networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode

__all__ = ["verify"]

SEED = 0


def verify(graph: WidthGraph) -> None:
    """Build two random layouts, run them in both modes, and compare the shapes and multiply-adds with the prediction.

    Raises:
        TraceError: when the model fails there though it ran at today's widths: forward holds a width as a number.
    """
    images = BATCH_SIZE if graph.example.batched else 1
    outputs, counted = _run(graph, graph.layout, training=False)
    agrees_today = counted == images * graph.macs(graph.layout)
    for layout in graph.space.sample(2, SEED, low=0.5, high=1.5):
        _run(graph, layout, training=True)
        shapes, counted = _run(graph, layout, training=False)
        if shapes != outputs:
            raise TraceError(
                type(graph.model).__name__,
                found=f"at other widths its outputs have shapes {shapes} instead of {outputs}",
            )
        if agrees_today and counted != images * graph.macs(layout):
            raise TraceError(
                type(graph.model).__name__,
                found="at other widths it does other work than its graph says: forward computes with a fixed width",
            )


def _run(graph: WidthGraph, layout: Layout, *, training: bool) -> tuple[list[tuple[int, ...]], int]:
    """Output shapes and multiply-adds, on the meta device; with fake tensors where forward names a device itself."""
    try:
        module = graph.module_at(layout, initialise=False, device="meta").train(training)
        inputs = [item.to("meta") if isinstance(item, Tensor) else item for item in graph.example.inputs]
        return _observed(module, inputs)
    except TraceError:
        raise
    except Exception:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            module = graph.module_at(layout, initialise=False).train(training)
            inputs = [mode.from_tensor(item) if isinstance(item, Tensor) else item for item in graph.example.inputs]
            try:
                return _observed(module, inputs)
            except Exception as error:
                raise _hard_coded(module, layout, graph, error) from error


def _observed(module: nn.Module, inputs: list[Any]) -> tuple[list[tuple[int, ...]], int]:
    with torch.no_grad(), quiet(), FlopCounterMode(display=False) as counter:
        result: Any = module(*inputs)
    shapes = [tuple(leaf.shape) for leaf in tree_leaves(_plain(result)) if isinstance(leaf, Tensor)]
    return shapes, counter.get_total_flops() // 2


def _plain(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value


def _hard_coded(module: nn.Module, layout: Layout, graph: WidthGraph, error: Exception) -> TraceError:
    line = last_line("".join(traceback.format_tb(error.__traceback__)))
    path = _failing_module(module, error)
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    dims = graph.ledger.touched.get((path, line.partition(" ")[0]), ())
    widths = {segment.width for dim in dims for segment in graph.unknowns.resolve(dim)}
    pins = graph.ledger.setters(graph.unknowns, widths)
    kind = "today's widths" if layout == graph.layout else "other widths"
    return TraceError(
        f"forward of {type(module).__name__}",
        module=path,
        line=line,
        found=f"it fails at {kind}, so it holds a width as a number ({message[:200]})",
        remedy="" if pins else f"keep the widths it touches with --pin '{path or '*'}'",
        pins=pins,
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
