"""The panels of the paper as experiments: which layouts they train, and that none is typed in wrong."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from parlay.energy import SCORES
from parlay.errors import InputError
from parlay.families import plain
from parlay.paper.experiments import EXPERIMENTS, Role, corrected, get_experiment, learned
from parlay.paper.pairs import ENERGY, MACS, matched_pairs
from parlay.paper.printed import read_rows


@pytest.mark.parametrize(
    ("name", "total", "first", "red"),
    [
        ("3a", 32, 32, 6),
        ("3b", 38, 38, 6),
        ("3c", 32, 32, 6),
        ("3d", 38, 38, 6),
        ("4a", 37, 14, 6),
        ("4b", 38, 14, 6),
        ("4c", 37, 14, 6),
        ("4d", 38, 14, 6),
        ("5a", 13, 13, 0),
        ("5b", 13, 13, 0),
        ("pairs", 24, 24, 0),
    ],
)
def test_panels_have_the_papers_layouts_of_exactly_its_size(name, total, first, red):
    """Each panel has as many layouts as planned, all of exactly its size, learned ones marked, extremes among them."""
    panel = get_experiment(name)
    layouts = [choice.layout for choice in panel.choices]
    assert (len(layouts), len(panel.pick()), len(set(layouts))) == (total, first, total)
    assert {panel.family.kernels(layout) for layout in layouts} == {panel.kernels}
    assert sum(choice.role is Role.LEARNED for choice in panel.choices) == red
    assert panel.family.classes == {"cifar10": 10, "cifar100": 100}[panel.data]


def test_learned_layouts_of_four_layers_are_table_5():
    """The solver's six best are the rows that Table 5 prints, in its order."""
    for budget in (4288, 66_304):
        printed = tuple(row.layout for row in read_rows() if row.table == "table5" and row.budget == budget)
        assert learned(4, budget) == printed


def test_misprints_become_the_layout_that_is_meant_and_repeats_go():
    """Rows of the right size stay as printed; the five misprints are one width away; 8-20-38-88 counts once."""
    four = corrected("table1-four-conv", 4288)
    printed = {row.layout for row in read_rows() if row.table == "table1-four-conv"}
    assert set(four) - printed == {(8, 18, 40, 85), (12, 28, 44, 61), (16, 31, 39, 65), (20, 31, 44, 51)}
    assert len(four) == len(set(four)) == 32
    assert (39, 43, 58) in corrected("table1-three-conv", 4288)


def test_three_layers_add_the_strict_layouts_that_table_1_leaves_out():
    """The grey ones are exactly the strictly increasing layouts whose first width is below 8."""
    grey = [choice.layout for choice in get_experiment("3a").choices if choice.role is Role.EXTRA]
    assert len(grey) == 29 - 21 and all(layout[0] < 8 for layout in grey)
    assert all(a < b for layout in grey for a, b in pairwise(layout))


def test_a_run_cut_short_covers_the_energies():
    """Of Figure 4's first fourteen the eight sampled ones hold both ends, and no gap is twice an even one."""
    panel = get_experiment("4b")
    every = sorted(math.exp(panel.family.energy(c.layout)) for c in panel.choices if c.role is Role.SAMPLED)
    some = sorted(math.exp(panel.family.energy(c.layout)) for c in panel.pick() if c.role is Role.SAMPLED)
    assert len(some) == 8 and (some[0], some[-1]) == (every[0], every[-1])
    assert max(b - a for a, b in pairwise(some)) < 2 * (every[-1] - every[0]) / 7


def test_extremes_are_the_ends_of_the_energies():
    """Ten extremes of the paper's layouts are five at each end; more than there are give each layout once."""
    panel = get_experiment("3a")
    judged = [choice for choice in panel.choices if choice.role is not Role.EXTRA]
    energies = sorted(panel.family.energy(choice.layout) for choice in judged)
    picked = [panel.family.energy(choice.layout) for choice in panel.pick(extremes=10)]
    assert sorted(picked) == energies[:5] + energies[-5:]
    assert len(panel.pick(extremes=99)) == len(judged) == 24
    with pytest.raises(InputError, match="one of the two"):
        panel.pick(3, extremes=3)
    with pytest.raises(InputError, match="at least 1"):
        panel.pick(0)


def test_free_order_holds_the_optimum_of_every_score_and_the_increasing_ones():
    """The energy's free optima are red, what the other scores and the increasing order prefer is named."""
    for name, free, increasing in (
        ("free3", (132, 14, 146), (36, 38, 74)),
        ("free4", (59, 29, 24, 71), (35, 36, 37, 43)),
    ):
        choices = {choice.layout: choice for choice in get_experiment(name).choices}
        assert choices[free].role is Role.LEARNED and choices[free].note.startswith("energy, free")
        assert choices[increasing].role is Role.OTHER and "energy, increasing" in choices[increasing].note
        drawn = [c.layout for c in choices.values() if c.role is Role.SAMPLED]
        assert len(drawn) == 24 and min(min(layout) for layout in drawn) >= 8
        family, notes = get_experiment(name).family, " ".join(c.note for c in choices.values())
        assert {family.kernels(layout) for layout in choices} == {4288}
        assert all(f"{score}, free" in notes for score in SCORES if not score.startswith("energy"))


def test_matched_pairs_agree_in_one_quantity_and_differ_in_the_other():
    """Six pairs of each sort, no layout twice, equal kernels, 2 % in what is to agree, far apart in the other."""
    family = plain(4)
    pairs = matched_pairs()
    layouts = [layout for pair in pairs for layout in (pair.high, pair.low)]
    assert len(set(layouts)) == 24 and {family.kernels(layout) for layout in layouts} == {4288}
    assert [pair.differs for pair in pairs] == [ENERGY] * 6 + [MACS] * 6
    for pair in pairs:
        energy = math.exp(family.energy(pair.high) - family.energy(pair.low))
        macs = family.macs(pair.high) / family.macs(pair.low)
        same, apart = (macs, energy) if pair.differs == ENERGY else (energy, macs)
        assert 1 / 1.02 <= same <= 1.02 and apart > 1.5
        assert 1 / 1.02 <= family.params(pair.high) / family.params(pair.low) <= 1.02


def test_unknown_panels_are_refused_with_the_nearest_name():
    """A wrong panel names those that there are."""
    with pytest.raises(InputError, match="did you mean pairs"):
        get_experiment("pair")
    assert list(EXPERIMENTS)[:4] == ["3a", "3b", "3c", "3d"]
