"""Layouts near the relaxation: single and paired steps that climb, and exact closing of what an equality leaves.

Every amount is exact. A layout that breaks limits is worth its score less a multiple of the prices of what it breaks,
so one climb serves repair and improvement alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from parlay.solver.general.general import General

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Climber"]

STEPS = (1, -1, 2, -2, 4, -4)
"""Strides of single steps. Only one stride, or up to eight: the same times, measured on eleven networks."""

LARGEST_PAIRING = 500
"""Single steps that are paired with one another, at most: 250,000 pairs a row take some milliseconds."""

FURTHEST = 24
"""Strides that a closing step goes, at most: in small networks all of LARGEST_PAIRING steps would go too far."""

PAIRS_LISTED, PARTNERS, CANDIDATES = 40_000, 8, 10_000
"""Pairs that are matched with one another, partners of each, and candidates that are tried, at most: 320,000 sums, tens
of milliseconds. A quarter to five times as many of any took the same time to a proof, measured on eleven networks."""

LARGEST_ROWS = 6
"""Rows whose limits rank the candidates, the dearest; all are tested afterwards. One or fifty: the same times."""

TRIED = 60
"""Best steps or pairs that are applied one after the other before all are looked at again."""


class Climber:
    """Climbs from layouts of one problem.

    Args:
        general: the problem and the bounds within which to move.
        upper, lower: prices of the rows, shape (rows,), as the relaxation found them.
        tick: called now and then; may raise to stop.
    """

    def __init__(self, general: General, upper: FloatArray, lower: FloatArray, tick: Callable[[], None]) -> None:
        self.general, self.tick = general, tick
        limits = np.where(np.isfinite(general.highs), general.highs, general.lows)
        least = 0.02 / np.maximum(limits, 1.0)
        # a price that is right in the relaxation is doubled and more, so that breaking a limit never pays
        self.above = 4 * np.maximum(upper, least) + 1e-2 * least
        self.below = 4 * np.maximum(lower, least) + 1e-2 * least
        self.net = upper - lower
        self.values = [general.score(g, general.choices(g)) for g in range(general.groups)]

    def score(self, layouts: IntArray) -> FloatArray:
        """Scores of layouts, shape (layouts,)."""
        general = self.general
        total = np.zeros(len(layouts))
        for g, values in enumerate(self.values):
            total += values[(layouts[:, g] - general.low[g]) // general.stride[g]]
        for (g, h), parts in general.problem.terms.pairs.items():
            for term in parts:
                total += term.values(layouts[:, g], layouts[:, h])
        return total

    def broken(self, amounts: FloatArray) -> FloatArray:
        """Priced excess over the limits: (..., rows) -> (...)."""
        over = np.maximum(amounts - self.general.highs, 0.0)
        under = np.maximum(self.general.lows - amounts, 0.0)
        return over @ self.above + under @ self.below

    def fenced(self, layouts: IntArray) -> FloatArray:
        """How many fences are broken, shape (layouts,)."""
        total = np.zeros(len(layouts))
        for fence in self.general.fences:
            total += ~fence.holds(layouts[:, fence.first], layouts[:, fence.second])
        return total

    def merit(self, layouts: IntArray) -> FloatArray:
        """Score less what is broken, shape (layouts,)."""
        return self.score(layouts) - self.broken(self.general.amounts(layouts)) - self.fenced(layouts)

    def nearest(self, widths: FloatArray) -> IntArray:
        """The allowed widths nearest to real ones, shape (groups,)."""
        general = self.general
        steps = np.rint((widths - general.low) / general.stride).astype(np.int64)
        return general.low + np.clip(steps, 0, general.counts - 1) * general.stride

    def singles(self, layout: IntArray, steps: tuple[int, ...] = STEPS) -> tuple[IntArray, IntArray]:
        """Groups and distances of the single steps that stay within bounds."""
        general = self.general
        moves = np.array(steps, dtype=np.int64)
        group = np.repeat(np.arange(general.groups), len(moves))
        move = np.tile(moves, general.groups) * general.stride[group]
        target = layout[group] + move
        kept = (target >= general.low[group]) & (target <= general.high[group])
        return group[kept], move[kept]

    def climb(self, layout: IntArray, *, severity: float = 1.0) -> IntArray:
        """Repeat the best single or paired steps until none is better; not below where it began.

        With a ``severity`` above 1 what is broken counts so much more.
        """
        above, below = self.above, self.below
        self.above, self.below = severity * above, severity * below
        try:
            return self._climb(layout)
        finally:
            self.above, self.below = above, below

    def _climb(self, layout: IntArray) -> IntArray:
        current, merit = layout, float(self.merit(layout[None])[0])
        while True:  # every step gains, so it ends
            self.tick()
            better, value = self._singly(current, merit)
            if better is None:
                better, value = self._paired(current, merit)
            if better is None:
                return current
            current, merit = better, value

    def _singly(self, layout: IntArray, merit: float) -> tuple[IntArray | None, float]:
        group, move = self.singles(layout)
        if not len(group):
            return None, merit
        table = np.repeat(layout[None], len(group), axis=0)
        table[np.arange(len(group)), group] += move
        merits = self.merit(table)
        return self._combined(layout, merit, np.argsort(-merits)[:TRIED], merits, (group[:, None], move[:, None]))

    def _combined(
        self,
        layout: IntArray,
        merit: float,
        order: IntArray,
        merits: FloatArray,
        moves: tuple[IntArray, IntArray],
    ) -> tuple[IntArray | None, float]:
        """Apply the best moves one after the other, each only if it still helps; (moves, parts) arrays of each."""
        better: IntArray | None = None
        before = merit
        group, move = moves
        touched = np.zeros(len(layout), dtype=bool)
        for place in order.tolist():
            if merits[place] <= before + 1e-12:
                break
            if touched[group[place]].any():
                continue
            trial = (layout if better is None else better).copy()
            np.add.at(trial, group[place], move[place])
            value = float(self.merit(trial[None])[0])
            if value > merit + 1e-12:
                better, merit = trial, value
                touched[group[place]] = True
        return better, merit

    def pair_changes(self, layout: IntArray, group: IntArray, move: IntArray, rows: IntArray) -> FloatArray:
        """Exact changes of some rows when two single steps are made: (rows, singles, singles)."""
        general = self.general
        single = self.changes(layout, group, move, rows)
        both = single[:, :, None] + single[:, None, :]
        for place, row in enumerate(rows.tolist()):
            matrix = general.products.get(row)
            if matrix is not None:
                both[place] += matrix[np.ix_(group, group)] * np.multiply.outer(move, move)
        return both

    def changes(self, layout: IntArray, group: IntArray, move: IntArray, rows: IntArray) -> FloatArray:
        """Exact changes of some rows under single steps: (rows, singles)."""
        general = self.general
        slopes: FloatArray = general.slopes(layout)[np.ix_(rows, group)].astype(np.float64)
        squares: FloatArray = general.squares[np.ix_(rows, group)].astype(np.float64)
        return slopes * move + squares * move.astype(np.float64) ** 2

    def _paired(self, layout: IntArray, merit: float) -> tuple[IntArray | None, float]:
        general = self.general
        group, move = self.singles(layout)
        if len(group) < 2:
            return None, merit
        rows = np.arange(len(general.rows))
        change = self.changes(layout, group, move, rows)
        amounts = general.amounts(layout[None])[0]
        table = np.repeat(layout[None], len(group), axis=0)
        table[np.arange(len(group)), group] += move
        gain = self.score(table) - float(self.score(layout[None])[0])
        if len(group) > LARGEST_PAIRING:
            kept = np.sort(np.argsort(-(gain - self.net @ change))[:LARGEST_PAIRING])
            group, move, change, gain = group[kept], move[kept], change[:, kept], gain[kept]
        # only rows that two steps can bring to a limit matter
        reach = 2.5 * np.abs(change).max(axis=1)
        near = np.flatnonzero((amounts + reach > general.highs) | (amounts - reach < general.lows))
        both = amounts[near, None, None] + self.pair_changes(layout, group, move, near)
        over = np.maximum(both - general.highs[near, None, None], 0.0)
        lost = np.einsum("rst,r->st", over, self.above[near])
        if np.isfinite(general.lows[near]).any():
            under = np.maximum(general.lows[near, None, None] - both, 0.0)
            lost += np.einsum("rst,r->st", under, self.below[near])
        value = float(self.score(layout[None])[0]) + gain[:, None] + gain[None, :] - lost
        value[group[:, None] >= group[None, :]] = -math.inf
        flat = np.argpartition(-value, min(TRIED, value.size - 1), axis=None)[:TRIED]
        flat = flat[np.argsort(-value.ravel()[flat])]
        first, second = np.unravel_index(flat, value.shape)
        pairs = np.stack([group[first], group[second]], axis=1), np.stack([move[first], move[second]], axis=1)
        return self._combined(layout, merit, np.arange(len(flat)), value.ravel()[flat], pairs)

    def close(self, layout: IntArray) -> IntArray | None:
        """A layout near this one that keeps everything, or None.

        Rows with a lower limit are what a climb leaves open by a few units. All pairs of single steps are listed with
        the exact change they make to such a row; two pairs whose changes add up to what is missing are a candidate.
        """
        general = self.general
        target = np.flatnonzero(np.isfinite(general.lows))
        best: IntArray | None = None
        reach = min(max(LARGEST_PAIRING // (2 * self.general.groups), 2), FURTHEST)
        steps = tuple(sign * step for step in range(1, reach + 1) for sign in (1, -1))
        for row in target.tolist():
            found = self._closing(layout, int(row), steps)
            if found is not None and (best is None or self.score(found[None])[0] > self.score(best[None])[0]):
                best = found
        return best

    def _worth(self, layout: IntArray, group: IntArray, move: IntArray, change: FloatArray) -> FloatArray:
        """What single steps add to the score, less the price of what they use."""
        table = np.repeat(layout[None], len(group), axis=0)
        table[np.arange(len(group)), group] += move
        return self.score(table) - float(self.score(layout[None])[0]) - self.net @ change

    def _closing(self, layout: IntArray, row: int, steps: tuple[int, ...]) -> IntArray | None:
        general = self.general
        self.tick()
        group, move = self.singles(layout, steps)
        if len(group) == 0:
            return None
        change = self.changes(layout, group, move, np.arange(len(general.rows)))
        worth = self._worth(layout, group, move, change)
        kept = np.sort(np.argsort(-worth)[:LARGEST_PAIRING])
        group, move, change, worth = group[kept], move[kept], change[:, kept], worth[kept]
        # a step that does nothing stands first, so that singles and lone pairs are among the pairs
        group, move = np.append(group[0], group), np.append(0, move)
        worth, change = np.append(0.0, worth), np.concatenate([np.zeros((len(change), 1)), change], axis=1)
        limits = np.where(np.isfinite(general.highs), general.highs, 0.0)
        dearest = np.argsort(-np.abs(self.net) * limits, kind="stable")[:LARGEST_ROWS]
        priced = np.unique(np.append(dearest[self.net[dearest] != 0], row))
        pairs = self.pair_changes(layout, group, move, priced)
        first, second = np.triu_indices(len(group))
        fits = (group[first] != group[second]) | (first == 0)
        first, second = first[fits], second[fits]
        kept = np.argsort(-(worth[first] + worth[second]), kind="stable")[:PAIRS_LISTED]
        first, second = first[kept], second[kept]
        pairs = pairs[:, first, second]
        gain = (worth + self.net @ change)[first] + (worth + self.net @ change)[second]
        both: FloatArray = pairs[int(np.searchsorted(priced, row))]
        order = np.argsort(both, kind="stable")
        amounts = general.amounts(layout[None])[0].astype(float)
        ordered: FloatArray = both[order]
        least: FloatArray = general.lows[row] - amounts[row] - both
        most: FloatArray = general.highs[row] - amounts[row] - both
        left: IntArray = np.searchsorted(ordered, least, side="left")
        right: IntArray = np.searchsorted(ordered, most, side="right")
        partners = np.minimum(right - left, PARTNERS)
        one = np.repeat(np.arange(len(both)), partners)
        place = np.arange(len(one)) - np.repeat(np.cumsum(partners) - partners, partners)
        other = order[left[one] + place]
        # what a candidate is worth if the two pairs do not meet in a product
        over = np.maximum(amounts[priced, None] + pairs[:, one] + pairs[:, other] - general.highs[priced, None], 0.0)
        merit = gain[one] + gain[other] - self.above[priced] @ over
        count = min(CANDIDATES, len(merit))
        if not count:
            return None
        ranked = np.argpartition(-merit, count - 1)[:count]
        ranked = ranked[np.argsort(-merit[ranked], kind="stable")]
        one, other = one[ranked], other[ranked]
        best: IntArray | None = None
        best_score = -math.inf
        for begin in range(0, len(one), 2_000):
            some, rest = one[begin : begin + 2_000], other[begin : begin + 2_000]
            table = np.repeat(layout[None], len(some), axis=0)
            place = np.arange(len(some))
            for part in (first[some], second[some], first[rest], second[rest]):
                np.add.at(table, (place, group[part]), move[part])
            table = table[((table >= general.low) & (table <= general.high)).all(axis=1)]
            table = table[general.within(table)]
            if len(table):
                scores = self.score(table)
                if float(scores.max()) > best_score:
                    best, best_score = table[int(scores.argmax())], float(scores.max())
            if best is not None and begin >= 6_000:
                break
        return best
