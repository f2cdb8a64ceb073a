"""Exact comparison of energies: integer combinations of logarithms.

Floats cannot tell a tie from a near tie: ln 2 x ln 16 = ln 4 x ln 4 exactly. With n = m^e and m no perfect power,
ln ln n = ln e + ln ln m, so a log-energy is a sum of ``ln p`` over primes and ``ln ln m``. Two energies are taken as
equal exactly when these sums are equal symbol by symbol; otherwise 60 decimal digits decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import cast

__all__ = ["FormalSum", "Symbol", "add", "decimal_value", "ln", "lnln", "lnln_ratio", "lnln_regions", "prime_factors"]

Symbol = tuple[str, object]
"""``("ln", p)`` for a prime p, ``("lnln", m)`` for m >= 2 or a fraction m > 1, no perfect power, ``("lnln regions",
(s, b))`` for what ``lnln_regions`` tells of, ``("one", 1)`` for 1, or a term's own."""

Coefficient = int | Fraction

FormalSum = dict[Symbol, Coefficient]
"""Symbol -> coefficient; no zero coefficients; an empty sum is zero."""

CONTEXT = Context(prec=60)


@lru_cache(maxsize=1 << 16)
def prime_factors(n: int) -> tuple[tuple[int, int], ...]:
    """(prime, exponent) pairs of n >= 1, ascending.

    >>> prime_factors(360)
    ((2, 3), (3, 2), (5, 1))
    """
    factors: list[tuple[int, int]] = []
    divisor = 2
    while divisor * divisor <= n:
        exponent = 0
        while n % divisor == 0:
            n //= divisor
            exponent += 1
        if exponent:
            factors.append((divisor, exponent))
        divisor += 1 if divisor == 2 else 2
    if n > 1:
        factors.append((n, 1))
    return tuple(factors)


def ln(n: int, coefficient: Coefficient = 1) -> FormalSum:
    """coefficient x ln n for n >= 1.

    >>> ln(12) == {("ln", 2): 2, ("ln", 3): 1}
    True
    """
    return {("ln", p): coefficient * e for p, e in prime_factors(n)} if coefficient else {}


def lnln(n: int, coefficient: Coefficient = 1) -> FormalSum:
    """coefficient x ln ln n for n >= 2.

    >>> lnln(16) == add([ln(4), lnln(2)])
    True
    """
    if not coefficient:
        return {}
    factors = prime_factors(n)
    exponent = math.gcd(*(e for _, e in factors))
    root = math.prod(p ** (e // exponent) for p, e in factors)
    return add([ln(exponent, coefficient), {("lnln", root): coefficient}])


def lnln_ratio(value: Fraction, coefficient: Coefficient = 1) -> FormalSum:
    """coefficient x ln ln value for a rational value above 1.

    >>> lnln_ratio(Fraction(9, 4)) == add([ln(2), lnln_ratio(Fraction(3, 2))])
    True
    >>> lnln_ratio(Fraction(16)) == lnln(16)
    True
    """
    if value.denominator == 1:
        return lnln(value.numerator, coefficient)
    if not coefficient:
        return {}
    above, below = prime_factors(value.numerator), prime_factors(value.denominator)
    exponent = math.gcd(*(e for _, e in (*above, *below)))
    root = Fraction(
        math.prod(p ** (e // exponent) for p, e in above), math.prod(p ** (e // exponent) for p, e in below)
    )
    return add([ln(exponent, coefficient), {("lnln", root): coefficient}])


def lnln_regions(carrier: int, width: int, coefficient: Coefficient = 1) -> FormalSum:
    """coefficient x ln ln(b h(s / b)) for s = carrier, b = width >= 2, h the entropy in bits; b itself from b / 2 on.

    >>> lnln_regions(5, 9) == lnln(9)
    True
    >>> str(decimal_value(lnln_regions(4, 24)))[:6]
    '1.0106'
    """
    if 2 * carrier >= width:
        return lnln(width, coefficient)
    return {("lnln regions", (carrier, width)): coefficient} if coefficient else {}


def add(sums: Iterable[Mapping[Symbol, Coefficient]]) -> FormalSum:
    """The sum of several formal sums."""
    total: FormalSum = {}
    for part in sums:
        for symbol, coefficient in part.items():
            total[symbol] = total.get(symbol, 0) + coefficient
    return {symbol: coefficient for symbol, coefficient in total.items() if coefficient}


@lru_cache(maxsize=1 << 14)
def _symbol_value(kind: str, n: object) -> Decimal | None:
    if kind == "one":
        return Decimal(1)
    if kind == "lnln regions":
        value = _entropy_bits(*cast("tuple[int, int]", n))
    elif kind in ("ln", "lnln") and isinstance(n, int | Fraction):
        value = CONTEXT.divide(Decimal(n.numerator), Decimal(n.denominator))
    else:
        return None
    logarithm = CONTEXT.ln(value)
    return logarithm if kind == "ln" else CONTEXT.ln(logarithm)


def _entropy_bits(carrier: int, width: int) -> Decimal:
    """width x h(carrier / width) = log2(b^b / (s^s (b - s)^(b - s)))."""

    def grown(n: int) -> Decimal:
        return CONTEXT.multiply(Decimal(n), CONTEXT.ln(Decimal(n)))

    whole = CONTEXT.subtract(grown(width), CONTEXT.add(grown(carrier), grown(width - carrier)))
    return CONTEXT.divide(whole, CONTEXT.ln(Decimal(2)))


def decimal_value(formal: Mapping[Symbol, Coefficient]) -> Decimal | None:
    """The sum to 60 digits, or None when it holds a symbol whose value is not known here.

    >>> str(decimal_value(lnln(16)))[:12]
    '1.0197814405'
    """
    return _decimal_sum(frozenset(formal.items()))


@lru_cache(maxsize=1 << 12)
def _decimal_sum(items: frozenset[tuple[Symbol, Coefficient]]) -> Decimal | None:
    total = Decimal(0)
    for (kind, n), coefficient in items:
        value = _symbol_value(kind, n)
        if value is None:
            return None
        scaled = CONTEXT.multiply(Decimal(coefficient.numerator), value)
        total = CONTEXT.add(total, CONTEXT.divide(scaled, Decimal(coefficient.denominator)))
    return total
