"""Amounts as people write them: ``123456``, ``1.0x`` of today's, ``256KiB``, ``A:B``; exact integers in the end."""

from __future__ import annotations

import re
from fractions import Fraction

from parlay.errors import InputError

__all__ = ["UNITS", "parse_bytes", "parse_limit", "parse_range", "parse_ratio"]

UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
"""Unit of memory, in small letters -> bytes."""

LARGEST = 10**16
"""No limit of a device is above it, and sums of such amounts stay within 64 bits."""
NUMBER = r"[0-9][0-9_,]*(?:\.[0-9]+)?"


def parse_bytes(text: str, what: str = "memory") -> int:
    """Bytes, rounded down.

    Raises:
        InputError: for anything but a positive number with a known unit.

    >>> parse_bytes("256KiB"), parse_bytes("1.5 MB"), parse_bytes("4096")
    (262144, 1500000, 4096)
    """
    match = re.fullmatch(rf"\s*({NUMBER})\s*([A-Za-z]*)\s*", text)
    unit = match[2].lower() if match else ""
    if match is None or unit not in UNITS:
        raise InputError(
            what,
            given=repr(text),
            allowed="a number with B, kB, KiB, MB, MiB, GB or GiB, such as 256KiB",
            remedy="" if match is None else f"{match[2]!r} is no unit of memory",
        )
    return _checked(what, text, int(_number(match[1]) * UNITS[unit]))


def parse_limit(text: str, *, today: int, what: str) -> int:
    """A number, or a ratio of today's amount (``0.8x``), rounded down.

    Raises:
        InputError: for anything else, or an amount below 1.

    >>> parse_limit("0.5x", today=11, what="max-params"), parse_limit("4_000", today=11, what="max-params")
    (5, 4000)
    """
    match = re.fullmatch(rf"\s*({NUMBER}|[0-9]+/0*[1-9][0-9]*)\s*(x?)\s*", text)
    if match is None or (not match[2] and not match[1].replace("_", "").replace(",", "").isdigit()):
        raise InputError(
            what, given=repr(text), allowed="a positive integer, or a ratio of today's such as 1.0x", remedy=""
        )
    amount = _number(match[1]) * (today if match[2] else 1)
    return _checked(what, text, int(amount))


def parse_range(text: str, *, today: int, what: str) -> tuple[int, int]:
    """``A:B``, both ends as ``parse_limit`` takes them; a ratio at the lower end is rounded up.

    Raises:
        InputError: unless there are two ends, the smaller first.

    >>> parse_range("0.95x:1.0x", today=1001, what="params-range")
    (951, 1001)
    """
    low, colon, high = text.partition(":")
    if not colon:
        raise InputError(what, given=repr(text), allowed="two amounts joined by a colon, such as 90000:100000")
    first, last = parse_limit(low, today=today, what=what), parse_limit(high, today=today, what=what)
    if low.strip().endswith("x") and _number(low.strip().removesuffix("x").strip()) * today > first:
        first += 1
    if first > last:
        raise InputError(what, given=repr(text), allowed="an ascending range", remedy=f"{first:,} is above {last:,}")
    return first, last


def parse_ratio(text: str | float | Fraction, what: str) -> Fraction:
    """A positive ratio, a decimal taken as written.

    Raises:
        InputError: for anything else.

    >>> parse_ratio("0.5", "min-ratio")
    Fraction(1, 2)
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?|[0-9]+/[0-9]+)\s*x?\s*", str(text))
    value = None
    if match is not None and not match[1].endswith("/0"):
        value = Fraction(match[1])
    if value is None or not 0 < value <= 10**6:
        raise InputError(what, given=repr(str(text)), allowed="a positive number, such as 0.5 or 2")
    return value


def _number(text: str) -> Fraction:
    return Fraction(text.replace("_", "").replace(",", ""))


def _checked(what: str, text: str, amount: int) -> int:
    if not 1 <= amount <= LARGEST:
        raise InputError(what, given=repr(text), allowed=f"an amount from 1 to {LARGEST}")
    return amount
