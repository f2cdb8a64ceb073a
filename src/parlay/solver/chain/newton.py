"""The continuous relaxation: where to look first, and at which price. A guess, never part of a proof.

In the logarithms of the widths the size is convex and a concave score stays concave, so the best real widths of
exactly the budget are one smooth optimum. Newton's method finds it with the price of a unit of size: along a chain its
matrix is tridiagonal. Groups that the order forces together move as one block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from parlay.layout import Order
from parlay.solver.chain.chain import Chain

__all__ = ["Relaxation", "relaxed_optimum"]

STEPS = 60
"""Steps, at most; without an optimum by then the bounds begin on coarse cells. Ten were enough on every problem of
benchmarks/RESULTS.md, as long as blocks of groups seldom join."""

LONGEST_STEP = 0.7
"""In ln of a width and of the price: about a factor of 2, over which curvatures may be taken for constant."""

PRECISE = 1e-4
"""Relative change at which the widths count as found; 1e-2 and 1e-8 took as long, measured."""


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """The best real widths.

    Attributes:
        price: score that one more unit of cost would bring.
        centres: the widths.
        spreads: ``sqrt(2 slack)`` times this is how far the logarithm of a width may stray within ``slack`` of the top.
    """

    price: float
    centres: list[float]
    spreads: list[float]

    @property
    def both(self) -> list[tuple[float, float]]:
        """Centre and spread of every group."""
        return list(zip(self.centres, self.spreads, strict=True))


def relaxed_optimum(chain: Chain) -> Relaxation | None:
    """The best real widths that cost the budget; None where a term has no slopes, or the search does not settle."""
    if any(chain.pair_terms) or chain.problem.space.max_step is not None or chain.high <= 0:
        return None
    search = _Newton(chain)
    for _ in range(STEPS):
        moved = search.step()
        if moved is None:
            return None
        if moved < 0.3 and search.pool():
            continue
        if moved < PRECISE:
            return search.result()
    return None


class _Local(NamedTuple):
    """At the widths, by group: slope and curvature of score less price x cost, cost by ln w; products; total cost."""

    slope: list[float]
    curve: list[float]
    cost: list[float]
    joint: list[float]
    total: float


class _System(NamedTuple):
    """By block: gradient, gradient of the cost, and the Hessian's diagonal and entry beside the next block."""

    gradient: list[float]
    weight: list[float]
    diagonal: list[float]
    beside: list[float]


