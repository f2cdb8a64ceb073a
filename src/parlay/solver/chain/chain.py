"""A problem on a chain of groups, in the integers a solver works with.

Every product of the constrained resource joins a group to itself or to the next one, as in Eq. 1. Amounts are
divided by the greatest common divisor of all coefficients, which also finds many impossible sizes at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parlay.energy import GroupTerm, PairTerm
from parlay.errors import InputError
from parlay.layout import Order, WidthGroup
from parlay.problem import Problem
from parlay.resources import PeakResource, Resource, largest_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Chain", "compile_chain", "is_chain"]

NO_LIMIT = 1 << 50
"""Where a group without a largest width begins; one that still reaches half of it is limited by nothing."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What the solver knows of a problem; of all amounts the constant is taken off and the common divisor taken out.

    Attributes:
        problem: where it comes from.
        first, last: smallest and largest width of each group that fences and budget leave.
        stride: distance between neighbouring choices of each group.
        linear, square: cost of group g: linear[g] w + square[g] w^2.
        product: cost between group g and the next: product[g] w_g w_{g+1}.
        low, high: the cost must lie in low..high.
        group_terms, pair_terms: the score.
    """

    problem: Problem
    first: tuple[int, ...]
    last: tuple[int, ...]
    stride: tuple[int, ...]
    linear: tuple[int, ...]
    square: tuple[int, ...]
    product: tuple[int, ...]
    low: int
    high: int
    group_terms: tuple[tuple[GroupTerm, ...], ...]
    pair_terms: tuple[tuple[PairTerm, ...], ...]

    @property
    def groups(self) -> int:
        """Number of width groups."""
        return len(self.first)

    @property
    def is_empty(self) -> bool:
        """Whether fences and budget leave no layout, as far as single groups show."""
        return self.low > self.high or any(a > b for a, b in zip(self.first, self.last, strict=True))

    def choices(self, group: int) -> IntArray:
        """Every width of a group, ascending."""
        return np.arange(self.first[group], self.last[group] + 1, self.stride[group], dtype=np.int64)

    def choice_count(self, group: int) -> int:
        """How many widths a group may have."""
        return max(0, (self.last[group] - self.first[group]) // self.stride[group] + 1)

    def score(self, group: int, widths: IntArray) -> FloatArray:
        """The group's terms at every width."""
        total = np.zeros(widths.shape)
        for term in self.group_terms[group]:
            total = total + term.values(widths)
        return total

    def scores_upper(self, low: IntArray, high: IntArray, counts: Sequence[int]) -> FloatArray:
        """Upper bounds of the groups' terms over ranges, group after group; ``counts[g]`` of them belong to group g."""
        if len(set(self.group_terms)) > 1:
            lows = np.split(low, np.cumsum(counts)[:-1])
            highs = lows if low is high else np.split(high, np.cumsum(counts)[:-1])
            parts = zip(self.group_terms, lows, highs, strict=True)
            return np.concatenate([self._upper(terms, a, b) for terms, a, b in parts])
        return self._upper(self.group_terms[0], low, high)

    @staticmethod
    def _upper(terms: tuple[GroupTerm, ...], low: IntArray, high: IntArray) -> FloatArray:
        """An upper bound over ranges; over single widths, given as one array twice, the value itself."""
        total = np.zeros(low.shape)
        for term in terms:
            total = total + (term.values(low) if low is high else term.upper(low, high))
        return total

    @property
    def is_fenced(self) -> bool:
        """Whether the order or the largest step bars some neighbours."""
        space = self.problem.space
        return space.order is not Order.FREE or space.max_step is not None

    def pair_score(self, group: int, first: IntArray, second: IntArray) -> FloatArray | float:
        """The terms of the pair (group, group + 1); shapes broadcast; 0.0 when there are none."""
        total: FloatArray | float = 0.0
        for term in self.pair_terms[group]:
            total = total + term.values(first, second)
        return total

    def cost(self, group: int, widths: IntArray) -> IntArray:
        """The group's own cost at every width."""
        return self.linear[group] * widths + self.square[group] * widths * widths

    def successors(self, widths: IntArray) -> tuple[IntArray, IntArray]:
        """Smallest and largest width that may follow each width, as order and step say."""
        space = self.problem.space
        low = np.ones_like(widths)
        high = np.full_like(widths, NO_LIMIT)
        if space.order is not Order.FREE:
            low = widths + (1 if space.order is Order.INCREASING else 0)
        if space.max_step is not None:
            up, down = space.max_step.numerator, space.max_step.denominator
            low = np.maximum(low, (widths * down + up - 1) // up)
            high = widths * up // down
        return low, high

    def narrowed(self, first: Sequence[int], last: Sequence[int]) -> Chain:
        """The same chain with other bounds on the widths."""
        return replace(self, first=tuple(first), last=tuple(last))


def is_chain(problem: Problem) -> bool:
    """Whether a problem has one upper limit on one polynomial along the chain, and terms of neighbours alone."""
    if len(problem.constraints) != 1:
        return False
    [constraint] = problem.constraints
    resource = constraint.resource
    if isinstance(resource, PeakResource) or not resource.is_chain or resource.divisor > 1:
        return False
    if constraint.maximum is None:
        return False
    return min(resource.coefficients(), default=0) >= 0 and all(h - g == 1 for g, h in problem.terms.pairs)


def compile_chain(problem: Problem) -> Chain:
    """Bring a problem into chain form.

    Raises:
        InputError: when it has other than one constraint, one that is not a polynomial on the chain, a score over
            groups that are not neighbours, or a group that neither a fence nor the budget limits.
    """
    resource, low, high = _single_constraint(problem)
    groups = len(problem.space)
    pairs = {(g, h): c for g, h, c in resource.quadratic}
    terms = problem.terms
    far = [pair for pair in terms.pairs if pair[1] - pair[0] != 1]
    if far:
        raise InputError("score", given=f"terms between groups {far[0]}", allowed="terms between neighbouring groups")
    divisor = math.gcd(*resource.coefficients()) or 1
    least = 0 if low is None else max(0, low - resource.constant)
    chain = Chain(
        problem=problem,
        first=tuple(group.first for group in problem.space.groups),
        last=tuple(map(_last, problem.space.groups)),
        stride=tuple(group.multiple_of for group in problem.space.groups),
        linear=tuple(c // divisor for c in resource.linear),
        square=tuple(pairs.get((g, g), 0) // divisor for g in range(groups)),
        product=tuple(pairs.get((g, g + 1), 0) // divisor for g in range(groups - 1)),
        low=-(-least // divisor),
        high=(high - resource.constant) // divisor,
        group_terms=terms.groups,
        pair_terms=tuple(terms.pairs.get((g, g + 1), ()) for g in range(groups - 1)),
    )
    chain = _tightened(chain)
    step = problem.space.max_step
    if step is not None and max(chain.last) * max(step.numerator, step.denominator) >= 1 << 62:
        raise InputError(
            "max step", given=step, allowed="fewer decimals, or smaller widths", remedy="set a largest width"
        )
    return chain


def _last(group: WidthGroup) -> int:
    return NO_LIMIT if group.maximum is None else group.maximum // group.multiple_of * group.multiple_of


def _single_constraint(problem: Problem) -> tuple[Resource, int | None, int]:
    if len(problem.constraints) != 1:
        raise InputError("constraints", given=len(problem.constraints), allowed="exactly one size for this solver")
    [constraint] = problem.constraints
    resource = constraint.resource
    is_peak = isinstance(resource, PeakResource)
    if is_peak or resource.divisor > 1 or not resource.is_chain or min(resource.coefficients(), default=0) < 0:
        raise InputError(
            f"constraint on {resource.name}",
            given="another form",
            allowed="a polynomial with coefficients of at least 0 whose products join neighbouring groups",
        )
    if constraint.maximum is None:
        raise InputError(f"constraint on {resource.name}", given="no upper bound", allowed="an upper bound")
    return resource, constraint.minimum, constraint.maximum


def _tightened(chain: Chain) -> Chain:
    """Draw the consequences of order, step and budget for the bounds of every group."""
    space = chain.problem.space
    first, last = list(chain.first), list(chain.last)
    for g in range(1, chain.groups):
        first[g] = max(first[g], _up(chain, g, space.successors(first[g - 1])[0]))
    for g in range(chain.groups - 2, -1, -1):
        if space.max_step is not None:
            first[g] = max(first[g], _up(chain, g, math.ceil(first[g + 1] / space.max_step)))
    _lower_before_next(chain, last)
    chain = chain.narrowed(first, last)
    for g, largest in enumerate(_largest_affordable(chain)):
        if largest is None and last[g] >= NO_LIMIT // 2:
            raise InputError(
                f"widths of {space.groups[g].name}",
                given="no limit",
                allowed="widths that the size or a largest width limits",
                remedy="set a largest width",
            )
        if largest is not None:
            last[g] = min(last[g], _down(chain, g, largest))
    for g in range(1, chain.groups):
        high = space.successors(last[g - 1])[1]
        last[g] = last[g] if high is None else min(last[g], _down(chain, g, high))
    _lower_before_next(chain, last)
    return chain.narrowed(first, last)


def _up(chain: Chain, group: int, width: int) -> int:
    """The smallest choice of a group from ``width`` on."""
    return -(-width // chain.stride[group]) * chain.stride[group]


def _down(chain: Chain, group: int, width: int) -> int:
    """The largest choice of a group up to ``width``."""
    return width // chain.stride[group] * chain.stride[group]


def _lower_before_next(chain: Chain, last: list[int]) -> None:
    """Lower the largest widths, in place, to what order and step allow before the largest of the next group."""
    space = chain.problem.space
    extra = 1 if space.order is Order.INCREASING else 0
    for g in range(chain.groups - 2, -1, -1):
        if space.order is not Order.FREE:
            last[g] = min(last[g], _down(chain, g, last[g + 1] - extra))
        if space.max_step is not None:
            last[g] = min(last[g], _down(chain, g, math.floor(last[g + 1] * space.max_step)))


def _largest_affordable(chain: Chain) -> list[int | None]:
    """For each group the largest width whose cheapest surroundings fit the budget; None where no width costs."""
    groups, first = chain.groups, chain.first
    grows = chain.problem.space.order is not Order.FREE
    own = [chain.linear[g] * first[g] + chain.square[g] * first[g] ** 2 for g in range(groups)]
    joint = [chain.product[g] * first[g] * first[g + 1] for g in range(groups - 1)]
    before = [0] * (groups + 1)  # cheapest cost of groups 0..g-1, with the products among them
    for g in range(groups):
        before[g + 1] = before[g] + own[g] + (joint[g - 1] if g else 0)
    after = [0] * (groups + 1)  # the same of groups g..
    for g in range(groups - 1, -1, -1):
        after[g] = after[g + 1] + own[g] + (joint[g] if g < groups - 1 else 0)
    result: list[int | None] = []
    linear_sum = square_sum = 0  # of a suffix in which every width equals this one
    for g in range(groups - 1, -1, -1):
        left = chain.product[g - 1] * first[g - 1] if g else 0
        if grows:
            linear_sum += chain.linear[g]
            square_sum += chain.square[g] + (chain.product[g] if g < groups - 1 else 0)
            slope, curve, rest = linear_sum + left, square_sum, before[g]
        else:
            right = chain.product[g] * first[g + 1] if g < groups - 1 else 0
            slope, curve = chain.linear[g] + left + right, chain.square[g]
            rest = before[g] + after[g + 1]
        result.append(largest_width(curve, slope, chain.high - rest))
    return result[::-1]
