"""Prices by cutting planes, where no relaxation to real widths gives good ones: the dual by itself.

For any prices the Lagrangian's best layout is known, products exact, and its score and excesses give a plane below the
dual everywhere else. The planes together are a model of the dual; its minimum says how low any prices can bring the
bound, and the next prices are those nearest to the best so far that the model takes part of the way there (the level
method of Lemarechal, Nemirovskii and Nesterov, 1995).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from parlay.solver.general.eliminate import Eliminated, Products, eliminate
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Lowered", "lowered", "unpriced"]

LEVEL = 0.3
"""How far from the model's minimum towards the best bound the next prices are sought."""

CLOSE = 0.02
"""Part of what separates a bound from the score to beat that is not worth another step."""

UNAIMED = 1e-5
"""The same while no score is known, as a part of what all terms together can gain."""

DEAREST = 20.0
"""A whole limit costs at most so many times what all terms together can gain: the model is unbounded without."""

PLANES = 60
"""Planes that are kept, the newest."""


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """What cutting planes found.

    Attributes:
        best: the lowest bound.
        met: layouts that gave a plane, the latest last, shape (planes, groups).
        weights: shares, which add to 1, in which the layouts of ``met`` keep all limits on average at the model's
            minimum, and reach it; shape (planes,).
    """

    best: Eliminated
    met: IntArray
    weights: FloatArray


class _Model(NamedTuple):
    """The minimum of some planes, where it is reached, and the shares of the planes that hold it there."""

    minimum: float
    prices: FloatArray
    weights: FloatArray


class _Multipliers:
    """Prices as one vector, each in units of its whole limit: upper limits, lower limits, fences."""

    def __init__(self, general: General) -> None:
        self.general = general
        corners = general.amounts(np.stack([general.low, general.high]))
        self.upper = np.flatnonzero(corners[1] > general.highs)
        self.lower = np.flatnonzero(corners[0] < general.lows)
        self.upper_scale = np.maximum(general.highs[self.upper], 1.0)
        self.lower_scale = np.maximum(general.lows[self.lower], 1.0)
        self.size = len(self.upper) + len(self.lower) + len(general.fences)
        values = [general.score(g, general.choices(g)) for g in range(general.groups)]
        self.range = max(sum(float(value.max() - value.min()) for value in values), 1e-12)
        self.dearest = DEAREST * self.range

    def vector(self, relaxed: Relaxed) -> FloatArray:
        prices = [relaxed.upper[self.upper] * self.upper_scale, relaxed.lower[self.lower] * self.lower_scale]
        return np.minimum(np.concatenate([*prices, relaxed.fences]), self.dearest)

    def relaxed(self, prices: FloatArray, widths: FloatArray) -> Relaxed:
        upper, lower = np.zeros(len(self.general.rows)), np.zeros(len(self.general.rows))
        first, second = len(self.upper), len(self.upper) + len(self.lower)
        upper[self.upper] = prices[:first] / self.upper_scale
        lower[self.lower] = prices[first:second] / self.lower_scale
        return Relaxed(widths=widths, upper=upper, lower=lower, fences=prices[second:], converged=True, excess=0.0)

    def planes(self, table: IntArray) -> tuple[FloatArray, FloatArray]:
        """Scores and excesses of layouts: (layouts,), (layouts, prices)."""
        general = self.general
        amounts = general.amounts(table).astype(float)
        over = (amounts[:, self.upper] - general.highs[self.upper]) / self.upper_scale
        under = (general.lows[self.lower] - amounts[:, self.lower]) / self.lower_scale
        apart = [
            np.log((table[:, fence.first] + fence.shift) * fence.down / (fence.up * table[:, fence.second]))
            for fence in general.fences
        ]
        scores = np.zeros(len(table))
        for g in range(general.groups):
            scores += general.score(g, table[:, g])
        for (g, h), terms in general.problem.terms.pairs.items():
            for term in terms:
                scores += term.values(table[:, g], table[:, h])
        return scores, np.column_stack([over, under, *apart]).reshape(len(table), self.size)


