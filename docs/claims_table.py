"""Prints the table of docs/paper.md: of the claims that results/ has an estimate for, the rows of ``make paper``.

Run: python docs/claims_table.py
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from parlay.paper.judge_claims import JudgedClaim, gather, judge_all
from parlay.paper.results import read_results
from parlay.paper.show_claims import claims_markdown

RESULTS = Path(__file__).resolve().parent.parent / "results"


def judged() -> tuple[JudgedClaim, ...]:
    """Every claim, judged by what results/ holds."""
    rows = read_results(RESULTS)
    return judge_all(gather(rows), rows)


def claims() -> list[str]:
    """How many claims have which verdict, and the rows of those with an estimate, as lines of Markdown."""
    every = judged()
    counts = Counter(str(one.verdict) for one in every)
    head, rule, *rows = [line for line in claims_markdown(every).splitlines() if line.startswith("|")]
    known = [row for one, row in zip(every, rows, strict=True) if one.estimate.value is not None]
    told = ", ".join(f"*{name}* {counts[name]}" for name in sorted(counts))
    return [f"Verdicts on {len(every)} claims: {told}.", "", head, rule, *known]


if __name__ == "__main__":
    print("\n".join(claims()))
