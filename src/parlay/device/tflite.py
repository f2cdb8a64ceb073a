"""A .tflite file: its tensors, operators and plan, read without TensorFlow; and the same file with another plan.

Field numbers are those of TensorFlow Lite's schema (``schema.fbs``, identifier TFL3), in the order of its tables.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from parlay.device.flatbuffer import DamagedError, FlatTable, root
from parlay.errors import InputError

__all__ = ["Operator", "Tensor", "TfliteModel", "content", "parse_tflite", "same_padding", "with_plan"]

IDENTIFIER = b"TFL3"
PLAN = "OfflineMemoryAllocation"
"""Metadata with an offset for every tensor (tflite-micro, docs/memory_management.md)."""
PLAN_VERSION = 1
ALIGNED = 16
"""What a weight's bytes are aligned to within a file (``force_align`` of the schema)."""
HEADER = 8
"""A file begins with the offset of its outermost table and four letters."""
MODEL_FIELDS = 10
"""Fields of the outermost table; all but the first are offsets."""

TYPES: dict[int, tuple[str, int]] = {
    0: ("float32", 4), 1: ("float16", 2), 2: ("int32", 4), 3: ("uint8", 1), 4: ("int64", 8), 5: ("string", 0),
    6: ("bool", 1), 7: ("int16", 2), 8: ("complex64", 8), 9: ("int8", 1), 10: ("float64", 8), 11: ("complex128", 16),
    12: ("uint64", 8), 13: ("resource", 4), 14: ("variant", 4), 15: ("uint32", 4), 16: ("uint16", 2),
    17: ("int4", 1), 18: ("bfloat16", 2), 19: ("int2", 1), 20: ("uint4", 1), 21: ("float8_e4m3fn", 1),
    22: ("float8_e5m2", 1),
}  # fmt: skip
"""Number of a type -> its name and the bytes of an element in memory; TFLM unpacks four bits into a byte."""

