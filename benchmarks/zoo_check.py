"""One model of the zoo: traced, and what was predicted held against modules built at random layouts."""

from __future__ import annotations

import re
import resource
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from benchmarks.zoo_models import ROOT, Entry
from parlay.errors import ParlayError
from parlay.graph import WidthGraph, count_macs, count_params, measure_peak_activation_bytes, trace
from parlay.graph.specs import load_model, parse_inputs
from parlay.layout import Layout

__all__ = ["check", "compare_at_random_layouts", "limit_memory", "shortened"]

LAYOUTS = 10
LONGEST = 160
"""Characters of a refusal that are kept."""

LONGEST_RUN = 3 * 10**9
"""Multiply-adds above which no module is run on real numbers."""

BATCH = 2
"""Images of the runs with gradients: batch norm in training mode refuses a single value a channel."""


class DeviationError(Exception):
    """A built module is not what was predicted."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a module at one layout showed, run on shapes alone."""

    params: int
    macs: int
    peak: int
    shapes: tuple[tuple[int, ...], ...]
    learning: frozenset[str]


def check(entry: Entry, *, layouts: int = LAYOUTS) -> dict[str, Any]:
    """Trace one model and look at random layouts of it, shrunk and grown.

    Returns:
        ``verdict``: exact, refused (by ``trace``), differs (a count or shape), fails (a module does not load or run),
        out of memory; ``detail``: the first finding; groups, layers, seconds and the rest of a line of the log.
    """
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    row: dict[str, Any] = {"verdict": "exact", "detail": "", "note": ""}
    try:
        _look(entry, layouts, row)
    except DeviationError as error:
        row |= {"verdict": "differs", "detail": shortened(error)}
    except Exception as error:
        is_memory = _is_about_memory(error)
        first = (str(error).strip().splitlines() or [""])[0]
        detail = shortened(f"{type(error).__name__}: {first}")
        row |= {"verdict": "out of memory" if is_memory else "fails", "detail": detail}
    row["mebibytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return row


def _look(entry: Entry, layouts: int, row: dict[str, Any]) -> None:
    """Fill the line of the log as far as it goes."""
    model = load_model(entry.spec, entry.kwargs)
    inputs = parse_inputs([entry.shape or _preferred_shape(model)])
    started = time.perf_counter()
    try:
        graph = trace(model, inputs)
    except ParlayError as error:
        if _is_about_memory(error):
            raise
        row |= {"verdict": "refused", "detail": shortened(error)}
        return
    row["seconds"] = time.perf_counter() - started
    row |= _facts(graph)
    row |= compare_at_random_layouts(graph, layouts)


def _is_about_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def limit_memory(gibibytes: float) -> None:
    """Let no more than this be allocated, so that a model that wants it ends and the machine does not."""
    size = int(gibibytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def shortened(error: object) -> str:
    """The first characters of a message, without the folders of this machine.

    >>> shortened("forward at /opt/venv/lib/python3.11/site-packages/timm/models/x.py:7 return y: it fails")
    'forward at timm/models/x.py:7 return y: it fails'
    """
    text = re.sub(r"/\S*/site-packages/", "", " ".join(str(error).split()))
    return text.replace(f"{ROOT}/", "")[:LONGEST].strip()


def _preferred_shape(model: nn.Module) -> str:
    """The input that a model of timm is made for."""
    config: Mapping[str, Any] = getattr(model, "default_cfg", None) or {}
    return "x".join(map(str, config.get("input_size", (3, 224, 224))))


def _facts(graph: WidthGraph) -> dict[str, Any]:
    free = {member for group in graph.space.groups for member in group.members}
    layers = len(graph.ledger.layers)
    note = f"kept: {graph.pinned[0]}" if graph.pinned else ""
    more = f" and {len(graph.pinned) - 1} more" if len(graph.pinned) > 1 else ""
    return {
        "groups": len(graph.space),
        "free": len(free),
        "layers": layers,
        "input": graph.example.shapes,
        "params": graph.params(graph.layout),
        "macs": graph.macs(graph.layout),
        "note": shortened(note) + more,
    }


def compare_at_random_layouts(graph: WidthGraph, layouts: int = LAYOUTS) -> dict[str, Any]:
    """Look at every layout on shapes alone, and at the cheapest one on real numbers.

    Raises:
        DeviationError: at the first thing that is not as predicted.
    """
    today, world = _observed(graph, graph.layout)
    _compare(graph, graph.layout, today, today, "today's widths")
    drawn = graph.space.sample(layouts, 0, low=0.25, high=2.0)
    for number, layout in enumerate(drawn, start=1):
        seen, world = _observed(graph, layout)
        _compare(graph, layout, seen, today, f"layout {number} of {layouts}")
    cheapest = min(drawn, key=graph.macs)
    macs = graph.macs(cheapest)
    if macs > LONGEST_RUN:
        return {"device": world, "real": f"not run: {macs / 1e9:.1f}e9 macs at the cheapest layout"}
    _run(graph, cheapest)
    return {"device": world, "real": "run"}


def _compare(graph: WidthGraph, layout: Layout, seen: Observed, today: Observed, where: str) -> None:
    predicted = {
        "params": (graph.params(layout), seen.params),
        "macs": (graph.macs(layout), seen.macs),
        "peak activation bytes": (graph.peak_activation_bytes()(layout), seen.peak),
    }
    for what, (prediction, count) in predicted.items():
        if prediction != count:
            raise DeviationError(f"{where}: {what} predicted {prediction:,}, counted {count:,}")
    if seen.shapes != today.shapes:
        raise DeviationError(f"{where}: outputs {seen.shapes} instead of {today.shapes}")
    if seen.learning != today.learning:
        lost = sorted(seen.learning ^ today.learning)
        raise DeviationError(
            f"{where}: {len(lost)} parameters have a gradient at one of the two layouts, such as {lost[0]}"
        )


def _observed(graph: WidthGraph, layout: Layout) -> tuple[Observed, str]:
    """The module's counts, on the meta device; with fake tensors where forward names a device itself."""
    with suppress(Exception):  # the second way says what is wrong
        module = graph.module_at(layout, initialise=False, device="meta")
        return _watched(module, graph, lambda item: item.to("meta")), "meta"
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        module = graph.module_at(layout, initialise=False)
        return _watched(module, graph, mode.from_tensor), "fake"


def _watched(module: nn.Module, graph: WidthGraph, moved: Any) -> Observed:
    one = _inputs(graph.example.sized(1), moved)
    several = _inputs(graph.example.sized(BATCH), moved)
    with torch.no_grad():
        outputs = _tensors(module.eval()(*several))
    return Observed(
        params=count_params(module),
        macs=count_macs(module, one),
        peak=measure_peak_activation_bytes(module, one),
        shapes=tuple(tuple(output.shape) for output in outputs),
        learning=_learning(module, several),
    )


def _learning(module: nn.Module, inputs: Sequence[Any]) -> frozenset[str]:
    """Names of the parameters that one step in training mode gives a gradient."""
    outputs = [output for output in _tensors(module.train()(*inputs)) if output.requires_grad]
    if not outputs:
        raise DeviationError("no output in training mode depends on a parameter")
    torch.stack([output.sum() for output in outputs]).sum().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None and parameter.grad.shape != parameter.shape:
            raise DeviationError(f"the gradient of {name} has shape {tuple(parameter.grad.shape)}")
    return frozenset(name for name, parameter in module.named_parameters() if parameter.grad is not None)


def _run(graph: WidthGraph, layout: Layout) -> None:
    """Build on the CPU, run on random images in both modes, and step back."""
    module = graph.build(layout, seed=0)
    inputs = _inputs(graph.example.sized(BATCH), torch.randn_like)
    with torch.no_grad():
        outputs = [output for output in _tensors(module.eval()(*inputs)) if output.is_floating_point()]
    if not all(bool(output.isfinite().all()) for output in outputs):
        raise DeviationError("real run: an output in evaluation mode is not finite")
    outputs = [output for output in _tensors(module.train()(*inputs)) if output.requires_grad]
    if not all(bool(output.isfinite().all()) for output in outputs):
        raise DeviationError("real run: an output in training mode is not finite")
    torch.stack([output.sum() for output in outputs]).sum().backward()


def _inputs(items: Sequence[Any], moved: Any) -> list[Any]:
    return [moved(item) if isinstance(item, Tensor) else item for item in items]


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
