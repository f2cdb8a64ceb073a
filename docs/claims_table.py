"""Prints the tables of docs/paper.md and docs/fit.md from results/: claims with an estimate, and the fits.

Run: python docs/claims_table.py [claims|fits]
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"

sys.path.insert(0, str(ROOT))

from benchmarks.fits import tables  # noqa: E402

from parlay.paper.judging import Judged, gather, judge_all  # noqa: E402
from parlay.paper.results import read_results  # noqa: E402


def judged() -> tuple[Judged, ...]:
    """Every claim, judged by what results/ holds."""
    rows = read_results(RESULTS)
    return judge_all(gather(rows), rows)


def claims() -> list[str]:
    """The claims with an estimate, and the count of all verdicts, as lines of Markdown."""
    every = judged()
    counts = Counter(str(one.verdict) for one in every)
    lines = [
        f"Of {len(every)} claims {', '.join(f'{counts[name]} {name}' for name in sorted(counts))}.",
        "",
        "| panel | claim | must be | estimate | 95 % interval | n | verdict |",
        "|---|---|---|---:|---|---:|---|",
    ]
    for one in every:
        found, claim = one.estimate, one.claim
        if found.value is None:
            continue
        side = "above" if claim.above else "below"
        unit = {"points": " points"}.get(claim.unit, "")
        reach = "" if found.low is None else f"{found.low:.2f} to {found.high:.2f}"
        cells = (f"{side} {claim.threshold:g}{unit}", f"{found.value:.2f}{unit}", reach, str(found.n), str(one.verdict))
        lines.append(f"| {' | '.join((claim.panel, claim.statement, *cells))} |")
    return lines


def main(names: list[str]) -> None:
    """Prints what is named; both without names."""
    if "claims" in names or not names:
        print("\n".join(claims()))
    if "fits" in names or not names:
        for name, lines in tables(RESULTS / "fit").items():
            print("\n".join(["", f"### {name}", "", *lines]))


if __name__ == "__main__":
    main(sys.argv[1:])
