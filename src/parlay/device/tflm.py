"""What LiteRT for Microcontrollers (TFLM) allocates for a model: its arena, to the byte.

The arena has a head, where tensors and scratch lie as the planner puts them, and a tail, which grows down from its end:
records of tensors, nodes and kernels. The rules are those of the source (tflite-micro, ``micro_allocator.cc`` and
``kernels/``, August 2026), with its reference kernels; sizes of structures are what a compiler says for each target.
Kernels that a chip's vendor wrote may ask for more scratch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from parlay.device.planner import ONLINE, Buffer, Plan, best_plan, greedy_plan
from parlay.device.tflite import Operator, Tensor, TfliteModel
from parlay.errors import unknown

__all__ = ["ALIGNED", "HOST", "MICRO", "Allocation", "Arena", "Target", "aligned", "arena_of"]

ALIGNED = 16
"""``MicroArenaBufferAlignment``: of every tensor, and of every buffer that a kernel keeps."""
REQUESTS = 12
"""``kMaxScratchBuffersPerOp``: requests that the head has room for while kernels prepare."""
LUT = 513
"""Numbers of a softmax's table for int16."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A machine that TFLM is compiled for.

    Attributes:
        name: as an answer calls it.
        pointer: bytes of one.
        records: whether allocations are recorded, as by ``tflite-micro`` of PyPI.
    """

    name: str
    pointer: int
    records: bool = False

    def struct(self, name: str) -> tuple[int, int]:
        """Size and alignment of a structure, in bytes."""
        return STRUCTS[name][self.pointer == 8]


MICRO = Target(name="32-bit device", pointer=4)
HOST = Target(name="64-bit host", pointer=8, records=True)
"""What ``tflite-micro`` of PyPI prints."""


@dataclass(frozen=True, kw_only=True)
class Arena:
    """An arena, by its parts.

    Attributes:
        head: bytes of tensors and scratch, as they are planned.
        tail: bytes of records.
        starting: bytes that the arena needs while the interpreter starts, before the plan is made: a small network may
            need more then than when it runs.
        kinds: what the tail consists of.
    """

    head: int
    tail: int
    starting: int
    kinds: dict[str, int]

    @property
    def used(self) -> int:
        """What ``arena_used_bytes()`` says once tensors are allocated."""
        return self.head + self.tail

    @property
    def total(self) -> int:
        """The least arena, up to its alignment, in which allocation succeeds."""
        return max(self.used, self.starting)


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """What a reference kernel allocates.

    Attributes:
        options: the structure that its options are unpacked into.
        data: the structure that it keeps.
        keeps: sizes in bytes of further buffers that it keeps.
        scratch: sizes in bytes of its scratch.
    """

    options: str = ""
    data: str = ""
    keeps: Callable[[Operands], list[int]] = lambda _: []
    scratch: Callable[[Operands], list[int]] = lambda _: []


@dataclass(frozen=True, kw_only=True)
class Operands:
    """The tensors of an operator; None for one that is left out."""

    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    target: Target

    def input(self, place: int) -> Tensor:
        """An input that has to be there."""
        found = self.inputs[place] if place < len(self.inputs) else None
        if found is None:
            raise ValueError(f"an operator of {len(self.inputs)} inputs lacks number {place}")
        return found


def _channels(axis: int, filter_place: int = 1) -> Callable[[Operands], list[int]]:
    """A multiplier and a shift for every output channel."""

    def sizes(of: Operands) -> list[int]:
        return [4 * of.input(filter_place).shape[axis]] * 2

    return sizes


def _rows(of: Operands) -> list[int]:
    """Of a fully connected layer only where it is quantised by channels."""
    count = of.input(1).scales
    return [4 * count] * 2 if count > 1 and of.input(0).type in QUANTISED else []


def _half_bytes(of: Operands) -> list[int]:
    """A filter of four bits is unpacked."""
    return [math.prod(of.input(1).shape)] if of.input(1).type == "int4" else []


def _reduced(of: Operands) -> list[int]:
    """Accumulators, a place in the input, and the axes."""
    sums = [4 * math.prod(of.outputs[0].shape)] if of.input(0).type in QUANTISED else []
    return [*sums, *_walked(of)]


def _walked(of: Operands) -> list[int]:
    return [4 * len(of.input(0).shape), 4 * math.prod(of.input(1).shape)]


def _dims(of: Operands) -> list[int]:
    """Dimensions that a kernel writes."""
    return [4 * (1 + len(of.outputs[0].shape))]


def _tables(of: Operands) -> list[int]:
    return [2 * LUT] * 2 if of.input(0).type == "int16" else []


def _sums(of: Operands) -> list[int]:
    """A transposed convolution adds up in 32 bits, or 64."""
    width = {"int8": 4, "int16": 8}.get(of.input(2).type, 0)
    return [width * math.prod(of.outputs[0].shape)] if width else []


QUANTISED = ("int8", "int16")
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
LOOKS = {"FULLY_CONNECTED": 1}
"""How often a kernel looks up its tensors while it prepares; the bias of a convolution once."""
MOST_LOOKS = 2
CONVOLUTION = Kernel(options="Conv", data="OpDataConv", keeps=_channels(0), scratch=_half_bytes)
NOTHING = Kernel()
COMPARISON = Kernel(data="OpDataComparison")
REDUCTION = Kernel(options="Reducer", data="OpDataReduce", scratch=_walked)

KERNELS: dict[str, Kernel] = {
    "ADD": Kernel(options="Add", data="OpDataAdd"),
    "SUB": Kernel(options="Sub", data="OpDataSub"),
    "MUL": Kernel(options="Mul", data="OpDataMul"),
    "DIV": Kernel(options="Div", data="OpDataDiv"),
    "CONV_2D": CONVOLUTION,
    "DEPTHWISE_CONV_2D": Kernel(options="DepthwiseConv", data="OpDataConv", keeps=_channels(3), scratch=_half_bytes),
    "FULLY_CONNECTED": Kernel(options="FullyConnected", data="OpDataFullyConnected", keeps=_rows, scratch=_half_bytes),
    "TRANSPOSE_CONV": Kernel(options="TransposeConv", data="OpDataTransposeConv", keeps=_channels(0), scratch=_sums),
    "AVERAGE_POOL_2D": Kernel(options="Pool", data="OpDataPooling"),
    "MAX_POOL_2D": Kernel(options="Pool", data="OpDataPooling"),
    "MEAN": Kernel(options="Reducer", data="OpDataReduce", scratch=_reduced),
    "SUM": Kernel(options="Reducer", data="OpDataReduce", scratch=_reduced),
    "REDUCE_MAX": REDUCTION,
    "REDUCE_MIN": REDUCTION,
    "RESHAPE": Kernel(options="Reshape"),
    "SQUEEZE": Kernel(options="Squeeze"),
    "EXPAND_DIMS": NOTHING,
    "TRANSPOSE": NOTHING,
    "SLICE": NOTHING,
    "STRIDED_SLICE": Kernel(options="StridedSlice", data="StridedSliceParams"),
    "SPLIT": Kernel(options="Split"),
    "SPLIT_V": Kernel(options="SplitV"),
    "PACK": Kernel(options="Pack"),
    "UNPACK": Kernel(options="Unpack"),
    "CONCATENATION": Kernel(options="Concatenation", data="OpDataConcatenation"),
    "PAD": Kernel(data="OpDataPad"),
    "PADV2": Kernel(data="OpDataPad"),
    "QUANTIZE": Kernel(data="OpDataQuantize"),
    "DEQUANTIZE": Kernel(data="OpDataDequantize"),
    "CAST": Kernel(options="Cast"),
    "SHAPE": Kernel(options="Shape"),
    "SOFTMAX": Kernel(options="Softmax", data="SoftmaxParams", keeps=_tables),
    "LOGISTIC": Kernel(data="OpDataLogistic"),
    "TANH": Kernel(data="OpDataTanh"),
    "RELU": Kernel(data="OpDataRelu"),
    "RELU6": Kernel(data="OpDataRelu6"),
    "LEAKY_RELU": Kernel(options="LeakyRelu", data="OpDataLeakyRelu"),
    "PRELU": Kernel(data="PreluParams"),
    "ELU": Kernel(data="OpDataElu"),
    "HARD_SWISH": Kernel(data="HardSwishParams"),
    "MAXIMUM": NOTHING,
    "MINIMUM": NOTHING,
    "ARG_MAX": Kernel(options="ArgMax"),
    "ARG_MIN": Kernel(options="ArgMax"),
    "RESIZE_BILINEAR": Kernel(options="ResizeBilinear"),
    "RESIZE_NEAREST_NEIGHBOR": Kernel(options="ResizeNearestNeighbor"),
    "SPACE_TO_DEPTH": Kernel(options="SpaceToDepth", keeps=_dims),
    "DEPTH_TO_SPACE": Kernel(options="DepthToSpace", keeps=_dims),
    "ABS": Kernel(data="OpDataAbsRsqrt"),
    "RSQRT": Kernel(data="OpDataAbsRsqrt"),
    **dict.fromkeys(("SQRT", "SQUARE", "EXP", "LOG", "NEG", "FLOOR", "CEIL", "ROUND", "SIN", "COS"), NOTHING),
    **dict.fromkeys(("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"), COMPARISON),
    "SQUARED_DIFFERENCE": Kernel(data="OpDataSquaredDifference"),
}
"""What TFLM's reference kernels allocate; those that control flow or keep state between runs are not among them."""

