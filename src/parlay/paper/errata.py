"""What is expected of the paper's numbers: the facts that reproduce, and the errata.

Each was established by enumeration when the paper was read. ``parlay paper check`` recomputes all of them; a fact or an
erratum that no longer comes out, and a finding that is not listed here, make it fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp

from parlay.families import plain, resnet
from parlay.layout import format_layout
from parlay.paper.printed import PrintedRow
from parlay.paper.recompute import Enumerations, Finding, compare_decimals
from parlay.problem import Solution

__all__ = ["ERRATA", "FACTS", "Erratum", "Fact"]


@dataclass(frozen=True, kw_only=True)
class Erratum:
    """A finding that is expected, and what to read instead."""

    finding: Finding
    note: str


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A number that must come out.

    Attributes:
        where: title of the panel, or section of the text.
        statement: what is worked out.
        expected: what must come out, as text.
        recompute: works it out from the printed rows and the enumerations.
    """

    where: str
    statement: str
    expected: str
    recompute: Callable[[tuple[PrintedRow, ...], Enumerations], str]


def _erratum(where: str, kind: str, printed: str, recomputed: str, note: str) -> Erratum:
    return Erratum(finding=Finding(where=where, kind=kind, printed=printed, recomputed=recomputed), note=note)


def _equal(where: str, *layouts: str) -> tuple[Erratum, ...]:
    found = "equal neighbours, which Eq. 3 excludes"
    note = "listed under <=, while Table 5 is the optimum under <"
    return tuple(_erratum(where, "equal-neighbours", layout, found, note) for layout in layouts)


T1_THREE, T1_FOUR = "Table 1, three layers", "Table 1, four layers"
T2_THREE, T4 = "Table 2, three layers", "Table 4"
T5_SMALL, T5_LARGE = "Table 5, 4,288", "Table 5, 66,304"
MISPRINT = "a misprint; no other layout of the right size is one width away"
CUT = "digits were cut off, not rounded"

ERRATA: tuple[Erratum, ...] = (
    *_equal(T1_THREE, "8-8-525", "16-16-249", "32-32-99"),
    _erratum(
        T1_THREE,
        "budget",
        "36-43-58",
        "4150 kernels, not 4288; one width changed: 39-43-58",
        "39-43-58 is meant, the one solution not printed",
    ),
    _erratum(T1_FOUR, "number", "32 layouts", "33 are listed", "32 without the repeated one"),
    _erratum(T1_FOUR, "layers", "3 convolutions", "4 widths a layout", 'the heading "Three Convs/32" should say four'),
    _erratum(T1_FOUR, "repeat", "8-20-38-88", "listed 2 times", "counts once"),
    _erratum(T1_FOUR, "budget", "8-18-40-86", "4328 kernels, not 4288; one width changed: 8-18-40-85", MISPRINT),
    _erratum(T1_FOUR, "budget", "12-28-44-64", "4420 kernels, not 4288; one width changed: 12-28-44-61", MISPRINT),
    _erratum(T1_FOUR, "budget", "16-32-39-65", "4343 kernels, not 4288; one width changed: 16-31-39-65", MISPRINT),
    _erratum(T1_FOUR, "budget", "20-34-44-51", "4480 kernels, not 4288; one width changed: 20-31-44-51", MISPRINT),
    *_equal(T2_THREE, "37-37-1752", "56-56-1125", "64-64-969", "128-128-387"),
    _erratum(
        T4,
        "number",
        "12 layouts",
        "13 are listed",
        "12 increase strictly; the 13th is 16-16-32-64, the network of He et al.",
    ),
    *_equal(T4, "16-16-32-64"),
    _erratum(T4, "energy", "16-16-32-64: 110.0631", "110.8008", "the digits after the point are those of 19-34-41-49"),
    _erratum(T4, "truncated", "5-10-27-68: 51.536", "51.5368", CUT),
    _erratum(T4, "truncated", "8-22-48-50: 97.341", "97.3417", CUT),
    _erratum(T4, "truncated", "13-20-35-61: 112.304", "112.3047", CUT),
    _erratum(
        "section 1",
        "claim",
        "parameters are proportional to computation",
        "at 4288 kernels 8-14-24-159 takes 1223862 multiply-adds, 35-36-37-43 takes 4867486 multiply-adds",
        "layers work at different resolutions, so energy and computation are confounded (image side 32, our pooling)",
    ),
    _erratum(
        "section 3.3",
        "claim",
        "NP-hard, and too slow when deep",
        "31 layers, 66304 kernels: OPTIMAL, log-energy 41.4163",
        "a chain of layers is solved exactly in a fraction of a second",
    ),
)
"""Every known erratum, in the paper's order. The claims come last."""


def _counts(pair: tuple[int, int]) -> str:
    return f"{pair[0]} / {pair[1]}"


def _named(solution: Solution) -> str:
    return f"{format_layout(solution.layout)}, E = {solution.energy:.4f}"


