"""Claims and what became of them, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["claims_table"]

STYLES = {"holds": "green", "does not hold": "red"}


def claims_table(claims: Iterable[Mapping[str, Any]]) -> Table:
    """One line a claim.

    Args:
        claims: documents with ``section``, ``panel``, ``statement``, ``unit``, ``threshold``, ``side``, ``estimate``,
            ``interval``, ``n``, ``verdict`` and ``reason``.
    """
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
    for claim in claims:
        if claim["section"] != section:
            section = claim["section"]
            head = "ours, not the paper's" if section == "ours" else f"section {section}"
            table.add_row("", Text(head, style="bold"), "", "", "", "")
        interval = claim["interval"]
        estimate = "" if claim["estimate"] is None else f"{claim['estimate']:.2f}"
        reach = "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
        sign = ">" if claim["side"] == "above" else "<"
        verdict = Text(claim["verdict"], style=STYLES.get(claim["verdict"], "yellow"))
        if claim["reason"]:
            verdict.append(f": {claim['reason']}", style="dim")
        must = f"{sign} {claim['threshold']:g} {claim['unit']}"
        table.add_row(claim["panel"], claim["statement"], must, estimate + reach, str(claim["n"]), verdict)
    return table
