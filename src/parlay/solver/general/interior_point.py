"""The continuous relaxation on any graph: a geometric program, solved by a primal-dual interior point method.

With x = ln w every resource is a sum of exponentials, so ln R(x) <= ln B is convex, and the shipped scores are concave
in x. A lower limit R(x) >= A is not convex; it is replaced by its tangent at a centre, and the centre moves to the
solution until it stays. Nothing proven rests on this file: it supplies a point and prices, from which ``dual`` makes
a bound that holds however good or bad they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlay.calibrated import WeightedLogLog
from parlay.energy import LogLog, PairTerm
from parlay.solver.general.general import General

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["Relaxed", "pair_bend", "relax"]

ITERATIONS = 80
"""Measured on 7 networks and 150 random graphs: 469 of 475 runs rest within 30 steps, the others are stuck by 20."""

ACCURACY = 1e-9
"""Mean product of price and slack at which it rests, in units of the score: the ties that the search tells apart."""

STEP = 1e-4
"""Distance of the finite differences by which scores without a closed form are differentiated, in ln w."""

PADDING = 1e-7
"""Room in ln w around the bounds: a group of one width has an interior only with it."""

TINY = 1e-300
"""Stands for an amount of 0, of which there is no logarithm."""

FIRST_SLACK = 1e-2
"""Least slack, in ln of a limit, that constraints begin with: closer to 0 the first steps would be short."""

BALANCED = 1e-7
"""Slopes and excesses that count as none, relative to the slopes of the score."""

NEAR_SHRINK, FAR_SHRINK = 0.15, 0.4
"""By what the mean product of price and slack is aimed to fall at a step, with constraints kept and before."""

SMALLEST_PRICE = 1e-8
"""Prices that make the whole limit worth less than this are taken as none."""

RECENTRINGS = 6
"""Moves of the centre of a tangent, at most. One took less than half the time on a plain network of five layers with an
equality, and as long on ten other networks, measured; but a point off its limit makes a worse start elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Relaxed:
    """A solution of the relaxation.

    Attributes:
        widths: real widths, shape (groups,).
        upper, lower: prices of the rows' upper and lower limits, in score per unit, shape (rows,), at least 0.
        fences: prices of the fences, per unit of ln w, shape (fences,).
        converged: whether the method came to rest; without, the relaxation may have no solution.
        excess: by how much, in ln, the rows are exceeded at the point, at most.
    """

    widths: FloatArray
    upper: FloatArray
    lower: FloatArray
    fences: FloatArray
    converged: bool
    excess: float


def relax(general: General, *, start: FloatArray | None = None, elastic: bool = False) -> Relaxed:
    """Solve the relaxation within the bounds of ``general``.

    Args:
        general: the problem.
        start: real widths to begin at, shape (groups,); the middle of the bounds without it.
        elastic: minimise the largest excess over the rows instead of maximising the score: its prices show why
            nothing is feasible.
    """
    low, high = np.log(general.low) - PADDING, np.log(general.high) + PADDING
    x = (low + high) / 2 if start is None else np.clip(np.log(start), low, high)
    margin = np.minimum(0.1 * (high - low), 1e-2)
    x = np.clip(x, low + margin, high - margin)
    relaxed = _Method(general, low, high, elastic, ()).run(x, None)
    against: set[int] = set()
    for _ in range(RECENTRINGS):
        amounts = _amounts(general, relaxed.widths)
        missed = {int(row) for row in np.flatnonzero(amounts < general.lows * (1 - 1e-6))}
        moved = not missed <= against
        against |= missed
        if not against:
            return relaxed
        again = _Method(general, low, high, elastic, sorted(against)).run(np.log(relaxed.widths), relaxed.widths)
        if not moved and again.converged and np.abs(np.log(again.widths / relaxed.widths)).max() < 1e-3:
            return again
        relaxed = again
    return relaxed


def _amounts(general: General, widths: FloatArray) -> FloatArray:
    amounts = general.constants + general.linear @ widths
    for index, matrix in general.products.items():
        amounts[index] += widths @ matrix @ widths / 2
    return amounts


