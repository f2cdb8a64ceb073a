"""Where tensors lie in an arena: the planner of TFLM as it is, and the best plan that can be found.

A plan gives every block of memory an offset, so that no two that live at once overlap; its size is the end of the
highest. No plan is smaller than the live peak, the most bytes that live at one step.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Buffer", "Plan", "best_plan", "greedy_plan", "live_peak", "plan_bytes"]

ONLINE = -1
"""The offset of a block that the engine is to place."""
TRIES = 400
"""Orders that a search tries, at some 1 ms for 32 blocks. Of 2,000 random layouts of MobileNet none needed more than 60."""


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
        offsets: one a block, in bytes.
        bytes: what the plan takes.
        bound: what every plan takes: the live peak.
    """

    offsets: tuple[int, ...]
    bytes: int
    bound: int

    @property
    def is_best(self) -> bool:
        """Whether no plan is smaller, which is proved where it takes no more than the live peak."""
        return self.bytes == self.bound


def live_peak(blocks: Sequence[Buffer]) -> int:
    """Most bytes that live at one step.

    >>> live_peak([Buffer(bytes=16, first=0, last=1), Buffer(bytes=32, first=1, last=2), Buffer(bytes=16, first=2, last=2)])
    48
    """
    steps = {block.first for block in blocks}  # the peak is where something begins
    return max((sum(b.bytes for b in blocks if b.first <= step <= b.last) for step in steps), default=0)


def plan_bytes(blocks: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """End of the highest block."""
    return max((offset + block.bytes for block, offset in zip(blocks, offsets, strict=True)), default=0)


def greedy_plan(blocks: Sequence[Buffer], fixed: Sequence[int] = ()) -> Plan:
    """The plan that TFLM makes when it starts: fixed offsets first, then the largest block, each in the first gap.

    Of blocks alike in size the later one comes first. Source: ``GreedyMemoryPlanner::CalculateOffsetsIfNeeded``.

    Args:
        blocks: in the order of the file's tensors, scratch behind them.
        fixed: offsets that a file asks for, one a block; ``ONLINE`` for those to be placed. None fixed by default.

    >>> blocks = [Buffer(bytes=16, first=0, last=1), Buffer(bytes=48, first=1, last=2), Buffer(bytes=32, first=2, last=3)]
    >>> greedy_plan(blocks).offsets, greedy_plan(blocks).bytes
    ((48, 0, 48), 80)
    """
    fixed = fixed or [ONLINE] * len(blocks)
    online = [index for index in reversed(range(len(blocks))) if fixed[index] == ONLINE]
    online.sort(key=lambda index: -blocks[index].bytes)
    offsets = _first_fit(blocks, online, {index: at for index, at in enumerate(fixed) if at != ONLINE})
    return Plan(offsets=offsets, bytes=plan_bytes(blocks, offsets), bound=live_peak(blocks))


def best_plan(blocks: Sequence[Buffer], *, tries: int = TRIES) -> Plan:
    """The smallest plan that a search finds; it ends where the live peak is reached, which none can beat.

    Placing blocks one after another as low as they go makes some best plan, in the right order: that of its offsets. So
    orders are searched: by size, by time, by both, and then the best one changed, mostly by moving ahead what sticks
    out.

    Args:
        blocks: what to place.
        tries: orders.

    >>> blocks = [Buffer(bytes=16, first=0, last=1), Buffer(bytes=48, first=1, last=2), Buffer(bytes=32, first=2, last=3)]
    >>> best_plan(blocks).bytes
    80
    """
    bound = live_peak(blocks)
    everything = range(len(blocks))
    length = [block.last - block.first + 1 for block in blocks]
    pressure = [_pressure(blocks, block) for block in blocks]
    keys = (
        lambda i: (-blocks[i].bytes, -i),
        lambda i: (-blocks[i].bytes, i),
        lambda i: (-blocks[i].bytes * length[i], i),
        lambda i: (-pressure[i], -blocks[i].bytes),
        lambda i: (-length[i], -blocks[i].bytes),
        lambda i: (blocks[i].first, -blocks[i].bytes),
        lambda i: (-blocks[i].last, -blocks[i].bytes),
    )
    draw = random.Random(0)
    best: tuple[int, tuple[int, ...], list[int]] | None = None
    for attempt in range(max(tries, 1)):
        if attempt < len(keys):
            order = sorted(everything, key=keys[attempt])
        else:
            assert best is not None
            order = _changed(blocks, best[2], best[1], draw)
        offsets = _first_fit(blocks, order, {})
        size = plan_bytes(blocks, offsets)
        if best is None or size <= best[0]:  # an equal one, too, so that the search wanders
            best = (size, offsets, order)
        if size == bound:
            break
    assert best is not None
    return Plan(offsets=best[1], bytes=best[0], bound=bound)


def _first_fit(blocks: Sequence[Buffer], order: Sequence[int], placed: dict[int, int]) -> tuple[int, ...]:
    """Every block of ``order`` at the lowest offset that those placed before it leave free."""
    placed = dict(placed)
    for index in order:
        block, at = blocks[index], 0
        for start, end in sorted(
            (offset, offset + blocks[other].bytes) for other, offset in placed.items() if block.meets(blocks[other])
        ):
            if start - at >= block.bytes:
                break
            at = max(at, end)
        placed[index] = at
    return tuple(placed[index] for index in range(len(blocks)))


def _pressure(blocks: Sequence[Buffer], block: Buffer) -> int:
    """Most bytes that live at a step of this block's."""
    return live_peak([other for other in blocks if other.meets(block)])


def _changed(blocks: Sequence[Buffer], order: Sequence[int], offsets: Sequence[int], draw: random.Random) -> list[int]:
    """An order in which a block that ends highest, or any, comes earlier."""
    changed = list(order)
    top = plan_bytes(blocks, offsets)
    highest = [index for index in order if offsets[index] + blocks[index].bytes == top]
    moved = draw.choice(highest) if draw.random() < 0.7 else draw.choice(changed)
    place = changed.index(moved)
    changed.insert(draw.randrange(place + 1), changed.pop(place))
    if draw.random() < 0.5:
        a, b = draw.randrange(len(changed)), draw.randrange(len(changed))
        changed[a], changed[b] = changed[b], changed[a]
    return changed