def _unprinted(rows: tuple[PrintedRow, ...], table: str, solutions: tuple[Solution, ...]) -> str:
    printed = {row.layout for row in rows if row.table == table}
    return ", ".join(format_layout(s.layout) for s in solutions if s.layout not in printed) or "none"


def _from_eight(solved: Enumerations) -> tuple[Solution, ...]:
    return tuple(s for s in solved.weak(plain(depth=3), 4288) if s.layout[0] >= 8)


def _with_energy(rows: tuple[PrintedRow, ...], printed: str) -> str:
    """The printed four-layer layouts of 4,288 kernels whose energy prints like this."""
    family = plain(depth=4)
    layouts = sorted({row.layout for row in rows if row.family == "plain" and len(row.layout) == 4})
    sized = [layout for layout in layouts if family.kernels(layout) == 4288]
    return ", ".join(format_layout(x) for x in sized if compare_decimals(printed, exp(family.energy(x))) != "energy")


def _fact(
    where: str, statement: str, expected: str, recompute: Callable[[tuple[PrintedRow, ...], Enumerations], str]
) -> Fact:
    return Fact(where=where, statement=statement, expected=expected, recompute=recompute)


COUNTED = "all solutions, strictly / weakly increasing"

FACTS: tuple[Fact, ...] = (
    _fact(T1_THREE, "solutions with n_i <= n_(i+1) and n_1 >= 8", "24", lambda _, s: str(len(_from_eight(s)))),
    _fact(
        T1_THREE, "of these not printed", "39-43-58", lambda r, s: _unprinted(r, "table1-three-conv", _from_eight(s))
    ),
    _fact(T1_THREE, COUNTED, "29 / 35", lambda _, s: _counts(s.plain_counts(3, 4288))),
    _fact(T1_FOUR, COUNTED, "558 / 766", lambda _, s: _counts(s.plain_counts(4, 4288))),
    _fact(
        T1_FOUR,
        "solver lists the same, in the same order",
        "True",
        lambda _, s: str(s.solver_agrees(plain(depth=4), 4288)),
    ),
    _fact(T2_THREE, COUNTED, "125 / 141", lambda _, s: _counts(s.plain_counts(3, 66304))),
    _fact("Table 2, four layers", COUNTED, "12119 / 13104", lambda _, s: _counts(s.plain_counts(4, 66304))),
    _fact(T4, COUNTED, "12 / 13", lambda _, s: _counts(s.resnet_counts(51248))),
    _fact(
        T4,
        "solver lists the same, in the same order",
        "True",
        lambda _, s: str(s.solver_agrees(resnet(depth=32), 51248)),
    ),
    _fact(T4, "solutions not printed", "none", lambda r, s: _unprinted(r, "table4", s.weak(resnet(depth=32), 51248))),
    _fact(T4, "best", "19-34-41-49, E = 150.0631", lambda _, s: _named(s.strict(resnet(depth=32), 51248)[0])),
    _fact(
        T4, "kernels of 16-16-32-64 (He et al.)", "51248", lambda _, __: str(resnet(depth=32).kernels((16, 16, 32, 64)))
    ),
    _fact(T5_SMALL, "best, proven", "35-36-37-43, E = 173.0358", lambda _, s: _named(s.best(4, 4288).best)),
    _fact(T5_SMALL, "six best of the full list", "none missing", lambda _, s: _agreement(s, 4288)),
    _fact(T5_SMALL, "best under <=", "32-32-32-67, E = 175.0333", lambda _, s: _named(s.weak(plain(depth=4), 4288)[0])),
    _fact(T5_LARGE, "best, proven", "135-136-137-211, E = 634.5233", lambda _, s: _named(s.best(4, 66304).best)),
    _fact(T5_LARGE, "six best of the full list", "none missing", lambda _, s: _agreement(s, 66304)),
    _fact(
        T5_LARGE,
        "best under <=",
        "128-128-128-259, E = 634.7423",
        lambda _, s: _named(s.weak(plain(depth=4), 66304)[0]),
    ),
    _fact("section 4.2", "layout of energy 173.03", "35-36-37-43", lambda r, _: _with_energy(r, "173.03")),
    _fact("section 4.2", "layout of energy 95.05", "8-16-44-78", lambda r, _: _with_energy(r, "95.05")),
)
"""Every number that must come out, in the paper's order."""


def _agreement(solved: Enumerations, budget: int) -> str:
    """Whether the solver's six best head the complete list: two routes to one answer."""
    learned = [solution.layout for solution in solved.best(4, budget).solutions]
    listed = [solution.layout for solution in solved.strict(plain(depth=4), budget)[: len(learned)]]
    missing = [format_layout(layout) for layout in listed if layout not in learned]
    return "none missing" if learned == listed else f"missing or out of order: {', '.join(missing) or 'order'}"