class _Point(NamedTuple):
    """Constraints at one x: values (constraints,), Jacobian (constraints, variables), widths, amounts of the rows."""

    values: FloatArray
    jacobian: FloatArray
    widths: FloatArray
    amounts: FloatArray


class _Method:
    """One run; x is ln w, and with ``elastic`` one more variable, the excess, stands behind it."""

    def __init__(
        self, general: General, low: FloatArray, high: FloatArray, elastic: bool, against: Sequence[int]
    ) -> None:
        self.general, self.low, self.high, self.elastic = general, low, high, elastic
        self.lower = np.array(against, dtype=np.int64)
        # tangent and limit of one equality leave nothing between them: the side that binds is enough
        slack = np.isfinite(general.highs)
        slack[self.lower[general.highs[self.lower] < general.lows[self.lower] * (1 + 1e-3)]] = False
        self.upper = np.flatnonzero(slack)
        self.linear = general.linear.astype(float)
        self.products = {index: matrix.astype(float) for index, matrix in general.products.items()}
        self.constants = general.constants.astype(float)
        self.counts = _counts(general)
        self.limits_count = len(self.upper) + len(self.lower)
        self.rows_count = self.limits_count + len(general.fences)
        self.log_high = np.log(np.maximum(general.highs[self.upper], TINY))

    def rows(self, widths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Amounts and their derivatives by ln w of every row: (rows,), (rows, groups)."""
        gradient = self.linear * widths
        amounts = self.constants + gradient.sum(axis=1)
        for index, matrix in self.products.items():
            part = (matrix @ widths) * widths
            gradient[index] += part
            amounts[index] += part.sum() / 2
        return amounts, gradient

    def score(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient and Hessian of the score by x: (groups,), (groups, groups)."""
        groups = self.general.groups
        if self.counts is not None:
            gradient, curve = self.counts / x, np.minimum(-self.counts / x**2, 0.0)
        else:
            gradient, curve = np.zeros(groups), np.zeros(groups)
            for g in range(groups):
                down, at, up = self.general.score(g, np.exp(np.array([x[g] - STEP, x[g], x[g] + STEP])))
                gradient[g], curve[g] = (up - down) / (2 * STEP), min((up - 2 * at + down) / STEP**2, 0.0)
        hessian = np.diag(curve)
        for (g, h), parts in self.general.problem.terms.pairs.items():
            for term in parts:
                slopes, bend = pair_bend(term, float(x[g]), float(x[h]))
                gradient[[g, h]] += slopes
                hessian[np.ix_([g, h], [g, h])] += bend
        return gradient, hessian

    def run(self, x: FloatArray, centre: FloatArray | None) -> Relaxed:
        """Solve from ln w = ``x``; lower limits are replaced by their tangents at the widths ``centre``."""
        self._take_tangents(centre)
        if self.elastic:
            values = self._evaluated(np.append(x, 0.0)).values[: self.rows_count]
            x = np.append(x, float(values.max(initial=0.0)) + 0.1)
        at = self._evaluated(x)
        slack = np.maximum(-at.values, FIRST_SLACK)
        slack[self.rows_count :] = np.maximum(-at.values[self.rows_count :], 1e-9)
        groups = self.general.groups
        self.scale = 1.0 if self.elastic else max(1.0, float(np.abs(self.score(x[:groups])[0]).mean()))
        price = np.minimum(0.1 * self.scale / slack, 1e3 * self.scale)
        converged = False
        for _ in range(ITERATIONS):
            gradient, hessian = self._goal(x)
            residual = gradient + at.jacobian.T @ price
            gap = float(slack @ price) / len(price)
            if self._is_solved(residual, at.values + slack, gap):
                converged = True
                break
            self._add_curvature(hessian, at, price)
            step = self._step(at, slack, price, residual, hessian, gap)
            if step is None:
                break
            size, move, move_slack, move_price = step
            x = x + size * move
            slack, price = slack + size * move_slack, price + size * move_price
            at = self._evaluated(x)
        return self._solution(x, at, price, converged)

    def _take_tangents(self, centre: FloatArray | None) -> None:
        """Lower limits as linear functions of ln w: (lower, groups) and what they are at 0."""
        self.tangent = np.zeros((len(self.lower), self.general.groups))
        self.at_centre = np.zeros(len(self.lower))
        if centre is not None:
            amounts, gradient = self.rows(centre)
            self.tangent = gradient[self.lower] / amounts[self.lower, None]
            needed = np.log(np.maximum(self.general.lows[self.lower], TINY))
            self.at_centre = needed - np.log(amounts[self.lower]) + self.tangent @ np.log(centre)

    def _evaluated(self, x: FloatArray) -> _Point:
        """Constraints, each at most 0 where it is kept: upper limits, lower limits, fences, then the box."""
        groups, fences = self.general.groups, self.general.fences
        widths = np.exp(x[:groups])
        amounts, gradient = self.rows(widths)
        count = self.rows_count + 2 * groups
        values, jacobian = np.empty(count), np.zeros((count, groups + self.elastic))
        upper = len(self.upper)
        values[:upper] = np.log(amounts[self.upper]) - self.log_high
        jacobian[:upper, :groups] = gradient[self.upper] / amounts[self.upper, None]
        values[upper : self.limits_count] = self.at_centre - self.tangent @ x[:groups]
        jacobian[upper : self.limits_count, :groups] = -self.tangent
        for place, fence in enumerate(fences, start=self.limits_count):
            shifted = widths[fence.first] + fence.shift
            values[place] = math.log(shifted * fence.down / fence.up) - x[fence.second]
            jacobian[place, fence.first] = widths[fence.first] / shifted
            jacobian[place, fence.second] = -1.0
        if self.elastic:
            values[: self.rows_count] -= x[-1]
            jacobian[: self.rows_count, -1] = -1.0
        box = np.arange(groups)
        values[self.rows_count : self.rows_count + groups] = self.low - x[:groups]
        values[self.rows_count + groups :] = x[:groups] - self.high
        jacobian[self.rows_count + box, box] = -1.0
        jacobian[self.rows_count + groups + box, box] = 1.0
        return _Point(values, jacobian, widths, amounts)

    def _goal(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient and Hessian of what is minimised: minus the score, or the excess."""
        groups, size = self.general.groups, len(x)
        gradient, hessian = np.zeros(size), np.zeros((size, size))
        if self.elastic:
            gradient[-1] = 1.0
        else:
            slope, curve = self.score(x)
            gradient[:groups], hessian[:groups, :groups] = -slope, -curve
        return gradient, hessian

    def _is_solved(self, residual: FloatArray, infeasible: FloatArray, gap: float) -> bool:
        """Whether the conditions of an optimum hold: slopes balance, constraints are kept, prices meet slacks."""
        worst = max(float(np.abs(residual).max()) / self.scale, float(np.abs(infeasible).max()))
        return worst < BALANCED and gap < ACCURACY * self.scale

    def _add_curvature(self, hessian: FloatArray, at: _Point, price: FloatArray) -> None:
        """Add, in place, how priced upper limits and fences bend: (groups, groups) of the Hessian."""
        groups, widths = self.general.groups, at.widths
        core = hessian[:groups, :groups]
        diagonal = np.diag_indices(groups)
        share = price[: len(self.upper)] / at.amounts[self.upper]
        core[diagonal] += share @ (self.linear[self.upper] * widths)
        for place, row in enumerate(self.upper.tolist()):
            matrix = self.products.get(row)
            if matrix is not None:
                joint = share[place] * matrix * np.outer(widths, widths)
                core += joint
                core[diagonal] += joint.sum(axis=1)
        for place, fence in enumerate(self.general.fences, start=self.limits_count):
            if fence.shift:
                part = widths[fence.first] / (widths[fence.first] + fence.shift)
                core[fence.first, fence.first] += price[place] * part * (1 - part)

    def _step(
        self,
        at: _Point,
        slack: FloatArray,
        price: FloatArray,
        residual: FloatArray,
        hessian: FloatArray,
        gap: float,
    ) -> tuple[float, FloatArray, FloatArray, FloatArray] | None:
        """How far to go, and the moves of x, slacks and prices; None where no step can be taken."""
        weight = price / slack
        weight[: len(self.upper)] -= price[: len(self.upper)]  # ln R bends less than R
        full = hessian + (at.jacobian * weight[:, None]).T @ at.jacobian
        diagonal = np.diag_indices(len(full))
        full[diagonal] += 1e-12 * (1 + np.abs(full[diagonal]))
        infeasible = at.values + slack
        shrink = NEAR_SHRINK if float(np.abs(infeasible).max()) < 1e-3 else FAR_SHRINK
        target = shrink * gap
        right = -residual - at.jacobian.T @ ((price * at.values + target) / slack)
        # from  slack dz + price ds = target - slack price,  ds = -infeasible - J dx
        try:
            move: FloatArray = np.linalg.solve(full, right).astype(np.float64)
        except np.linalg.LinAlgError:
            return None
        move_slack: FloatArray = -infeasible - at.jacobian @ move
        move_price = (target - price * move_slack) / slack - price
        size = min(1.0, _reach(slack, move_slack), _reach(price, move_price))
        # ln w moves by at most 1, a factor of e, at a time
        size = min(size, 1.0 / max(1e-9, float(np.abs(move[: self.general.groups]).max())))
        return (size, move, move_slack, move_price) if math.isfinite(size) and size >= 1e-10 else None

    def _solution(self, x: FloatArray, at: _Point, price: FloatArray, converged: bool) -> Relaxed:
        """Widths, and prices by unit of each row's limit."""
        general, upper, lower = self.general, self.upper, self.lower
        prices = np.maximum(price, 0.0)
        row_upper, row_lower = np.zeros(len(general.rows)), np.zeros(len(general.rows))
        row_upper[upper] = prices[: len(upper)] / at.amounts[upper]
        row_lower[lower] = prices[len(upper) : self.limits_count] / at.amounts[lower]
        for some in (row_upper, row_lower):  # an interior point leaves a trace of a price everywhere
            some[some * at.amounts < SMALLEST_PRICE * self.scale] = 0.0
        fences = prices[self.limits_count : self.rows_count]
        fences[fences < SMALLEST_PRICE * self.scale] = 0.0
        return Relaxed(
            widths=np.exp(np.clip(x[: general.groups], self.low, self.high)),
            upper=row_upper,
            lower=row_lower,
            fences=fences,
            converged=converged,
            excess=float(x[-1]) if self.elastic else float(at.values[: self.rows_count].max(initial=-math.inf)),
        )


def pair_bend(term: PairTerm, x: float, y: float) -> tuple[FloatArray, FloatArray]:
    """Slopes and, by finite differences, curvatures of a term of two groups in ln w: (2,), (2, 2)."""
    slopes = np.array(term.slopes(math.exp(x), math.exp(y)))
    bend = np.array(
        [
            np.subtract(
                term.slopes(math.exp(x + dx), math.exp(y + dy)), term.slopes(math.exp(x - dx), math.exp(y - dy))
            )
            / (2 * STEP)
            for dx, dy in ((STEP, 0.0), (0.0, STEP))
        ]
    )
    return slopes, (bend + bend.T) / 2


def _counts(general: General) -> FloatArray | None:
    """c of the score c ln ln w of every group, shape (groups,); None where a group has another term."""
    counts: list[float] = []
    for terms in general.problem.terms.groups:
        if not all(isinstance(term, LogLog | WeightedLogLog) for term in terms):
            return None
        counts.append(float(sum(term.count for term in terms if isinstance(term, LogLog | WeightedLogLog))))
    return np.array(counts, dtype=float)


def _reach(amount: FloatArray, move: FloatArray) -> float:
    """The largest step that keeps amounts above half a percent of themselves."""
    falling = move < 0
    return float((-0.995 * amount[falling] / move[falling]).min(initial=math.inf))
