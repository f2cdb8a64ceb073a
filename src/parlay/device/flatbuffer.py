"""Reading flatbuffers: tables, vectors and strings by the numbers of their fields, every offset checked.

A flatbuffer is a tree of tables in one block of bytes. A table begins with the distance to its vtable, which says where
each field stands; everything else is an offset forward. Source: the format's own description, "FlatBuffer Internals".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["DamagedError", "FlatTable", "root"]


class DamagedError(ValueError):
    """Bytes that are no flatbuffer of the kind that is read."""


@dataclass(frozen=True)
class FlatTable:
    """A table within a flatbuffer; fields are numbered in the order of the schema, from 0.

    Attributes:
        data: the whole flatbuffer.
        place: where the table begins.
    """

    data: bytes
    place: int

    def field(self, number: int) -> int | None:
        """Where a field stands; None where the table leaves it out, and the schema's default holds."""
        vtable = self.place - _number(self.data, self.place, "<i")
        if 4 + 2 * number >= _number(self.data, vtable, "<H"):
            return None
        distance = _number(self.data, vtable + 4 + 2 * number, "<H")
        return self.place + distance if distance else None

    def number(self, number: int, kind: str, default: int = 0) -> int:
        """A field that is one integer; ``kind`` is a letter of ``struct``."""
        at = self.field(number)
        return default if at is None else _number(self.data, at, f"<{kind}")

    def table(self, number: int) -> FlatTable | None:
        """A field that is a table."""
        at = self.field(number)
        return None if at is None else FlatTable(self.data, _forward(self.data, at))

    def vector(self, number: int, kind: str) -> npt.NDArray[np.generic]:
        """A field that is a vector of numbers, as a view of the bytes; empty where it is left out."""
        start, count = self.span(number, np.dtype(kind).itemsize)
        return np.frombuffer(self.data, kind, count, start)

    def tables(self, number: int) -> list[FlatTable]:
        """A field that is a vector of tables; empty where it is left out."""
        start, count = self.span(number, 4)
        return [FlatTable(self.data, _forward(self.data, start + 4 * index)) for index in range(count)]

    def text(self, number: int) -> str:
        """A field that is a string; "" where it is left out."""
        return self.vector(number, "u1").tobytes().decode("utf-8", "replace")

    def span(self, number: int, item: int) -> tuple[int, int]:
        """Where the items of a vector begin, and how many there are."""
        at = self.field(number)
        if at is None:
            return 0, 0
        place = _forward(self.data, at)
        count = _number(self.data, place, "<I")
        if place + 4 + count * item > len(self.data):
            raise DamagedError(f"a vector of {count} items ends behind the file")
        return place + 4, count


def root(data: bytes, identifier: bytes) -> FlatTable:
    """The outermost table of a flatbuffer with a file identifier.

    Raises:
        DamagedError: for other bytes.

    >>> root(b"no flatbuffer", b"TFL3")
    Traceback (most recent call last):
    parlay.device.flatbuffer.DamagedError: its identifier is b'latb', not b'TFL3'
    """
    if len(data) < 8:
        raise DamagedError(f"it has {len(data)} bytes")
    if data[4:8] != identifier:
        raise DamagedError(f"its identifier is {data[4:8]!r}, not {identifier!r}")
    return FlatTable(data, _forward(data, 0))


def _number(data: bytes, place: int, kind: str) -> int:
    if not 0 <= place <= len(data) - struct.calcsize(kind):
        raise DamagedError(f"an offset leads to byte {place} of {len(data)}")
    return struct.unpack_from(kind, data, place)[0]


def _forward(data: bytes, place: int) -> int:
    return place + _number(data, place, "<I")
