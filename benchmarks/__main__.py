"""``python -m benchmarks``: measure what is missing, then write RESULTS.md."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.peers import SOLVERS
from benchmarks.problems import CASES, COUNTS, WARM_UPS, Case
from benchmarks.results import counted, recounted, write_results

HERE = Path(__file__).parent
LOG = HERE / "measurements.jsonl"
LIMIT = 200.0
REPEATS, COLD = 5, 3
"""Runs of each solver on a problem: with everything loaded, and with process start and imports on the clock."""

GRACE = 40.0
"""Seconds after its limit at which a solver that does not stop is stopped."""

MEMORY = 10 << 30
"""Bytes of address space a run may take."""

SLOW = 20.0
"""Runs of a solver that takes longer are not repeated."""


def main() -> None:
    """Measure, interleaved: every solver once on a problem, then again, problem by problem."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "SOLVER"), help=argparse.SUPPRESS)
    parser.add_argument("--cold", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="problems whose name contains this")
    parser.add_argument("--solvers", default=",".join(SOLVERS), help="solvers to measure, joined by commas")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds a run may take")
    parser.add_argument("--threads", type=int, default=1, help="threads of every solver, and cores it may use")
    parser.add_argument("--report", action="store_true", help="write RESULTS.md from what was measured, run nothing")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measured(*options.one, options)))
        return
    if not options.report:
        wanted = [solver for solver in SOLVERS if solver in options.solvers.split(",")]
        _measure([case for case in CASES if options.only in case.name], wanted, options)
        if "parlay" in wanted:
            _measure([case for case in COUNTS if options.only in case.name], ["parlay"], options)
    write_results(HERE / "RESULTS.md", _read())


def _measured(name: str, solver: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a process of its own measures."""
    case = next(case for case in (*CASES, *COUNTS) if case.name == name)
    if case in COUNTS:
        return counted(case)
    if not options.cold:
        for warm_up in WARM_UPS:  # loads what is loaded at the first call
            SOLVERS[solver](warm_up.make(), min(case.top_k, warm_up.top_k), 20.0, options.threads)
    answer = SOLVERS[solver](case.make(), case.top_k, options.limit, options.threads)
    return {} if options.cold else recounted(case, answer)


def _measure(cases: list[Case], solvers: list[str], options: argparse.Namespace) -> None:
    console = Console(stderr=True)
    for case in cases:
        for repeat in range(REPEATS + COLD):
            for solver in solvers:
                rows = [row for row in _read() if (row["case"], row["solver"]) == (case.name, solver)]
                cold = repeat >= REPEATS
                done = [row for row in rows if row["cold"] == cold]
                if len(done) > repeat - cold * REPEATS or (cold and (case in COUNTS or not rows)):
                    continue
                if rows and (rows[0]["seconds"] > SLOW or rows[0]["error"]):
                    continue
                known = _implied(case, solver)
                with console.status(f"{case.name}: {solver}, run {repeat + 1}"):
                    row = known or _run(case, solver, cold, options)
                console.print(f"{case.name}: {solver} {row['seconds']:.3f} s {row['error'] or row['verdict']}")
                with LOG.open("a") as log:
                    log.write(json.dumps(row) + "\n")


def _implied(case: Case, solver: str) -> dict[str, Any] | None:
    """CP-SAT finds the best k one after the other: what it did not do for the first need not be tried again."""
    if solver != "CP-SAT" or case.top_k == 1:
        return None
    first = [row for row in _read() if (row["case"], row["solver"]) == (case.name.split(", top")[0], solver)]
    if not first or first[0]["verdict"] == "proven" or first[0]["error"]:
        return None
    return {**first[0], "case": case.name}


def _run(case: Case, solver: str, cold: bool, options: argparse.Namespace) -> dict[str, Any]:
    """One run in a process of its own, on as many cores as threads."""
    limit, threads = options.limit, options.threads
    command = [sys.executable, "-m", "benchmarks", "--one", case.name, solver, "--limit", str(limit)]
    command += ["--threads", str(threads), *(["--cold"] if cold else [])]
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))}
    blank = {"case": case.name, "solver": solver, "limit": limit, "threads": threads, "cold": cold}
    blank |= {"seconds": limit, "verdict": "", "error": ""}
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit + GRACE,
            check=False,
            cwd=HERE.parent,
            env=environment,
            preexec_fn=lambda: _confine(threads),
        )
    except subprocess.TimeoutExpired:
        return {**blank, "error": f"did not stop at {limit:.0f} s"}
    wall = time.perf_counter() - started
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
        return {**blank, "error": last.removeprefix("NotImplementedError: ")[:160], "wall": wall}
    row = {**blank, **json.loads(done.stdout.strip().splitlines()[-1]), "wall": wall}
    return {**row, "seconds": wall} if cold else row


def _confine(threads: int) -> None:
    """As many cores as threads, the first that this process may use, where the system can say so; limited memory."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _read() -> list[dict[str, Any]]:
    if not LOG.exists():
        return []
    return [json.loads(line) for line in LOG.read_text().splitlines()]


if __name__ == "__main__":
    main()
