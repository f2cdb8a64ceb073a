"""Amounts as people write them: what stands for thousands, what could be two amounts, what is none."""

from __future__ import annotations

import pytest

from parlay.amounts import parse_bytes, parse_count, parse_limit
from parlay.errors import InputError


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("30k", 30_000),
        ("30K", 30_000),
        ("1.5k", 1500),
        ("1.5M", 1_500_000),
        ("2 G", 2 * 10**9),
        ("4_288", 4288),
        ("0", 0),
    ],
)
def test_counts(text: str, amount: int) -> None:
    """k, M and G are thousands, millions and milliards; the amount is exact."""
    assert parse_count(text, "weights") == amount
    if amount:
        assert parse_limit(text, today=7, what="max-params") == amount


@pytest.mark.parametrize("text", ["1.5", "1.2345k", "0.0000001M", "3m", "2kB", "1e6", "", "k", "1/2"])
def test_counts_that_are_no_integers(text: str) -> None:
    """Nothing is rounded, and no other letter is guessed: one line names the forms."""
    for read in (lambda: parse_count(text, "weights"), lambda: parse_limit(text, today=7, what="weights")):
        with pytest.raises(InputError, match=r"weights: got .*; allowed: .*integer") as refused:
            read()
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("128KB", "128 kB (128,000 bytes) or 128 KiB (131,072 bytes); say which"),
        ("128K", "128 kB (128,000 bytes) or 128 KiB (131,072 bytes); say which"),
        ("64k", "64 kB (64,000 bytes) or 64 KiB (65,536 bytes); say which"),
        ("1.5M", "1.5 MB (1,500,000 bytes) or 1.5 MiB (1,572,864 bytes); say which"),
    ],
)
def test_a_unit_that_could_be_two(text: str, both: str) -> None:
    """KB may be 1,000 or 1,024 bytes: both are named, neither is guessed."""
    with pytest.raises(InputError) as refused:
        parse_bytes(text, "flash")
    assert str(refused.value) == f"flash: got {text!r}; allowed: {both}"


@pytest.mark.parametrize("text", ["128Kb", "128kb", "2Mb", "2mb", "1gb", "7b"])
def test_bits_are_no_bytes(text: str) -> None:
    """A small b is a bit."""
    with pytest.raises(InputError, match="is a number of bits, bytes have a capital B"):
        parse_bytes(text, "flash")


@pytest.mark.parametrize("what", ["flash", "ram"])
def test_a_device_is_no_ratio_of_today(what: str) -> None:
    """0.6x where a device's bytes are asked names the options that take a ratio."""
    with pytest.raises(InputError, match=r"got '0.6x'.*a ratio of today's amount is for --max-peak-memory"):
        parse_bytes("0.6x", what)
