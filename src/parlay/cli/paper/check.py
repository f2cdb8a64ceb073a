"""``parlay paper check``: the paper's tables recomputed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import json_option
from parlay.documents import document

if TYPE_CHECKING:
    from parlay.paper import PaperCheck

__all__ = ["check"]


@command("parlay paper check")
@json_option
def check(as_json: bool) -> int:
    """Recompute every number of Tables 1, 2, 4 and 5.

    Exit code 0 when all agrees but for the known errata, else 1.
    """
    from parlay.paper import check as recompute

    report = recompute()
    click.echo(document(report.to_json()) if as_json else _text(report))
    return 0 if report.agrees else 1


def _text(report: PaperCheck) -> str:
    lines = ["Liao et al. 2017, every number recomputed", "", f"{'table':24}{'rows':>6}{'facts':>7}  verdict"]
    lines += [f"{v.where:24}{v.rows or '':>6}{v.facts:>7}  {v}" for v in report.verdicts]
    lines += ["", "errata, printed -> recomputed"]
    for (where, recomputed, note), printed in _grouped(report).items():
        lines.append(f"  {where}: {', '.join(printed)} -> {recomputed}; {note}")
    lines += ["", "what comes out besides"]
    lines += [f"  {r.fact.where}: {r.fact.statement}: {r.value}" for r in report.facts]
    if report.differences:
        lines += ["", "what differs from the known facts", *(f"  {difference}" for difference in report.differences)]
    total = f"{len(report.facts)} facts, {len(report.errata)} errata, {report.runtime:.1f} s"
    verdict = "agrees" if report.agrees else f"differs in {len(report.differences)}"
    return "\n".join([*lines, "", f"{verdict}: {total}"])


def _grouped(report: PaperCheck) -> dict[tuple[str, str, str], list[str]]:
    """Errata that read the same, together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for erratum in report.errata:
        key = (erratum.finding.where, erratum.finding.recomputed, erratum.note)
        groups.setdefault(key, []).append(erratum.finding.printed)
    return groups
