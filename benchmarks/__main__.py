"""``python -m benchmarks``: measure what is missing, then write RESULTS.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.peers import SOLVERS
from benchmarks.problems import CASES, WARM_UP, Case
from benchmarks.results import recounted, write_results

HERE = Path(__file__).parent
LOG = HERE / "measurements.jsonl"
LIMIT = 200.0
REPEATS = 5
SLOW = 20.0
"""Runs of a solver that takes longer are not repeated."""


def main() -> None:
    """Measure, interleaved: every solver once on a problem, then again, problem by problem."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "SOLVER"), help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="problems whose name contains this")
    parser.add_argument("--solvers", default=",".join(SOLVERS), help="solvers to measure, joined by commas")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds a run may take")
    parser.add_argument("--report", action="store_true", help="write RESULTS.md from what was measured, run nothing")
    options = parser.parse_args()
    if options.one:
        case = next(case for case in CASES if case.name == options.one[0])
        SOLVERS[options.one[1]](WARM_UP.make(), 1, options.limit)  # loads what is loaded at the first call
        answer = SOLVERS[options.one[1]](case.make(), case.top_k, options.limit)
        print(json.dumps(recounted(case, answer)))
        return
    if not options.report:
        wanted = [solver for solver in SOLVERS if solver in options.solvers.split(",")]
        _measure([case for case in CASES if options.only in case.name], wanted, options.limit)
    write_results(HERE / "RESULTS.md", _read())


def _measure(cases: list[Case], solvers: list[str], limit: float) -> None:
    console = Console(stderr=True)
    for case in cases:
        for repeat in range(REPEATS):
            for solver in solvers:
                done = [row for row in _read() if (row["case"], row["solver"]) == (case.name, solver)]
                if len(done) > repeat or (done and (done[0]["seconds"] > SLOW or done[0]["error"])):
                    continue
                with console.status(f"{case.name}: {solver}, run {repeat + 1}"):
                    row = _run(case, solver, limit)
                console.print(f"{case.name}: {solver} {row['seconds']:.3f} s {row['error'] or row['verdict']}")
                with LOG.open("a") as log:
                    log.write(json.dumps(row) + "\n")


def _run(case: Case, solver: str, limit: float) -> dict[str, Any]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "--one", case.name, solver, "--limit", str(limit)]
    started = time.perf_counter()
    blank = {"case": case.name, "solver": solver, "limit": limit, "seconds": limit, "verdict": "", "error": ""}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit * 1.5 + 60, check=False, cwd=HERE.parent
        )
    except subprocess.TimeoutExpired:
        return {**blank, "error": "did not stop at its time limit"}
    wall = time.perf_counter() - started
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["ended without a word"])[-1]
        return {**blank, "error": last[:160], "wall": wall}
    return {**blank, **json.loads(done.stdout.strip().splitlines()[-1]), "wall": wall}


def _read() -> list[dict[str, Any]]:
    if not LOG.exists():
        return []
    return [json.loads(line) for line in LOG.read_text().splitlines()]


if __name__ == "__main__":
    main()
