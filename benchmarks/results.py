"""Recounting answers and writing the table."""

from __future__ import annotations

import platform
import resource
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.peers import SOLVERS, Answer
from benchmarks.problems import CASES, COUNTS, WARM_UPS, Case
from parlay import count_layouts
from parlay.documents import write_atomically
from parlay.formal import decimal_value

INTRODUCTION = """
Written by `make bench` from `measurements.jsonl`, which is beside it; do not edit. Seconds from building the model to
the answer, median of n runs (smallest to largest); process start, imports and the reading of a licence excluded. Every
run has a process of its own with {threads}, and may take 10 GiB.
All solvers take turns, problem by problem. Limit {limit:.0f} s; runs above 20 s are not repeated. Each solver has
solved three small problems before its clock starts.

*open*: best log-energy found, by exact recount, and bound, at the limit. *worse*: claimed optimal inside the solver's
tolerance, but another layout is better. The ratio is the fastest peer that claims a proof over parlay; where none does,
the limit over parlay. *Cold* is the wall time of a process that loads everything and solves the problem first thing.

Each peer has the bound of the geometric program as a cut and the bounds on widths that follow from the budget, free of
charge; SCIP and Gurobi also have the size as a convex function of the logarithms. The best k: Gurobi by its solution
pool; CP-SAT by solving again without what was found, so where it could not prove the first it was not asked again; SCIP
has no such thing.
"""

PACKAGES = ("parlay", "pyscipopt", "ortools", "gurobipy", "numpy")


def recounted(case: Case, answer: Answer) -> dict[str, Any]:
    """One measurement: time, memory, and what the answer is worth by exact recount."""
    problem = case.make()
    valid = [layout for layout in answer.layouts if not problem.violations(layout)]
    energies = []
    for layout in valid:
        formal = problem.terms.formal(layout)
        value = None if formal is None else decimal_value(formal)
        energies.append(float("-inf") if value is None else float(value))
    return {
        "seconds": answer.seconds,
        "verdict": "proven" if answer.is_proven and len(valid) == len(answer.layouts) > 0 else "open",
        "best": max(energies, default=None),
        "last": min(energies, default=None),
        "listed": len(answer.layouts),
        "valid": len(valid),
        "bound": answer.bound,
        "mebibytes": _mebibytes(),
    }


def counted(case: Case) -> dict[str, Any]:
    """One count: time, memory and the number."""
    count_layouts(WARM_UPS[0].make())
    problem = case.make()
    started = time.perf_counter()
    count = count_layouts(problem)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "verdict": "proven", "count": count, "mebibytes": _mebibytes()}


def _mebibytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def write_results(path: Path, rows: list[dict[str, Any]]) -> None:
    """The tables in Markdown."""
    threads, limit = max(row["threads"] for row in rows), max(row["limit"] for row in rows)
    cores = "one thread, pinned to one core" if threads == 1 else f"{threads} threads and as many cores"
    introduction = INTRODUCTION.strip().format(threads=cores, limit=limit)
    lines = [
        "# parlay beside general solvers",
        "",
        *introduction.split("\n"),
        "",
        f"Hardware: {hardware()}. Versions: {', '.join(_versions())}.",
        "The free Gurobi licence admits models of 2,000 variables and constraints.",
        *_remarks(path.with_name("remarks.md")),
        "",
        f"| problem | {' | '.join(SOLVERS)} | best peer / parlay | cold: parlay, best peer | parlay's peak memory |",
        "|---|" + "---|" * (len(SOLVERS) + 3),
    ]
    for case in CASES:
        mine = [row for row in rows if row["case"] == case.name]
        if not mine:
            continue
        cells = {solver: [r for r in mine if r["solver"] == solver and not r["cold"]] for solver in SOLVERS}
        cold = {solver: [r for r in mine if r["solver"] == solver and r["cold"]] for solver in SOLVERS}
        best = max((r["best"] for some in cells.values() for r in some if r.get("best") is not None), default=None)
        shown = [_cell(cells[solver], best, case.top_k) for solver in SOLVERS]
        memory = max((row.get("mebibytes", 0) for row in cells["parlay"]), default=0)
        lines.append(f"| {case.name} | {' | '.join(shown)} | {_ratio(cells)} | {_cold(cold)} | {memory} MiB |")
    lines += ["", "## Counting", "", "| space | layouts | seconds | peak memory |", "|---|---|---|---|"]
    for case in COUNTS:
        cell = [row for row in rows if row["case"] == case.name]
        if cell:
            memory = max(row["mebibytes"] for row in cell)
            lines.append(f"| {case.name} | {cell[0]['count']:,} | {_spread(cell)} | {memory} MiB |")
    missing = [case.name for case in (*CASES, *COUNTS) if not any(row["case"] == case.name for row in rows)]
    if missing:
        lines += ["", f"Not measured yet: {'; '.join(missing)}."]
    write_atomically(path, "\n".join(lines) + "\n")


