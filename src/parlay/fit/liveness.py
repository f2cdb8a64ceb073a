"""How much activation memory the run of an int8 file needs: its tensors, with the sizes they have in a real run.

Independent of the tracer: the operators and their order are the file's, the shapes those of tensors that onnxruntime
gives out. A QuantizeLinear and a DequantizeLinear stand for integer arithmetic, so the tensors on their two sides are
one, of one byte an element; tensors that only weights decide are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parlay.extras import Needs
from parlay.fit.quantise import session_of, silent

with Needs("ONNX files", extra="onnx"):
    import numpy as np
    import onnx

__all__ = ["Live", "live_bytes"]

SAME = frozenset({"DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators whose output is their input."""
BESIDE = frozenset(
    "Concat Conv ConvTranspose DepthToSpace Expand Gather Gemm MatMul Resize Slice SpaceToDepth Split Tile"
    " Transpose".split()
)
"""Operators that cannot write over their input."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """Most bytes of activations that live at once in the run of a file, for one image.

    Attributes:
        in_place: where operators that work element by element, and pooling and means, write over inputs that nobody
            reads afterwards: the convention of docs/counting.md.
        apart: where every operator's output lies beside its inputs.
    """

    in_place: int
    apart: int


def live_bytes(content: bytes, image: np.ndarray) -> Live:
    """Follow the tensors of an int8 file through a run.

    Args:
        content: ONNX in the QDQ form, padding of images folded into the layers that read it or not.
        image: one image as the network takes it, float32 (1, C, H, W).
    """
    model = onnx.load_from_string(content)
    graph = model.graph
    [given] = graph.input
    storage: dict[str, str] = {given.name: given.name}
    steps: list[tuple[str, set[str], set[str]]] = []
    for node in graph.node:
        reads = {storage[name] for name in node.input if name in storage}
        if not reads or node.op_type in ("Shape", "Size"):
            continue
        if node.op_type in SAME:
            storage[node.output[0]] = storage[node.input[0]]
            continue
        writes = {name for name in node.output if name}
        storage |= {name: name for name in writes}
        steps.append((node.op_type, reads, writes))
    sizes = _elements(model, sorted(set(storage.values()) - {given.name}), image)
    sizes[given.name] = int(np.prod(image.shape[1:]))
    outputs = {storage[found.name] for found in graph.output if found.name in storage}
    return Live(
        in_place=_peak(steps, sizes, outputs, given.name, writes_over=True),
        apart=_peak(steps, sizes, outputs, given.name, writes_over=False),
    )


def _elements(model: onnx.ModelProto, names: list[str], image: np.ndarray) -> dict[str, int]:
    """Elements of tensors for one image, from a run that gives them out."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    there = {found.name for found in asked.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    with silent():
        session = session_of(asked.SerializeToString(), is_plain=True)
        found: list[Any] = list(session.run(names, {session.get_inputs()[0].name: image}))
    return {name: int(np.prod(np.shape(value)[1:])) for name, value in zip(names, found, strict=True)}


def _peak(
    steps: list[tuple[str, set[str], set[str]]],
    sizes: dict[str, int],
    outputs: set[str],
    given: str,
    *,
    writes_over: bool,
) -> int:
    last = {name: place for place, (_, reads, _) in enumerate(steps) for name in reads}
    last |= dict.fromkeys(outputs, len(steps))
    live = {given}
    peak = sizes[given]
    for place, (kind, _, writes) in enumerate(steps):
        together = live | writes
        if writes_over and kind not in BESIDE:
            together -= {name for name in live if last.get(name, -1) <= place}
        peak = max(peak, sum(sizes[name] for name in together))
        live = {name for name in live | writes if last.get(name, -1) > place}
    return peak
