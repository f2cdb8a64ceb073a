"""Every layout of a problem: streamed in order of widths, or all at once, best first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from parlay.errors import InputError
from parlay.layout import Layout
from parlay.problem import Problem, Solution
from parlay.solver.chain.chain import compile_chain, is_chain
from parlay.solver.chain.labels import LabelLimitError, Lattice, push_labels
from parlay.solver.ranking import ranked
from parlay.solver.space.drawing import Drawer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

__all__ = ["list_layouts", "stream_layouts"]

BLOCK = 8_192
"""Partial layouts that are extended together; what is in memory is at most a few such blocks a group."""


def list_layouts(problem: Problem, *, limit: int = 1_000_000) -> list[Solution]:
    """All layouts of the problem, energy 0 included, best first in the stated order.

    Raises:
        InputError: when there are more than ``limit``, or too many partial layouts to hold.

    >>> from parlay import plain
    >>> len(list_layouts(plain(depth=4).problem(kernels=4288)))
    558
    """
    too_many = InputError(
        "list of all layouts",
        given="more than fit",
        allowed=f"at most {limit} layouts",
        remedy="narrow the widths, by --multiple-of or the other fences, or draw a sample",
    )
    if not is_chain(problem):
        everything = Drawer(problem).everything
        if everything is None or len(everything) > limit:
            raise too_many
        return ranked(problem, everything)
    chain = compile_chain(problem)
    try:
        lattice = Lattice.whole(chain)
        if lattice is None:
            return []
        outcome = push_labels(lattice, k=None)
    except (LabelLimitError, MemoryError):
        raise too_many from None
    if len(outcome.layouts) > limit:
        raise too_many
    return ranked(problem, outcome.layouts)


def stream_layouts(problem: Problem) -> Iterator[Layout]:
    """The layouts of the problem one by one, in order of their widths; memory stays small however many there are.

    Raises:
        InputError: when a group has too many widths to list.

    >>> from itertools import islice
    >>> from parlay import plain
    >>> list(islice(stream_layouts(plain(depth=31).problem(max_kernels=10**6)), 2))[1][-3:]
    (29, 30, 32)
    """
    try:
        lattice = Lattice.whole(compile_chain(problem))
    except MemoryError:
        raise InputError(
            "widths of a group", given="too many to list", allowed="millions", remedy="set a largest width"
        ) from None
    if lattice is None:
        return
    last = lattice.chain.groups - 1
    first = np.arange(len(lattice.widths[0]), dtype=np.int64)
    if last == 0:
        first = first[(lattice.own[0] >= lattice.chain.low) & (lattice.own[0] <= lattice.chain.high)]
    stack: list[tuple[IntArray, IntArray]] = [
        (first[:, None], lattice.own[0][first])
    ]  # prefixes (n, groups), costs (n,)
    while stack:
        prefixes, used = stack.pop()
        g = int(prefixes.shape[1]) - 1
        if g == last:
            columns = [lattice.widths[i][prefixes[:, i]] for i in range(last + 1)]
            yield from map(tuple, np.stack(columns, axis=1).tolist())
            continue
        begin, end = lattice.successors_within(g, prefixes[:, -1], used)
        total = np.cumsum(end - begin)
        if total[-1] > BLOCK and len(total) > 1:
            half = min(max(1, int(np.searchsorted(total, BLOCK))), len(total) - 1)
            stack += [(prefixes[half:], used[half:]), (prefixes[:half], used[:half])]
            continue
        if total[-1]:
            stack.append(_extended(lattice, prefixes, used, begin, end - begin))


def _extended(
    lattice: Lattice, prefixes: IntArray, used: IntArray, begin: IntArray, count: IntArray
) -> tuple[IntArray, IntArray]:
    """Every prefix with each of its ``count`` successors from position ``begin`` on, and what it costs."""
    g = int(prefixes.shape[1]) - 1
    parent = np.repeat(np.arange(len(used), dtype=np.int64), count)
    offset = np.repeat(np.cumsum(count) - count, count)
    choice = np.repeat(begin, count) + np.arange(len(parent), dtype=np.int64) - offset
    joint = lattice.chain.product[g] * lattice.widths[g][prefixes[:, -1][parent]] * lattice.widths[g + 1][choice]
    longer = np.concatenate([prefixes[parent], choice[:, None]], axis=1)
    return longer, used[parent] + joint + lattice.own[g + 1][choice]