def _remarks(path: Path) -> list[str]:
    """What was written by hand about the runs at hand, if anything."""
    return ["", *path.read_text(encoding="utf-8").strip().split("\n")] if path.exists() else []


def _cell(rows: list[dict[str, Any]], best: float | None, top_k: int) -> str:
    if not rows:
        return "-"
    if rows[0]["error"]:
        return rows[0]["error"].split("Error: ")[-1].split(";")[0].replace("|", "/")[:60]
    row = rows[0]
    if row["verdict"] != "proven":
        found = "nothing found" if row["best"] is None else f"{row['best']:.6f}"
        listed = f", {row['valid']} of {top_k}" if top_k > 1 else ""
        bound = "" if row["bound"] is None or row["best"] is None else f", bound {row['bound']:.4f}"
        return f"open: {found}{listed}{bound}"
    worse = "" if best is None or row["best"] >= best - 1e-9 else f", worse: {row['best']:.7f}"
    return _spread(rows) + worse


def _spread(rows: list[dict[str, Any]]) -> str:
    seconds = sorted(row["seconds"] for row in rows)
    median = f"{statistics.median(seconds):.3g} s"
    if len(seconds) == 1:
        return f"{median} (n = 1)"
    return f"{median} ({seconds[0]:.3g} to {seconds[-1]:.3g}, n = {len(seconds)})"


def _ratio(cells: dict[str, list[dict[str, Any]]]) -> str:
    """The fastest peer that proved its answer over parlay; a limit that was reached counts as at least that much."""
    ours = [row["seconds"] for row in cells["parlay"] if row["verdict"] == "proven"]
    if not ours:
        return "-"
    peers = [rows for solver, rows in cells.items() if solver != "parlay" and rows]
    times = [statistics.median(row["seconds"] for row in rows) for rows in peers if rows[0]["verdict"] == "proven"]
    limits = [rows[0]["limit"] for rows in peers if rows[0]["verdict"] == "open"]
    base = statistics.median(ours)
    if times:
        ratio = min(times) / base
        return f"{ratio:.1f}" if ratio < 100 else f"{ratio:,.0f}"
    return f"> {min(limits) / base:,.0f}" if limits else "-"


def _cold(cold: dict[str, list[dict[str, Any]]]) -> str:
    medians = {solver: statistics.median(row["seconds"] for row in rows) for solver, rows in cold.items() if rows}
    if "parlay" not in medians:
        return "-"
    ours = f"{medians.pop('parlay'):.2f} s"
    if not medians:
        return ours
    fastest = min(medians, key=lambda solver: medians[solver])
    return f"{ours}, {medians[fastest]:.2f} s ({fastest})"


def hardware() -> str:
    """Cores and processor, and the version of Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = f"{len(names)} cores of {names[0]}" if names else model
    return f"{model}, Python {platform.python_version()}"


def _versions() -> list[str]:
    found: list[str] = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return found
