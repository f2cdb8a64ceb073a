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
from typing import TYPE_CHECKING

import numpy as np

from parlay.calibrated import WeightedLogLog
from parlay.energy import LogLog
from parlay.solver.general.general import General

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["Relaxed", "relax"]

ITERATIONS = 80
ACCURACY = 1e-9
STEP = 1e-4
"""Distance of the finite differences by which scores without a closed form are differentiated, in ln w."""

PADDING = 1e-7
SMALLEST_PRICE = 1e-8
"""Prices that make the whole limit worth less than this are taken as none."""

RECENTRINGS = 6


@dataclass(frozen=True, kw_only=True)
class Relaxed:
    """A solution of the relaxation.

    Attributes:
        widths: real widths, shape (groups,).
        upper, lower: prices of the rows' upper and lower limits, in log-energy per unit, shape (rows,), at least 0.
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
        counts = [
            sum(term.count for term in terms if isinstance(term, LogLog | WeightedLogLog))
            if all(isinstance(term, LogLog | WeightedLogLog) for term in terms)
            else None
            for terms in general.problem.terms.groups
        ]
        self.counts = None if any(count is None for count in counts) else np.array(counts, dtype=float)

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
        terms = self.general.problem.terms
        if self.counts is not None:
            gradient, curve = self.counts / x, np.minimum(-self.counts / x**2, 0.0)
        else:
            gradient, curve = np.zeros(groups), np.zeros(groups)
            for g in range(groups):
                down, at, up = self.general.score(g, np.exp(np.array([x[g] - STEP, x[g], x[g] + STEP])))
                gradient[g], curve[g] = (up - down) / (2 * STEP), min((up - 2 * at + down) / STEP**2, 0.0)
        hessian = np.diag(curve)
        for (g, h), parts in terms.pairs.items():
            for term in parts:
                a, b = term.slopes(math.exp(x[g]), math.exp(x[h]))
                gradient[g] += a
                gradient[h] += b
                bend = np.array(
                    [
                        np.subtract(
                            term.slopes(math.exp(x[g] + da), math.exp(x[h] + db)),
                            term.slopes(math.exp(x[g] - da), math.exp(x[h] - db)),
                        )
                        / (2 * STEP)
                        for da, db in ((STEP, 0.0), (0.0, STEP))
                    ]
                )
                hessian[np.ix_([g, h], [g, h])] += (bend + bend.T) / 2
        return gradient, hessian

    def run(self, x: FloatArray, centre: FloatArray | None) -> Relaxed:
        general, groups = self.general, self.general.groups
        upper, lower, fences = self.upper, self.lower, general.fences
        size = groups + self.elastic
        log_high = np.log(np.maximum(general.highs[upper], 1e-300))
        tangent = np.zeros((len(lower), groups))
        at_centre = np.zeros(len(lower))
        if centre is not None:
            amounts, gradient = self.rows(centre)
            tangent = gradient[lower] / amounts[lower, None]
            needed = np.log(np.maximum(general.lows[lower], 1e-300))
            at_centre = needed - np.log(amounts[lower]) + tangent @ np.log(centre)
        rows_count = len(upper) + len(lower) + len(fences)
        count = rows_count + 2 * groups

        def constraints(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            widths = np.exp(x[:groups])
            amounts, gradient = self.rows(widths)
            values, jacobian = np.empty(count), np.zeros((count, size))
            values[: len(upper)] = np.log(amounts[upper]) - log_high
            jacobian[: len(upper), :groups] = gradient[upper] / amounts[upper, None]
            stop = len(upper) + len(lower)
            values[len(upper) : stop] = at_centre - tangent @ x[:groups]
            jacobian[len(upper) : stop, :groups] = -tangent
            for place, fence in enumerate(fences, start=stop):
                shifted = widths[fence.first] + fence.shift
                values[place] = math.log(shifted * fence.down / fence.up) - x[fence.second]
                jacobian[place, fence.first] = widths[fence.first] / shifted
                jacobian[place, fence.second] = -1.0
            if self.elastic:
                values[:rows_count] -= x[-1]
                jacobian[:rows_count, -1] = -1.0
            box = np.arange(groups)
            values[rows_count : rows_count + groups] = self.low - x[:groups]
            values[rows_count + groups :] = x[:groups] - self.high
            jacobian[rows_count + box, box] = -1.0
            jacobian[rows_count + groups + box, box] = 1.0
            return values, jacobian, widths, amounts

        if self.elastic:
            values = constraints(np.append(x, 0.0))[0][:rows_count]
            x = np.append(x, float(values.max(initial=0.0)) + 0.1)
        values, jacobian, widths, amounts = constraints(x)
        slack = np.maximum(-values, 1e-2)
        slack[rows_count:] = np.maximum(-values[rows_count:], 1e-9)
        scale = 1.0 if self.elastic else max(1.0, float(np.abs(self.score(x[:groups])[0]).mean()))
        price = np.minimum(0.1 * scale / slack, 1e3 * scale)
        converged = False
        for _ in range(ITERATIONS):
            gradient, hessian = np.zeros(size), np.zeros((size, size))
            if self.elastic:
                gradient[-1] = 1.0
            else:
                slope, curve = self.score(x)
                gradient[:groups], hessian[:groups, :groups] = -slope, -curve
            residual = gradient + jacobian.T @ price
            infeasible = values + slack
            gap = float(slack @ price) / count
            if max(float(np.abs(residual).max()) / scale, float(np.abs(infeasible).max())) < 1e-7 and gap < (
                ACCURACY * scale
            ):
                converged = True
                break
            z = price[: len(upper)]
            share = z / amounts[upper]
            own = share @ (self.linear[upper] * widths)
            core = hessian[:groups, :groups]
            core[np.diag_indices(groups)] += own
            for place, row in enumerate(upper):
                matrix = self.products.get(int(row))
                if matrix is not None:
                    joint = share[place] * matrix * np.outer(widths, widths)
                    core += joint
                    core[np.diag_indices(groups)] += joint.sum(axis=1)
            for place, fence in enumerate(fences, start=len(upper) + len(lower)):
                if fence.shift:
                    part = widths[fence.first] / (widths[fence.first] + fence.shift)
                    core[fence.first, fence.first] += price[place] * part * (1 - part)
            weight = price / slack
            weight[: len(upper)] -= z  # ln R bends less than R
            full = hessian + (jacobian * weight[:, None]).T @ jacobian
            full[np.diag_indices(size)] += 1e-12 * (1 + np.abs(full[np.diag_indices(size)]))
            shrink = 0.15 if float(np.abs(infeasible).max()) < 1e-3 else 0.4
            target = shrink * gap
            right = -residual - jacobian.T @ ((price * values + target) / slack)
            # from  slack dz + price ds = target - slack price,  ds = -infeasible - J dx
            try:
                move = np.linalg.solve(full, right)
            except np.linalg.LinAlgError:
                break
            move_slack = -infeasible - jacobian @ move
            move_price = (target - price * move_slack) / slack - price
            step = min(1.0, _reach(slack, move_slack), _reach(price, move_price))
            step = min(step, 1.0 / max(1e-9, float(np.abs(move[:groups]).max())))
            if not math.isfinite(step) or step < 1e-10:
                break
            x = x + step * move
            slack, price = slack + step * move_slack, price + step * move_price
            values, jacobian, widths, amounts = constraints(x)
        prices = np.maximum(price, 0.0)
        row_upper, row_lower = np.zeros(len(general.rows)), np.zeros(len(general.rows))
        row_upper[upper] = prices[: len(upper)] / amounts[upper]
        row_lower[lower] = prices[len(upper) : len(upper) + len(lower)] / amounts[lower]
        for some in (row_upper, row_lower):  # an interior point leaves a trace of a price everywhere
            some[some * amounts < SMALLEST_PRICE * scale] = 0.0
        fence_prices = prices[len(upper) + len(lower) : rows_count]
        fence_prices[fence_prices < SMALLEST_PRICE * scale] = 0.0
        at = x[:groups]
        return Relaxed(
            widths=np.exp(np.clip(at, self.low, self.high)),
            upper=row_upper,
            lower=row_lower,
            fences=fence_prices,
            converged=converged,
            excess=float(x[-1]) if self.elastic else float(values[:rows_count].max(initial=-math.inf)),
        )


def _reach(amount: FloatArray, move: FloatArray) -> float:
    """The largest step that keeps amounts above half a percent of themselves."""
    falling = move < 0
    return float((-0.995 * amount[falling] / move[falling]).min(initial=math.inf))
