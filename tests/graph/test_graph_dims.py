"""Dimensions as segments: unification, cuts, products."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlay.graph.dims import BATCH, CONSTANT, Guess, Segment, Unknowns, constant


def table(**guess: bool) -> Unknowns:
    return Unknowns(batch=2, guess=Guess(**guess))


def test_a_sum_of_two_widths_binds_the_third() -> None:
    """A residual over a concatenation: the sum's width is the list of both."""
    t = table()
    a, b, both = t.fresh(5), t.fresh(7), t.fresh(12)
    t.unify(both, a + b)
    assert t.resolve(both) == a + b
    t.unify(a, constant(5))
    assert t.resolve(both) == (Segment(CONSTANT, 5, 1), *b)


def test_equal_parts_of_a_list_become_one() -> None:
    """A channel shuffle over a concatenation makes its halves one width."""
    t = table()
    a, b = t.fresh(6), t.fresh(6)
    [two, half] = t.factor(a + b, [2, 6])
    assert two == constant(2)
    assert t.resolve(a) == t.resolve(b) == t.resolve(half)


def test_different_multiples_share_a_width() -> None:
    """3 a = 2 b leaves one unknown: a = 2 t, b = 3 t."""
    t = table()
    a, b = t.fresh(8), t.fresh(12)
    t.unify(tuple(s._replace(outer=3) for s in a), tuple(s._replace(outer=2) for s in b))
    [x], [y] = t.resolve(a), t.resolve(b)
    assert x.width == y.width
    assert (x.outer, y.outer, t.sizes[x.width]) == (2, 3, 4)


@pytest.mark.parametrize(("leading", "count", "left"), [(True, 4, 6), (False, 6, 4)])
def test_a_view_splits_a_width_into_a_count_and_the_rest(leading: bool, count: int, left: int) -> None:
    """Which factor is fixed is a guess; the other follows."""
    t = table(leading_fixed=leading)
    width = t.fresh(24)
    first, second = t.factor(width, [4, 6])
    fixed, free = (first, second) if leading else (second, first)
    assert fixed == constant(count)
    assert not t.is_fixed(free)
    assert t.size(free) == left
    assert t.size(width) == 24


def test_merging_keeps_pixels_inside_and_groups_outside() -> None:
    """Flatten: (C, H, W) -> C outer of HW; heads: (heads, c) -> heads outer of c."""
    t = table()
    width = t.fresh(6)
    assert t.merge([width, constant(4), constant(5)]) == (width[0]._replace(inner=20),)
    assert t.merge([constant(3), width]) == (width[0]._replace(outer=3),)
    batch = (Segment(BATCH, 1, 1),)
    assert t.merge([batch, constant(4)]) == (Segment(BATCH, 1, 4),)


def test_a_product_of_two_widths_keeps_one_free() -> None:
    """No dimension is a product of widths: the second one is pinned, with the reason."""
    t = table()
    a, b = t.fresh(6), t.fresh(4)
    assert t.merge([a, b]) == (a[0]._replace(inner=4),)
    assert (t.is_fixed(a), t.is_fixed(b)) == (False, True)
    assert list(t.reasons.values()) == ["multiplied by another width"]


def test_a_misplaced_cut_pins() -> None:
    """Pixels inside a channel cannot be cut in the middle."""
    t = table()
    width = t.fresh(6)
    flat = t.merge([width, constant(4)])
    head, tail = t.cut(flat, [6, 18])
    assert (t.size(head), t.size(tail)) == (6, 18)
    assert t.is_fixed(width)


sizes = st.lists(st.integers(2, 9), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(sizes, st.lists(st.integers(1, 8), min_size=0, max_size=4), st.booleans())
def test_unifying_never_changes_a_size(widths: list[int], cuts: list[int], follow: bool) -> None:
    """Whatever is unified, cut or bound: today's sizes stay, and both sides end up the same."""
    t = table(literals_follow=follow)
    left = tuple(segment for size in widths for segment in t.fresh(size))
    total = sum(widths)
    parts: list[int] = []
    for cut in cuts:
        if sum(parts) + cut < total:
            parts.append(cut)
    parts.append(total - sum(parts))
    right = tuple(segment for size in parts for segment in t.fresh(size))
    t.unify(left, right)
    assert t.size(left) == t.size(right) == total
    assert [(s.width, s.outer * s.inner) for s in t.resolve(left)] == [
        (s.width, s.outer * s.inner) for s in t.resolve(right)
    ]
    pieces = t.cut(left, parts)
    assert [t.size(piece) for piece in pieces] == parts
    assert all(t.size(t.resolve(piece)) == t.size(piece) for piece in pieces)
