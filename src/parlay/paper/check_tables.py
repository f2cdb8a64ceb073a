"""Compares what is printed, what comes out and what is expected."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from parlay.paper.errata import ERRATA, FACTS, Erratum, Fact
from parlay.paper.printed import PANELS, PrintedRow, panel_rows, read_rows
from parlay.paper.recompute import Enumerations, Finding, claim_findings, panel_findings

__all__ = ["Deviation", "Recomputed", "PaperCheck", "TableCheck", "check"]


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """Something that did not come out as expected.

    Attributes:
        where: title of the panel, or section of the text.
        what: a fact, an erratum not found again, or a finding that no erratum lists.
        expected: what should have come out.
        recomputed: what did.
    """

    where: str
    what: str
    expected: str
    recomputed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: expected {self.expected}, found {self.recomputed}"


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """A fact and what came out."""

    fact: Fact
    value: str


@dataclass(frozen=True, kw_only=True)
class TableCheck:
    """What came out for one table.

    Attributes:
        where: its title.
        rows: number of layouts it prints (0 for the text).
        errata: findings that were expected.
        facts: facts recomputed.
        differences: everything unexpected.
    """

    where: str
    rows: int
    errata: int
    facts: int
    differences: int

    def __str__(self) -> str:
        if self.differences:
            return f"differs in {self.differences}"
        return (
            f"agrees but for {self.errata} {'erratum' if self.errata == 1 else 'errata'}" if self.errata else "agrees"
        )


@dataclass(frozen=True, kw_only=True)
class PaperCheck:
    """The outcome of a check.

    Attributes:
        verdicts: one a panel, then the text.
        errata: the errata found again, in the paper's order.
        facts: every fact with what came out.
        differences: empty when all is as expected.
        runtime: seconds.
    """

    verdicts: tuple[TableCheck, ...]
    errata: tuple[Erratum, ...]
    facts: tuple[Recomputed, ...]
    differences: tuple[Deviation, ...]
    runtime: float

    @property
    def agrees(self) -> bool:
        """Whether everything came out as expected."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "agrees": self.agrees,
            "runtime": self.runtime,
            "tables": [
                {"where": v.where, "rows": v.rows, "facts": v.facts, "errata": v.errata, "verdict": str(v)}
                for v in self.verdicts
            ],
            "errata": [{**vars(erratum.finding), "note": erratum.note} for erratum in self.errata],
            "facts": [
                {
                    "where": r.fact.where,
                    "statement": r.fact.statement,
                    "expected": r.fact.expected,
                    "recomputed": r.value,
                }
                for r in self.facts
            ],
            "differences": [vars(difference) for difference in self.differences],
        }


def check(
    *,
    rows: tuple[PrintedRow, ...] | None = None,
    errata: tuple[Erratum, ...] = ERRATA,
    facts: tuple[Fact, ...] = FACTS,
    solved: Enumerations | None = None,
) -> PaperCheck:
    """Recompute every number of Tables 1, 2, 4 and 5 and compare it with print and with the known errata.

    Args:
        rows: the printed rows; those of the paper by default.
        errata: findings to expect.
        facts: numbers to expect.
        solved: lists and optima worked out before, to save doing it again.

    Returns:
        A report; ``report.agrees`` says whether all came out as expected.
    """
    start = time.perf_counter()
    printed = read_rows() if rows is None else rows
    enumerations = Enumerations() if solved is None else solved
    findings = [f for panel in PANELS for f in panel_findings(panel, printed, enumerations)]
    findings += claim_findings(printed, enumerations)
    recomputed = tuple(Recomputed(fact=fact, value=fact.recompute(printed, enumerations)) for fact in facts)
    differences = (*_compare_findings(findings, errata), *_compare_facts(recomputed), *_strays(printed))
    found = tuple(erratum for erratum in errata if erratum.finding in findings)
    titles = [panel.title for panel in PANELS]
    verdicts = [
        _verdict(panel.title, len(panel_rows(panel, printed)), (panel.title,), found, recomputed, differences)
        for panel in PANELS
    ]
    elsewhere = {x.where for x in (*(e.finding for e in found), *(r.fact for r in recomputed), *differences)}
    verdicts.append(_verdict("the text", 0, tuple(elsewhere - set(titles)), found, recomputed, differences))
    return PaperCheck(
        verdicts=tuple(verdicts),
        errata=found,
        facts=recomputed,
        differences=differences,
        runtime=time.perf_counter() - start,
    )


def _compare_findings(findings: list[Finding], errata: tuple[Erratum, ...]) -> list[Deviation]:
    expected = {erratum.finding for erratum in errata}
    new = [
        Deviation(where=f.where, what=f"{f.kind} finding", expected=f.printed, recomputed=f.recomputed)
        for f in findings
        if f not in expected
    ]
    gone = [
        Deviation(
            where=f.where,
            what=f"{f.kind} erratum",
            expected=f"{f.printed} -> {f.recomputed}",
            recomputed="no such finding",
        )
        for f in (erratum.finding for erratum in errata)
        if f not in findings
    ]
    return new + gone


def _compare_facts(recomputed: tuple[Recomputed, ...]) -> list[Deviation]:
    return [
        Deviation(where=r.fact.where, what=r.fact.statement, expected=r.fact.expected, recomputed=r.value)
        for r in recomputed
        if r.value != r.fact.expected
    ]


def _strays(rows: tuple[PrintedRow, ...]) -> list[Deviation]:
    """Rows that no panel holds would go unchecked, so they count as differences."""
    known = {(panel.table, panel.budget) for panel in PANELS}
    return [
        Deviation(
            where="the text", what="row of no table", expected="none", recomputed=f"{row.table}, {row.budget} kernels"
        )
        for row in rows
        if (row.table, row.budget) not in known
    ]


def _verdict(
    where: str,
    rows: int,
    places: tuple[str, ...],
    errata: tuple[Erratum, ...],
    facts: tuple[Recomputed, ...],
    differences: tuple[Deviation, ...],
) -> TableCheck:
    return TableCheck(
        where=where,
        rows=rows,
        errata=sum(erratum.finding.where in places for erratum in errata),
        facts=sum(recomputed.fact.where in places for recomputed in facts),
        differences=sum(difference.where in places for difference in differences),
    )
