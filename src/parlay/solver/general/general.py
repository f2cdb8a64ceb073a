"""A problem on any graph of groups under any number of constraints, as arrays a solver works with.

Every constraint becomes rows: a resource one row, a peak one row for each of its points. Amounts are exact: they are
held in doubles where all of them stay below 2^53, in 64-bit integers otherwise, and refused where these do not do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from parlay.errors import InputError
from parlay.layout import Layout, Order
from parlay.problem import Constraint, Problem
from parlay.resources import PeakResource, RecountedPeak, Resource, largest_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]
    AmountArray = NDArray[Any]

__all__ = ["FenceRow", "General", "LimitRow", "compile_general"]

NO_LIMIT = 1 << 40
"""Where a group without a largest width begins; one that still reaches half of it is limited by nothing."""

LARGEST_AMOUNT = 1 << 61
"""Sums of two amounts below this fit 64-bit integers."""

LARGEST_DOUBLE = 1 << 51
"""Amounts below this, and their doubles, are whole numbers that a double holds; products of doubles are faster."""

ROUNDS = 30
"""Passes over all rows and fences, at most, when bounds are drawn together: once a problem, in exact integers."""


@dataclass(frozen=True, kw_only=True)
class LimitRow:
    """low <= resource(layout) <= high for one resource, or one point of a peak.

    Attributes:
        constraint: index of the problem's constraint.
        point: index of the point of a peak, 0 for a plain resource.
        resource: what is counted, times its divisor, so that it is a polynomial with whole coefficients.
        low, high: the amounts allowed, times the divisor too; None where nothing limits them.
    """

    constraint: int
    point: int
    resource: Resource
    low: int | None
    high: int | None

    def allows(self, amount: int) -> bool:
        """Whether an amount lies between the limits."""
        return (self.low is None or self.low <= amount) and (self.high is None or amount <= self.high)

    @property
    def is_empty(self) -> bool:
        """Whether no amount is allowed."""
        return self.low is not None and self.high is not None and self.low > self.high


@dataclass(frozen=True, kw_only=True)
class FenceRow:
    """w_first + shift <= ratio w_second: order and step between neighbours.

    Attributes:
        kind: ``order``, ``rise`` (at most the largest step up) or ``fall``.
        first, second: indices of the groups.
        shift: 0, or the least distance of increasing widths.
        up, down: the ratio as a fraction up / down.
    """

    kind: str
    first: int
    second: int
    shift: int
    up: int = 1
    down: int = 1

    def holds(self, first: IntArray | int, second: IntArray | int) -> Any:
        """Whether two widths, or arrays of widths that broadcast, keep the fence."""
        return (first + self.shift) * self.down <= second * self.up


@dataclass(frozen=True, eq=False)
class General:
    """What the solver for general graphs knows of a problem.

    Attributes:
        problem: where it comes from.
        rows: the constraints, one row a resource or point.
        fences: order and step.
        low, high: smallest and largest width of every group, shape (groups,).
        stride: distance between neighbouring choices.
        is_recounted: whether more is asked than rows say, a least peak or one that is recounted; ``allowed`` checks
            it.
    """

    problem: Problem
    rows: tuple[LimitRow, ...]
    fences: tuple[FenceRow, ...]
    low: IntArray
    high: IntArray
    stride: IntArray
    is_recounted: bool
    dtype: Any

    @property
    def groups(self) -> int:
        """Number of width groups."""
        return len(self.low)

    @property
    def is_empty(self) -> bool:
        """Whether a group has no width left."""
        return bool((self.low > self.high).any())

    @property
    def counts(self) -> IntArray:
        """How many widths every group has."""
        return np.maximum((self.high - self.low) // self.stride + 1, 0)

    def choices(self, group: int) -> IntArray:
        """Every width of a group, ascending."""
        return np.arange(self.low[group], self.high[group] + 1, self.stride[group], dtype=np.int64)

    def score(self, group: int, widths: IntArray | FloatArray) -> FloatArray:
        """The group's own terms at every width, which need not be whole."""
        total = np.zeros(widths.shape)
        for term in self.problem.terms.groups[group]:
            total = total + term.values(widths)  # pyright: ignore[reportArgumentType]
        return total

    @cached_property
    def constants(self) -> AmountArray:
        """The part of every row that no width changes, shape (rows,)."""
        return np.array([row.resource.constant for row in self.rows], dtype=self.dtype)

    @cached_property
    def linear(self) -> AmountArray:
        """Linear coefficients, shape (rows, groups)."""
        table = [row.resource.linear for row in self.rows]
        return np.array(table, dtype=self.dtype).reshape(len(self.rows), self.groups)

    @cached_property
    def products(self) -> dict[int, AmountArray]:
        """Row -> symmetric matrix Q of its products, so that they sum to w'Qw / 2; shape (groups, groups)."""
        found: dict[int, AmountArray] = {}
        for index, row in enumerate(self.rows):
            if row.resource.quadratic:
                matrix = np.zeros((self.groups, self.groups), dtype=self.dtype)
                for g, h, c in row.resource.quadratic:
                    matrix[g, h] += c
                    matrix[h, g] += c
                found[index] = matrix
        return found

    @cached_property
    def lows(self) -> FloatArray:
        """Lower limits of the rows, -inf where there are none, shape (rows,)."""
        return np.array([-math.inf if row.low is None else row.low for row in self.rows])

    @cached_property
    def highs(self) -> FloatArray:
        """Upper limits of the rows, inf where there are none, shape (rows,)."""
        return np.array([math.inf if row.high is None else row.high for row in self.rows])

    def amounts(self, table: IntArray) -> AmountArray:
        """Exact amounts of every row at every layout: (layouts, groups) -> (layouts, rows)."""
        widths = table.astype(self.dtype)
        total = widths @ self.linear.T + self.constants
        for index, matrix in self.products.items():
            total[:, index] += (
                np.einsum("ng,ng->n", widths @ matrix, widths) / 2
                if self.dtype is np.float64
                else (np.einsum("ng,ng->n", widths @ matrix, widths) // 2)
            )
        return total

    def slopes(self, widths: IntArray) -> AmountArray:
        """What one more channel of each group costs, squares aside: (groups,) -> (rows, groups)."""
        total = self.linear.copy()
        at = widths.astype(self.dtype)
        for index, matrix in self.products.items():
            total[index] += matrix @ at
        return total

    @cached_property
    def squares(self) -> AmountArray:
        """Coefficients of the squares, shape (rows, groups)."""
        total = np.zeros((len(self.rows), self.groups), dtype=self.dtype)
        for index, matrix in self.products.items():
            total[index] = np.diag(matrix) / 2 if self.dtype is np.float64 else np.diag(matrix) // 2
        return total

    def within(self, table: IntArray) -> BoolArray:
        """Which layouts keep every row and fence; shape (layouts,)."""
        amounts = self.amounts(table)
        good: BoolArray = np.asarray(((amounts >= self.lows) & (amounts <= self.highs)).all(axis=1))
        for fence in self.fences:
            good &= fence.holds(table[:, fence.first], table[:, fence.second])
        return good

    def allowed(self, layout: Layout) -> bool:
        """Whether one layout keeps everything the problem asks, decided in Python's integers."""
        return not self.problem.violations(layout)

    def narrowed(self, low: IntArray, high: IntArray) -> General:
        """The same problem with other bounds on the widths; the matrices are shared."""
        made = replace(self, low=low, high=high)
        for name in ("constants", "linear", "products", "lows", "highs", "squares"):
            made.__dict__[name] = getattr(self, name)
        return made


def compile_general(problem: Problem) -> General:
    """Bring a problem into rows and arrays, its bounds drawn together.

    Raises:
        InputError: for a negative coefficient, a group that nothing limits, amounts too large for 64-bit integers, or
            a score that is not made of terms this solver can bound.
    """
    space = problem.space
    stride = np.array([group.multiple_of for group in space.groups], dtype=np.int64)
    low = np.array([group.first for group in space.groups], dtype=np.int64)
    tops = [NO_LIMIT if group.maximum is None else min(group.maximum, NO_LIMIT) for group in space.groups]
    high = np.array(tops, dtype=np.int64) // stride * stride
    fences = tuple(_fences(problem, stride))
    rows, is_hopeless = _rows(problem)
    rows = [_on_lattice(row, low, stride) for row in rows]
    low, high = _drawn_together(rows, fences, low, high, stride)
    for g, group in enumerate(space.groups):
        if high[g] >= NO_LIMIT // 2:
            raise InputError(
                f"widths of {group.name}",
                given="no limit",
                allowed="widths that a size or a largest width limits",
                remedy="set a largest width",
            )
    is_recounted = any(_is_peak_minimum(c) or isinstance(c.resource, RecountedPeak) for c in problem.constraints)
    if is_hopeless or (low > high).any() or any(row.is_empty for row in rows):
        high = np.minimum(high, low - 1)
        return General(problem, tuple(rows), fences, low, high, stride, is_recounted, np.float64)
    largest = max((row.resource(tuple(high.tolist())) for row in rows), default=0)
    if largest >= LARGEST_AMOUNT:
        raise InputError(
            "widths", given=f"amounts up to {largest}", allowed="amounts below 2^61", remedy="set a largest width"
        )
    dtype = np.float64 if largest < LARGEST_DOUBLE else np.int64
    return General(problem, tuple(rows), fences, low, high, stride, is_recounted, dtype)


def _is_peak_minimum(constraint: Constraint) -> bool:
    """Whether a constraint is a lower limit on the largest of several points, which no row can say."""
    return constraint.minimum is not None and len(_points(constraint)) > 1


def _points(constraint: Constraint) -> tuple[Resource, ...]:
    resource = constraint.resource
    return resource.points if isinstance(resource, PeakResource) else (resource,)


def _rows(problem: Problem) -> tuple[list[LimitRow], bool]:
    """A row for every limit that widths change, and whether one that none changes is broken.

    Raises:
        InputError: for a negative coefficient.
    """
    rows: list[LimitRow] = []
    is_hopeless = False
    for index, constraint in enumerate(problem.constraints):
        low = None if _is_peak_minimum(constraint) else constraint.minimum
        for point, form in enumerate(_points(constraint)):
            if min(form.coefficients(), default=0) < 0:
                raise InputError(
                    f"constraint on {constraint.resource.name}",
                    given="a negative coefficient",
                    allowed="coefficients from 0 up",
                )
            unit, form = form.divisor, replace(form, divisor=1)
            row = LimitRow(
                constraint=index,
                point=point,
                resource=form,
                low=None if low is None else low * unit,
                high=None if constraint.maximum is None else constraint.maximum * unit,
            )
            if not any(form.coefficients()):
                is_hopeless |= not row.allows(form.constant // unit * unit)
            elif row.low is not None or row.high is not None:
                rows.append(row)
    return rows, is_hopeless


def _fences(problem: Problem, stride: IntArray) -> list[FenceRow]:
    """Order and step as inequalities between neighbours."""
    space = problem.space
    found: list[FenceRow] = []
    for g in range(len(space) - 1):
        if space.order is not Order.FREE:
            apart = math.gcd(int(stride[g]), int(stride[g + 1])) if space.order is Order.INCREASING else 0
            found.append(FenceRow(kind="order", first=g, second=g + 1, shift=apart))
        if space.max_step is not None:
            up, down = space.max_step.numerator, space.max_step.denominator
            found.append(FenceRow(kind="rise", first=g + 1, second=g, shift=0, up=up, down=down))
            if space.order is Order.FREE:
                found.append(FenceRow(kind="fall", first=g, second=g + 1, shift=0, up=up, down=down))
    return found


def _on_lattice(row: LimitRow, low: IntArray, stride: IntArray) -> LimitRow:
    """Limits moved to amounts that widths in steps of ``stride`` can reach at all, by the greatest common divisor."""
    first, step = [int(width) for width in low], [int(apart) for apart in stride]
    linear = [c * apart for c, apart in zip(row.resource.linear, step, strict=True)]
    divisor = 0
    for g, h, c in row.resource.quadratic:
        divisor = math.gcd(divisor, c * step[g] * step[h])
        linear[g] += c * step[g] * first[h]
        linear[h] += c * step[h] * first[g]
    divisor = math.gcd(divisor, *linear)
    if divisor <= 1:
        return row
    base = row.resource(tuple(first)) % divisor
    lowest = None if row.low is None else row.low + (base - row.low) % divisor
    highest = None if row.high is None else row.high - (row.high - base) % divisor
    return replace(row, low=lowest, high=highest)


def _drawn_together(
    rows: Sequence[LimitRow], fences: Sequence[FenceRow], low: IntArray, high: IntArray, stride: IntArray
) -> tuple[IntArray, IntArray]:
    """Bounds on every width that rows and fences leave, each seen alone, until nothing changes."""
    low, high = low.copy(), high.copy()
    for _ in range(ROUNDS):
        before = low.copy(), high.copy()
        for fence in fences:
            a, b = fence.first, fence.second
            least = -(-(int(low[a]) + fence.shift) * fence.down // fence.up)
            most = int(high[b]) * fence.up // fence.down - fence.shift
            low[b] = max(int(low[b]), -(-least // int(stride[b])) * int(stride[b]))
            high[a] = min(int(high[a]), most // int(stride[a]) * int(stride[a]))
        if (low > high).any():
            return low, high
        for row in rows:
            _tighten(row, low, high, stride)
            if (low > high).any():
                return low, high
        if (low == before[0]).all() and (high == before[1]).all():
            break
    return low, high


def _tighten(row: LimitRow, low: IntArray, high: IntArray, stride: IntArray) -> None:
    """Draw the consequences of one row, in Python's integers; ``low`` and ``high`` are changed in place."""
    resource, groups = row.resource, len(low)
    squares = [0] * groups
    near = list(resource.linear)  # cost of one more channel beside the smallest widths
    far = list(resource.linear)  # beside the largest
    for g, h, c in resource.quadratic:
        if g == h:
            squares[g] = c
        else:
            near[g] += c * int(low[h])
            near[h] += c * int(low[g])
            far[g] += c * int(high[h])
            far[h] += c * int(high[g])
    least = resource(tuple(int(width) for width in low))
    most = resource(tuple(int(width) for width in high)) if row.low is not None else 0
    for g in range(groups):
        width, top, step = int(low[g]), int(high[g]), int(stride[g])
        if row.high is not None:
            rest = least - near[g] * width - squares[g] * width * width
            largest = largest_width(squares[g], near[g], row.high - rest)
            if largest is not None and largest < top:
                high[g] = largest // step * step
        if row.low is not None:
            rest = most - far[g] * top - squares[g] * top * top
            missing = row.low - rest
            largest = largest_width(squares[g], far[g], missing - 1) if missing > 0 else -1
            smallest = int(high[g]) + 1 if largest is None else largest + 1
            if smallest > width:
                low[g] = -(-smallest // step) * step
        if high[g] < low[g]:
            return
