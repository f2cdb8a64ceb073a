"""The constraints and fences of a problem as rows of whole numbers, and what they leave of a box of widths.

The replay's own reading of a problem: it shares nothing with the solvers'.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlay.layout import Order, WidthSpace
from parlay.problem import Constraint, Problem
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["ProofFence", "ProofRow", "ProofRows"]

ROUNDS = 60
"""Passes over rows and fences that draw a box together. Stopping early leaves it too large, never too small; the
solver stops after 4, so that whatever it excluded is excluded here, too."""

LARGEST_WIDTH = 1 << 20
"""Where a group without a largest width begins. Rows that leave half of it or more hardly limit the group: such a
problem is not replayed, as widths beyond would be missed."""

EXACT = 1 << 51
"""Below this every amount met is a whole number that a double holds, its double, too."""


class ProofFence(NamedTuple):
    """(w_first + shift) down <= w_second up."""

    first: int
    second: int
    shift: int
    up: int
    down: int


class ProofRow:
    """One polynomial limit: low <= constant + linear w + w'Qw / 2 <= high, whole numbers held in doubles."""

    def __init__(self, resource: Resource, low: int | None, high: int | None) -> None:
        groups, unit = resource.groups, resource.divisor
        self.resource = resource
        self.low = None if low is None else low * unit
        self.high = None if high is None else high * unit
        self.constant = float(resource.constant)
        self.linear = np.array(resource.linear, dtype=float)
        self.matrix = np.zeros((groups, groups))
        for g, h, c in resource.quadratic:
            self.matrix[g, h] += c
            self.matrix[h, g] += c

    def on_lattice(self, first: list[int], stride: list[int]) -> None:
        """Move the limits to amounts that the choices of width can reach, by the greatest common divisor."""
        resource = self.resource
        slope = list(resource.linear)
        parts: list[int] = []
        for g, h, c in resource.quadratic:
            slope[g] += c * first[h]
            slope[h] += c * first[g]
            parts.append(c * stride[g] * stride[h])
        common = math.gcd(*parts, *(a * b for a, b in zip(slope, stride, strict=True)))
        if common > 1:
            base = resource.constant + sum(c * w for c, w in zip(resource.linear, first, strict=True))
            base += sum(c * first[g] * first[h] for g, h, c in resource.quadratic)
            self.low = None if self.low is None else self.low + (base - self.low) % common
            self.high = None if self.high is None else self.high - (self.high - base) % common