STRUCTS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "AllocationInfo": ((24, 4), (32, 8)),
    "BufferRequirements": ((16, 4), (16, 4)),
    "GreedyMemoryPlanner": ((44, 4), (72, 8)),
    "HardSwishParams": ((20, 4), (20, 4)),
    "ListEntry": ((12, 4), (12, 4)),
    "MicroAllocator": ((36, 4), (72, 8)),
    "MicroBuiltinDataAllocator": ((8, 4), (16, 8)),
    "NodeAndRegistration": ((32, 4), (64, 8)),
    "OpDataAbsRsqrt": ((28, 4), (28, 4)),
    "OpDataAdd": ((60, 4), (60, 4)),
    "OpDataComparison": ((32, 4), (32, 4)),
    "OpDataConcatenation": ((24, 4), (80, 8)),
    "OpDataConv": ((56, 4), (80, 8)),
    "OpDataDequantize": ((32, 8), (32, 8)),
    "OpDataDiv": ((28, 4), (28, 4)),
    "OpDataElu": ((256, 1), (256, 1)),
    "OpDataFullyConnected": ((48, 4), (72, 8)),
    "OpDataLeakyRelu": ((24, 4), (24, 4)),
    "OpDataLogistic": ((16, 4), (16, 4)),
    "OpDataMul": ((36, 4), (36, 4)),
    "OpDataPad": ((56, 4), (56, 4)),
    "OpDataPooling": ((32, 4), (32, 4)),
    "OpDataQuantize": ((32, 8), (32, 8)),
    "OpDataReduce": ((44, 4), (44, 4)),
    "OpDataRelu": ((28, 4), (28, 4)),
    "OpDataRelu6": ((8, 4), (8, 4)),
    "OpDataSquaredDifference": ((112, 8), (112, 8)),
    "OpDataSub": ((52, 4), (52, 4)),
    "OpDataTanh": ((16, 4), (16, 4)),
    "OpDataTransposeConv": ((72, 4), (88, 8)),
    "PreluParams": ((28, 4), (28, 4)),
    "RecordingMicroAllocator": ((124, 4), (272, 8)),
    "RecordingSingleArenaBufferAllocator": ((52, 4), (104, 8)),
    "ScratchBufferHandle": ((4, 4), (8, 8)),
    "ScratchBufferRequest": ((12, 4), (16, 8)),
    "SingleArenaBufferAllocator": ((36, 4), (72, 8)),
    "SoftmaxParams": ((56, 8), (80, 8)),
    "StridedSliceParams": ((84, 4), (84, 4)),
    "SubgraphAllocations": ((8, 4), (24, 8)),
    "TfLiteAddParams": ((8, 4), (8, 4)),
    "TfLiteAffineQuantization": ((12, 4), (24, 8)),
    "TfLiteArgMaxParams": ((4, 4), (4, 4)),
    "TfLiteCastParams": ((8, 4), (8, 4)),
    "TfLiteConcatenationParams": ((8, 4), (8, 4)),
    "TfLiteConvParams": ((28, 4), (28, 4)),
    "TfLiteDepthToSpaceParams": ((4, 4), (4, 4)),
    "TfLiteDepthwiseConvParams": ((28, 4), (28, 4)),
    "TfLiteDivParams": ((4, 4), (4, 4)),
    "TfLiteEvalTensor": ((12, 4), (24, 8)),
    "TfLiteFullyConnectedParams": ((16, 4), (32, 4)),
    "TfLiteLeakyReluParams": ((4, 4), (4, 4)),
    "TfLiteMulParams": ((4, 4), (4, 4)),
    "TfLitePackParams": ((8, 4), (8, 4)),
    "TfLitePoolParams": ((40, 4), (40, 4)),
    "TfLiteReducerParams": ((1, 1), (1, 1)),
    "TfLiteReshapeParams": ((36, 4), (36, 4)),
    "TfLiteResizeBilinearParams": ((2, 1), (2, 1)),
    "TfLiteResizeNearestNeighborParams": ((2, 1), (2, 1)),
    "TfLiteShapeParams": ((4, 4), (4, 4)),
    "TfLiteSoftmaxParams": ((4, 4), (4, 4)),
    "TfLiteSpaceToDepthParams": ((4, 4), (4, 4)),
    "TfLiteSplitParams": ((4, 4), (4, 4)),
    "TfLiteSplitVParams": ((4, 4), (4, 4)),
    "TfLiteSqueezeParams": ((36, 4), (36, 4)),
    "TfLiteStridedSliceParams": ((24, 4), (24, 4)),
    "TfLiteSubParams": ((8, 4), (8, 4)),
    "TfLiteTensor": ((40, 4), (64, 8)),
    "TfLiteTransposeConvParams": ((20, 4), (20, 4)),
    "TfLiteUnpackParams": ((8, 4), (8, 4)),
}
"""Structure -> size and alignment in bytes: as the source has it on 32 bits, and as ``tflite-micro`` of PyPI has it.

That one is built with decompression, which makes some structures larger, and later (October 2026): its options of a
fully connected layer are 16 bytes larger than the source read here says, as the figures that it prints show.
"""


