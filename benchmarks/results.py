"""Recounting answers and writing the table."""

from __future__ import annotations

import platform
import resource
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.peers import SOLVERS, Answer
from benchmarks.problems import CASES, Case
from parlay.documents import write_atomically
from parlay.formal import decimal_value

INTRODUCTION = """
Written by `make bench` from `measurements.jsonl`; do not edit. Seconds from building the model to the answer, median
of n runs (smallest to largest), process start and imports excluded; in the last column with them. Every run has a
process of its own and two cores; all solvers take turns, problem by problem. Limit 200 s; runs above 20 s are not
repeated. *open*: best log-energy found, by exact recount, and bound, at the limit. *worse*: claimed optimal inside the
solver's tolerance. Each solver has solved a problem of three layers before its clock starts. Each peer has the bound of
the geometric program as a cut and the bounds on widths that follow from the budget, free of charge; SCIP and Gurobi
also have the size as a convex function of the logarithms.
"""

PACKAGES = {"parlay": "parlay", "SCIP": "pyscipopt", "CP-SAT": "ortools", "Gurobi": "gurobipy", "numpy": "numpy"}


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
        "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def write_results(path: Path, rows: list[dict[str, Any]]) -> None:
    """The table in Markdown."""
    lines = [
        "# parlay beside general solvers",
        "",
        *INTRODUCTION.strip().split("\n"),
        "",
        f"Hardware: {_hardware()}. Versions: {', '.join(_versions())}. The free Gurobi licence admits 2,000 variables.",
        "",
        "| problem | " + " | ".join(SOLVERS) + " | best peer / parlay | parlay with process start |",
        "|---|" + "---|" * (len(SOLVERS) + 2),
    ]
    for case in CASES:
        cells = {solver: [r for r in rows if (r["case"], r["solver"]) == (case.name, solver)] for solver in SOLVERS}
        best = max((r["best"] for some in cells.values() for r in some if r.get("best") is not None), default=None)
        shown = [_cell(cells[solver], best, case.top_k) for solver in SOLVERS]
        lines.append(f"| {case.name} | " + " | ".join(shown) + f" | {_ratio(cells, best)} | {_wall(cells['parlay'])} |")
    missing = [c.name for c in CASES if not any(r["case"] == c.name for r in rows)]
    if missing:
        lines += ["", f"Not measured yet: {'; '.join(missing)}."]
    write_atomically(path, "\n".join(lines) + "\n")


def _cell(rows: list[dict[str, Any]], best: float | None, top_k: int) -> str:
    if not rows:
        return "-"
    if rows[0]["error"]:
        return rows[0]["error"].replace("|", "/")[:60]
    seconds = sorted(row["seconds"] for row in rows)
    row = rows[0]
    if row["verdict"] != "proven":
        found = "nothing found" if row["best"] is None else f"{row['best']:.6f}"
        listed = f", {row['valid']} of {top_k}" if top_k > 1 else ""
        bound = "" if row["bound"] is None else f", bound {row['bound']:.4f}"
        return f"open: {found}{listed}{bound}"
    spread = f" ({seconds[0]:.3g} to {seconds[-1]:.3g}, n = {len(seconds)})" if len(seconds) > 1 else " (n = 1)"
    worse = "" if best is None or row["best"] >= best - 1e-9 else f", worse: {row['best']:.7f}"
    return f"{statistics.median(seconds):.3g} s{spread}{worse}"


def _ratio(cells: dict[str, list[dict[str, Any]]], best: float | None) -> str:
    """The fastest peer that proved its answer over parlay; a limit that was reached counts as at least that much."""
    ours = [row["seconds"] for row in cells["parlay"] if row["verdict"] == "proven"]
    if not ours or best is None:
        return "-"
    times: list[float] = []
    limits: list[float] = []
    for solver, rows in cells.items():
        if solver == "parlay" or not rows or rows[0]["error"]:
            continue
        if rows[0]["verdict"] == "proven":
            times.append(statistics.median(row["seconds"] for row in rows))
        else:
            limits.append(rows[0]["limit"])
    base = statistics.median(ours)
    if times:
        return f"{min(times) / base:.1f}"
    return f"> {min(limits) / base:.0f}" if limits else "-"


def _wall(rows: list[dict[str, Any]]) -> str:
    walls = [row["wall"] for row in rows if "wall" in row]
    return f"{statistics.median(walls):.2f} s, {max(row['mebibytes'] for row in rows)} MiB" if walls else "-"


def _hardware() -> str:
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
    for name, package in PACKAGES.items():
        try:
            found.append(f"{name} {version(package)}")
        except PackageNotFoundError:
            continue
    return found
