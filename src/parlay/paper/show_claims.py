"""Claims and what became of them, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parlay.evidence.outcome import Outcome
from parlay.paper.judge_claims import JudgedClaim

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["claims_markdown", "claims_table"]

STYLES = {Outcome.HOLDS: "green", Outcome.FAILS: "magenta", Outcome.OPEN: "yellow"}


def claims_table(judged: Sequence[JudgedClaim]) -> Table:
    """Every claim in a line, under its section, for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("panel")
    table.add_column("claim", ratio=3)
    table.add_column("must be", no_wrap=True)
    table.add_column("estimate", justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    table.add_column("verdict", ratio=2)
    section = None
    for item in judged:
        claim, found = item.claim, item.estimate
        if claim.section != section:
            section = claim.section
            head = "ours, not the paper's" if section == "ours" else f"section {section}"
            table.add_row("", Text(head, style="bold"), "", "", "", "")
        estimate = "" if found.value is None else f"{found.value:.2f}"
        reach = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
        verdict = Text(item.verdict, style=STYLES[item.verdict])
        if item.reason:
            verdict.append(f": {item.reason}", style="dim")
        must = f"{'>' if claim.above else '<'} {claim.threshold:g} {claim.unit}"
        table.add_row(claim.panel, claim.statement, must, estimate + reach, str(found.n), verdict)
    return table


def claims_markdown(judged: Sequence[JudgedClaim]) -> str:
    """Every claim with estimate, interval and verdict, as Markdown."""
    lines = [
        "# Section 4 of the paper, claim by claim",
        "",
        "A claim holds when the whole 95 % interval is on its side of the number that decides, does not hold when the"
        " whole interval is on the other side; everything else is not enough data. The rules stand in"
        " `parlay.paper.claims`.",
        "",
        "| section | panel | claim | decided by | estimate | 95 % interval | n | verdict | |",
        "|---|---|---|---|---:|---|---:|---|---|",
    ]
    for item in judged:
        claim, found = item.claim, item.estimate
        side = "above" if claim.above else "below"
        cells = (
            claim.section,
            claim.panel,
            claim.statement,
            f"{claim.rule}, {side} {claim.threshold:g} {claim.unit}",
            "" if found.value is None else f"{found.value:.2f}",
            "" if found.low is None or found.high is None else f"{found.low:.2f} to {found.high:.2f}",
            str(found.n),
            f"**{item.verdict}**",
            item.reason,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
