"""Recompute what a proof on a general graph rests on: every price, every box, in a few lines of arithmetic each.

Independent of the solver, from the problem alone. A step of a proof is a dual, whose bound is a maximum a group, a
split of the box, or an end. Widths leave a box only because the bound at them stays below the best score, or because
a constraint cannot be kept with them, in whole numbers. The largest bound left is what the proof shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parlay.layout import Order
from parlay.problem import Dual, Problem, Result, Split
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Recomputed", "recompute"]

TOLERANCE = 1e-9
ROUNDS = 60
MOST_WIDTHS = 3_000_000
EXACT = 1 << 51
"""Below this every amount met is a whole number that a double holds."""


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """What the steps of a proof show.

    Attributes:
        bound: no layout of positive energy scores more; None when the steps are not followed to the end.
        is_complete: whether nothing had to be taken on trust, such as a listing.
        faults: steps that do not follow from the ones before.
    """

    bound: float | None
    is_complete: bool
    faults: tuple[str, ...] = ()


class _Form:
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
        self.square = np.diag(self.matrix) / 2

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


class _Checker:
    def __init__(self, problem: Problem, best: float) -> None:
        self.problem, self.best = problem, best
        groups = problem.space.groups
        self.stride = np.array([group.multiple_of for group in groups], dtype=np.int64)
        self.forms: dict[tuple[int, int], _Form] = {}
        first = [group.first for group in groups]
        for index, constraint in enumerate(problem.constraints):
            resource = constraint.resource
            points = resource.points if isinstance(resource, PeakResource) else (resource,)
            for place, point in enumerate(points):
                low = constraint.minimum if len(points) == 1 else None
                form = _Form(point, low, constraint.maximum)
                form.on_lattice(first, self.stride.tolist())
                self.forms[index, place] = form
        # (first, second, shift, up, down): (w_first + shift) down <= w_second up
        self.fences: dict[tuple[str, int], tuple[int, int, int, int, int]] = {}
        space = problem.space
        for g in range(len(groups) - 1):
            if space.order is not Order.FREE:
                apart = math.gcd(groups[g].multiple_of, groups[g + 1].multiple_of)
                self.fences["order", g] = g, g + 1, apart if space.order is Order.INCREASING else 0, 1, 1
            if space.max_step is not None:
                up, down = space.max_step.numerator, space.max_step.denominator
                self.fences["rise", g] = g + 1, g, 0, up, down
                self.fences["fall", g] = g, g + 1, 0, up, down

        forms = list(self.forms.values())
        self.places = {key: place for place, key in enumerate(self.forms)}
        self.constants = np.array([form.constant for form in forms])
        self.linear = np.array([form.linear for form in forms]).reshape(len(forms), len(groups))
        self.squares = np.array([form.square for form in forms]).reshape(len(forms), len(groups))
        self.products = [(place, form.matrix) for place, form in enumerate(forms) if form.resource.quadratic]
        self.highs = np.array([math.inf if form.high is None else form.high for form in forms])
        self.lows = np.array([-math.inf if form.low is None else form.low for form in forms])

    def slopes(self, widths: IntArray) -> FloatArray:
        """What one more channel of each group costs, squares doubled: (forms, groups)."""
        total = self.linear.copy()
        for place, matrix in self.products:
            total[place] += matrix @ widths
        return total

    def amounts(self, widths: IntArray) -> FloatArray:
        """Every form at one layout."""
        return self.constants + (self.slopes(widths) + self.linear) @ widths / 2

    def start(self) -> tuple[IntArray, IntArray] | None:
        """The box of all layouts of positive energy; None where it is too large to recompute."""
        groups = self.problem.space.groups
        low = np.array([group.first for group in groups], dtype=np.int64)
        tops = [1 << 20 if group.maximum is None else group.maximum for group in groups]
        high = np.array(tops, dtype=np.int64) // self.stride * self.stride
        if (self.lows > self.highs).any():
            return low, low - 1
        low, high = self.drawn_together(low, high)
        if any(group.maximum is None and high[g] >= 1 << 19 for g, group in enumerate(groups)):
            return None
        for g, terms in enumerate(self.problem.terms.groups):
            while low[g] <= high[g] and np.isneginf(sum(term.values(low[g : g + 1])[0] for term in terms)):
                low[g] += self.stride[g]
        if (low <= high).all() and (self.amounts(high) >= EXACT).any():
            return None
        return self.drawn_together(low, high)

    def drawn_together(self, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        """What single constraints and fences leave of a box."""
        low, high, stride = low.copy(), high.copy(), self.stride
        for _ in range(ROUNDS):
            before = low.copy(), high.copy()
            for a, b, shift, up, down in self.fences.values():
                least, most = -(-(int(low[a]) + shift) * down // up), int(high[b]) * up // down - shift
                low[b] = max(int(low[b]), -(-least // int(stride[b])) * int(stride[b]))
                high[a] = min(int(high[a]), most // int(stride[a]) * int(stride[a]))
            if (low > high).any():
                return low, high
            room = self.highs - self.amounts(low)
            slope = self.slopes(low) - 2 * self.squares * low
            room = room[:, None] + slope * low + self.squares * low * low
            largest = np.where(room < math.inf, _largest(self.squares, slope, room, high), high).min(axis=0)
            high = np.minimum(high, largest // stride * stride)
            if (low > high).any():
                return low, high
            lacking = self.lows - 1 - self.amounts(high)
            slope = self.slopes(high) - 2 * self.squares * high
            lacking = lacking[:, None] + slope * high + self.squares * high * high
            below = np.where(lacking >= 0, _largest(self.squares, slope, lacking, high), -1).max(axis=0)
            low = np.maximum(low, -(-(below + 1) // stride) * stride)
            if (low == before[0]).all() and (high == before[1]).all():
                break
        return low, high

    def bound(self, dual: Dual) -> tuple[float, list[FloatArray]]:
        """The bound a dual gives within its box, and by group how far each width stays below the best one."""
        low, high = np.array(dual.low, dtype=np.int64), np.array(dual.high, dtype=np.int64)
        groups = len(low)
        constant, linear, log = 0.0, np.zeros(groups), np.zeros(groups)
        joint = np.zeros((groups, groups))
        for sign, prices in ((1.0, dual.upper), (-1.0, dual.lower)):
            for constraint, point, price in prices:
                form = self.forms[constraint, point]
                limit = form.high if sign > 0 else form.low
                assert limit is not None
                constant += sign * price * (limit - form.constant)
                linear += sign * price * form.linear
                joint += sign * price * form.matrix
        square = np.diag(joint) / 2
        np.fill_diagonal(joint, 0.0)
        centre = np.log(np.array(dual.centre))
        kept = {pair: float(joint[pair]) for pair in dual.exact}
        for g, h in zip(*(part.tolist() for part in np.nonzero(np.triu(joint))), strict=True):
            if (g, h) in kept:
                continue
            price = float(joint[g, h])
            if price > 0:  # e^s >= e^c (1 + s - c)
                middle = centre[g] + centre[h]
                slope = value = math.exp(middle)
            else:  # e^s <= the secant over the box
                middle, top = math.log(low[g] * low[h]), math.log(high[g] * high[h])
                value = math.exp(middle)
                slope = value if top - middle < 1e-9 else (math.exp(top) - value) / (top - middle)
            constant -= price * (value - slope * middle)
            log[g] -= price * slope
            log[h] -= price * slope
        for (g, h), terms in self.problem.terms.pairs.items():
            for term in terms if dual.weight else ():
                at = dual.centre[g], dual.centre[h]
                a, b = term.slopes(*at)
                constant += term.at(*at) - a * centre[g] - b * centre[h]
                log[g] += a
                log[h] += b
        shifted: list[tuple[int, int, float]] = []
        for kind, g, price in dual.fences:
            first, second, shift, up, down = self.fences[kind, g]
            constant += price * math.log(up / down)
            log[second] += price
            shifted.append((first, shift, price))
        below: list[FloatArray] = []
        for g in range(groups):
            widths = np.arange(low[g], high[g] + 1, self.stride[g], dtype=np.int64)
            gain = log[g] * np.log(widths) - linear[g] * widths - square[g] * widths.astype(float) ** 2
            for term in self.problem.terms.groups[g] if dual.weight else ():
                gain = gain + term.values(widths)
            for first, shift, price in shifted:
                if first == g:
                    gain = gain - price * np.log(widths + shift)
            below.append(gain)
        if kept:
            total, short = self.eliminated(dual, kept, below)
            return float(constant) + total, short
        return float(constant) + math.fsum(float(gain.max()) for gain in below), [gain.max() - gain for gain in below]

    def eliminated(
        self, dual: Dual, kept: dict[tuple[int, int], float], gains: list[FloatArray]
    ) -> tuple[float, list[FloatArray]]:
        """The largest sum of gains less the products kept, and how far each width of a group stays below it.

        One group after the other is taken at its best, seen from the groups it is still tied to; then back again.
        """
        widths = [
            np.arange(low, high + 1, stride, dtype=float)
            for low, high, stride in zip(dual.low, dual.high, self.stride.tolist(), strict=True)
        ]
        rank = {group: place for place, group in enumerate(dual.order)}
        parts: list[tuple[tuple[int, ...], FloatArray, int | None]] = [((g,), gains[g], None) for g in dual.order]
        parts += [((g, h), -price * widths[g][:, None] * widths[h][None, :], None) for (g, h), price in kept.items()]
        total = math.fsum(float(gain.max()) for g, gain in enumerate(gains) if g not in rank)
        tables: dict[int, tuple[list[int], FloatArray, list[int]]] = {}
        for group in dual.order:
            joined = [part for part in parts if group in part[0]]
            parts = [part for part in parts if group not in part[0]]
            around = sorted(
                {g for scope, _, _ in joined for g in scope}, key=rank.__getitem__
            )  # the group itself first
            table = np.zeros([len(widths[g]) for g in around])
            for scope, values, _ in joined:
                ordered = sorted(range(len(scope)), key=lambda axis, scope=scope: rank[scope[axis]])
                table += values.transpose(ordered).reshape([len(widths[g]) if g in scope else 1 for g in around])
            tables[group] = around, table, [source for _, _, source in joined if source is not None]
            if len(around) > 1:
                parts.append((tuple(around[1:]), table.max(axis=0), group))
            else:
                total += float(table.max())
        below = [gain.max() - gain for gain in gains]
        outside: dict[int, FloatArray] = {}
        for group in reversed(dual.order):
            around, table, sources = tables[group]
            if group in outside:
                table = table + outside[group]
            best = table.reshape(len(widths[group]), -1).max(axis=1)
            below[group] = best.max() - best
            for source in sources:
                inner, inner_table, _ = tables[source]
                gone = tuple(axis for axis, g in enumerate(around) if g not in inner)
                outside[source] = table.max(axis=gone) - inner_table.max(axis=0)
        return total, below


def recompute(problem: Problem, result: Result, *, most_steps: int) -> Recomputed:
    """Follow the steps of a proof.

    Args:
        problem: the question.
        result: an answer whose proof has steps.
        most_steps: longer proofs are not followed.
    """
    assert result.proof is not None
    steps = result.proof.steps
    best = result.solutions[0].log_energy if result.solutions else -math.inf
    checker = _Checker(problem, best)
    whole = checker.start()
    if not steps or whole is None or len(steps) > most_steps:
        return Recomputed(bound=None, is_complete=False)
    shown, trusted, is_open = best, False, True
    waiting: list[tuple[IntArray, IntArray, float]] = []
    low, high, bound = (*whole, math.inf)  # a bound of -inf: the box holds nothing better
    for number, step in enumerate(steps):
        if not is_open:
            return Recomputed(bound=None, is_complete=False, faults=(f"step {number} belongs to no box",))
        if (low > high).any() or bound < best - TOLERANCE:
            bound = -math.inf
        is_closed = bound == -math.inf
        if isinstance(step, Dual):
            if is_closed:
                continue
            fault = _misplaced(problem, step, low, high)
            if fault:
                return Recomputed(bound=None, is_complete=False, faults=(f"step {number}: {fault}",))
            low, high = np.array(step.low, dtype=np.int64), np.array(step.high, dtype=np.int64)
            if int(((high - low) // checker.stride + 1).sum()) > MOST_WIDTHS:
                return Recomputed(bound=None, is_complete=False)
            value, below = checker.bound(step)
            if step.weight == 0:
                bound = -math.inf if value < 0 else bound
                continue
            bound = min(bound, value)
            if bound < best - TOLERANCE:
                continue
            for g, short in enumerate(below):
                kept = np.flatnonzero(value - short >= best - 2 * TOLERANCE)
                first = low[g]
                low[g], high[g] = first + kept[0] * checker.stride[g], first + kept[-1] * checker.stride[g]
            low, high = checker.drawn_together(low, high)
            continue
        if step.listed is not None and bound > max(step.listed, best):
            trusted, bound = True, max(step.listed, best)
        if isinstance(step, Split):
            below_high, above_low = high.copy(), low.copy()
            below_high[step.group] = min(int(high[step.group]), step.width)
            above_low[step.group] = max(int(low[step.group]), step.width + int(checker.stride[step.group]))
            waiting.append((*(checker.drawn_together(above_low, high) if not is_closed else (low, high)), bound))
            low, high = checker.drawn_together(low, below_high) if not is_closed else (low, high)
        else:
            shown = max(shown, bound)
            is_open = bool(waiting)
            if waiting:
                low, high, bound = waiting.pop()
    if is_open:
        return Recomputed(bound=None, is_complete=False, faults=("the steps of the proof break off",))
    return Recomputed(bound=shown, is_complete=not trusted)


def _misplaced(problem: Problem, dual: Dual, low: IntArray, high: IntArray) -> str | None:
    """Why a dual is no bound over a box, or None."""
    groups = len(problem.space)
    if not len(dual.low) == len(dual.high) == len(dual.centre) == groups:
        return "the numbers of widths differ"
    prices = [price for _, _, price in (*dual.upper, *dual.lower, *dual.fences)]
    if {g for pair in dual.exact for g in pair} != set(dual.order) or any(g >= h for g, h in dual.exact):
        return "the order of elimination is not that of the products kept"
    if len(set(dual.order)) < len(dual.order) or not all(0 <= g < groups for g in dual.order):
        return "a group is eliminated twice, or is none"
    if any(not price >= 0 for price in prices) or any(not 0 < width < math.inf for width in dual.centre):
        return "a price is negative or a width not positive"
    if (low > high).any():
        return None
    if (low < np.array(dual.low)).any() or (high > np.array(dual.high)).any():
        return "widths are left out that nothing excludes"
    return None


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
