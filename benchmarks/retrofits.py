"""``python -m benchmarks.retrofits``: seven networks and two tiny ones retrofitted, into ``RETROFITS.md``.

Default limits and exactly today's parameters, free widths and multiples of 8; the search stops by its own rule. Every
line is kept in ``retrofits.jsonl`` as it is measured; the command goes on where it stopped.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.results import hardware
from parlay.documents import write_atomically

HERE = Path(__file__).parent
LOG, TABLE = HERE / "retrofits.jsonl", HERE / "RETROFITS.md"
EXAMPLES = HERE.parent / "examples" / "mlperf_tiny.py"
LARGE = ("resnet18", "resnet50", "mobilenet_v2", "vgg16_bn", "densenet121", "regnet_y_400mf", "efficientnet_b0")
MODELS = {
    **{name: (f"torchvision/{name}", "3x224x224") for name in LARGE},
    "ResNet-8": (f"{EXAMPLES}:resnet8", "3x32x32"),
    "DS-CNN": (f"{EXAMPLES}:ds_cnn", "1x49x10"),
}
QUESTIONS = {
    "at most": (None, 1),
    "same params": ("same", 1),
    "at most, multiples of 8": (None, 8),
    "same params, multiples of 8": ("same", 8),
}
INTRODUCTION = """
Written by `python -m benchmarks.retrofits` from `retrofits.jsonl`; do not edit. Limits: parameters (at most, or
exactly, today's), multiply-adds and int8 peak memory at most today's, widths from half to twice today's; the default
score, step-energy; inputs 3x224x224, and the tiny networks' own. A cell is the status, or the certified gap in the
score of a FEASIBLE answer, and the seconds of the search (one run; by default it stops when the gap is small for the
time it took, and after a minute). OPTIMAL and INFEASIBLE are proven; every layout was recounted in exact integers.
"""


def main() -> None:
    """Measure what is missing, then write the table."""
    from parlay.graph import trace
    from parlay.graph.specs import load_model, parse_inputs

    console = Console(stderr=True)
    done = {(row["model"], row["question"]): row for row in _read()}
    for name, (spec, shape) in MODELS.items():
        missing = [question for question in QUESTIONS if (name, question) not in done]
        if not missing:
            continue
        started = time.perf_counter()
        graph = trace(load_model(spec), parse_inputs([shape]))
        traced = time.perf_counter() - started
        for question in missing:
            row = {"model": name, "question": question, "groups": len(graph.space), "traced": traced}
            row |= _measured(graph, *QUESTIONS[question])
            done[name, question] = row
            with LOG.open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            console.print(f"{name}, {question}: {_cell(row)}")
    write_atomically(TABLE, _table(done))


def _measured(graph: Any, params: str | None, multiple_of: int) -> dict[str, Any]:
    from parlay.errors import InputError
    from parlay.retrofit import Limits, retrofit

    try:
        found = retrofit(graph, Limits(params=params), multiple_of=multiple_of)
    except InputError as error:
        return {"status": "refused", "gap": None, "seconds": 0.0, "gained": None, "note": str(error)}
    result = found.result
    assert all(not found.problem.violations(solution.layout) for solution in result.solutions)
    return {"status": result.status.value, "gap": result.gap, "seconds": result.runtime, "gained": found.gained}


def _read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()] if LOG.exists() else []


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["status"] in ("OPTIMAL", "INFEASIBLE", "refused"):
        return f"{row['status']}, {row['seconds']:.1f} s"
    return f"gap {row['gap']:.1e}, {row['seconds']:.1f} s" if row["gap"] is not None else row["status"]


def _table(done: dict[tuple[str, str], dict[str, Any]]) -> str:
    lines = [
        "# Retrofits",
        "",
        *INTRODUCTION.strip().split("\n"),
        "",
        f"Hardware: {hardware()}; other work ran on the machine.",
        "",
        "| network | groups | tracing | " + " | ".join(QUESTIONS) + " |",
        "|---|---:|---:|" + "---|" * len(QUESTIONS),
    ]
    for name in MODELS:
        rows = [done.get((name, question)) for question in QUESTIONS]
        known = next((row for row in rows if row), None)
        first = "- | -" if known is None else f"{known['groups']} | {known['traced']:.1f} s"
        lines.append(f"| {name} | {first} | " + " | ".join(_cell(row) for row in rows) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
