"""Does a trace hold? The model is built at random layouts and run, without data, on shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parlay.errors import TraceError
from parlay.extras import Needs
from parlay.graph.operators import counter
from parlay.graph.programs import place_of, quiet
from parlay.graph.recount import count_macs, record
from parlay.graph.widthgraph import WidthGraph
from parlay.layout import Layout

with Needs("tracing networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._pytree import tree_leaves

__all__ = ["culprits", "verify"]

SEED = 0
MOST_RUNS = 400
"""Runs that looking for a remedy may take: a network of 150 groups and a few at fault, in some seconds."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What a run of one image showed: output shapes, multiply-adds, groups of convolutions, activations, peak."""

    outputs: tuple[tuple[int, ...], ...]
    macs: int
    groups: tuple[int, ...]
    sizes: tuple[int, ...]
    peak: int


def verify(graph: WidthGraph) -> tuple[str, ...]:
    """Build two random layouts, run them in both modes, and hold shapes, work and memory against the prediction.

    Returns:
        What could not be compared with a run, because the two differ at today's widths already; empty as a rule.

    Raises:
        TraceError: when the model fails there though it ran at today's widths: forward holds a width as a number.
    """
    today = _run(graph, graph.layout)
    trusted = _trusted(graph, today)
    for layout in _drawn(graph):
        _hold(graph, layout, today, trusted)
    notes: list[str] = []
    if "macs" not in trusted:
        macs = graph.macs(graph.layout)
        notes.append(f"not confirmed by a run: torch counts {today.macs:,} multiply-adds in it, the graph has {macs:,}")
    if "peak" not in trusted:
        peak = graph.activations(graph.layout)
        notes.append(
            f"not confirmed by a run: it holds {today.peak:,} elements at once, the graph {peak:,}; torch copies or"
            " fuses more"
        )
    return tuple(notes)


def culprits(graph: WidthGraph) -> list[str]:
    """Layers whose pinning makes the model run at the layouts at which ``verify`` refused it; [] where none is known.

    Every group is resized alone. If those that fail so are not all, groups are put back to today's width one after the
    other while the model still fails, which leaves the ones to blame.
    """
    try:
        today = _run(graph, graph.layout)
    except TraceError:
        return []
    trusted = _trusted(graph, today)
    runs = 0

    def fails(layout: Layout) -> bool:
        nonlocal runs
        runs += 1
        if graph.space.violation(layout) is not None:
            return False
        try:
            _hold(graph, layout, today, trusted)
        except TraceError:
            return True
        return False

    def only(layout: Layout, resized: set[int]) -> Layout:
        return tuple(w if g in resized else old for g, (w, old) in enumerate(zip(layout, graph.layout, strict=True)))

    groups = {*range(len(graph.space))}
    blamed: set[int] = set()
    for layout in _drawn(graph):
        blamed |= {g for g in sorted(groups - blamed) if runs < MOST_RUNS and fails(only(layout, {g}))}
        while runs < MOST_RUNS and fails(only(layout, groups - blamed)):
            resized = groups - blamed
            for g in sorted(resized):
                if fails(only(layout, resized - {g})):
                    resized -= {g}
            blamed |= resized
    return [graph.space.groups[g].members[0] for g in sorted(blamed)] if runs < MOST_RUNS else []


def _drawn(graph: WidthGraph) -> list[Layout]:
    return graph.space.sample(2, SEED, low=0.5, high=1.5)


def _trusted(graph: WidthGraph, today: _Seen) -> set[str]:
    """What a run of the given model confirms."""
    expected = _predicted(graph, graph.layout)
    return {name for name in expected if getattr(today, name) == expected[name]}


def _hold(graph: WidthGraph, layout: Layout, today: _Seen, trusted: set[str]) -> None:
    """Compare a run at a layout, in both modes, with the prediction.

    Raises:
        TraceError: where it fails or differs.
    """
    _run(graph, layout, training=True)
    seen, expected = _run(graph, layout), _predicted(graph, layout)
    if seen.outputs != today.outputs:
        raise TraceError(
            type(graph.model).__name__,
            found=f"at other widths its outputs have shapes {seen.outputs} instead of {today.outputs}",
        )
    if any(getattr(seen, name) != expected[name] for name in trusted):
        raise TraceError(
            type(graph.model).__name__,
            found="at other widths it does other work than its graph says: forward computes with a fixed width",
        )


def _predicted(graph: WidthGraph, layout: Layout) -> dict[str, Any]:
    return {
        "macs": graph.macs(layout),
        "groups": tuple(sorted(n for n in (graph.size(dim, layout) for dim in graph.ledger.groups) if n > 1)),
        "sizes": tuple(sorted(size(layout) for _, size in graph.sizes)),
        "peak": graph.activations(layout),
    }


def _run(graph: WidthGraph, layout: Layout, *, training: bool = False) -> _Seen:
    """A run on the meta device; with fake tensors where forward names a device itself."""
    example = graph.example.inputs if training else graph.example.sized(1)
    try:
        module = graph.module_at(layout, initialise=False, device="meta")
        inputs = [item.to("meta") if isinstance(item, Tensor) else item for item in example]
        return _observed(graph, module, inputs, training=training)
    except TraceError:
        raise
    except Exception:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            module = graph.module_at(layout, initialise=False)
            inputs = [mode.from_tensor(item) if isinstance(item, Tensor) else item for item in example]
            try:
                return _observed(graph, module, inputs, training=training)
            except Exception as error:
                raise _hard_coded(module, layout, graph, error) from error


def _observed(graph: WidthGraph, module: nn.Module, inputs: list[Any], *, training: bool) -> _Seen:
    with torch.no_grad(), quiet():
        if training:
            module.train()(*inputs)
            return _Seen(outputs=(), macs=0, groups=(), sizes=(), peak=0)
        with counter() as found:
            recorder, result = record(module, inputs)
        macs = found.get_total_flops() // 2
        if any(name.endswith("scaled_dot_product_attention") for name in graph.points):
            macs = count_macs(module, inputs)
    shapes = tuple(tuple(leaf.shape) for leaf in tree_leaves(_plain(result)) if isinstance(leaf, Tensor))
    return _Seen(
        outputs=shapes,
        macs=macs,
        groups=tuple(sorted(number for number in recorder.groups if number > 1)),
        sizes=tuple(sorted(recorder.sizes.values())),
        peak=recorder.peak,
    )


def _plain(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value


def _hard_coded(module: nn.Module, layout: Layout, graph: WidthGraph, error: Exception) -> TraceError:
    place = place_of(error, module)
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    touched = graph.ledger.touched
    dims = touched.get((place.module, place.line.partition(" ")[0]), []) or [
        dim for (where, _), some in touched.items() if where == place.layer for dim in some
    ]
    widths = {segment.width for dim in dims for segment in graph.unknowns.resolve(dim)}
    pins = graph.ledger.setters(graph.unknowns, widths)
    kind = "it fails at other widths: a size in it is a number, or that of another width"
    if layout == graph.layout:
        kind = "it fails on shapes alone"
    return TraceError(
        f"forward of {type(module).__name__}",
        module=place.module,
        line=place.line,
        found=f"{kind} ({message[:200]})",
        pins=pins,
    )
