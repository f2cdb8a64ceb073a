"""Layouts, fences and resources: what they accept, count and refuse."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlay.errors import InputError
from parlay.layout import Order, WidthGroup, WidthSpace, format_layout, parse_layout, parse_step
from parlay.problem import Constraint
from parlay.resources import PeakResource, Resource

widths = st.lists(st.integers(1, 10**6), min_size=1, max_size=8).map(tuple)


@given(widths)
def test_layout_survives_printing(layout: tuple[int, ...]) -> None:
    """Parsing what was printed gives the layout back."""
    assert parse_layout(format_layout(layout)) == layout


@pytest.mark.parametrize(
    "text", ["", "a", "3-", "-3", "3--4", "0-4", "3.5-4", "3-x", "٣-4", "1" * 5000, "3;4", "--json"]
)
def test_malformed_layout_is_refused_in_one_line(text: str) -> None:
    """Anything but positive integers is refused, saying what is allowed."""
    with pytest.raises(InputError, match="allowed: positive integers") as caught:
        parse_layout(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("order", "pair", "allowed"), [
    (Order.INCREASING, (3, 4), True),
    (Order.INCREASING, (4, 4), False),
    (Order.NONDECREASING, (4, 4), True),
    (Order.NONDECREASING, (5, 4), False),
    (Order.FREE, (5, 4), True),
])  # fmt: skip
def test_order(order: Order, pair: tuple[int, int], *, allowed: bool) -> None:
    """Each order allows exactly the pairs its name says."""
    space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")), order=order)
    assert (pair in space) is allowed


@given(st.integers(1, 500), st.integers(1, 500), st.fractions(1, 4, max_denominator=20))
def test_step_is_decided_in_integers_and_agrees_with_successors(a: int, b: int, step: Fraction) -> None:
    """A pair keeps the step exactly when b lies in the range of successors of a, either way."""
    space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")), max_step=step)
    low, high = space.successors(a)
    assert ((a, b) in space) is (Fraction(max(a, b), min(a, b)) <= step)
    assert high is not None
    assert ((a, b) in space) is (low <= b <= high)


@pytest.mark.parametrize("step", ["x", "nan", "inf", "0.5", -2, "1/0", "1.00000001", "1e9"])
def test_bad_step_is_refused(step: object) -> None:
    """Steps below 1, not numbers, or finer than six decimals are refused."""
    with pytest.raises(InputError, match="max step"):
        parse_step(step)


@pytest.mark.parametrize(("options", "what"), [
    ({"minimum": 0}, "smallest width"),
    ({"multiple_of": 0}, "multiple-of"),
    ({"minimum": 9, "maximum": 15, "multiple_of": 8}, "largest width"),
    ({"multiplicity": 0}, "multiplicity"),
])  # fmt: skip
def test_groups_without_a_width_are_refused(options: dict[str, int], what: str) -> None:
    """Bounds that leave no width are refused when the group is made."""
    with pytest.raises(InputError, match=what):
        WidthGroup(name="g", **options)


def test_violation_names_groups_and_widths() -> None:
    """The message says which widths of which groups break which fence."""
    groups = (WidthGroup(name="stem", multiple_of=8), WidthGroup(name="head"))
    space = WidthSpace(groups=groups, order=Order.INCREASING, max_step=Fraction(2))
    assert space.violation((8, 16)) is None
    assert "width 9 of stem" in str(space.violation((9, 16)))
    assert "not increasing" in str(space.violation((16, 16)))
    assert "largest step 2" in str(space.violation((8, 17)))
    assert "1 widths for 2" in str(space.violation((8,)))


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=3), st.lists(st.integers(1, 99), min_size=3, max_size=3))
def test_resource_is_its_polynomial(coefficients: list[int], layout: list[int]) -> None:
    """A resource evaluates to the polynomial it was built from, whatever the order within pairs; sums add."""
    a, b, c = coefficients
    resource = Resource.of("r", 3, constant=7, linear={1: a}, quadratic={(2, 0): b, (1, 1): c})
    x, y, z = layout
    expected = 7 + a * y + b * x * z + c * y * y
    assert resource((x, y, z)) == expected
    assert (resource + resource)((x, y, z)) == 2 * expected
    assert PeakResource(name="p", points=(resource, Resource.of("0", 3)))((x, y, z)) == max(expected, 0)


def test_amounts_are_exact_beyond_64_bits() -> None:
    """Python's integers are used, so nothing wraps around."""
    resource = Resource.of("r", 2, quadratic={(0, 1): 9})
    assert resource((10**15, 10**15)) == 9 * 10**30


def test_wrong_shapes_are_refused() -> None:
    """Resources and constraints say what they expected."""
    resource = Resource.of("r", 2)
    with pytest.raises(InputError, match="one a group"):
        resource((1,))
    with pytest.raises(InputError, match="equal numbers of groups"):
        _ = resource + Resource.of("s", 3)
    with pytest.raises(InputError, match="ascending range"):
        Constraint(resource=resource, minimum=5, maximum=4)
    with pytest.raises(InputError, match="at least 0"):
        Constraint.equal(resource, -1)
