"""The problems of the table: sizes, depths and orders, and VGG-16's chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from parlay import Constraint, Problem, Resource, WidthGroup, WidthSpace, get_score, plain


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table.

    Attributes:
        name: what the row is called.
        make: builds the problem.
        top_k: layouts asked for.
    """

    name: str
    make: Callable[[], Problem]
    top_k: int = 1


def _plain(order: str, kernels: int, depth: int, top_k: int = 1) -> Case:
    name = f"{order} {kernels:,} x {depth}" + (f", top {top_k:,}" if top_k > 1 else "")
    return Case(name=name, make=lambda: plain(depth=depth).problem(kernels=kernels, order=order), top_k=top_k)


def vgg16() -> Problem:
    """VGG-16 for CIFAR in free order at exactly its own size: 13 convolutions and a linear layer, no biases."""
    linear, quadratic = {0: 27, 12: 10}, {(i, i + 1): 9 for i in range(12)}
    weights = Resource.of("weights", 13, linear=linear, quadratic=quadratic)
    groups = tuple(WidthGroup(name=f"conv{i}") for i in range(1, 14))
    constraint = Constraint.equal(weights, 14_715_584)
    return Problem(space=WidthSpace(groups=groups), score=get_score("energy-group"), constraints=(constraint,))


WARM_UPS = (_plain("increasing", 500, 3), _plain("free", 1_500, 4), _plain("increasing", 2_000, 4, top_k=2))
"""Solved before the clock starts."""

CASES: tuple[Case, ...] = (
    _plain("increasing", 4_288, 4),
    _plain("increasing", 66_304, 4),
    _plain("free", 4_288, 4),
    _plain("free", 66_304, 4),
    _plain("increasing", 36_864, 8),
    _plain("increasing", 66_304, 8),
    _plain("free", 36_864, 8),
    _plain("increasing", 66_304, 31),
    _plain("nondecreasing", 66_304, 31),
    _plain("increasing", 81_920, 20),
    _plain("free", 147_456, 13),
    _plain("free", 66_304, 31),
    _plain("increasing", 4_288, 4, top_k=100),
    _plain("increasing", 66_304, 4, top_k=100),
    _plain("free", 66_304, 4, top_k=100),
    _plain("increasing", 66_304, 31, top_k=100),
    _plain("nondecreasing", 66_304, 31, top_k=100),
    _plain("free", 147_456, 13, top_k=100),
    _plain("increasing", 66_304, 4, top_k=1_000),
    Case(name="free, VGG-16's chain at 14,715,584 weights", make=vgg16),
    _plain("nondecreasing", 1_000_000, 100),
    _plain("increasing", 1_000_000, 50),
    _plain("increasing", 10_000_000, 100),
    _plain("nondecreasing", 100_000_000, 1_000),
    _plain("free", 1_000_000, 20),
)

COUNTS: tuple[Case, ...] = (
    replace(_plain("increasing", 66_304, 4), name="count of increasing 66,304 x 4"),
    replace(_plain("increasing", 51_248, 31), name="count of increasing 51,248 x 31"),
    replace(_plain("nondecreasing", 51_248, 31), name="count of nondecreasing 51,248 x 31"),
)
"""Spaces counted, by parlay alone: no peer counts."""
