"""All layouts of a box above a score, where elimination says exactly what can still follow every partial layout.

Groups are fixed in the reverse of the order in which they were eliminated: the table of a group then holds the largest
Lagrangian that any completion reaches, so that a partial layout dies as soon as no completion can matter, at any of
several prices. Partial layouts that agree in all groups which later products ask for, and in every amount, have the
same future: the best of them is enough. Equal blocks of a network make many of those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlay.solver.general.boxes import keeps_fences, may_keep_rows
from parlay.solver.general.eliminate import Eliminated
from parlay.solver.general.general import General

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["best_in_box"]

ROUNDED = 1e-10
"""Partial scores closer than this count as equal; of such layouts the one that comes first is kept."""

WORTH_TRYING = 40
"""Pairs of partial layout and next width that are looked at, times the layouts kept: most die at once."""

MERGED = 200
"""Partial layouts from which equal futures are looked for: below, sorting takes longer than the layouts it saves."""


def best_in_box(
    general: General,
    bounds: Sequence[Eliminated],
    threshold: float,
    limit: int,
    tick: Callable[[], None],
    *,
    merged: bool = True,
) -> IntArray | None:
    """The layouts of a box that keep everything and may score ``threshold``, of equal futures only the best.

    Args:
        general: the problem and the box.
        bounds: Lagrangians at several prices, with the same products and order.
        threshold: scores below do not matter.
        limit: partial layouts to hold, at most.
        tick: called for every group.
        merged: whether the best of equal futures is enough; otherwise all are kept.

    Returns:
        The layouts, shape (found, groups); None when there are too many partial ones.
    """
    steps = _steps(general, bounds[0])
    last_use = _last_uses(general, [step.group for step in steps])
    table = general.low[None].copy()
    reach = np.array([[bound.bound] for bound in bounds])  # what each partial layout can still reach
    score = np.zeros(1)
    done: list[int] = []
    for number, step in enumerate(steps):
        tick()
        group = step.group
        if len(table) * int(general.counts[group]) > WORTH_TRYING * limit:
            return None
        row, column, reach = _reaching(general, bounds, step, table, reach, threshold)
        if len(row) > 3 * limit:
            return None
        widths = general.choices(group)
        table, score = table[row], score[row] + general.score(group, widths)[column]
        table[:, group] = widths[column]
        for (g, h), terms in general.problem.terms.pairs.items():
            if group in (g, h) and {g, h} <= {group, *done}:
                score = score + sum(term.values(table[:, g], table[:, h]) for term in terms)
        done.append(group)
        good = may_keep_rows(general, table, done) & keeps_fences(general, table, done)
        table, score, reach = table[good], score[good], reach[:, good]
        if merged and len(table) > MERGED and number < len(steps) - 1:
            best = _best_of_equal_futures(general, table, score, [g for g in done if last_use[g] > number])
            table, score, reach = table[best], score[best], reach[:, best]
        if len(table) > limit:
            return None
        if not len(table):
            return table
    return table[general.within(table)]


class _Assignment(NamedTuple):
    """The group that is fixed next, the groups its table depends on, and its bucket; -1 where it has none."""

    group: int
    scope: tuple[int, ...]
    bucket: int


def _steps(general: General, bound: Eliminated) -> list[_Assignment]:
    """Groups in the reverse of the order of elimination, then those without a product kept, few widths first."""
    steps = [_Assignment(bucket.group, bucket.scope, place) for place, bucket in enumerate(bound.buckets)][::-1]
    alone = [g for g in range(general.groups) if g not in set(bound.kept.order)]
    return steps + [_Assignment(g, (), -1) for g in sorted(alone, key=lambda g: general.counts[g])]


def _reaching(
    general: General,
    bounds: Sequence[Eliminated],
    step: _Assignment,
    table: IntArray,
    reach: FloatArray,
    threshold: float,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of a partial layout and a width of the next group that may reach the threshold at every one of the prices.

    Returns:
        Places of layout and width, and what each pair can still reach, shape (bounds, pairs).
    """
    at = [(table[:, g] - general.low[g]) // general.stride[g] for g in step.scope]
    kept = np.ones((len(table), int(general.counts[step.group])), dtype=bool)
    news: list[FloatArray] = []
    for bound, before in zip(bounds, reach, strict=True):
        if step.bucket < 0:
            values = bound.separated.gains[step.group][None, :]
            most = values.max(axis=-1)
        else:
            bucket = bound.buckets[step.bucket]
            values, most = bucket.row(bucket.table, at), bucket.row(bucket.most, at)
        new = before[:, None] - (most[:, None] - values)
        kept &= new >= threshold
        news.append(new)
    row, column = np.nonzero(kept)
    return row, column, np.array([new[row, column] for new in news])


def _last_uses(general: General, order: Sequence[int]) -> list[int]:
    """For every group the last step at which a product, fence or score term joins it to the group fixed there."""
    rank = {group: number for number, group in enumerate(order)}
    last = [rank[g] for g in range(general.groups)]
    pairs = {(int(g), int(h)) for matrix in general.products.values() for g, h in zip(*np.nonzero(matrix), strict=True)}
    pairs |= {(fence.first, fence.second) for fence in general.fences} | set(general.problem.terms.pairs)
    for g, h in pairs:
        last[g] = max(last[g], rank[h])
        last[h] = max(last[h], rank[g])
    return last


def _best_of_equal_futures(general: General, table: IntArray, score: FloatArray, open_: Sequence[int]) -> IntArray:
    """Indices of the best of all partial layouts that agree in the open groups and in what they use.

    The groups not fixed yet stand at their smallest widths, so that equal amounts there are equal amounts of the part.
    """
    amounts = general.amounts(table)
    reachable = general.amounts(general.high[None])[0]
    counted = (reachable > general.highs) | np.isfinite(general.lows)
    key = np.concatenate([table[:, open_], amounts[:, counted].astype(np.int64)], axis=1)
    rounded = np.rint(score / ROUNDED).astype(np.int64)
    columns = [table[:, g] for g in range(general.groups - 1, -1, -1)]
    order = np.lexsort([*columns, -rounded, *key.T[::-1]])
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (key[order[1:]] != key[order[:-1]]).any(axis=1)
    return order[fresh]
