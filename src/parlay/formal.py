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

__all__ = ["FormalSum", "Symbol", "add", "decimal_value", "ln", "lnln", "lnln_ratio", "prime_factors"]

Symbol = tuple[str, object]
"""``("ln", p)`` for a prime p, ``("lnln", m)`` for m >= 2 or a fraction m > 1, no perfect power, or a term's own."""

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


def add(sums: Iterable[Mapping[Symbol, Coefficient]]) -> FormalSum:
    """The sum of several formal sums."""
    total: FormalSum = {}
    for part in sums:
        for symbol, coefficient in part.items():
            total[symbol] = total.get(symbol, 0) + coefficient
    return {symbol: coefficient for symbol, coefficient in total.items() if coefficient}


@lru_cache(maxsize=1 << 14)
def _symbol_value(kind: str, n: int | Fraction) -> Decimal:
    value = CONTEXT.ln(CONTEXT.divide(Decimal(n.numerator), Decimal(n.denominator)))
    return CONTEXT.ln(value) if kind == "lnln" else value


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
        if kind not in ("ln", "lnln") or not isinstance(n, int | Fraction):
            return None
        scaled = CONTEXT.multiply(Decimal(coefficient.numerator), _symbol_value(kind, n))
        total = CONTEXT.add(total, CONTEXT.divide(scaled, Decimal(coefficient.denominator)))
    return total
