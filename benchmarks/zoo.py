"""``python -m benchmarks.zoo`` (or ``make zoo``): does parlay trace the CNNs that people use?

Every model has a process of its own, so that a crash or too much memory is a verdict; every verdict is a line of
``zoo.jsonl``. It can be stopped and called again, and goes on with the models that have no line yet. In the end it
writes ``docs/zoo.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.zoo_models import ROOT, Entry, entries, missing_libraries
from benchmarks.zoo_report import machine, source_digest, versions, write_report

LOG = Path(__file__).with_name("zoo.jsonl")
REPORT = ROOT / "docs" / "zoo.md"
LIMIT = 3_600
MEMORY = 16


def main(arguments: list[str] | None = None) -> None:
    """Look at the models that have no verdict yet, then write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument(
        "--only", metavar="PATTERN", default="*", help="models that match, such as 'timm/res*' or resnet18"
    )
    parser.add_argument("--report", action="store_true", help="write the report from what is logged, run nothing")
    parser.add_argument("--redo", action="store_true", help="models that have a verdict too")
    parser.add_argument("--limit", type=float, default=LIMIT, metavar="SECONDS", help="a model may take this long")
    parser.add_argument("--memory", type=float, default=MEMORY, metavar="GIB", help="and this much memory")
    parser.add_argument("--log", type=Path, default=LOG, help="file of the verdicts, a JSON line each")
    parser.add_argument("--to", type=Path, default=REPORT, help="file of the report")
    options = parser.parse_args(arguments)
    known = entries()
    if options.one:
        print(json.dumps(_checked(next(entry for entry in known if entry.name == options.one), options.memory)))
        return
    console = Console(stderr=True)
    for library in missing_libraries():
        console.print(f"{library} is not installed: its models are left out")
    if not options.report:
        wanted = [entry for entry in known if _matches(entry.name, options.only)]
        if not wanted:
            parser.error(f"--only: no model matches {options.only}")
        done = set[str]() if options.redo else {row["model"] for row in read(options.log)}
        missing = [entry for entry in wanted if entry.name not in done]
        try:
            look(missing, options.log, console, options.limit, options.memory)
        except KeyboardInterrupt:
            console.print("stopped; the same command goes on with the model that was being looked at")
            sys.exit(130)
    rows = read(options.log)
    write_report(options.to, rows, [entry.name for entry in known])
    console.print(f"{options.to}: {len(rows)} of {len(known)} models")


def _matches(name: str, pattern: str) -> bool:
    return any(fnmatchcase(candidate, pattern) for candidate in (name, name.partition("/")[2], name.rpartition(":")[2]))


def _checked(entry: Entry, memory: float) -> dict[str, Any]:
    from benchmarks.zoo_check import check, limit_memory

    limit_memory(memory)
    return check(entry)


def look(models: list[Entry], log: Path, console: Console, limit: float, memory: float) -> None:
    """One process after the other, one line of the log each."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("zoo", total=len(models))
        for entry in models:
            progress.update(task, description=entry.name)
            row = run(entry, limit, memory)
            with log.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            line = f"{entry.name}: {row['verdict']} in {row['wall']:.0f} s {row['detail']}"
            progress.print(line, highlight=False, markup=False)
            progress.advance(task)


def run(entry: Entry, limit: float, memory: float) -> dict[str, Any]:
    """The verdict on one model, from a process of its own."""
    row: dict[str, Any] = {
        "model": entry.name,
        "source": source_digest(),
        "versions": versions(),
        "machine": machine(),
        "detail": "",
    }
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.zoo", "--one", entry.name, "--memory", str(memory)],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            cwd=ROOT,
            env=_environment(),
        )
    except subprocess.TimeoutExpired:
        return {**row, "verdict": "timed out", "detail": f"after {limit:.0f} s", "wall": limit}
    row["wall"] = time.perf_counter() - started
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        return {**row, "verdict": "crashed", "detail": f"{how}: {last}"[:160].removesuffix(": ")}
    return {**row, **json.loads(done.stdout.strip().splitlines()[-1])}


def _environment() -> dict[str, str]:
    """This process's environment, with the package it imports itself first on the path."""
    import parlay

    package = Path(parlay.__file__).resolve().parent.parent
    path = os.pathsep.join(part for part in (str(package), os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path}


def read(log: Path) -> list[dict[str, Any]]:
    """The last line on every model, in the order of their first."""
    rows: dict[str, dict[str, Any]] = {}
    for line in log.read_text("utf-8").splitlines() if log.exists() else ():
        row = json.loads(line)
        rows[row["model"]] = row
    return list(rows.values())


if __name__ == "__main__":
    main()
