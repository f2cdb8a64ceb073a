"""A sharper bound where widths are coarse: products that matter are kept exact, and groups are eliminated one by one.

Tangents lose what whole widths cost where a step is a large part of a width, as in multiples of 8 of a narrow layer.
For fixed prices the Lagrangian is a sum over groups and pairs; its maximum over whole widths is found by eliminating
one group after the other, each at the price of a table over its neighbours. Products are kept exact, those that
would lose most first, as long as these tables stay small; the others are replaced by tangents as in ``dual``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlay.solver.general.dual import Separated, joint_prices, separate
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

Products = tuple[tuple[tuple[int, int], ...], tuple[int, ...]]
"""Pairs of groups whose products are kept exact, and the order in which these groups are eliminated."""

__all__ = ["Eliminated", "Products", "eliminate", "improved", "kept_products"]

TABLE = 200_000
"""Entries of the largest table, and a quarter of all of them together: a bound then takes some milliseconds. Ten times
as many took 2 % longer to a proof, a tenth 7 % less, measured on eleven networks; but a tenth may keep no product."""

TRIALS = 40
"""Into about so many portions products are divided, at most, to see which still fit; 5 or 400: the same times."""

LEAST_LOSS = 2e-6
"""Products whose tangent can lose no more of the score are not worth a table. Measured: with 1e-4 networks of 20
layers take 27 times as long to a proof, with 1e-7 all but one as long as now, and that one a sixth."""


class _Table(NamedTuple):
    """Values over the widths of the groups ``scope``; ``source`` is the bucket they come from, or -1."""

    scope: tuple[int, ...]
    values: FloatArray
    source: int


@dataclass(frozen=True, kw_only=True)
class _Bucket:
    """One eliminated group: everything that depended on it, over its neighbours ``scope`` and, last axis, its own
    width; ``below`` are the buckets whose maxima are part of it.
    """

    group: int
    scope: tuple[int, ...]
    table: FloatArray
    below: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Eliminated:
    """A bound with some products exact.

    Attributes:
        relaxed: point and prices it was made at.
        order: in which the groups of the products kept were eliminated.
        separated: the bound of all else.
        bound: the largest value of the Lagrangian over whole widths.
        layout: where it is reached.
        buckets: what elimination left, one for each group of ``order``.
    """

    relaxed: Relaxed
    order: tuple[int, ...]
    separated: Separated
    bound: float
    layout: IntArray
    buckets: tuple[_Bucket, ...]

    def marginals(self) -> list[FloatArray]:
        """For every group and width the largest value of the Lagrangian with that width: widths below are out."""
        found = [self.bound - gain.max() + gain for gain in self.separated.gains]
        above: dict[int, FloatArray] = {}  # bucket -> what all groups outside of it and behind it add, over its scope
        for place in range(len(self.buckets) - 1, -1, -1):
            bucket = self.buckets[place]
            belief = bucket.table
            if place in above:
                belief = belief + above[place][..., None]
            most = belief.max(axis=tuple(range(belief.ndim - 1)))
            found[bucket.group] = (
                self.bound - float(most.max()) + np.broadcast_to(most, self.separated.gains[bucket.group].shape)
            )
            axes = (*bucket.scope, bucket.group)
            for below in bucket.below:
                child = self.buckets[below]
                gone = tuple(axis for axis, group in enumerate(axes) if group not in child.scope)
                left = [group for group in axes if group in child.scope]
                outer = belief.max(axis=gone).transpose([left.index(group) for group in child.scope])
                above[below] = outer - child.table.max(axis=-1)
        return found

    def windows(self, general: General, threshold: float) -> tuple[IntArray, IntArray]:
        """Smallest and largest width of every group with which ``threshold`` can be reached."""
        low, high = general.low.copy(), general.high.copy()
        for g, most in enumerate(self.marginals()):
            kept = np.flatnonzero(most >= threshold)
            if not len(kept):
                return low, low - 1
            low[g] = general.low[g] + kept[0] * general.stride[g]
            high[g] = general.low[g] + kept[-1] * general.stride[g]
        return low, high


def kept_products(general: General, relaxed: Relaxed) -> Products:
    """Products worth keeping exact within the size of tables, and an order of elimination."""
    joint = joint_prices(general, relaxed)
    counts = general.counts.tolist()
    # half a stride off is what rounding costs a width at most, as a part of it
    apart = np.where(general.counts > 1, general.stride / np.maximum(relaxed.widths, 1.0) / 2, 0.0)
    grown = np.abs(joint) * np.outer(relaxed.widths, relaxed.widths)
    loss = grown * (apart[:, None] + apart[None, :]) ** 2 / 2
    pairs = [(float(loss[g, h]), int(g), int(h)) for g, h in zip(*np.nonzero(np.triu(loss, 1)), strict=True)]
    worth = [(g, h) for lost, g, h in sorted(pairs, reverse=True) if lost >= LEAST_LOSS]
    exact: list[tuple[int, int]] = []
    order: tuple[int, ...] = ()
    waiting = [[(g, h) for g, h in worth if counts[g] * counts[h] <= TABLE]]
    grain = max(1, len(waiting[0]) // TRIALS)
    while waiting:  # all that are left at once, or else half of them and then the other half
        some = waiting.pop()
        trial = _order([*exact, *some], counts) if some else None
        if trial is not None:
            exact += some
            order = trial
        elif len(some) > grain:
            waiting += [some[len(some) // 2 :], some[: len(some) // 2]]
    return tuple(exact), order


def _order(pairs: Sequence[tuple[int, int]], counts: list[int]) -> tuple[int, ...] | None:
    """Groups by the size of the table that eliminating them takes, smallest first; None when one is too large."""
    near: dict[int, set[int]] = {}
    for g, h in pairs:
        near.setdefault(g, set()).add(h)
        near.setdefault(h, set()).add(g)

    def size(group: int) -> float:
        return math.prod(float(counts[other]) for other in near[group]) * counts[group]

    sizes = {group: size(group) for group in near}
    order: list[int] = []
    spent = 0.0
    while sizes:
        group = min(sizes, key=lambda one: (sizes[one], one))
        spent += sizes[group]
        if sizes[group] > TABLE or spent > 4 * TABLE:
            return None
        del sizes[group]
        order.append(group)
        others = near.pop(group)
        for other in others:
            near[other] |= others
            near[other] -= {other, group}
        for other in others:
            sizes[other] = size(other)
    return tuple(order)


def eliminate(general: General, relaxed: Relaxed, exact: Sequence[tuple[int, int]], order: Sequence[int]) -> Eliminated:
    """The largest value of the Lagrangian within the bounds of ``general``, with some products exact."""
    separated = separate(general, relaxed, exact=exact)
    joint = joint_prices(general, relaxed)
    widths = [general.choices(g) for g in range(general.groups)]
    tables = [_Table((g,), separated.gains[g], -1) for g in order]
    for g, h in exact:
        product = np.multiply.outer(widths[g].astype(float), widths[h].astype(float))
        tables.append(_Table((g, h), -joint[g, h] * product, -1))
    buckets, eliminated = _buckets(tables, order)
    total = separated.constant + eliminated
    places = _best_places(buckets)
    for g in range(general.groups):
        if g not in places:
            places[g] = int(separated.gains[g].argmax())
            total += float(separated.gains[g][places[g]])
    return Eliminated(
        relaxed=relaxed,
        order=tuple(order),
        separated=separated,
        bound=total,
        layout=np.array([widths[g][places[g]] for g in range(general.groups)], dtype=np.int64),
        buckets=tuple(buckets),
    )


def _buckets(tables: list[_Table], order: Sequence[int]) -> tuple[list[_Bucket], float]:
    """Eliminate the groups in order: what each left, and the sum of the maxima that depend on no other group."""
    total = 0.0
    buckets: list[_Bucket] = []
    for group in order:
        mine = [table for table in tables if group in table.scope]
        tables = [table for table in tables if group not in table.scope]
        scope = tuple(sorted({g for table in mine for g in table.scope} - {group}))
        axes = (*scope, group)
        lengths = {g: length for table in mine for g, length in zip(table.scope, table.values.shape, strict=True)}
        whole = np.zeros([lengths[g] for g in axes])
        for table in mine:
            whole += _spread(table.values, table.scope, axes)
        if scope:
            tables.append(_Table(scope, whole.max(axis=-1), len(buckets)))
        else:
            total += float(whole.max())
        below = tuple(table.source for table in mine if table.source >= 0)
        buckets.append(_Bucket(group=group, scope=scope, table=whole, below=below))
    return buckets, total


def _best_places(buckets: Sequence[_Bucket]) -> dict[int, int]:
    """Group -> place of its width where the largest value is reached, from the last group eliminated to the first."""
    places: dict[int, int] = {}
    for bucket in reversed(buckets):
        row = bucket.table[tuple(places[g] for g in bucket.scope)]
        places[bucket.group] = int(row.argmax())
    return places


def _spread(values: FloatArray, scope: tuple[int, ...], axes: tuple[int, ...]) -> FloatArray:
    """A table with its axes where ``axes`` has them."""
    moved = np.transpose(values, sorted(range(len(scope)), key=lambda axis: axes.index(scope[axis])))
    shape = [1] * len(axes)
    for group, length in zip(sorted(scope, key=axes.index), moved.shape, strict=True):
        shape[axes.index(group)] = length
    return moved.reshape(shape)


def improved(
    general: General,
    relaxed: Relaxed,
    exact: Sequence[tuple[int, int]],
    order: Sequence[int],
    *,
    target: float,
    rounds: int,
    tick: Callable[[], None],
) -> tuple[Eliminated, list[IntArray]]:
    """Prices moved towards a lower bound, by subgradients with Polyak's step; and the layouts met on the way.

    Args:
        general: the problem.
        relaxed: where to begin.
        exact, order: as ``kept_products`` gives them.
        target: a score that is known to be reached.
        rounds: how many steps.
        tick: called before each; may raise to stop.
    """
    best = eliminate(general, relaxed, exact, order)
    met = [best.layout]
    upper_scale = np.where(np.isfinite(general.highs), np.maximum(general.highs, 1.0), 1.0)
    lower_scale = np.where(np.isfinite(general.lows), np.maximum(general.lows, 1.0), 1.0)
    active = relaxed.upper > 0
    against = relaxed.lower > 0
    now, relax_factor = best, 1.0
    for _ in range(rounds):
        tick()
        amounts = general.amounts(now.layout[None])[0].astype(float)
        excess = np.where(active, (amounts - np.where(active, general.highs, 0.0)) / upper_scale, 0.0)
        lacking = np.where(against, (np.where(against, general.lows, 0.0) - amounts) / lower_scale, 0.0)
        norm = float(excess @ excess + lacking @ lacking)
        if norm < 1e-18 or now.bound <= target:
            break
        step = relax_factor * (now.bound - target) / norm
        upper = np.maximum(now.relaxed.upper + step * excess / upper_scale, 0.0)
        lower = np.maximum(now.relaxed.lower + step * lacking / lower_scale, 0.0)
        now = eliminate(general, replace(now.relaxed, upper=upper, lower=lower), exact, order)
        met.append(now.layout)
        if now.bound < best.bound:
            best = now
        else:
            relax_factor *= 0.6
            now = best if relax_factor < 0.2 else now
    return best, met
