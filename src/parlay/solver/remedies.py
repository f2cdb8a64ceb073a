"""Where nothing satisfies the limits: which milder value of which option would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from parlay.layout import Order
from parlay.problem import Constraint, Problem
from parlay.solver.explain import Wider

__all__ = ["limit_words", "wider_fences"]

LOW = ("0.9", "0.8", "0.75", "0.7", "0.6", "0.5", "0.4", "0.3", "0.25", "0.2", "0.15", "0.1", "0.05", "0.02", "0.01")
HIGH = ("1.25", "1.5", "2", "2.5", "3", "4", "5", "6", "8", "12", "16", "32", "64")
"""Ratios that are asked for, the nearest to 1 first: numbers that people write."""


def _multiples(value: Any) -> Sequence[str]:
    """Divisors, each of the one before it: 12 -> 6, 3, 1."""
    found = [int(value)]
    while found[-1] > 1:
        found.append(next(step for step in range(found[-1] - 1, 0, -1) if found[-1] % step == 0))
    return [str(step) for step in found[1:]]


def _ratio(value: Any) -> Fraction:
    """A ratio as the options take it: 0.5, 1/2 or 0.5x."""
    return Fraction(str(value).strip().removesuffix("x"))


MILDER: Mapping[str, Callable[[Any], Sequence[str]]] = {
    "min_ratio": lambda value: [text for text in LOW if Fraction(text) < _ratio(value)],
    "max_ratio": lambda value: [text for text in HIGH if Fraction(text) > _ratio(value)],
    "max_step": lambda value: [text for text in HIGH if Fraction(text) > _ratio(value)],
    "order": lambda value: [] if str(value) == Order.FREE else [str(Order.FREE)],
    "multiple_of": _multiples,
    "min_width": lambda value: [str(int(value) >> times) for times in range(1, int(value).bit_length())],
    "max_width": lambda value: [str(int(value) << times) for times in range(1, 8)],
}
"""Option -> its milder values, each allowing what the one before it does."""


def wider_fences(make: Callable[..., Problem], fences: Mapping[str, Any]) -> list[list[Wider]]:
    """What ``conflict`` is to try of every fence that is set.

    Args:
        make: the problem with one fence changed, given by its name.
        fences: name -> value of every fence; None where it is not set.

    >>> from parlay import plain
    >>> net = plain(depth=3)
    >>> [[(words, _)]] = wider_fences(lambda **fence: net.problem(kernels=400, **fence), {"order": "increasing"})
    >>> words
    '--order free'
    """
    return [
        [
            (f"--{name.replace('_', '-')} {text}", lambda name=name, text=text: make(**{name: text}))
            for text in MILDER[name](value)
        ]
        for name, value in fences.items()
        if value is not None and name in MILDER
    ]


def limit_words(name: str, old: Constraint, new: Constraint) -> str:
    """The option that states a constraint in the place of another: ``--max-macs 5000``, ``--min-macs 5``, ``--macs 7``.

    Args:
        name: of the amount, as options have it.
        old, new: before and after.

    >>> from parlay import plain
    >>> macs = plain(depth=3).macs
    >>> limit_words("macs", Constraint.at_most(macs, 7), Constraint.at_most(macs, 9))
    '--max-macs 9'
    """
    if new.minimum == new.maximum:
        return f"--{name} {new.maximum}"
    return f"--max-{name} {new.maximum}" if new.maximum != old.maximum else f"--min-{name} {new.minimum}"