OPERATORS: dict[int, str] = dict(
    enumerate(
        """ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
        FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
        LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH
        SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
        BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
        BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
        ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE
        TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK
        LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL
        FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL
        REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND
        HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
        BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
        HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE
        ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
        DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
        UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT""".split()
    )
)
"""Number of a builtin operator -> its name."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of the file.

    Attributes:
        name: as the file has it.
        shape: its sizes.
        type: of an element.
        bytes: what it takes in memory.
        stored: bytes of its value in the file; 0 for what is computed.
        is_variable: whether it keeps its value between runs.
        scales: numbers of its quantisation, one a channel or one in all; 0 for none.
        is_external: whether its value stands behind the flatbuffer, where TFLM does not look.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    bytes: int
    stored: int = 0
    is_variable: bool = False
    scales: int = 0
    is_external: bool = False


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operator, in the file's order.

    Attributes:
        kind: its builtin name, or ``CUSTOM`` with its own.
        inputs: places of tensors; -1 for one that is left out.
        outputs: places of tensors.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TfliteModel:
    """What a .tflite file holds, as far as memory is concerned.

    Attributes:
        file_bytes: size of the file.
        tensors, operators: those of the one subgraph.
        inputs, outputs: places of tensors.
        plan: offsets that the file itself asks for, one a tensor, -1 for none; empty without such a plan.
    """

    file_bytes: int
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    plan: tuple[int, ...] = ()

    @cached_property
    def lives(self) -> dict[int, tuple[int, int]]:
        """Place of every tensor that a run computes -> first and last step at which it lives.

        Step 0 is before the first operator, which is step 1. Inputs live from the start, outputs to the end.
        """
        first = dict.fromkeys(self.inputs, 0)
        last = dict.fromkeys(self.inputs, 0)
        for step, operator in enumerate(self.operators, start=1):
            for place in operator.outputs:
                first.setdefault(place, step)
            for place in (*operator.inputs, *operator.outputs):
                last[place] = step
        for place in self.outputs:
            first.setdefault(place, len(self.operators))
            last[place] = len(self.operators)
        return {
            place: (first.get(place, -1), last.get(place, -1))
            for place, tensor in enumerate(self.tensors)
            if not tensor.stored and not tensor.is_variable and tensor.bytes
        }


def parse_tflite(data: bytes, name: str) -> TfliteModel:
    """The model of a .tflite file's bytes; ``name`` is what messages call them.

    Raises:
        InputError: for a file that is none, is damaged, has several subgraphs, or tensors whose sizes a run decides.
    """
    try:
        return _model(data, name)
    except (DamagedError, struct.error, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(name, given=f"{error}", allowed="a whole .tflite file (a flatbuffer, TFL3)") from error


def content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: where it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), given=error.strerror or "unreadable", allowed="a file to read") from error


def _model(data: bytes, name: str) -> TfliteModel:
    model = root(data, IDENTIFIER)
    graphs = model.tables(2)
    if len(graphs) != 1:
        raise InputError(
            name, given=f"{len(graphs)} subgraphs", allowed="one", remedy="control flow is not planned; check its parts"
        )
    [graph] = graphs
    buffers = model.tables(4)
    tensors = tuple(_tensor(table, buffers, name) for table in graph.tables(0))
    codes = [_kind(code) for code in model.tables(1)]
    operators = tuple(
        Operator(
            kind=codes[operator.number(0, "I")],
            inputs=_places(operator, 1, tensors),
            outputs=_places(operator, 2, tensors),
        )
        for operator in graph.tables(3)
    )
    return TfliteModel(
        file_bytes=len(data),
        tensors=tensors,
        operators=operators,
        inputs=_places(graph, 1, tensors),
        outputs=_places(graph, 2, tensors),
        plan=_plan(model, buffers, tensors),
    )


def _places(table: FlatTable, number: int, tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
    places = tuple(int(place) for place in table.vector(number, "<i4"))
    if not all(-1 <= place < len(tensors) for place in places):
        raise DamagedError(f"a tensor of number {max(places)} among {len(tensors)}")
    return places


def _kind(code: FlatTable) -> str:
    """The newer field where the number is too large for the older one, as TensorFlow Lite reads it."""
    number = max(code.number(0, "b"), code.number(3, "i"))
    own = code.text(1)
    return f"CUSTOM {own}" if own else OPERATORS.get(number, f"operator {number}")


def _tensor(table: FlatTable, buffers: Sequence[FlatTable], name: str) -> Tensor:
    shape = tuple(int(size) for size in table.vector(0, "<i4"))
    title = table.text(3)
    signature = table.vector(7, "<i4")
    if any(size < 0 for size in shape) or any(int(size) < -1 for size in signature):
        raise DamagedError(f"tensor {title} has shape {shape}")
    if any(int(size) == -1 for size in signature[1:]):  # the first is the batch, which engines take as it stands
        raise InputError(
            name,
            given=f"tensor {title} of shape {tuple(int(size) for size in signature)}",
            allowed="sizes that are known",
            remedy="convert the model with a fixed input shape",
        )
    number = table.number(1, "b")
    if number not in TYPES:
        raise DamagedError(f"tensor {title} has elements of type {number}")
    type_name, size = TYPES[number]
    buffer = buffers[table.number(2, "I")] if buffers else None
    external = buffer is not None and (buffer.number(1, "Q") > 1 or table.number(10, "I") > 0)
    quantisation = table.table(4)
    scales = zeros = 0
    if quantisation is not None:
        scales, zeros = quantisation.span(2, 4)[1], quantisation.span(3, 8)[1]
    return Tensor(
        name=title,
        shape=shape,
        type=type_name,
        bytes=math.prod(shape) * size,
        stored=0 if buffer is None else buffer.number(2, "Q") if external else buffer.span(0, 1)[1],
        is_variable=bool(table.number(5, "B")),
        scales=scales if zeros else 0,
        is_external=external,
    )


def _plan(model: FlatTable, buffers: Sequence[FlatTable], tensors: Sequence[Tensor]) -> tuple[int, ...]:
    for entry in model.tables(6):
        if entry.text(0) == PLAN:
            numbers = np.frombuffer(buffers[entry.number(1, "I")].vector(0, "u1").tobytes(), "<i4")
            if len(numbers) != 3 + len(tensors) or numbers[2] != len(tensors):
                raise DamagedError(f"a plan of {len(numbers)} numbers for {len(tensors)} tensors")
            return tuple(int(offset) for offset in numbers[3:])
    return ()


def same_padding(side: int, *, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Pixels that padding "same" puts before and behind one side of an image.

    >>> same_padding(32, kernel=3, stride=1, dilation=1), same_padding(32, kernel=3, stride=2, dilation=1)
    ((1, 1), (0, 1))
    """
    span = (kernel - 1) * dilation + 1
    total = max((-(-side // stride) - 1) * stride + span - side, 0)
    return total // 2, total - total // 2


def with_plan(data: bytes, offsets: Sequence[int], name: str = "the file") -> bytes:
    """The same file with a plan in it; all else stays, byte for byte, behind a new outermost table.

    Offsets of a flatbuffer lead forward, so what is new goes in front: the outermost table, the two lists that grow,
    and the plan. The old bytes move by a multiple of 16, which keeps every alignment.

    Args:
        data: the file.
        offsets: one a tensor, in bytes; -1 lets the engine place it.
        name: what messages call the file.

    Raises:
        InputError: for a file that cannot be read, or keeps values behind the flatbuffer.
    """
    model = parse_tflite(data, name)
    if len(offsets) != len(model.tensors):
        raise InputError("plan", given=len(offsets), allowed=f"{len(model.tensors)} offsets, one a tensor")
    if any(tensor.is_external for tensor in model.tensors):
        raise InputError(name, given="values behind the flatbuffer", allowed="values within it, as TFLM reads them")
    old = root(data, IDENTIFIER)
    kept = [entry for entry in old.tables(6) if entry.text(0) != PLAN]
    buffers = old.tables(4)
    front = _Front(data)
    lists: dict[int, _Target] = {4: "buffers", 6: "metadata"}
    front.table("root", {number: lists.get(number, _old(old, number)) for number in sorted({*_present(old), *lists})})
    front.pointers("buffers", [*buffers, "plan"])
    front.pointers("metadata", [*kept, "entry"])
    front.table("entry", {0: "title", 1: len(buffers)})
    front.table("plan", {0: "offsets"})
    front.vector("title", PLAN.encode() + b"\0", count=len(PLAN))
    content = struct.pack(f"<{3 + len(offsets)}i", PLAN_VERSION, 0, len(offsets), *offsets)
    front.vector("offsets", content, count=len(content))
    return front.joined()


_Target = str | int | FlatTable
"""What a field of a new table holds: the name of a new part, a number, or something of the old file."""


def _present(table: FlatTable) -> list[int]:
    return [number for number in range(MODEL_FIELDS) if table.field(number) is not None]


def _old(model: FlatTable, number: int) -> _Target:
    """A field of the old outermost table: the schema's version, or what an offset leads to."""
    if number == 0:
        return model.number(0, "I")
    found = model.table(number)
    return 0 if found is None else found  # a vector begins at its place as a table does


class _Front:
    """New parts in front of an old flatbuffer, in the order in which they point to each other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.parts = bytearray(HEADER)  # where the file's own header will be
        self.places: dict[str, int] = {}
        self.pending: list[tuple[int, str | FlatTable]] = []

    def _begin(self, name: str, *, align: int = 4, ahead: int = 0) -> None:
        self.parts += bytes(-(len(self.parts) + ahead) % align)
        self.places[name] = len(self.parts)

    def _hold(self, target: _Target) -> None:
        if isinstance(target, int):
            self.parts += struct.pack("<I", target)
        else:
            self.pending.append((len(self.parts), target))
            self.parts += bytes(4)

    def vector(self, name: str, content: bytes, *, count: int) -> None:
        """Bytes behind their number, aligned as values of tensors are."""
        self._begin(name, align=ALIGNED, ahead=4)
        self.parts += struct.pack("<I", count) + content

    def pointers(self, name: str, targets: Sequence[_Target]) -> None:
        """A vector of tables."""
        self._begin(name)
        self.parts += struct.pack("<I", len(targets))
        for target in targets:
            self._hold(target)

    def table(self, name: str, fields: dict[int, _Target]) -> None:
        """A table whose fields take four bytes each, behind its vtable."""
        count = max(fields) + 1
        places = {number: 4 + 4 * index for index, number in enumerate(fields)}
        vtable = struct.pack(
            f"<{2 + count}H", 4 + 2 * count, 4 + 4 * len(fields), *(places.get(n, 0) for n in range(count))
        )
        self._begin(name, ahead=len(vtable))
        self.parts += vtable
        self.places[name] = len(self.parts)
        self.parts += struct.pack("<i", len(vtable))
        for target in fields.values():
            self._hold(target)

    def joined(self) -> bytes:
        """The new file."""
        self.parts += bytes((HEADER - len(self.parts)) % ALIGNED)
        moved = len(self.parts) - HEADER
        for place, target in self.pending:
            end = self.places[target] if isinstance(target, str) else target.place + moved
            struct.pack_into("<I", self.parts, place, end - place)
        self.parts[:HEADER] = struct.pack("<I", self.places["root"]) + self.data[4:HEADER]
        return bytes(self.parts) + self.data[HEADER:]
