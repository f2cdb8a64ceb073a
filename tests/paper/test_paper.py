"""The paper's tables, recomputed: what must come out, and that nothing wrong gets through."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlay import plain, resnet
from parlay.cli.main import run
from parlay.families import Family
from parlay.layout import Order
from parlay.paper import ERRATA, FACTS, Enumerations, check, read_rows
from parlay.paper.enumerate import nondecreasing_layouts
from parlay.paper.recompute import compare_decimals
from parlay.solver import list_layouts

ROWS = read_rows()
SOLVED = Enumerations()
"""Shared, so that the lists are worked out once for all the tests here."""


def doctored(index, **changes):
    """The printed rows with one of them changed."""
    return (*ROWS[:index], dataclasses.replace(ROWS[index], **changes), *ROWS[index + 1 :])


def test_the_printed_tables_agree_but_for_the_known_errata():
    """Every fact and every erratum comes out, and nothing else does."""
    report = check(solved=SOLVED)
    assert report.differences == ()
    assert report.agrees
    assert {erratum.finding for erratum in report.errata} == {erratum.finding for erratum in ERRATA}
    assert [str(v) for v in report.verdicts if v.where.startswith("Table 5")] == ["agrees", "agrees"]


def test_the_tables_are_complete():
    """146 rows in the printed numbers: 24 + 33, 32 + 32, 13, 6 + 6."""
    counts = Counter((row.table, row.budget) for row in ROWS)
    assert list(counts.values()) == [24, 33, 32, 32, 13, 6, 6]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_one_changed_width_is_noticed(data):
    """Whatever printed width is changed, the check fails."""
    index = data.draw(st.integers(0, len(ROWS) - 1))
    layout = list(ROWS[index].layout)
    place = data.draw(st.integers(0, len(layout) - 1))
    layout[place] = data.draw(st.integers(1, 3000).filter(lambda width: width != layout[place]))
    if tuple(layout) == (39, 43, 58):
        return  # this change repairs a misprint; the next test is about it
    assert not check(rows=doctored(index, layout=tuple(layout)), solved=SOLVED).agrees


def test_a_repaired_misprint_is_noticed():
    """An erratum that is no longer found counts as a difference."""
    index = next(i for i, row in enumerate(ROWS) if row.layout == (36, 43, 58))
    report = check(rows=doctored(index, layout=(39, 43, 58)), solved=SOLVED)
    assert {(d.where, d.what) for d in report.differences} == {
        ("Table 1, three layers", "budget erratum"),
        ("Table 1, three layers", "of these not printed"),
    }


@pytest.mark.parametrize("index", [i for i, row in enumerate(ROWS) if row.energy])
@pytest.mark.parametrize("delta", ["0.001", "-0.01"])
def test_one_changed_energy_is_noticed(index, delta):
    """Whatever printed energy is changed, by a thousandth or more, the check fails."""
    energy = str(round(float(ROWS[index].energy) + float(delta), 4))
    assert not check(rows=doctored(index, energy=energy), solved=SOLVED).agrees


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[1:],
        (*ROWS, ROWS[-1]),
        (*ROWS[:-2], ROWS[-1], ROWS[-2]),
        doctored(0, budget=4289),
        doctored(0, table="table9"),
    ],
    ids=["row dropped", "row repeated", "Table 5 out of order", "other budget", "row of no table"],
)
def test_a_changed_list_is_noticed(rows):
    """Rows that are missing, repeated, reordered or misfiled make the check fail."""
    assert not check(rows=rows, solved=SOLVED).agrees


@pytest.mark.parametrize("index", range(len(ERRATA)))
def test_a_dropped_erratum_is_noticed(index):
    """Every erratum is found by computation: not listing it leaves one finding unexplained."""
    report = check(errata=(*ERRATA[:index], *ERRATA[index + 1 :]), solved=SOLVED)
    assert len(report.differences) == 1
    assert report.differences[0].recomputed == ERRATA[index].finding.recomputed


@pytest.mark.parametrize("index", range(len(FACTS)))
def test_a_wrong_fact_is_noticed(index):
    """Every fact is computed: expecting another value makes the check fail, naming both."""
    wrong = dataclasses.replace(FACTS[index], expected="something else")
    report = check(facts=(*FACTS[:index], wrong, *FACTS[index + 1 :]), solved=SOLVED)
    [difference] = report.differences
    assert (difference.expected, difference.recomputed) == ("something else", FACTS[index].expected)


def test_a_broken_energy_is_noticed(monkeypatch):
    """An energy that is off by a thousandth makes Table 4 and the text fail."""
    right = Family.energy
    monkeypatch.setattr(Family, "energy", lambda self, layout: right(self, layout) + 0.001)
    report = check(solved=SOLVED)
    assert {"Table 4", "section 4.2"} <= {difference.where for difference in report.differences}


def test_a_broken_size_is_noticed(monkeypatch):
    """A size polynomial that counts one input channel too many makes every table fail."""
    monkeypatch.setattr("parlay.paper.printed.plain", lambda depth: plain(depth=depth, in_channels=4))
    report = check(solved=SOLVED)
    assert all(v.differences for v in report.verdicts if "layers" in v.where or "Table 5" in v.where)


@pytest.mark.parametrize(
    ("family", "budget"),
    [(plain(depth=2), 400), (plain(depth=3), 900), (plain(depth=4), 1200), (resnet(depth=8), 3000)],
)
def test_lists_by_division_equal_the_solvers(family, budget):
    """Two routes that share nothing list the same layouts."""
    problem = family.problem(kernels=budget, order=Order.NONDECREASING)
    expected = sorted(solution.layout for solution in list_layouts(problem))
    assert nondecreasing_layouts(family.kernels, budget) == expected


@pytest.mark.parametrize(
    ("printed", "value", "kind"),
    [
        ("0", 0.0, ""),
        ("51.536", 51.5368, "truncated"),
        ("51.537", 51.5368, ""),
        ("51.5", 51.5368, ""),
        ("52", 51.2, "energy"),
    ],
)
def test_printed_decimals(printed, value, kind):
    """A printed decimal is rounded, cut off or wrong, judged by the digits it shows."""
    assert compare_decimals(printed, value) == kind


def test_command_prints_verdicts_and_errata(capsys):
    """The command exits 0 and prints one verdict a table, the errata and the closing line."""
    assert run(["paper", "check"]) == 0
    text = capsys.readouterr().out
    assert "Table 5, 66,304" in text
    assert "39-43-58 is meant" in text
    assert text.splitlines()[-1].startswith(f"agrees: {len(FACTS)} facts, {len(ERRATA)} errata")


def test_command_fails_and_says_what_differs(capsys, monkeypatch):
    """With one printed number changed the command exits 1 and names the place, as text and as JSON."""
    rows = doctored(len(ROWS) - 1, layout=(128, 130, 140, 223))
    monkeypatch.setattr("parlay.paper.check_tables.read_rows", lambda: rows)
    assert run(["paper", "check", "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["agrees"] is False
    assert {d["where"] for d in content["differences"]} == {"Table 5, 66,304"}