class ProofRows:
    """All rows and fences of a problem.

    Attributes:
        problem: the question.
        stride: distance of neighbouring widths, shape (groups,).
        named: (index of a constraint, point of a peak) -> its row.
        fences: (``order``, ``rise`` or ``fall``, first group) -> the fence.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.stride = np.array([group.multiple_of for group in problem.space.groups], dtype=np.int64)
        self.named = _rows(problem)
        self.fences = _fences(problem.space)
        rows, groups = list(self.named.values()), len(self.stride)
        self._constants = np.array([row.constant for row in rows])
        self._linear = np.array([row.linear for row in rows]).reshape(len(rows), groups)
        self._squares = np.array([np.diag(row.matrix) / 2 for row in rows]).reshape(len(rows), groups)
        self._products = [(place, row.matrix) for place, row in enumerate(rows) if row.resource.quadratic]
        self._highs = _or(math.inf, [row.high for row in rows])
        self._lows = _or(-math.inf, [row.low for row in rows])

    def _slopes(self, widths: IntArray) -> FloatArray:
        """What one more channel of each group costs, squares doubled: (rows, groups)."""
        total = self._linear.copy()
        for place, matrix in self._products:
            total[place] += matrix @ widths
        return total

    def _amounts(self, widths: IntArray) -> FloatArray:
        """Every row at one layout."""
        return self._constants + (self._slopes(widths) + self._linear) @ widths / 2

    def whole(self, top_k: int = 1) -> tuple[IntArray, IntArray] | None:
        """The box of all layouts of positive energy; None where it is too large to replay.

        Where one layout is asked for, the largest widths of a table may be left out if they score no more.
        """
        groups = self.problem.space.groups
        low = np.array([group.first for group in groups], dtype=np.int64)
        tops = [LARGEST_WIDTH if group.maximum is None else group.maximum for group in groups]
        high = np.array(tops, dtype=np.int64) // self.stride * self.stride
        if (self._lows > self._highs).any():
            return low, low - 1
        low, high = self.drawn_together(low, high)
        if any(group.maximum is None and high[g] >= LARGEST_WIDTH // 2 for g, group in enumerate(groups)):
            return None
        self._leave_out_worthless(low, high)
        if top_k == 1 and (low <= high).all():
            self._leave_out_useless(low, high)
        if (low <= high).all() and (self._amounts(high) >= EXACT).any():
            return None
        return self.drawn_together(low, high)

    def _leave_out_worthless(self, low: IntArray, high: IntArray) -> None:
        """Raise ``low``, in place, above the smallest widths whose score is -inf."""
        for g, terms in enumerate(self.problem.terms.groups):
            while low[g] <= high[g] and np.isneginf(sum(term.values(low[g : g + 1])[0] for term in terms)):
                low[g] += self.stride[g]

    def _leave_out_useless(self, low: IntArray, high: IntArray) -> None:
        """Lower ``high``, in place, to the smallest width at which a table is largest, where no more is asked for."""
        if self.fences or any(map(_asks_for_more, self.problem.constraints)):
            return
        terms = self.problem.terms
        for g in set(range(len(low))) - {g for pair in terms.pairs for g in pair}:
            if not all(term.concave_in_log for term in terms.groups[g]):
                widths = np.arange(low[g], high[g] + 1, self.stride[g], dtype=np.int64)
                total = sum((term.values(widths) for term in terms.groups[g]), start=np.zeros(len(widths)))
                high[g] = widths[int(np.argmax(total))]

    def drawn_together(self, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        """What single rows and fences leave of a box; an upper end below the lower one where they leave nothing."""
        low, high = low.copy(), high.copy()
        for _ in range(ROUNDS):
            before = low.copy(), high.copy()
            for narrow in (self._keep_fences, self._keep_highs, self._keep_lows):
                narrow(low, high)
                if (low > high).any():
                    return low, high
            if (low == before[0]).all() and (high == before[1]).all():
                break
        return low, high

    def _keep_fences(self, low: IntArray, high: IntArray) -> None:
        """Narrow a box, in place, by what each fence allows at the ends of its groups."""
        stride = self.stride
        for a, b, shift, up, down in self.fences.values():
            least, most = -(-(int(low[a]) + shift) * down // up), int(high[b]) * up // down - shift
            low[b] = max(int(low[b]), -(-least // int(stride[b])) * int(stride[b]))
            high[a] = min(int(high[a]), most // int(stride[a]) * int(stride[a]))

    def _keep_highs(self, low: IntArray, high: IntArray) -> None:
        """Lower ``high``, in place, to what upper limits allow a group while all others are at their smallest."""
        room = self._highs - self._amounts(low)
        slope = self._slopes(low) - 2 * self._squares * low
        room = room[:, None] + slope * low + self._squares * low * low
        largest = np.where(room < math.inf, _largest(self._squares, slope, room, high), high).min(axis=0, initial=EXACT)
        np.minimum(high, largest // self.stride * self.stride, out=high)

    def _keep_lows(self, low: IntArray, high: IntArray) -> None:
        """Raise ``low``, in place, to what lower limits ask of a group while all others are at their largest."""
        lacking = self._lows - 1 - self._amounts(high)
        slope = self._slopes(high) - 2 * self._squares * high
        lacking = lacking[:, None] + slope * high + self._squares * high * high
        below = np.where(lacking >= 0, _largest(self._squares, slope, lacking, high), -1).max(axis=0, initial=-1)
        np.maximum(low, -(-(below + 1) // self.stride) * self.stride, out=low)


def _asks_for_more(constraint: Constraint) -> bool:
    """Whether wider layouts may be needed for a lower limit."""
    resource = constraint.resource
    points = resource.points if isinstance(resource, PeakResource) else (resource,)
    is_fixed = len(points) == 1 and not any(points[0].coefficients())
    return constraint.minimum is not None and not is_fixed


def _or(default: float, limits: list[int | None]) -> FloatArray:
    return np.array([default if limit is None else limit for limit in limits], dtype=float)


def _rows(problem: Problem) -> dict[tuple[int, int], ProofRow]:
    """Every limit. A peak has one row a point; its minimum is no row, as any one of the points may reach it."""
    first = [group.first for group in problem.space.groups]
    stride = [group.multiple_of for group in problem.space.groups]
    rows: dict[tuple[int, int], ProofRow] = {}
    for index, constraint in enumerate(problem.constraints):
        resource = constraint.resource
        points = resource.points if isinstance(resource, PeakResource) else (resource,)
        low = constraint.minimum if len(points) == 1 else None
        for place, point in enumerate(points):
            row = rows[index, place] = ProofRow(point, low, constraint.maximum)
            row.on_lattice(first, stride)
    return rows


def _fences(space: WidthSpace) -> dict[tuple[str, int], ProofFence]:
    """Order and largest step between neighbours."""
    fences: dict[tuple[str, int], ProofFence] = {}
    for g in range(len(space.groups) - 1):
        if space.order is not Order.FREE:
            apart = math.gcd(space.groups[g].multiple_of, space.groups[g + 1].multiple_of)
            fences["order", g] = ProofFence(g, g + 1, apart if space.order is Order.INCREASING else 0, 1, 1)
        if space.max_step is not None:
            up, down = space.max_step.numerator, space.max_step.denominator
            fences["rise", g] = ProofFence(g + 1, g, 0, up, down)
            fences["fall", g] = ProofFence(g, g + 1, 0, up, down)
    return fences


def _largest(square: FloatArray, slope: FloatArray, room: FloatArray, high: IntArray) -> IntArray:
    """The largest whole w >= 0, at most ``high``, with square w^2 + slope w <= room; -1 where there is none."""
    width = high.astype(float)
    spare = np.where(np.isfinite(room), np.maximum(room, 0.0), 0.0)
    costs = (square > 0) | (slope > 0)
    root = 2 * spare / np.maximum(slope + np.sqrt(slope**2 + 4 * square * spare), 1e-300)
    width = np.where(costs, np.minimum(width, np.floor(root) + 1), width)
    for _ in range(2):  # the root is right to one unit, which whole numbers decide
        width = np.where(costs & (square * width * width + slope * width > spare), width - 1, width)
    return np.where(room < 0, -1, np.maximum(width, -1)).astype(np.int64)