def unpriced(general: General) -> Relaxed:
    """No prices, at the largest widths."""
    rows = np.zeros(len(general.rows))
    return Relaxed(
        widths=general.high.astype(float),
        upper=rows,
        lower=rows,
        fences=np.zeros(len(general.fences)),
        converged=True,
        excess=0.0,
    )


def lowered(
    general: General,
    start: Relaxed,
    kept: Products,
    met: IntArray | None = None,
    *,
    target: float,
    rounds: int,
    tick: Callable[[], None],
) -> Lowered:
    """The lowest bound that some steps of the prices find.

    Args:
        general: the problem.
        start: prices to begin with, and the point of tangents.
        kept: products that are exact.
        met: layouts whose planes are known, shape (planes, groups).
        target: a score to beat; a bound below it is low enough.
        rounds: how many bounds, at most.
        tick: called before each; may raise to stop.
    """
    dual = _Multipliers(general)
    prices = dual.vector(start)
    table = np.zeros((0, general.groups), dtype=np.int64) if met is None else met[-PLANES:]
    table = table[((table >= general.low) & (table <= general.high)).all(axis=1)]
    scores, excess = dual.planes(table)
    best, best_prices, model = None, prices, None
    for number in range(rounds):
        tick()
        now = eliminate(general, dual.relaxed(prices, start.widths), kept)
        table = np.concatenate([table, now.layout[None]])
        score, over = dual.planes(now.layout[None])
        scores, excess = np.append(scores, score), np.concatenate([excess, over])
        if best is None or now.bound < best.bound:
            best, best_prices = now, prices
        if best.bound < target or not dual.size:
            break
        model = _minimum(scores, excess, dual.dearest)
        if model is None:
            break
        room = best.bound - max(model.minimum, target)
        small = CLOSE * (best.bound - target) if math.isfinite(target) else UNAIMED * dual.range
        if number == rounds - 1 or room <= small:
            break
        nearest = _nearest(scores, excess, best_prices, best.bound - (1 - LEVEL) * room)
        prices = model.prices[: dual.size] if nearest is None else nearest
    assert best is not None
    weights = np.zeros(len(table))
    if model is None:
        weights[-1] = 1.0
    else:
        weights[: len(model.weights)] = model.weights
    return Lowered(best=best, met=table, weights=weights)


def _minimum(scores: FloatArray, excess: FloatArray, dearest: float) -> _Model | None:
    """Minimise the largest of score - excess prices over prices from 0 to ``dearest``; None where numbers fail."""
    size = excess.shape[1]
    planes = np.column_stack([-excess, -np.ones(len(scores))])
    return _linear(np.array([*[0.0] * size, 1.0]), planes, -scores, [*[(0.0, dearest)] * size, (None, None)])


def _nearest(scores: FloatArray, excess: FloatArray, centre: FloatArray, level: float) -> FloatArray | None:
    """The prices nearest to ``centre``, by the sum of distances, at which no plane is above ``level``."""
    size = excess.shape[1]
    bounds = [(0.0, None)] * size + [(0.0, float(price)) for price in centre]
    planes, most = np.column_stack([-excess, excess]), level - scores + excess @ centre
    found = _linear(np.ones(len(bounds)), planes, most, bounds)
    return None if found is None else np.maximum(centre + found.prices[:size] - found.prices[size:], 0.0)


def _linear(
    goal: FloatArray, planes: FloatArray, most: FloatArray, bounds: Sequence[tuple[float | None, float | None]]
) -> _Model | None:
    """Minimise goal @ x where planes @ x <= most; None where numbers fail."""
    from scipy import optimize  # pyright: ignore[reportMissingTypeStubs]  # takes as long to load as parlay

    solver: Any = optimize
    found = solver.linprog(goal, A_ub=planes, b_ub=most, bounds=bounds, method="highs")
    if found.status != 0:
        return None
    shares = np.maximum(-np.array(found.ineqlin.marginals), 0.0)
    return _Model(float(found.fun), np.maximum(np.array(found.x)[: len(goal)], 0.0), shares)
