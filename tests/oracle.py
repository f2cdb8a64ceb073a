"""Brute force in plain Python, sharing nothing with the solver: every layout, exact amounts, 70-digit energies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache

from parlay.energy import EnergyGroup, EnergyLayer, PairHarmonic
from parlay.layout import Connection, Layout, Order, WidthGroup, WidthSpace
from parlay.problem import Constraint, Problem
from parlay.resources import Resource
from parlay.tabulated import TabulatedScore

WIDE = Context(prec=70)
ROUND = Context(prec=50)


@cache
def _ln_ln(n: int) -> Decimal:
    return WIDE.ln(WIDE.ln(Decimal(n)))


@cache
def _ln_harmonic(a: int, b: int) -> Decimal:
    return WIDE.ln(WIDE.divide(Decimal(a * b), Decimal(a + b)))


def exact_score(problem: Problem, layout: Layout) -> Decimal:
    """The score to 50 digits from its definition, -Infinity for energy 0."""
    total = Decimal(0)
    space = problem.space
    if isinstance(problem.score, PairHarmonic):
        for link in space.connections:
            a = link.fixed_inputs if link.source is None else layout[link.source]
            b = layout[link.target]
            total = WIDE.add(total, WIDE.multiply(link.count, _ln_harmonic(a, b)))
        return ROUND.plus(total)
    if isinstance(problem.score, TabulatedScore):
        entries = [
            problem.score.tables[group.name].entries[n - 1] for group, n in zip(space.groups, layout, strict=True)
        ]
        if min(entries) == float("-inf"):
            return Decimal("-Infinity")
        exact = sum(map(Fraction, entries), start=Fraction(0))
        return ROUND.plus(WIDE.divide(Decimal(exact.numerator), Decimal(exact.denominator)))
    for group, width in zip(space.groups, layout, strict=True):
        if width == 1:
            return Decimal("-Infinity")
        count = group.multiplicity if isinstance(problem.score, EnergyLayer) else 1
        total = WIDE.add(total, WIDE.multiply(count, _ln_ln(width)))
    return ROUND.plus(total)


def all_layouts(problem: Problem) -> Iterator[Layout]:
    """Every layout that keeps fences and constraints; all coefficients are at least 0."""
    space = problem.space
    firsts = [group.first for group in space.groups]

    def affordable(prefix: Layout) -> bool:
        layout = prefix + tuple(firsts[len(prefix) :])
        return all(c.maximum is None or c.resource(layout) <= c.maximum for c in problem.constraints)

    def extend(prefix: Layout) -> Iterator[Layout]:
        if len(prefix) == len(firsts):
            if all(c.allows(c.resource(prefix)) for c in problem.constraints):
                yield prefix
            return
        group = space.groups[len(prefix)]
        width = group.first
        while (group.maximum is None or width <= group.maximum) and affordable((*prefix, width)):
            if not prefix or _may_follow(space, prefix[-1], width):
                yield from extend((*prefix, width))
            width += group.multiple_of

    return extend(())


def _may_follow(space: WidthSpace, before: int, width: int) -> bool:
    if space.order is Order.INCREASING and not before < width:
        return False
    if space.order is Order.NONDECREASING and not before <= width:
        return False
    return space.max_step is None or Fraction(max(before, width), min(before, width)) <= space.max_step


def brute_force(problem: Problem) -> list[tuple[Layout, Decimal]]:
    """Every layout with its exact score in the stated order: score, then widths."""
    scored = [(layout, exact_score(problem, layout)) for layout in all_layouts(problem)]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))


def random_problem(seed: int) -> Problem:
    """A small problem of any shape the chain solver takes; about a third ask for a size that may not exist."""
    rng = random.Random(seed)
    groups = rng.randint(1, 5)
    counts = [rng.choice([1, 1, 1, 2, 5]) for _ in range(groups)]
    kernels = [rng.choice([1, 2, 3, 3, 5]) ** 2 for _ in range(groups)]
    multiple = rng.choice([1, 1, 1, 2, 3])
    largest = {1: [60, 200], 2: [20, 40], 3: [12, 20], 4: [7, 10], 5: [5, 7]}[groups]
    width_groups = tuple(
        WidthGroup(
            name=f"g{g}",
            multiplicity=counts[g],
            minimum=rng.choice([1, 1, 2, 3]),
            maximum=None if groups <= 2 and rng.random() < 0.5 else rng.choice(largest),
            multiple_of=multiple if rng.random() < 0.8 else 1,
        )
        for g in range(groups)
    )
    channels = rng.choice([1, 3, 4])
    connections = [Connection(target=0, fixed_inputs=channels)]
    linear, quadratic = {0: kernels[0] * channels}, {}
    for g in range(groups):
        if g:
            connections.append(Connection(source=g - 1, target=g))
            quadratic[g - 1, g] = kernels[g]
        if counts[g] > 1:
            connections.append(Connection(source=g, target=g, count=counts[g] - 1))
            quadratic[g, g] = kernels[g] * (counts[g] - 1)
        if rng.random() < 0.2:
            linear[g] = linear.get(g, 0) + rng.randint(1, 7)
    resource = Resource.of("weights", groups, constant=rng.choice([0, 0, 17]), linear=linear, quadratic=quadratic)
    space = WidthSpace(
        groups=width_groups,
        connections=tuple(connections),
        order=rng.choice(list(Order)),
        max_step=rng.choice([None, None, None, Fraction(2), Fraction(3, 2), Fraction(11, 10)]),
    )
    typical = tuple(
        rng.choice(range(group.first, (group.maximum or 14) + 1, group.multiple_of)) for group in width_groups
    )
    if space.order is not Order.FREE:
        typical = tuple(sorted(typical))
    amount = resource(typical)
    if rng.random() < 0.35:
        amount += rng.randint(-5, 5) * rng.choice([1, 3, 9])
    amount = max(amount, 1)
    constraint = rng.choice([Constraint.equal, Constraint.at_most])(resource, amount)
    if rng.random() < 0.1:
        constraint = Constraint(resource=resource, minimum=max(0, amount - 20), maximum=amount)
    score = rng.choice([EnergyGroup(), EnergyLayer(), PairHarmonic(), EnergyGroup()])
    return Problem(space=space, score=score, constraints=(constraint,))
