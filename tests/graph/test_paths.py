"""The path energy, and the shares of paths it rests on."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest

from parlay.energy import FixedMeanLogLog, MeanLogLog, NotOne, get_score
from parlay.errors import InputError
from parlay.families import plain, resnet
from parlay.formal import decimal_value, lnln_ratio
from parlay.layout import WidthGroup, WidthSpace
from parlay.solver import solve, stream_layouts

HALF = Fraction(1, 2)


def by_hand(*parts):
    """Sum of share x ln ln of the harmonic mean over (share, a, b)."""
    return sum(share * math.log(math.log(2 * a * b / (a + b))) for share, a, b in parts)


def test_a_chain_has_one_path():
    """In a plain network every layer counts once, with the harmonic mean of the two widths it joins."""
    terms = get_score("path-energy").terms(plain(3).space)
    assert terms((56, 40, 47)) == pytest.approx(by_hand((1, 3, 56), (1, 56, 40), (1, 40, 47)), abs=1e-12)


def test_a_bottleneck_costs_more_than_in_the_energy():
    """Eq. 3 has (132, 14, 146) first among all layouts of its size; with a bottleneck counted twice it is not."""
    space = plain(3).space
    energy, paths = get_score("energy-group").terms(space), get_score("path-energy").terms(space)
    narrow, even = (132, 14, 146), (56, 40, 47)
    assert energy(narrow) > energy(even)
    assert paths(narrow) < paths(even)


def test_half_of_the_paths_go_around_a_block():
    """Layers of residual blocks count one half, also where a block widens: its shortcut is there as well."""
    terms = get_score("path-energy").terms(resnet(8).space)
    expected = by_hand((1, 3, 5))
    for before, width in ((5, 6), (6, 7), (7, 9)):
        expected += by_hand((HALF, before, width), (HALF, width, width))
    assert terms((5, 6, 7, 9)) == pytest.approx(expected, abs=1e-12)


def test_one_kernel_has_no_energy():
    """A width of 1 makes the score -inf, as it makes the paper's energy 0."""
    terms = get_score("path-energy").terms(plain(3).space)
    assert terms((1, 9, 9)) == terms((9, 1, 9)) == -math.inf
    assert terms.formal((9, 1, 9)) is None


@pytest.mark.parametrize("order", ["free", "increasing"])
@pytest.mark.parametrize(("family", "size"), [(plain(3), 500), (plain(4), 400), (resnet(8), 700)])
def test_the_solver_finds_its_best_layouts(family, size, order):
    """Order and values of the best layouts are those of a full enumeration."""
    problem = family.problem(kernels=size, order=order, score="path-energy", min_width=2)
    every = sorted(stream_layouts(problem), key=problem.terms, reverse=True)
    found = solve(problem, top_k=5)
    assert found.status == "OPTIMAL"
    assert [problem.terms(s.layout) for s in found.solutions] == pytest.approx([problem.terms(w) for w in every[:5]])


def test_its_terms_are_monotone_and_concave_in_logarithms():
    """Slopes are derivatives, and tangents lie above: what the bounds of the solver rest on."""
    term = MeanLogLog(Fraction(3, 2))
    for a, b in itertools.product((2, 3.5, 14, 150), repeat=2):
        da, db = term.slopes(a, b)
        step = 1e-6
        assert da == pytest.approx((term.at(a * math.exp(step), b) - term.at(a, b)) / step, rel=1e-3)
        for x, y in itertools.product((2, 9, 60, 800), repeat=2):
            tangent = term.at(a, b) + da * math.log(x / a) + db * math.log(y / b)
            assert tangent >= term.at(x, y) - 1e-12
    fixed = FixedMeanLogLog(3, 2)
    first, second = fixed.slopes(9.0)
    at = [2 * math.log(math.log(6 * w / (3 + w))) for w in (9 * math.exp(-1e-4), 9, 9 * math.exp(1e-4))]
    assert first == pytest.approx((at[2] - at[0]) / 2e-4, rel=1e-5)
    assert second == pytest.approx((at[2] - 2 * at[1] + at[0]) / 1e-8, rel=1e-3)
    assert NotOne().slopes(5.0) == (0.0, 0.0)


def test_equal_scores_are_told_from_near_ones():
    """Harmonic means are compared as fractions: 9/4 is 3/2 squared, and digits decide where symbols differ."""
    assert MeanLogLog().formal(6, 3) == MeanLogLog().formal(3, 6) == lnln_ratio(Fraction(4))
    value = decimal_value(MeanLogLog().formal(5, 4))
    assert float(value) == pytest.approx(math.log(math.log(40 / 9)), abs=1e-14)


def test_structure_is_not_presumed():
    """Without connections the path energy has nothing to say, and says so."""
    space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")))
    with pytest.raises(InputError, match="without their network"):
        get_score("path-energy").terms(space)


def test_shares_are_traced():
    """Residual blocks halve, joined branches split, gates count as what they scale; a family's are found again."""
    torch = pytest.importorskip("torch")
    from torch import nn

    from parlay.graph import trace

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.left = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 1)
            self.right, self.gate, self.last = nn.Conv2d(8, 6, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(11, 7, 1)

        def forward(self, x):
            x = self.stem(x)
            x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
            return self.last(torch.cat([self.left(x), self.right(x)], 1)).mean((2, 3))

    graph = trace(Branches(), torch.randn(1, 3, 8, 8))
    shares = {}
    for link in graph.space.connections:
        shares.setdefault(graph.space.groups[link.target].name, set()).add(link.share)
    assert shares == {"stem": {Fraction(1)}, "left": {HALF}, "right": {HALF}}

    family = resnet(8)
    traced = trace(family.build((5, 6, 7, 9)), torch.randn(1, 3, 32, 32))
    counted = dict.fromkeys((HALF, Fraction(1)), 0)
    for link in traced.space.connections:
        counted[link.share] += 1
    assert counted == {Fraction(1): 1, HALF: 6}
