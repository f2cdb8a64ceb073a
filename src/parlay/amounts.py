"""Amounts as people write them: ``123456``, ``1.5M``, ``1.0x`` of today's, ``256KiB``, ``A:B``; exact integers."""

from __future__ import annotations

import re
from fractions import Fraction

from parlay.errors import InputError

__all__ = ["COUNTS", "UNITS", "parse_bytes", "parse_count", "parse_limit", "parse_range", "parse_ratio"]

UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
"""Unit of memory -> bytes. A small b is a bit, and a K may be 1,000 or 1,024: neither is guessed."""

COUNTS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
"""Letter after a number of things -> how many."""

RATIOS = "a ratio of today's amount is for --max-peak-memory and --max-params"
"""Said of ``0.5x`` where bytes are asked: a device has as much as it has, whatever the network takes today."""

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
    unit = match[2] if match else ""
    if unit.lower().endswith("ib"):  # kib and KIB can only be KiB
        unit = unit.capitalize()[:-1] + "B"
    if match is not None and unit in ("K", "k", "KB", "M", "G"):
        raise InputError(what, given=repr(text), allowed=_either(match[1], unit[0].upper()), remedy="say which")
    if match is None or unit not in UNITS:
        is_bits = unit.endswith("b") and unit[:-1].upper() in ("", "K", "M", "G")
        kind = "is a number of bits, bytes have a capital B" if is_bits else "is no unit of memory"
        raise InputError(
            what,
            given=repr(text),
            allowed="a number with B, kB, KiB, MB, MiB, GB or GiB, such as 256KiB",
            remedy="" if match is None else RATIOS if unit == "x" else f"{unit!r} {kind}",
        )
    return _checked(what, text, int(_number(match[1]) * UNITS[unit]))


def _either(number: str, prefix: str) -> str:
    """Both readings of an amount whose unit could be 1,000 or 1,024."""
    units = (f"{'k' if prefix == 'K' else prefix}B", f"{prefix}iB")
    return " or ".join(f"{number} {unit} ({int(_number(number) * UNITS[unit]):,} bytes)" for unit in units)


def parse_count(text: str, what: str) -> int:
    """A number of things, exactly: ``30k`` is 30,000.

    Raises:
        InputError: for anything but an integer, written out or with k, M or G.

    >>> parse_count("1.5k", "weights"), parse_count("2M", "weights"), parse_count("4_288", "weights")
    (1500, 2000000, 4288)
    """
    amount = _count(text)
    if amount is None or amount.denominator != 1:
        remedy = "" if amount is None else f"that is {float(amount):,}"
        allowed = "an integer, or one with k, M or G, such as 30k or 1.5M"
        raise InputError(what, given=repr(text), allowed=allowed, remedy=remedy)
    return int(amount)


def _count(text: str) -> Fraction | None:
    match = re.fullmatch(rf"\s*(-?)({NUMBER})\s*([A-Za-z]?)\s*", text)
    if match is None or match[3] not in COUNTS:
        return None
    return (-1 if match[1] else 1) * _number(match[2]) * COUNTS[match[3]]


def parse_limit(text: str, *, today: int, what: str) -> int:
    """A number as ``parse_count`` takes it, or a ratio of today's amount (``0.8x``), rounded down.

    Raises:
        InputError: for anything else, or an amount below 1.

    >>> parse_limit("0.5x", today=11, what="max-params"), parse_limit("4_000", today=11, what="max-params")
    (5, 4000)
    """
    ratio = re.fullmatch(rf"\s*({NUMBER}|[0-9]+/0*[1-9][0-9]*)\s*x\s*", text)
    amount = _count(text) if ratio is None else Fraction(int(_number(ratio[1]) * today))
    if amount is None or amount.denominator != 1 or text.lstrip().startswith("-"):
        allowed = "a positive integer, or a ratio of today's such as 1.0x"
        raise InputError(what, given=repr(text), allowed=allowed, remedy="30k and 1.5M are integers, too")
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
