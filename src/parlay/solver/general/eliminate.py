"""A sharper bound where widths are coarse: products that matter are kept exact, and groups are eliminated one by one.

Tangents lose what whole widths cost where a step is a large part of a width, as in multiples of 8 of a narrow layer.
For fixed prices the Lagrangian is a sum over groups and pairs; its maximum over whole widths is found by eliminating
one group after the other, each at the price of a table over its neighbours. Products are kept exact, those that
would lose most first, as long as these tables stay small; the others are replaced by tangents as in ``dual``.

What an eliminated group leaves is a maximum of functions that are straight in every single width, as products are; so
it is convex there, and a chord bounds it from above. A table over some widths a group, the others on chords between
them, is thus a bound, too, and loses little: with it all products of a network of any size are kept. What the score has
of a pair is not straight but concave: it is kept with the product where tables go over all widths, and else a tangent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parlay.solver.general.dual import Separated, joint_prices, separate
from parlay.solver.general.general import General
from parlay.solver.general.interior_point import Relaxed, pair_bend
from parlay.terms import PairTerm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["Eliminated", "Products", "all_products", "eliminate", "improved", "kept_products"]

TABLE = 200_000
"""Entries of the largest table, and a quarter of all of them together: a bound then takes some milliseconds. Ten times
as many took 2 % longer to a proof, a tenth 7 % less, measured on eleven networks; but a tenth may keep no product."""

TRIALS = 40
"""Into about so many portions products are divided, at most, to see which still fit; 5 or 400: the same times."""

LEAST_LOSS = 2e-6
"""Products whose tangent can lose no more of the score are not worth a table. Measured: with 1e-4 networks of 20
layers take 27 times as long to a proof, with 1e-7 all but one as long as now, and that one a sixth."""


GRIDS = (96, 64, 48, 32, 24, 16, 12, 8, 6, 4)
"""Widths a group that tables may go over, the most first whose tables are small enough. At resnet50's root, 8 lose
1e-5 of the score against 40 (raw norms; 2e-6 with norms divided by their sum)."""

GRID_ENTRIES = 400_000
"""Entries of all tables together where they go over some widths: a bound takes ten milliseconds."""


class Products(NamedTuple):
    """Products that are kept exact.

    Attributes:
        exact: pairs of groups.
        order: in which the groups of these pairs are eliminated.
        grid: widths that tables go over, at most, in every group but the one that is eliminated; 0 for all.
    """

    exact: tuple[tuple[int, int], ...] = ()
    order: tuple[int, ...] = ()
    grid: int = 0


class _Table(NamedTuple):
    """Values over the widths of the groups ``scope``; ``source`` is the bucket they come from, or -1."""

    scope: tuple[int, ...]
    values: FloatArray
    source: int


@dataclass(frozen=True, kw_only=True)
class _Bucket:
    """One eliminated group: everything that depended on it, over its neighbours ``scope`` and, last axis, its own
    width; ``below`` are the buckets whose maxima are part of it.

    The axes of the neighbours go over ``places``, those of their widths that the tables go over.
    """

    group: int
    scope: tuple[int, ...]
    table: FloatArray
    below: tuple[int, ...]
    places: tuple[IntArray, ...]

    @cached_property
    def most(self) -> FloatArray:
        """What the group adds at its best: over the places of ``scope``."""
        return self.table.max(axis=-1)

    def row(self, table: FloatArray, at: Sequence[IntArray]) -> FloatArray:
        """A table over the places of ``scope``, and perhaps more, where the neighbours have the widths ``at``.

        Args:
            table: ``table`` or ``most``.
            at: place of every neighbour's width among all it has, each of shape (layouts,).

        Returns:
            Shape (layouts,) and what else the table has.
        """
        if not self.scope:
            return table[None]
        corners = [_between(places, place) for places, place in zip(self.places, at, strict=True)]
        parts: list[FloatArray] = []
        for corner in product(*corners):
            part: FloatArray = table[tuple(place for place, _ in corner)]
            for _, share in corner:
                part = part if share is None else part * share.reshape(-1, *[1] * (part.ndim - 1))
            parts.append(part)
        return sum(parts[1:], start=parts[0])


def _between(places: IntArray, at: IntArray) -> list[tuple[IntArray, FloatArray | None]]:
    """The neighbours of some places among ``places``, and the share of each; one that is whole where all are there."""
    if places[-1] == len(places) - 1:
        return [(at, None)]
    below = np.clip(np.searchsorted(places, at, side="right") - 1, 0, len(places) - 2)
    share = (at - places[below]) / (places[below + 1] - places[below])
    return [(below, 1 - share), (below + 1, share)]


def _places(count: int, grid: int) -> IntArray:
    """Places of the widths that tables go over: the ends, and others evenly between them."""
    if grid == 0 or count <= grid:
        return np.arange(count)
    return np.arange(grid) * (count - 1) // (grid - 1)


def _spread_out(values: FloatArray, axis: int, places: IntArray) -> FloatArray:
    """One axis of a table over some places, as chords over all of them."""
    if places[-1] == len(places) - 1:
        return values
    [(below, low_share), (above, high_share)] = _between(places, np.arange(int(places[-1]) + 1))
    assert low_share is not None and high_share is not None
    shape = [1] * values.ndim
    shape[axis] = -1
    lower, upper = values.take(below, axis=axis), values.take(above, axis=axis)
    return lower * low_share.reshape(shape) + upper * high_share.reshape(shape)


def _covered(values: FloatArray, axis: int, places: IntArray) -> FloatArray:
    """One axis of any table drawn together to some places, so that the chords between them are nowhere below it."""
    if places[-1] == len(places) - 1:
        return values
    values = np.moveaxis(values, axis, -1)
    kept = values[..., places]
    over = values - _spread_out(kept, kept.ndim - 1, places)
    most = np.maximum.reduceat(over, places[:-1], axis=-1)  # every range but the last leaves its last place out
    raised = kept.copy()
    raised[..., :-1] += most
    raised[..., 1:] = np.maximum(raised[..., 1:], kept[..., 1:] + most)
    return np.moveaxis(raised, -1, axis)


@dataclass(frozen=True, kw_only=True)
class Eliminated:
    """A bound with some products exact.

    Attributes:
        relaxed: point and prices it was made at.
        kept: the products that are exact.
        separated: the bound of all else.
        bound: the largest value of the Lagrangian over whole widths.
        layout: where it is reached.
        buckets: what elimination left, one for each group of ``kept.order``.
    """

    relaxed: Relaxed
    kept: Products
    separated: Separated
    bound: float
    layout: IntArray
    buckets: tuple[_Bucket, ...]

    def marginals(self) -> list[FloatArray]:
        """For every group and width the largest value of the Lagrangian with that width: widths below are out."""
        found = [self.bound - gain.max() + gain for gain in self.separated.gains]
        above: dict[int, FloatArray] = {}  # bucket -> what all groups outside of it and behind it add, over its scope
        largest: dict[int, float] = {}  # bucket -> the largest sum of all groups that it is tied to
        for place in range(len(self.buckets) - 1, -1, -1):
            bucket = self.buckets[place]
            belief = bucket.table
            if place in above:
                belief = belief + above[place][..., None]
            else:
                largest[place] = float(belief.max())
            most = belief.max(axis=tuple(range(belief.ndim - 1)))
            # with chords both ways a width may seem to reach more than the largest sum, which holds as well
            lost = np.maximum(largest[place] - most, 0.0)
            found[bucket.group] = self.bound - np.broadcast_to(lost, self.separated.gains[bucket.group].shape)
            for below in bucket.below:
                largest[below] = largest[place]
            axes = (*bucket.scope, bucket.group)
            for below in bucket.below:
                child = self.buckets[below]
                gone = tuple(axis for axis, group in enumerate(axes) if group not in child.scope)
                left = [group for group in axes if group in child.scope]
                outer = belief.max(axis=gone).transpose([left.index(group) for group in child.scope])
                mine = child.scope.index(bucket.group)
                outer = outer - _spread_out(child.most, mine, child.places[mine])
                above[below] = _covered(outer, mine, child.places[mine])
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


def all_products(general: General) -> Products:
    """All products of the rows, an order of elimination and the finest grid whose tables are small enough."""
    joined = np.zeros((general.groups, general.groups), dtype=bool)
    for matrix in general.products.values():
        joined |= matrix > 0
    exact = tuple((int(g), int(h)) for g, h in np.argwhere(np.triu(joined, 1)))
    counts = general.counts.tolist()
    order: tuple[int, ...] = ()
    for grid in GRIDS:
        found, spent = _ordered(exact, counts, [min(count, grid) for count in counts])
        order = found
        if spent <= GRID_ENTRIES or grid == GRIDS[-1]:
            return Products(exact, order, grid)
    raise AssertionError("there is a smallest grid")


def kept_products(general: General, relaxed: Relaxed) -> Products:
    """Products worth keeping exact within the size of tables, and an order of elimination."""
    joint = joint_prices(general, relaxed)
    counts = general.counts.tolist()
    # half a stride off is what rounding costs a width at most, as a part of it
    apart = np.where(general.counts > 1, general.stride / np.maximum(relaxed.widths, 1.0) / 2, 0.0)
    grown = np.abs(joint) * np.outer(relaxed.widths, relaxed.widths)
    loss = grown * (apart[:, None] + apart[None, :]) ** 2 / 2
    centre = np.log(np.clip(relaxed.widths, general.low, general.high))
    for (g, h), terms in general.problem.terms.pairs.items():
        for term in terms:
            _, bend = pair_bend(term, float(centre[g]), float(centre[h]))
            loss[g, h] -= min(0.0, float(apart[[g, h]] @ bend @ apart[[g, h]])) / 2
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
    return Products(tuple(exact), order)


def _order(pairs: Sequence[tuple[int, int]], counts: list[int]) -> tuple[int, ...] | None:
    """Groups by the size of the table that eliminating them takes, smallest first; None when one is too large."""
    order, spent = _ordered(pairs, counts, counts, most=TABLE)
    return None if spent > 4 * TABLE else order


def _ordered(
    pairs: Sequence[tuple[int, int]], own: list[int], seen: list[int], most: float = math.inf
) -> tuple[tuple[int, ...], float]:
    """Groups by the size of the table that eliminating them takes, smallest first, and all these sizes together.

    Args:
        pairs: groups that products join.
        own: widths of every group where it is eliminated.
        seen: widths of every group that tables of its neighbours go over.
        most: entries of a table that are too many; the sum is then infinite.
    """
    near: dict[int, set[int]] = {}
    for g, h in pairs:
        near.setdefault(g, set()).add(h)
        near.setdefault(h, set()).add(g)

    def size(group: int) -> float:
        return math.prod(float(seen[other]) for other in near[group]) * own[group]

    sizes = {group: size(group) for group in near}
    order: list[int] = []
    spent = 0.0
    while sizes:
        group = min(sizes, key=lambda one: (sizes[one], one))
        spent += sizes[group]
        if sizes[group] > most:
            return (), math.inf
        del sizes[group]
        order.append(group)
        others = near.pop(group)
        for other in others:
            near[other] |= others
            near[other] -= {other, group}
        for other in others:
            sizes[other] = size(other)
    return tuple(order), spent


def eliminate(general: General, relaxed: Relaxed, kept: Products) -> Eliminated:
    """The largest value of the Lagrangian within the bounds of ``general``, with some products exact."""
    pairs = general.problem.terms.pairs
    scored = {pair: pairs[pair] for pair in kept.exact if pair in pairs} if kept.grid == 0 else {}
    separated = separate(general, relaxed, exact=kept.exact, scored=scored)
    joint = joint_prices(general, relaxed)
    widths = [general.choices(g) for g in range(general.groups)]
    places = [_places(count, kept.grid) for count in general.counts.tolist()]
    prices = {(g, h): float(joint[g, h]) for g, h in kept.exact}
    tables = [_Table((g,), separated.gains[g], -1) for g in kept.order]
    buckets, eliminated = _buckets(tables, prices, scored, kept.order, widths, places)
    total = separated.constant + eliminated
    chosen = _best_places(buckets)
    for g in range(general.groups):
        if g not in chosen:
            chosen[g] = int(separated.gains[g].argmax())
            total += float(separated.gains[g][chosen[g]])
    return Eliminated(
        relaxed=relaxed,
        kept=kept,
        separated=separated,
        bound=total,
        layout=np.array([widths[g][chosen[g]] for g in range(general.groups)], dtype=np.int64),
        buckets=tuple(buckets),
    )


def _buckets(
    tables: list[_Table],
    prices: dict[tuple[int, int], float],
    scored: dict[tuple[int, int], tuple[PairTerm, ...]],
    order: Sequence[int],
    widths: list[IntArray],
    places: list[IntArray],
) -> tuple[list[_Bucket], float]:
    """Eliminate the groups in order: what each left, and the sum of the maxima that depend on no other group."""
    total = 0.0
    buckets: list[_Bucket] = []
    waiting = dict(prices)
    for group in order:
        mine = [table for table in tables if group in table.scope]
        tables = [table for table in tables if group not in table.scope]
        joined = {pair: price for pair, price in waiting.items() if group in pair}
        waiting = {pair: price for pair, price in waiting.items() if group not in pair}
        near = {g for table in mine for g in table.scope} | {g for pair in joined for g in pair}
        scope = tuple(sorted(near - {group}))
        axes = (*scope, group)
        whole = np.zeros([*(len(places[g]) for g in scope), len(widths[group])])
        for table in mine:
            values = table.values
            if table.source >= 0:
                values = _spread_out(values, table.scope.index(group), places[group])
            whole += _spread(values, table.scope, axes)
        for pair, price in joined.items():
            other = pair[0] if pair[1] == group else pair[1]
            first, second = widths[other][places[other]][:, None], widths[group][None, :]
            values: FloatArray = -price * (first.astype(np.float64) * second)
            for term in scored.get(pair, ()):
                values += term.values(first, second) if pair[0] == other else term.values(second, first)
            whole += _spread(values, (other, group), axes)
        below = tuple(table.source for table in mine if table.source >= 0)
        bucket = _Bucket(group=group, scope=scope, table=whole, below=below, places=tuple(places[g] for g in scope))
        if scope:
            tables.append(_Table(scope, bucket.most, len(buckets)))
        else:
            total += float(whole.max())
        buckets.append(bucket)
    return buckets, total


def _best_places(buckets: Sequence[_Bucket]) -> dict[int, int]:
    """Group -> place of its width where the largest value is reached, from the last group eliminated to the first."""
    places: dict[int, int] = {}
    for bucket in reversed(buckets):
        row = bucket.row(bucket.table, [np.array([places[g]]) for g in bucket.scope])[0]
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
    kept: Products,
    *,
    target: float,
    rounds: int,
    tick: Callable[[], None],
) -> tuple[Eliminated, list[IntArray]]:
    """Prices moved towards a lower bound, by subgradients with Polyak's step; and the layouts met on the way.

    Args:
        general: the problem.
        relaxed: where to begin.
        kept: as ``kept_products`` gives them.
        target: a score that is known to be reached.
        rounds: how many steps.
        tick: called before each; may raise to stop.
    """
    best = eliminate(general, relaxed, kept)
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
        now = eliminate(general, replace(now.relaxed, upper=upper, lower=lower), kept)
        met.append(now.layout)
        if now.bound < best.bound:
            best = now
        else:
            relax_factor *= 0.6
            now = best if relax_factor < 0.2 else now
    return best, met