class _Newton:
    """Newton's iteration over blocks of groups: widths of a block are its own, or grow by one a group."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        order = chain.problem.space.order
        self.is_free = order is Order.FREE
        self.stride = 1.0 if order is Order.INCREASING else 0.0
        self.starts = list(range(chain.groups))
        self.lowest = [float(width) for width in chain.first]
        # What the order implies for the widths is left to the blocks; a block must be free to rise past it first.
        maxima = [group.maximum for group in chain.problem.space.groups]
        unordered = [math.inf if maximum is None else float(maximum) for maximum in maxima]
        self.highest = [float(width) for width in chain.last] if self.is_free else unordered
        typical = math.sqrt(chain.high / max(1, sum(chain.product) + sum(chain.square)))
        self.widths = [min(max(typical, float(a)), float(b)) for a, b in zip(chain.first, chain.last, strict=True)]
        self.price = chain.groups / math.log(max(3.0, typical)) / (2.0 * chain.high)
        self.spreads: list[float] = []
        self.own_spreads: list[float] = []

    def step(self) -> float | None:
        """One step; how far it went, None when it cannot be taken."""
        local = self._derivatives()
        if local is None:
            return None
        system = self._blocks(local)
        if not all(d < 0 for d in system.diagonal):
            return None
        solved = _tridiagonal(system.diagonal, system.beside, [-x for x in system.gradient], system.weight)
        if solved is None:
            return None
        toward, along, self.spreads = solved
        rate = sum(a * b for a, b in zip(system.weight, along, strict=True))
        if rate == 0.0:
            return None
        missing = self.chain.high - local.total
        raised = (missing - sum(a * b for a, b in zip(system.weight, toward, strict=True))) / rate
        return self._moved([a + raised * b for a, b in zip(toward, along, strict=True)], raised)

    def _derivatives(self) -> _Local | None:
        """Slopes and curvatures at the widths, by ln w of each group; None where a term has none."""
        chain, w, price = self.chain, self.widths, self.price
        groups = len(w)
        slope, curve, cost = [0.0] * groups, [0.0] * groups, [0.0] * groups
        joint = [c * w[g] * w[g + 1] for g, c in enumerate(chain.product)]
        total = sum(joint)
        for g in range(groups):
            for term in chain.group_terms[g]:
                slopes = term.slopes(w[g])
                if slopes is None:
                    return None
                slope[g] += slopes[0]
                curve[g] += slopes[1]
            linear, square = chain.linear[g] * w[g], chain.square[g] * w[g] * w[g]
            total += linear + square
            cost[g] = linear + 2.0 * square
            curve[g] -= price * (linear + 4.0 * square)
        for g, c in enumerate(joint):
            cost[g] += c
            cost[g + 1] += c
            curve[g] -= price * c
            curve[g + 1] -= price * c
        self.own_spreads = [math.sqrt(-1.0 / c) if c < 0 else 1.0 for c in curve]
        return _Local(slope, curve, cost, joint, total)

    def _blocks(self, local: _Local) -> _System:
        """The same by the logarithm of the first width of each block."""
        w, price, groups = self.widths, self.price, len(self.widths)
        blocks = len(self.starts)
        gradient, weight = [0.0] * blocks, [0.0] * blocks
        diagonal, beside = [0.0] * blocks, [0.0] * blocks
        for b, (start, stop) in enumerate(self._ranges()):
            base = w[start]
            for g in range(start, stop):
                share = base / w[g]  # d ln w_g / d ln base
                pull = local.slope[g] - price * local.cost[g]
                gradient[b] += share * pull
                weight[b] += share * local.cost[g]
                diagonal[b] += share * share * local.curve[g] + share * (1.0 - share) * pull
                if g + 1 < stop:
                    diagonal[b] -= 2.0 * price * local.joint[g] * share * base / w[g + 1]
            if stop < groups:
                beside[b] = -price * local.joint[stop - 1] * base / w[stop - 1]
        return _System(gradient, weight, diagonal, beside)

    def _ranges(self) -> list[tuple[int, int]]:
        """First group of each block, and of the next."""
        return list(zip(self.starts, [*self.starts[1:], len(self.widths)], strict=True))

    def _moved(self, moves: list[float], raised: float) -> float | None:
        """Move blocks and price, shortened where a step is long; how far it went, None for a price that is none."""
        w = self.widths
        longest = max(max(map(abs, moves)), abs(raised / self.price))
        if not math.isfinite(longest):
            return None
        damp = min(1.0, LONGEST_STEP / longest) if longest else 1.0
        furthest = damp * abs(raised) / self.price
        self.price += damp * raised
        for b, (start, stop) in enumerate(self._ranges()):
            base = w[start] * math.exp(damp * moves[b])
            for g in range(start, stop):
                width = min(max(base + self.stride * (g - start), self.lowest[g]), self.highest[g])
                furthest = max(furthest, abs(width - w[g]) / w[g])
                w[g] = width
        return furthest if self.price > 0 else None

    def pool(self) -> bool:
        """Join neighbouring blocks that stand against the order; whether some did."""
        if self.is_free:
            return False
        starts: list[int] = []
        sums: list[float] = []  # of the bases of a block's groups
        for start, stop in self._ranges():
            starts.append(start)
            sums.append(self.widths[start] * (stop - start))
            end = stop
            while len(starts) > 1:
                size, before = end - starts[-1], starts[-1] - starts[-2]
                ahead = sums[-2] / before + self.stride * before
                if sums[-1] / size >= ahead * (1 - 1e-9):
                    break
                last = sums.pop() - self.stride * before * size  # brought back to the base of the block before
                starts.pop()
                sums[-1] += last
        if len(starts) == len(self.starts):
            return False
        self.starts = starts
        for (start, stop), total in zip(self._ranges(), sums, strict=True):
            base = max(total / (stop - start), 1.0)
            for g in range(start, stop):
                self.widths[g] = base + self.stride * (g - start)
        return True

    def result(self) -> Relaxation:
        spreads = [
            max(spread, self.own_spreads[g])
            for (start, stop), spread in zip(self._ranges(), self.spreads, strict=True)
            for g in range(start, stop)
        ]
        return Relaxation(price=self.price, centres=self.widths, spreads=spreads)


def _tridiagonal(
    diagonal: list[float], beside: list[float], first: list[float], second: list[float]
) -> tuple[list[float], list[float], list[float]] | None:
    """Two systems of one negative definite matrix, by elimination, and the roots of the diagonal of -inverse."""
    size = len(diagonal)
    pivot, a, b = list(diagonal), list(first), list(second)
    for i in range(1, size):
        factor = beside[i - 1] / pivot[i - 1]
        pivot[i] -= factor * beside[i - 1]
        a[i] -= factor * a[i - 1]
        b[i] -= factor * b[i - 1]
        if pivot[i] >= 0:
            return None
    upward = list(diagonal)
    for i in range(size - 2, -1, -1):
        a_next, b_next = a[i + 1] / pivot[i + 1], b[i + 1] / pivot[i + 1]
        a[i] -= beside[i] * a_next
        b[i] -= beside[i] * b_next
        upward[i] -= beside[i] * beside[i] / upward[i + 1]
    spreads = [math.sqrt(-1.0 / min(p + u - d, -1e-12)) for p, u, d in zip(pivot, upward, diagonal, strict=True)]
    return [x / p for x, p in zip(a, pivot, strict=True)], [x / p for x, p in zip(b, pivot, strict=True)], spreads
