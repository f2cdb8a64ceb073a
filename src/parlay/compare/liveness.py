"""How much activation memory the run of an int8 file needs: its tensors, with the sizes they have in a real run.

Independent of the tracer: the operators and their order are the file's, the shapes those of tensors that onnxruntime
gives out. A QuantizeLinear and a DequantizeLinear stand for integer arithmetic, so the tensors on their two sides are
one, of one byte an element; tensors that only weights decide are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from parlay.compare.quantise import session_of, silent
from parlay.extras import Needs

with Needs("ONNX files", extra="onnx"):
    import numpy as np
    import onnx

__all__ = ["FileFlow", "Live", "FileStep", "flow_of", "live_bytes", "needed", "peak_of"]

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


@dataclass(frozen=True, kw_only=True)
class FileStep:
    """An operator that makes tensors of its own.

    Attributes:
        kind: of the operator.
        node: its place in the file.
        reads, writes: tensors.
    """

    kind: str
    node: int
    reads: frozenset[str]
    writes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class FileFlow:
    """The tensors of a file's run, for one image.

    Attributes:
        steps: in the order of the file.
        sizes: elements of each tensor.
        given: the image.
        outputs: what is there at the end.
    """

    steps: tuple[FileStep, ...]
    sizes: Mapping[str, int]
    given: str
    outputs: frozenset[str]


def live_bytes(content: bytes, image: np.ndarray) -> Live:
    """Follow the tensors of an int8 file through a run.

    Args:
        content: ONNX in the QDQ form, padding of images folded into the layers that read it or not.
        image: one image as the network takes it, float32 (1, C, H, W).
    """
    flow = flow_of(onnx.load_from_string(content), image)
    return Live(
        in_place=peak_of(flow, flow.steps, writes_over=True), apart=peak_of(flow, flow.steps, writes_over=False)
    )


def flow_of(model: onnx.ModelProto, image: np.ndarray) -> FileFlow:
    """What every operator reads and writes, and how large that is."""
    graph = model.graph
    [given] = graph.input
    storage: dict[str, str] = {given.name: given.name}
    steps: list[FileStep] = []
    for place, node in enumerate(graph.node):
        reads = frozenset(storage[name] for name in node.input if name in storage)
        if not reads or node.op_type in ("Shape", "Size"):
            continue
        if node.op_type in SAME:
            storage[node.output[0]] = storage[node.input[0]]
            continue
        writes = frozenset(name for name in node.output if name)
        storage |= {name: name for name in writes}
        steps.append(FileStep(kind=node.op_type, node=place, reads=reads, writes=writes))
    sizes = _elements(model, sorted(set(storage.values()) - {given.name}), image)
    sizes[given.name] = int(np.prod(image.shape[1:]))
    outputs = frozenset(storage[found.name] for found in graph.output if found.name in storage)
    return FileFlow(steps=tuple(steps), sizes=sizes, given=given.name, outputs=outputs)


def needed(flow: FileFlow, step: FileStep, live: Set[str], left: Set[str], *, writes_over: bool) -> int:
    """Elements that are there while a step runs.

    Args:
        flow: whose step it is.
        step: an operator.
        live: tensors before it.
        left: of these, what is read after it.
        writes_over: whether it may write over what nobody reads afterwards.
    """
    beside = live if not writes_over or step.kind in BESIDE else left
    return sum(flow.sizes[name] for name in beside | step.writes)


def peak_of(flow: FileFlow, steps: Sequence[FileStep], *, writes_over: bool) -> int:
    """Most elements that are there at once when the steps run in this order."""
    last = {name: place for place, step in enumerate(steps) for name in step.reads}
    last |= dict.fromkeys(flow.outputs, len(steps))
    live = {flow.given}
    peak = flow.sizes[flow.given]
    for place, step in enumerate(steps):
        left = {name for name in live if last.get(name, -1) > place}
        peak = max(peak, needed(flow, step, live, left, writes_over=writes_over))
        live = left | {name for name in step.writes if last.get(name, -1) > place}
    return peak


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
