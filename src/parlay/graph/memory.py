"""Peak activation memory: what is live at every step of the program, one polynomial a step.

The convention is that of ``parlay.families``: live at a step are the activations still to be read and those it
writes. The output of a fused step (``parlay.graph.call.Memory``) takes the place of inputs that nobody reads after
it; views are their base. Parameters, and what is computed from them alone, are no activations. One image; the input
counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from parlay.graph.call import Memory, Shape
from parlay.graph.interpret import Step

__all__ = ["live_sets", "makes_up", "undominated"]

PADDING = re.compile(r"conv[123]d|convolution|(avg|max)_pool[123]d(_with_indices)?")
"""Operators that engines run with padding of their own, by their names in an exported program and in a run."""


def makes_up(reader: str, value: float) -> bool:
    """Whether an operator pads the pixels it reads itself: with zeros, or before a maximum with what never is one.

    >>> makes_up("conv2d", 0), makes_up("conv2d", 1.0), makes_up("add", 0), makes_up("max_pool2d", float("-inf"))
    (True, False, False, True)
    """
    return PADDING.fullmatch(reader) is not None and (value == 0 or ("max" in reader and value == -math.inf))


def live_sets(
    steps: Sequence[Step], inputs: Sequence[tuple[int, Shape]], outputs: Sequence[int]
) -> list[tuple[str, frozenset[int]]]:
    """The storages that are live together at each step, with the step's name.

    A storage lives from the step that writes it to the last one that reads it; inputs from the start, outputs to the
    end.
    """
    last = _last_uses(steps, inputs, outputs)
    live: set[int] = {storage for storage, _ in inputs}
    found: list[tuple[str, frozenset[int]]] = [("inputs", frozenset(live))]
    for number, step in enumerate(steps):
        written = {storage for storage, _ in step.writes}
        dying = {storage for storage in live if last[storage] <= number} - written
        together = live | written
        if step.memory is not Memory.POINT:
            together -= dying
        if written and step.memory is not Memory.VIEW:
            found.append((step.name, frozenset(together)))
        live = {storage for storage in live | written if last[storage] > number}
    return found


def _last_uses(steps: Sequence[Step], inputs: Sequence[tuple[int, Shape]], outputs: Sequence[int]) -> dict[int, int]:
    """Number of the last step that reads or writes each storage; one after all steps for outputs."""
    last: dict[int, int] = {storage: -1 for storage, _ in inputs}
    for number, step in enumerate(steps):
        for storage in (*step.reads, *(storage for storage, _ in step.writes)):
            last[storage] = number
    return last | dict.fromkeys(outputs, len(steps))


def undominated(rows: Sequence[Mapping[tuple[int, ...], int]]) -> list[int]:
    """Which rows no other row exceeds in every coefficient: only they can be the largest."""
    columns = {key: i for i, key in enumerate(dict.fromkeys(key for row in rows for key in row))}
    table = np.zeros((len(rows), max(1, len(columns))), dtype=np.int64)
    for number, row in enumerate(rows):
        for key, value in row.items():
            table[number, columns[key]] = value
    _, first = np.unique(table, axis=0, return_index=True)
    kept = sorted(int(i) for i in first)
    small = table[kept]
    return [number for number, row in zip(kept, small, strict=True) if int((small >= row).all(axis=1).sum()) == 1]
