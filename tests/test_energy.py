"""Scores: values from their definitions, exact ties, bounds the solver relies on."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlay import InputError, get_score, plain, resnet
from parlay.energy import SCORES, GroupTerm, Harmonic, HarmonicFixed, HarmonicSelf, LogLog, LogWidth
from parlay.formal import add, decimal_value, ln, lnln, prime_factors
from parlay.layout import Layout

PAPER_ENERGIES = [((35, 36, 37, 43), 173.0358), ((8, 16, 44, 78), 95.05), ((135, 136, 137, 211), 634.5233)]


@pytest.mark.parametrize(("layout", "energy"), PAPER_ENERGIES)
def test_energy_of_the_paper(layout: Layout, energy: float) -> None:
    """Eq. 3 gives the energies that the paper prints."""
    assert math.exp(plain(depth=4).energy(layout)) == pytest.approx(energy, abs=6e-3)


def test_resnet_counts_a_unit_once_or_every_layer() -> None:
    """energy-group has four factors, energy-layer thirty-one (1 + 3 x 10)."""
    space = resnet(depth=32).space
    layout = (19, 34, 41, 49)
    group = sum(math.log(math.log(n)) for n in layout)
    layer = sum(m * math.log(math.log(n)) for m, n in zip((1, 10, 10, 10), layout, strict=True))
    assert get_score("energy-group").terms(space)(layout) == pytest.approx(group, abs=1e-12)
    assert get_score("energy-layer").terms(space)(layout) == pytest.approx(layer, abs=1e-12)


def test_pair_harmonic_counts_every_layer_once() -> None:
    """The input layer reads the image's channels; the inner layers of a unit read their own width."""
    terms = get_score("pair-harmonic").terms(resnet(depth=8).space)
    layout = (5, 6, 7, 8)
    pairs = [(3, 5), (5, 6), (6, 6), (6, 7), (7, 7), (7, 8), (8, 8)]
    assert terms(layout) == pytest.approx(sum(math.log(a * b / (a + b)) for a, b in pairs), abs=1e-12)


def test_width_one_has_energy_zero() -> None:
    """ln ln 1 is -inf, with no warning and no exact form."""
    family = plain(depth=2)
    assert family.energy((1, 7)) == -math.inf
    assert get_score("energy-group").terms(family.space).formal((1, 7)) is None


TERMS = [LogLog(3), LogWidth(2), HarmonicFixed(3, 2), HarmonicSelf(9)]


@pytest.mark.parametrize("term", TERMS, ids=repr)
@given(width=st.integers(2, 10**6))
def test_exact_form_has_the_float_value(term: GroupTerm, width: int) -> None:
    """The formal sum of every term evaluates to the float value."""
    formal = term.formal(width)
    assert formal is not None
    value = decimal_value(formal)
    assert value is not None
    assert float(value) == pytest.approx(float(term.values(np.array([width]))[0]), abs=1e-11)


@given(a=st.integers(1, 10**5), b=st.integers(1, 10**5))
def test_pair_term_has_an_exact_form(a: int, b: int) -> None:
    """The same for the pair term."""
    value = decimal_value(Harmonic(2).formal(a, b) or {})
    assert value is not None
    assert float(value) == pytest.approx(2 * math.log(a * b / (a + b)), abs=1e-10)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 60), st.integers(0, 60))
def test_bounds_hold_over_boxes(a: int, da: int, b: int, db: int) -> None:
    """upper() is at least every value in its range, for terms of one width and of two."""
    low, high = np.array([a]), np.array([a + da])
    inside = np.arange(a, a + da + 1)
    for term in TERMS:
        assert float(term.upper(low, high)[0]) >= term.values(inside).max()
    box = Harmonic().values(inside[:, None], np.arange(b, b + db + 1)[None, :])
    assert float(Harmonic().upper((low, high), (np.array([b]), np.array([b + db])))[0]) >= box.max() - 1e-12


def test_exact_ties_are_seen() -> None:
    """ln 2 x ln 16 = ln 4 x ln 4 and ln 4 x ln 25 = ln 5 x ln 16, though floats may differ."""
    assert add([lnln(2), lnln(16)]) == add([lnln(4), lnln(4)])
    assert add([lnln(4), lnln(25)]) == add([lnln(5), lnln(16)])
    assert add([lnln(4), lnln(9)]) != add([lnln(6), lnln(6)])


@given(st.integers(1, 10**6))
def test_prime_factors_multiply_back(n: int) -> None:
    """Factorisation is exact and ascending."""
    factors = prime_factors(n)
    assert math.prod(p**e for p, e in factors) == n
    assert [p for p, _ in factors] == sorted({p for p, _ in factors})


def test_sixty_digits() -> None:
    """ln 2 to 45 digits, a published constant."""
    value = decimal_value(ln(2))
    assert value is not None
    assert abs(value - Decimal("0.693147180559945309417232121458176568075500134")) < Decimal("1e-44")


def test_every_score_names_its_source() -> None:
    """The registry is what 'parlay scores' prints; unknown names come back with the nearest right one."""
    assert list(SCORES) == ["energy-group", "energy-layer", "sum-log", "pair-harmonic", "path-energy", "step-energy"]
    assert all(score.source and score.summary for score in SCORES.values())
    with pytest.raises(InputError, match="did you mean pair-harmonic"):
        get_score("pair-harmonics")
