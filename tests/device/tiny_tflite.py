"""A .tflite file of a few operators, written field by field: what tests read needs no converter."""

from __future__ import annotations

import struct
from pathlib import Path

from parlay.device.tflite import TfliteModel, parse_tflite

CODES = {"ADD": 0, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 9, "SOFTMAX": 25, "TILE": 69}
INT8, INT32 = 9, 2


def read(path: Path) -> TfliteModel:
    """The model of a file."""
    return parse_tflite(path.read_bytes(), str(path))


class Fields(dict):
    """A table: number of a field -> its value."""


def packed(outermost: Fields, identifier: bytes) -> bytes:
    """A flatbuffer of tables (Fields), lists of them, vectors (kind, numbers), texts, bytes, and numbers (kind, n)."""
    data = bytearray(8)
    data[4:8] = identifier

    def put(value) -> int:
        data.extend(bytes(-len(data) % 16))
        if isinstance(value, Fields):
            count = max(value, default=-1) + 1
            vtable = len(data)
            data.extend(bytes(4 + 2 * count))
            data.extend(bytes(-len(data) % 8))
            table, place = len(data), 4
            data.extend(struct.pack("<i", table - vtable) + bytes(8 * len(value)))
            later = []
            for number, content in value.items():
                if isinstance(content, tuple) and isinstance(content[1], int):
                    place += -place % struct.calcsize(content[0])
                    struct.pack_into("<" + content[0], data, table + place, content[1])
                    size = struct.calcsize(content[0])
                else:
                    later.append((table + place, content))
                    size = 4
                struct.pack_into("<H", data, vtable + 4 + 2 * number, place)
                place += size + (-size) % 4
            struct.pack_into("<HH", data, vtable, 4 + 2 * count, place)
            for where, content in later:
                struct.pack_into("<I", data, where, put(content) - where)
            return table
        if isinstance(value, list):
            start = len(data)
            data.extend(struct.pack("<I", len(value)) + bytes(4 * len(value)))
            for index, each in enumerate(value):
                where = start + 4 + 4 * index
                struct.pack_into("<I", data, where, put(each) - where)
            return start
        if isinstance(value, str):
            value = ("text", value.encode())
        if isinstance(value, bytes):
            data.extend(bytes(12))  # so that the bytes themselves are aligned
            start = len(data)
            data.extend(struct.pack("<I", len(value)) + value)
            return start
        kind, numbers = value
        start = len(data)
        if kind == "text":
            data.extend(struct.pack("<I", len(numbers)) + numbers + b"\0")
        else:
            data.extend(bytes(4))
            start += 4
            data.extend(struct.pack("<I", len(numbers)) + struct.pack(f"<{len(numbers)}{kind}", *numbers))
        return start

    struct.pack_into("<I", data, 0, put(outermost))
    return bytes(data)


def tensor(shape, *, buffer=0, kind=INT8, name="t", scales=1, signature=None) -> Fields:
    """A tensor of a .tflite file."""
    fields = Fields({0: ("i", list(shape)), 1: ("b", kind), 2: ("I", buffer), 3: name})
    if scales:
        fields[4] = Fields({2: ("f", [0.5] * scales), 3: ("q", [0] * scales)})
    if signature:
        fields[7] = ("i", list(signature))
    return fields


def chain(widths=(4, 8, 2), *, side=8, kind="CONV_2D", subgraphs=1, signature=None) -> bytes:
    """1x1 convolutions one after another, widths[0] channels in, of int8."""
    tensors, buffers, operators = [], [Fields()], []
    for index, (before, after) in enumerate(zip((widths[0], *widths), widths, strict=False)):
        if index:
            for shape, bits, size in (((after, 1, 1, before), INT8, 1), ((after,), INT32, 4)):
                buffers.append(Fields({0: bytes(size * after * (before if bits == INT8 else 1))}))
                tensors.append(tensor(shape, buffer=len(buffers) - 1, kind=bits, scales=after))
            inputs = [3 * index - 3, 3 * index - 2, 3 * index - 1]
            operators.append(Fields({0: ("I", 0), 1: ("i", inputs), 2: ("i", [3 * index])}))
        tensors.append(tensor((1, side, side, after), name=f"a{index}", signature=signature))
    graph = Fields({0: tensors, 1: ("i", [0]), 2: ("i", [len(tensors) - 1]), 3: operators})
    code = Fields({0: ("b", CODES[kind]), 3: ("i", CODES[kind])})
    model = Fields({0: ("I", 3), 1: [code], 2: [graph] * subgraphs, 4: buffers, 6: [Fields({0: "own", 1: ("I", 0)})]})
    return packed(model, b"TFL3")


def written(folder: Path, content: bytes, name: str = "net.tflite") -> Path:
    """The content in a file."""
    path = folder / name
    path.write_bytes(content)
    return path
