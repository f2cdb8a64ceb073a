"""Where tensors lie in an arena: the planner of TFLM as it is, and the best plan that can be found.

A plan gives every buffer of memory an offset, so that no two that live at once overlap; its size is the end of the
highest. No plan is smaller than the live peak, the most bytes that live at one step.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Buffer", "Plan", "best_plan", "greedy_plan", "live_peak", "plan_bytes"]

ONLINE = -1
"""The offset of a buffer that the engine is to place."""
TRIES = 400
"""Orders that a search tries, at some 1 ms each for 32 buffers; most networks need one of the first seven."""


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """Memory that is needed for some time.

    Attributes:
        bytes: aligned as the engine aligns it.
        first, last: steps at which it lives, both included.
    """

    bytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both live at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Offsets, and how good they are.

    Attributes:
        offsets: one a buffer, in bytes.
        bytes: what the plan takes.
        bound: what every plan takes, the live peak: a plan of so many bytes is the best.
    """

    offsets: tuple[int, ...]
    bytes: int
    bound: int


def live_peak(buffers: Sequence[Buffer]) -> int:
    """Most bytes that live at one step.

    >>> live_peak([Buffer(bytes=16, first=0, last=1), Buffer(bytes=32, first=1, last=2)])
    48
    """
    steps = {buffer.first for buffer in buffers}  # the peak is where something begins
    return max((sum(b.bytes for b in buffers if b.first <= step <= b.last) for step in steps), default=0)


def plan_bytes(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """End of the highest buffer."""
    return max((offset + buffer.bytes for buffer, offset in zip(buffers, offsets, strict=True)), default=0)


def greedy_plan(buffers: Sequence[Buffer], fixed: Sequence[int] = ()) -> Plan:
    """The plan that TFLM makes when it starts: fixed offsets first, then the largest buffer, each in the first gap.

    Of buffers alike in size the later one comes first. Source: ``GreedyMemoryPlanner::CalculateOffsetsIfNeeded``.

    Args:
        buffers: in the order of the file's tensors, scratch behind them.
        fixed: offsets that a file asks for, one a buffer; ``ONLINE`` for those to be placed. None fixed by default.

    >>> buffers = [Buffer(bytes=size, first=step, last=step + 1) for step, size in enumerate((16, 48, 32))]
    >>> greedy_plan(buffers).offsets, greedy_plan(buffers).bytes
    ((48, 0, 48), 80)
    """
    fixed = fixed or [ONLINE] * len(buffers)
    online = [index for index in reversed(range(len(buffers))) if fixed[index] == ONLINE]
    online.sort(key=lambda index: -buffers[index].bytes)
    offsets = _first_fit(buffers, online, {index: at for index, at in enumerate(fixed) if at != ONLINE})
    return Plan(offsets=offsets, bytes=plan_bytes(buffers, offsets), bound=live_peak(buffers))


def best_plan(buffers: Sequence[Buffer], *, tries: int = TRIES) -> Plan:
    """The smallest plan that a search finds; it ends where the live peak is reached, which none can beat.

    Placing buffers one after another as low as they go makes some best plan, in the right order: that of its offsets.
    So orders are searched: by size, by time, by both, and then the best one changed, mostly by moving ahead what
    sticks out.

    Args:
        buffers: what to place.
        tries: orders.

    >>> buffers = [Buffer(bytes=size, first=step, last=step + 1) for step, size in enumerate((16, 48, 32))]
    >>> best_plan(buffers).bytes
    80
    """
    bound = live_peak(buffers)
    everything = range(len(buffers))
    length = [buffer.last - buffer.first + 1 for buffer in buffers]
    pressure = [_pressure(buffers, buffer) for buffer in buffers]
    keys = (
        lambda i: (-buffers[i].bytes, -i),
        lambda i: (-buffers[i].bytes, i),
        lambda i: (-buffers[i].bytes * length[i], i),
        lambda i: (-pressure[i], -buffers[i].bytes),
        lambda i: (-length[i], -buffers[i].bytes),
        lambda i: (buffers[i].first, -buffers[i].bytes),
        lambda i: (-buffers[i].last, -buffers[i].bytes),
    )
    draw = random.Random(0)
    best: tuple[int, tuple[int, ...], list[int]] | None = None
    for attempt in range(max(tries, 1)):
        if attempt < len(keys):
            order = sorted(everything, key=keys[attempt])
        else:
            assert best is not None
            order = _changed(buffers, best[2], best[1], draw)
        offsets = _first_fit(buffers, order, {})
        size = plan_bytes(buffers, offsets)
        if best is None or size <= best[0]:  # an equal one, too, so that the search wanders
            best = (size, offsets, order)
        if size == bound:
            break
    assert best is not None
    return Plan(offsets=best[1], bytes=best[0], bound=bound)


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int], placed: dict[int, int]) -> tuple[int, ...]:
    """Every buffer of ``order`` at the lowest offset that those placed before it leave free."""
    placed = dict(placed)
    for index in order:
        buffer, at = buffers[index], 0
        for start, end in sorted(
            (offset, offset + buffers[other].bytes) for other, offset in placed.items() if buffer.meets(buffers[other])
        ):
            if start - at >= buffer.bytes:
                break
            at = max(at, end)
        placed[index] = at
    return tuple(placed[index] for index in range(len(buffers)))


def _pressure(buffers: Sequence[Buffer], buffer: Buffer) -> int:
    """Most bytes that live at a step of this buffer's."""
    return live_peak([other for other in buffers if other.meets(buffer)])


def _changed(buffers: Sequence[Buffer], order: Sequence[int], offsets: Sequence[int], draw: random.Random) -> list[int]:
    """An order in which a buffer that ends highest, or any, comes earlier."""
    changed = list(order)
    top = plan_bytes(buffers, offsets)
    highest = [index for index in order if offsets[index] + buffers[index].bytes == top]
    moved = draw.choice(highest) if draw.random() < 0.7 else draw.choice(changed)
    place = changed.index(moved)
    changed.insert(draw.randrange(place + 1), changed.pop(place))
    if draw.random() < 0.5:
        a, b = draw.randrange(len(changed)), draw.randrange(len(changed))
        changed[a], changed[b] = changed[b], changed[a]
    return changed
