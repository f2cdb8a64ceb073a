"""Plans of an arena: TFLM's own, and the best."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from parlay.device.planner import Buffer, best_plan, greedy_plan, live_peak


def buffers(most: int):
    """Up to so many buffers of 16 to 160 bytes within eight steps."""
    one = st.tuples(st.integers(1, 10), st.integers(0, 7), st.integers(0, 7))
    return st.lists(one, min_size=1, max_size=most).map(
        lambda rows: [Buffer(bytes=16 * size, first=min(a, b), last=max(a, b)) for size, a, b in rows]
    )


def is_apart(found, plan) -> bool:
    """Whether no two that live at once overlap."""
    placed = list(zip(found, plan.offsets, strict=True))
    return all(
        not a.meets(b) or at + a.bytes <= other or other + b.bytes <= at
        for index, (a, at) in enumerate(placed)
        for b, other in placed[:index]
    )


def by_brute_force(found) -> int:
    """The smallest plan: some order of placing as low as possible makes it."""
    best = None
    for order in permutations(range(len(found))):
        placed: dict[int, int] = {}
        for index in order:
            one = found[index]
            taken = [(placed[i], placed[i] + found[i].bytes) for i in placed if found[i].meets(one)]
            at = min(
                start
                for start in (0, *(end for _, end in taken))
                if all(start + one.bytes <= low or high <= start for low, high in taken)
            )
            placed[index] = at
        size = max(placed[i] + found[i].bytes for i in placed)
        best = size if best is None else min(best, size)
    return best


@settings(max_examples=300, deadline=None)
@given(buffers(20))
def test_plans_never_overlap(found):
    """Neither plan puts two buffers that live at once in one place, and none is below the live peak."""
    for plan in (greedy_plan(found), best_plan(found, tries=40)):
        assert is_apart(found, plan)
        assert plan.bytes == max(at + b.bytes for b, at in zip(found, plan.offsets, strict=True))
        assert plan.bytes >= plan.bound == live_peak(found)
    assert best_plan(found, tries=40).bytes <= greedy_plan(found).bytes


@settings(max_examples=60, deadline=None)
@given(buffers(6))
def test_the_best_plan_is_the_best(found):
    """Beside all orders of up to six buffers, the search misses none of the best."""
    assert best_plan(found).bytes == by_brute_force(found)


def test_ties_go_to_the_later_buffer():
    """Of buffers alike in size TFLM places the later one first, so that it lies lower."""
    found = [Buffer(bytes=32, first=0, last=2), Buffer(bytes=32, first=1, last=2)]
    assert greedy_plan(found).offsets == (32, 0)


def test_fixed_offsets_stay_and_the_rest_fills_gaps():
    """What a file asks for stays where it is; the others go around it."""
    found = [Buffer(bytes=32, first=0, last=2), Buffer(bytes=16, first=1, last=2), Buffer(bytes=48, first=2, last=2)]
    assert greedy_plan(found, [16, -1, -1]).offsets == (16, 0, 48)


def test_a_chain_needs_two_neighbours():
    """Of a chain of tensors, the best plan takes the largest two neighbours, where the greedy one wastes."""
    sizes = [48, 16, 32, 64, 16, 48]
    found = [Buffer(bytes=size, first=step, last=step + 1) for step, size in enumerate(sizes)]
    assert live_peak(found) == best_plan(found).bytes == 96
