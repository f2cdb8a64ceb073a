"""docs/zoo.md: what became of every model."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import parlay
from parlay.documents import write_atomically

__all__ = ["machine", "source_digest", "versions", "write_report"]

INTRODUCTION = """
# The zoo

Written by `make zoo` (`python -m benchmarks.zoo`) from `benchmarks/zoo.jsonl`; do not edit. Every model is traced as
its library makes it, on one image of the size given in the log, in a process of its own.

**exact** means that at ten random layouts, every width drawn evenly between a quarter and twice today's, the module
built there has, to the unit, the predicted parameters (counted), multiply-adds (half of what torch's `FlopCounterMode`
counts) and peak activation memory (storages followed through a run); that its outputs have today's shapes in evaluation
mode; and that in training mode the sum of its outputs gives every parameter a gradient that gets one at today's widths.
These runs are on shapes alone (meta or fake tensors). The one of the ten with fewest multiply-adds is also built with
real weights and run on two random images in both modes and backwards, with finite outputs, unless it takes more than
3,000,000,000 multiply-adds.

*groups*: widths that can be chosen. *free widths*: convolutions and linear layers whose outputs such a width sets, of
all of them. *seconds*: time of `trace` with its own check. **refused**: `trace` says that it cannot follow the model,
and begins as quoted. **differs**, **fails**: it did follow it, wrongly; what was found first is quoted.
"""


MOST_NAMED = 20


def write_report(path: Path, rows: Sequence[dict[str, Any]], known: Sequence[str]) -> None:
    """The table in Markdown; models without a verdict are named."""
    by_name = {row["model"]: row for row in rows}
    lines = [*INTRODUCTION.strip().splitlines(), ""]
    lines += [*(f"- {line}" for line in _circumstances(rows)), ""]
    lines += ["| library | models | " + " | ".join(_verdicts(rows)) + " |"]
    lines += ["|---|---:|" + "---:|" * len(_verdicts(rows))]
    for library in dict.fromkeys(row["model"].partition("/")[0] for row in rows):
        counted = Counter(row["verdict"] for row in rows if row["model"].startswith(f"{library}/"))
        cells = [str(counted[verdict] or "") for verdict in _verdicts(rows)]
        lines.append(f"| {library} | {counted.total()} | " + " | ".join(cells) + " |")
    lines += ["", "| model | groups | free widths | seconds | verdict | |", "|---|---:|---:|---:|---|---|"]
    lines += [_line(by_name[name]) for name in [*known, *(n for n in by_name if n not in known)] if name in by_name]
    missing = [name for name in known if name not in by_name]
    if missing:
        more = [f"{len(missing) - MOST_NAMED} more"] if len(missing) > MOST_NAMED else []
        shown = ", ".join([*missing[:MOST_NAMED], *more])
        lines += ["", f"No verdict yet on {len(missing)} of {len(known)} models: {shown}."]
    write_atomically(path, "\n".join(lines) + "\n")


def _verdicts(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The verdicts that occur, exact first."""
    found = [row["verdict"] for row in rows]
    return sorted(dict.fromkeys(["exact", *found]), key=lambda verdict: (verdict != "exact", -found.count(verdict)))


def _line(row: dict[str, Any]) -> str:
    free = f"{row['free']} of {row['layers']}" if "free" in row else ""
    seconds = f"{row['seconds']:.1f}" if "seconds" in row else ""
    real = row.get("real", "")
    said = "; ".join(part for part in (row["detail"], row.get("note", ""), real if real != "run" else "") if part)
    cells = (row["model"], str(row.get("groups", "")), free, seconds, row["verdict"], said.replace("|", "/"))
    return "| " + " | ".join(cells) + " |"


def _circumstances(rows: Sequence[dict[str, Any]]) -> list[str]:
    machines = dict.fromkeys(row["machine"] for row in rows)
    used = dict.fromkeys(row["versions"] for row in rows)
    lines = [f"Hardware: {'; '.join(machines) or machine()}.", f"Versions: {'; '.join(used) or versions()}."]
    total = sum(row["wall"] for row in rows)
    lines.append(f"Models: {len(rows)}, one after the other, {total / 60:.1f} minutes in all.")
    old = sum(row["source"] != source_digest() for row in rows)
    if old:
        lines.append(f"{old} of the verdicts are of another version of `src/parlay/graph`; `--redo` renews them.")
    return lines


def machine() -> str:
    """Number and name of the processor's cores."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text("utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = f"{len(names)} cores of {names[0]}" if names else name
    return f"{name}, Python {platform.python_version()}"


def versions() -> str:
    """Versions of parlay and of the libraries that the models are made of."""
    found: list[str] = []
    for package in ("parlay", "torch", "torchvision", "timm"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def source_digest() -> str:
    """Twelve digits that change with the tracer's source."""
    folder = Path(parlay.__file__).resolve().parent / "graph"
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
