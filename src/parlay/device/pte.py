"""A .pte file of ExecuTorch: the memory that its plan lays out, read without ExecuTorch.

Field numbers are those of ExecuTorch's schema (``program.fbs``, identifier ET12), in the order of its tables.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parlay.device.flatbuffer import DamagedError, root
from parlay.device.tflite import content
from parlay.errors import InputError

__all__ = ["Placed", "Program", "read_pte"]

TENSOR = 5
"""Kind of a value that is a tensor."""
KERNEL, DELEGATE = 1, 2
"""Kinds of an instruction that compute."""
SCALARS = (1, 1, 2, 4, 8, 2, 4, 8, 4, 8, 16, 1, 1, 1, 4, 2)
"""Bytes of a scalar by the number of its type: uint8, int8, int16, int32, int64, float16, float32, float64, ..."""
DYNAMIC_UNBOUND = 2


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A tensor in a planned arena.

    Attributes:
        name: as pictures name it.
        bytes: what it takes.
        first, last: steps at which it lives; 0 is before the first instruction.
        offset: where the plan puts it.
    """

    name: str
    bytes: int
    first: int
    last: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a .pte file holds, as far as memory is concerned.

    Attributes:
        file_bytes: size of the file.
        arena: bytes that its plan lays out, all memories together.
        steps: names of what is computed, in order.
        placed: the tensors of the plan.
        delegates: engines that parts are handed to, which allocate for themselves.
    """

    file_bytes: int
    arena: int
    steps: tuple[str, ...]
    placed: tuple[Placed, ...]
    delegates: tuple[str, ...]


def read_pte(path: Path) -> Program:
    """The plan of a .pte file's method ``forward``.

    Raises:
        InputError: for a file that is none or is damaged, or tensors whose sizes a run decides.
    """
    data, name = content(path), str(path)
    try:
        return _program(data, name)
    except (DamagedError, struct.error, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(name, given=f"{error}", allowed="a whole .pte file (a flatbuffer, ET12)") from error


def _program(data: bytes, name: str) -> Program:
    if data[4:6] != b"ET":
        raise DamagedError(f"its identifier is {data[4:8]!r}, not b'ET12'")
    plans = root(data, data[4:8]).tables(1)
    chosen = [plan for plan in plans if plan.text(0) == "forward"] or plans
    if not chosen:
        raise DamagedError("it has no method")
    plan = chosen[0]
    operators = [operator.text(0) for operator in plan.tables(6)]
    delegates = [delegate.text(0) for delegate in plan.tables(7)]
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    steps: list[str] = []
    inputs = [int(place) for place in plan.vector(3, "<i4")]
    first.update(dict.fromkeys(inputs, 0))
    for chain in plan.tables(5):
        for instruction in chain.tables(2):
            kind, call = instruction.number(0, "B"), instruction.table(1)
            if kind not in (KERNEL, DELEGATE) or call is None:
                continue
            number = call.number(0, "i")
            steps.append(operators[number] if kind == KERNEL else f"delegate {delegates[number]}")
            for place in map(int, call.vector(1, "<i4")):
                first.setdefault(place, len(steps))
                last[place] = len(steps)
    last.update(dict.fromkeys(map(int, plan.vector(4, "<i4")), len(steps)))
    sizes = [int(size) for size in plan.vector(8, "<i8")]
    starts = np.cumsum([0, *sizes])
    placed: list[Placed] = []
    for place, value in enumerate(plan.tables(2)):
        tensor = value.table(1) if value.number(0, "B") == TENSOR else None
        where = None if tensor is None else tensor.table(6)
        if tensor is None or where is None:
            continue
        if tensor.number(8, "b") == DYNAMIC_UNBOUND:
            raise InputError(name, given="a tensor without bounds", allowed="sizes that are known or bounded")
        shape = tuple(int(size) for size in tensor.vector(2, "<i4"))
        if 0 in shape:  # scratch of a kernel that needs none
            continue
        offset = where.number(1, "I") + (where.number(2, "I") << 32)
        placed.append(
            Placed(
                name=f"{'x'.join(map(str, shape))}",
                bytes=math.prod(shape) * SCALARS[tensor.number(0, "b")],
                first=first.get(place, 0),
                last=last.get(place, len(steps)),
                offset=int(starts[where.number(0, "I")]) + offset,
            )
        )
    return Program(
        file_bytes=len(data), arena=sum(sizes), steps=tuple(steps), placed=tuple(placed), delegates=tuple(delegates)
    )
