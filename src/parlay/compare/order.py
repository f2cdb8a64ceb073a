"""The order of operators in a file whose run needs the least activation memory.

Engines of microcontrollers run a file's operators in the order of the file; where a network branches, the order
decides what is alive at once. The order is searched as a path through the sets of operators that can be done first:
what is alive depends on the set alone, so the path whose largest set of live tensors is smallest is found as shortest
paths are (Dijkstra with a maximum for the sum), and it is proven when the search ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from parlay.compare.liveness import FileFlow, flow_of, needed, peak_of
from parlay.extras import Needs

with Needs("ONNX files", extra="onnx"):
    import numpy as np
    import onnx

__all__ = ["lowest_peak", "reordered"]

MOST_SETS = 100_000
"""Sets of operators that are looked at. Residual networks of 30 operators have some hundreds, since few of their
operators can go in another order; with more than this the exporter's order stays."""


def reordered(content: bytes, image: np.ndarray) -> bytes:
    """A file with its operators in the order of the lowest peak; as it was where no order has a lower one.

    Args:
        content: ONNX.
        image: one image as the network takes it, float32 (1, C, H, W).
    """
    model = onnx.load_from_string(content)
    flow = flow_of(model, image)
    order = lowest_peak(flow)
    steps = [flow.steps[place] for place in order]
    before, after = (peak_of(flow, some, writes_over=True) for some in (flow.steps, steps))
    if after >= before:
        return content
    nodes = _in_order(model.graph.node, [step.node for step in steps])
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def lowest_peak(flow: FileFlow) -> list[int]:
    """Places of a flow's steps in an order of the lowest peak; as they are where the search was too large."""
    count = len(flow.steps)
    maker = {name: place for place, step in enumerate(flow.steps) for name in step.writes}
    first = [sum({1 << maker[name] for name in step.reads if name in maker}) for step in flow.steps]
    readers: dict[str, int] = {}
    for place, step in enumerate(flow.steps):
        for name in step.reads:
            readers[name] = readers.get(name, 0) | 1 << place
    everything = (1 << count) - 1
    queue: list[tuple[int, int, int]] = [(flow.sizes[flow.given], 0, 0)]  # peak, steps left, set
    came: dict[int, tuple[int, int]] = {}
    best = {0: flow.sizes[flow.given]}
    while queue:
        peak, _, done = heapq.heappop(queue)
        if peak > best[done]:
            continue
        if done == everything:
            return _path(came, done)
        if len(best) > MOST_SETS:
            break
        live = _live(flow, done, readers, maker)
        for place in range(count):
            bit = 1 << place
            if done & bit or first[place] & ~done:
                continue
            left = {name for name in live if name in flow.outputs or readers.get(name, 0) & ~(done | bit)}
            reached = max(peak, needed(flow, flow.steps[place], live, left, writes_over=True))
            if reached < best.get(done | bit, reached + 1):
                best[done | bit] = reached
                came[done | bit] = (done, place)
                heapq.heappush(queue, (reached, count - (done | bit).bit_count(), done | bit))
    return list(range(count))


def _live(flow: FileFlow, done: int, readers: Mapping[str, int], maker: Mapping[str, int]) -> set[str]:
    """Tensors that are there and still to be read, after a set of steps."""
    made = {flow.given} | {name for name, place in maker.items() if done >> place & 1}
    return {name for name in made if name in flow.outputs or readers.get(name, 0) & ~done}


def _path(came: Mapping[int, tuple[int, int]], done: int) -> list[int]:
    found: list[int] = []
    while done:
        done, place = came[done]
        found.append(place)
    return found[::-1]


def _in_order(nodes: Sequence[onnx.NodeProto], order: Sequence[int]) -> list[onnx.NodeProto]:
    """All nodes: those of ``order`` in that order, each after what it reads, the rest at the end."""
    maker = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    found: list[int] = []
    there: set[int] = set()

    def put(place: int) -> None:
        if place in there:
            return
        there.add(place)
        for name in nodes[place].input:
            if name in maker:
                put(maker[name])
        found.append(place)

    for place in (*order, *range(len(nodes))):
        put(place)
    return [nodes[place] for place in found]