class _Tail:
    """The tail as it grows down: every allocation is aligned from the arena's end, which is itself aligned."""

    def __init__(self) -> None:
        self.used = 0
        self.kinds: dict[str, int] = {}

    def take(self, kind: str, size: int, alignment: int = ALIGNED) -> None:
        before = self.used
        self.used = -(-(self.used + size) // alignment) * alignment
        self.kinds[kind] = self.kinds.get(kind, 0) + self.used - before


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """A model as TFLM allocates it on a target; head and tail are computed once.

    Attributes:
        model, target: which.
    """

    model: TfliteModel
    target: Target

    @cached_property
    def kernels(self) -> list[tuple[Operator, Kernel, Operands]]:
        """Every operator with its kernel and its tensors.

        Raises:
            InputError: for an operator that TFLM has no kernel for, or whose kernel is not described here.
        """
        tensors = self.model.tensors
        found: list[tuple[Operator, Kernel, Operands]] = []
        for operator in self.model.operators:
            kernel = KERNELS.get(operator.kind)
            if kernel is None:
                raise unknown("operator", operator.kind, KERNELS)
            operands = Operands(
                inputs=tuple(None if place < 0 else tensors[place] for place in operator.inputs),
                outputs=tuple(tensors[place] for place in operator.outputs),
                target=self.target,
            )
            found.append((operator, kernel, operands))
        return found

    @cached_property
    def scratch(self) -> list[Buffer]:
        """Scratch of kernels, in their order; each lives at its operator alone."""
        return [
            Buffer(bytes=aligned(size), first=step, last=step)
            for step, (_, kernel, operands) in enumerate(self.kernels, start=1)
            for size in kernel.scratch(operands)
        ]

    @cached_property
    def buffers(self) -> list[Buffer]:
        """Tensors that a run computes, in the file's order, then scratch: what is planned."""
        tensors = self.model.tensors
        lives = self.model.lives
        return [
            *(Buffer(bytes=aligned(tensors[place].bytes), first=a, last=b) for place, (a, b) in lives.items()),
            *self.scratch,
        ]

    def planned(self, offsets: tuple[int, ...] | None = None) -> Plan:
        """The plan that TFLM makes, with the file's own offsets or others; one offset a tensor of the file."""
        offsets = self.model.plan if offsets is None else offsets
        fixed = [offsets[place] if offsets else ONLINE for place in self.model.lives]
        return greedy_plan(self.buffers, [*fixed, *[ONLINE] * len(self.scratch)])

    @cached_property
    def best(self) -> Plan:
        """The best plan that is found; no worse than TFLM's own."""
        own = self.planned(())
        return own if own.bytes == own.bound else min(own, best_plan(self.buffers), key=lambda plan: plan.bytes)

    def offsets(self, plan: Plan) -> tuple[int, ...]:
        """A plan as a file has it: one offset for each of its tensors."""
        found = dict(zip(self.model.lives, plan.offsets, strict=False))
        return tuple(found.get(place, ONLINE) for place in range(len(self.model.tensors)))

    def arena(self, plan: Plan | None = None) -> Arena:
        """The arena, with the file's own plan or another."""
        head = (self.planned() if plan is None else plan).bytes
        tail, starting = _Tail(), 0
        struct, model = self.target.struct, self.model
        recording = "Recording" if self.target.records else ""
        for name in (f"{recording}SingleArenaBufferAllocator", "GreedyMemoryPlanner", f"{recording}MicroAllocator"):
            tail.take("allocator", *struct(name))
        tail.take("allocator", *struct("MicroBuiltinDataAllocator"))
        tail.take("allocator", *struct("SubgraphAllocations"))
        _take_many(tail, "tensors", struct("TfLiteEvalTensor"), len(model.tensors))
        _take_many(tail, "nodes", struct("NodeAndRegistration"), len(model.operators))
        for _, kernel, _ in self.kernels:
            if kernel.options:
                tail.take("options", *struct(f"TfLite{kernel.options}Params"))
        for _, kernel, _ in self.kernels:
            if kernel.data:
                tail.take("kernels", struct(kernel.data)[0])
        requests, requested = struct("ScratchBufferRequest")[0], 0
        for operator, kernel, operands in self.kernels:
            for size in kernel.keeps(operands):
                tail.take("channels", size)
            room = requests * (requested + REQUESTS)
            starting = max(starting, tail.used + room + self._temporary(operator))
            requested += len(kernel.scratch(operands))
        if requested:
            _take_many(tail, "scratch", struct("ScratchBufferHandle"), requested)
        starting = max(starting, tail.used + requests * (requested + REQUESTS) + self._planning())
        for places in (model.inputs, model.outputs):
            tail.take("inputs and outputs", self.target.pointer * len(places))
            for place in places:
                tail.take("inputs and outputs", *struct("TfLiteTensor"))
                if model.tensors[place].scales:
                    tail.take("inputs and outputs", *struct("TfLiteAffineQuantization"))
                    tail.take("inputs and outputs", 4 * (1 + model.tensors[place].scales), 4)
        return Arena(head=head, tail=tail.used, starting=starting, kinds=tail.kinds)

    def _temporary(self, operator: Operator) -> int:
        """What a kernel looks at while it prepares: each of its tensors with its quantisation, as often as it does."""
        total = 0
        for place in (*operator.inputs, *operator.outputs):
            if place >= 0:
                times = LOOKS.get(operator.kind, MOST_LOOKS)
                is_bias = operator.kind in CONVOLUTIONS and operator.inputs[-1] == place
                scales = self.model.tensors[place].scales
                each = self.target.struct("TfLiteTensor")[0]
                each += self.target.struct("TfLiteAffineQuantization")[0] + 4 * (1 + scales) if scales else 0
                each += self.target.pointer - 4  # before a structure with pointers
                total += each * (1 if is_bias else times)
        return total

    def _planning(self) -> int:
        """What the planner works with: the life of every tensor, and six lists of those it places."""
        struct = self.target.struct
        lives = len(self.model.tensors) + len(self.scratch)
        each = struct("BufferRequirements")[0] + struct("ListEntry")[0] + 3 * 4
        return (
            self.target.pointer
            + struct("AllocationInfo")[0] * lives
            + each * len(self.buffers)
            + 2 * ALIGNED  # the lists begin and end aligned
        )


def arena_of(model: TfliteModel, target: Target = MICRO) -> Arena:
    """The arena of a model on a target, with the plan that its file asks for."""
    return Allocation(model=model, target=target).arena()


def _take_many(tail: _Tail, kind: str, struct: tuple[int, int], count: int) -> None:
    size, alignment = struct
    tail.take(kind, size * count, alignment)


def aligned(size: int) -> int:
    """Bytes rounded up to what TFLM aligns tensors to."""
    return -(-size // ALIGNED) * ALIGNED
