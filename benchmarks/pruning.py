"""``python -m benchmarks.pruning``: most kept importance under several limits, beside what else does it.

Four networks with random weights (seed 0); a channel's importance is the sum of its filters' norms over the layers that
write its group. parlay, greedy removal, a knapsack on linearised costs and SCIP answer the same question within a
minute each. Every line is kept in ``pruning.jsonl`` as it is measured; the command goes on where it stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.results import hardware
from parlay import Constraint, Layout, PeakResource, Problem, Resource, Status, WidthGroup, WidthSpace, solve
from parlay.documents import write_atomically
from parlay.tabulated import TabulatedScore

FloatArray = NDArray[np.float64]

HERE = Path(__file__).parent
LOG, TABLE = HERE / "pruning.jsonl", HERE / "PRUNING.md"
LIMIT = 60.0
"""Seconds each may take."""
IC01 = {"macs": 12_501_632, "peak": 49_152, "flash": 78_744}
"""What MLPerf Tiny's ResNet-8 of 16-32-64 channels takes beside 78,186 parameters, in int8: a sixth of 40-80-160."""
RESNET8 = "ResNet-8 40-80-160"
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    f"{RESNET8}, 3 limits": ("resnet8", "3x32x32", {"params": 78_186, "macs": IC01["macs"], "peak": IC01["peak"]}),
    f"{RESNET8}, 4 limits": ("resnet8", "3x32x32", {"params": 78_186, **IC01}),
    f"{RESNET8}, 4 limits, exact params": ("resnet8", "3x32x32", {"exactly": 78_186, **IC01}),
    **{
        f"{name}, half of all": (f"torchvision/{name}", "3x224x224", {})
        for name in ("resnet18", "resnet50", "mobilenet_v2")
    },
}
INTRODUCTION = """
Written by `python -m benchmarks.pruning` from `pruning.jsonl`; do not edit. Which widths keep the most importance under
all limits at once? Weights are random (torch seed 0), importance is the sum of a channel's filter norms over the layers
that write its group, each group's best channels are kept, at least one. ResNet-8 has the limits of the 16-32-64 network
(parameters, multiply-adds, int8 peak memory and flash) and each group's importance divided by its sum, so that at most
6 can be kept; the others at most half of today's parameters, multiply-adds and int8 peak memory. Limits are whole
numbers and kept exactly; every layout was recounted.

*greedy*: the channel that costs least importance for the relief of the broken limits goes first; at the end what fits
comes back. *knapsack*: costs linearised at a layout, the linear program over all channels solved, again at its answer,
30 times, repaired by greedy removal. *SCIP*: the same model, products as bilinear terms, tables by one variable a
channel, with its default settings but a gap of 0; where it crashes in its nonlinear programs, again without them
(`nlp/disable`). Each has 60 s and one thread. The gap is bound less best as a part of
the best; *worse by* is what an answer falls short of parlay's, as a part of it.
"""


def question(spec: str, shape: str, limits: dict[str, Any]) -> Problem:
    """The problem of a case."""
    import torch

    from parlay.graph import trace
    from parlay.graph.specs import load_model, parse_inputs

    torch.manual_seed(0)
    if spec == "resnet8":
        from examples.mlperf_tiny import resnet8

        model = resnet8(width=40)
    else:
        model = load_model(spec)
    graph = trace(model, parse_inputs([shape]))
    peak, flash, today = graph.peak_activation_bytes("int8"), graph.flash_bytes("int8"), graph.layout
    if not limits:
        limits = {"params": graph.params(today) // 2, "macs": graph.macs(today) // 2, "peak": peak(today) // 2}
    resources = {"params": graph.params, "exactly": graph.params, "macs": graph.macs, "peak": peak, "flash": flash}
    constraints = tuple(
        (Constraint.equal if name == "exactly" else Constraint.at_most)(resources[name], amount)
        for name, amount in limits.items()
    )
    tables = {group.name: kept for group, kept in zip(graph.space.groups, _kept(graph), strict=True)}
    if spec == "resnet8":
        tables = {name: kept / kept[-1] for name, kept in tables.items()}
    groups = (replace(group, minimum=1, maximum=width) for group, width in zip(graph.space.groups, today, strict=True))
    space = WidthSpace(groups=tuple(groups))
    return Problem(space=space, score=TabulatedScore(tables), constraints=constraints)


def _kept(graph: Any) -> list[FloatArray]:
    """What the best n channels of every group keep: the norms of a channel's filters, summed over all writers."""
    tensors = dict(graph.model.named_parameters())
    found = [np.zeros(width) for width in graph.layout]
    for layer in graph.ledger.layers.values():
        name = f"{layer.name}.weight" if f"{layer.name}.weight" in tensors else layer.name
        weight = tensors[name].detach().double().transpose(0, layer.axis).flatten(1)
        norms = weight.square().sum(1).sqrt().numpy()
        segments = graph.unknowns.resolve(graph.shapes[name][layer.axis])
        if len(segments) == 1 and segments[0].width in graph.variables.index:
            group = graph.variables.index[segments[0].width]
            assert len(norms) == len(found[group]), "one unit of these networks is one channel"
            found[group] += norms
    return [np.cumsum(np.sort(norms)[::-1]) for norms in found]


class Rows:
    """The upper limits of a problem in doubles, one row a resource or point of a peak: values, slopes, steps."""

    def __init__(self, problem: Problem) -> None:
        assert isinstance(problem.score, TabulatedScore)
        self.tables = [np.array(problem.score.tables[group.name].entries) for group in problem.space.groups]
        points = [(p, c.maximum) for c in problem.constraints for p in _points(c) if any(p.coefficients())]
        groups = len(self.tables)
        self.high = np.array([float(limit or math.inf) for _, limit in points])
        self.constant = np.array([point.constant / point.divisor for point, _ in points])
        self.linear = np.array([[c / point.divisor for c in point.linear] for point, _ in points])
        self.joint = np.zeros((len(points), groups, groups))
        for row, (point, _) in enumerate(points):
            for g, h, c in point.quadratic:
                self.joint[row, g, h] += c / point.divisor
                self.joint[row, h, g] += c / point.divisor
        self.square = np.einsum("rgg->rg", self.joint) / 2

    def amounts(self, widths: FloatArray) -> FloatArray:
        return self.constant + self.linear @ widths + np.einsum("rgh,g,h->r", self.joint, widths, widths) / 2

    def slopes(self, widths: FloatArray) -> FloatArray:
        return self.linear + self.joint @ widths

    def score(self, widths: FloatArray) -> float:
        return math.fsum(table[int(width) - 1] for table, width in zip(self.tables, widths, strict=True))

    def removed(self, widths: FloatArray) -> FloatArray:
        """Widths after greedy removal, grown again where that fits."""
        widths = widths.copy()
        while True:
            over = np.maximum(self.amounts(widths) / self.high - 1, 0.0)
            if not over.any():
                break
            relief = np.minimum((self.slopes(widths) - self.square) / self.high[:, None], over[:, None]).sum(axis=0)
            lost = np.array([t[int(w) - 1] - t[int(w) - 2] for t, w in zip(self.tables, widths, strict=True)])
            price = np.where((widths > 1) & (relief > 0), lost / np.maximum(relief, 1e-300), math.inf)
            widths[int(price.argmin())] -= 1
        top = np.array([len(table) for table in self.tables])
        while True:
            more = self.slopes(widths) + self.square
            fits = (self.amounts(widths)[:, None] + more <= self.high[:, None]).all(axis=0) & (widths < top)
            if not fits.any():
                return widths
            gain = [
                t[int(w)] - t[int(w) - 1] if fit else 0.0 for t, w, fit in zip(self.tables, widths, fits, strict=True)
            ]
            widths[int(np.argmax(gain / (more / self.high[:, None]).sum(axis=0)))] += 1


def _points(constraint: Constraint) -> tuple[Resource, ...]:
    resource = constraint.resource
    return resource.points if isinstance(resource, PeakResource) else (resource,)


Answer = dict[str, Any]


def run_parlay(problem: Problem) -> Answer:
    """The solver; whatever it answers was certified."""
    result = solve(problem, time_limit=LIMIT)
    is_proven = result.status is Status.OPTIMAL
    return {"layout": result.best.layout, "bound": result.bound, "proven": is_proven}


def run_greedy(problem: Problem) -> Answer:
    """Greedy removal from today's widths."""
    rows = Rows(problem)
    return _answer(rows.removed(np.array([float(len(table)) for table in rows.tables])))


def run_knapsack(problem: Problem) -> Answer:
    """A knapsack over channels with costs linearised where the last one ended, as a linear program."""
    from scipy.optimize import linprog

    rows = Rows(problem)
    counts = [len(table) for table in rows.tables]
    owner = np.repeat(np.arange(len(counts)), np.array(counts) - 1)
    gains = np.concatenate([np.diff(table) for table in rows.tables])
    at = best = rows.removed(np.array(counts, dtype=float))
    started = time.perf_counter()
    for _ in range(30):
        slopes = rows.slopes(at)
        room = rows.high - rows.amounts(at) + slopes @ (at - 1)
        found = linprog(-gains, A_ub=slopes[:, owner], b_ub=room, bounds=(0, 1), method="highs")
        if found.status != 0 or time.perf_counter() - started > LIMIT:
            break
        chosen = 1 + np.floor(np.bincount(owner, weights=found.x, minlength=len(counts)) + 1e-9)
        repaired = rows.removed(chosen)
        best = max(best, repaired, key=rows.score)
        at = np.round((at + repaired) / 2)
    return _answer(best)


def run_scip_without_nlp(problem: Problem) -> Answer:
    """SCIP without the heuristics that solve nonlinear programs."""
    return run_scip(problem, nlp=False)


def run_scip(problem: Problem, *, nlp: bool = True) -> Answer:
    """SCIP on bilinear rows and one variable a channel."""
    from pyscipopt import Model, quicksum

    rows = Rows(problem)
    model = Model()
    model.hideOutput()
    model.setParam("limits/time", LIMIT)
    model.setParam("limits/gap", 0.0)
    model.setParam("nlp/disable", not nlp)
    widths = [model.addVar(vtype="I", lb=1, ub=len(table)) for table in rows.tables]
    kept: list[Any] = []
    for width, table in zip(widths, rows.tables, strict=True):
        taken = [model.addVar(lb=0, ub=1) for _ in table[1:]]
        model.addCons(width == 1 + quicksum(taken))  # gains fall, so the first are taken first
        kept.append(float(table[0]) + quicksum(float(gain) * x for gain, x in zip(np.diff(table), taken, strict=True)))
    for constraint in problem.constraints:
        for point in _points(constraint):
            amount = point.constant + quicksum(c * w for c, w in zip(point.linear, widths, strict=True) if c)
            amount += quicksum(c * widths[g] * widths[h] for g, h, c in point.quadratic)
            limit = (constraint.maximum or 0) * point.divisor
            model.addCons(amount == limit if constraint.minimum is not None else amount <= limit)
    goal = model.addVar(lb=None, ub=None)
    model.addCons(goal == quicksum(kept))
    model.setObjective(goal, "maximize")
    model.optimize()
    layout = tuple(round(model.getVal(width)) for width in widths) if model.getNSols() else None
    return {"layout": layout, "bound": model.getDualbound(), "proven": model.getStatus() == "optimal"}


def _answer(widths: FloatArray) -> Answer:
    return {"layout": tuple(int(width) for width in widths), "bound": None, "proven": False}


SOLVERS: dict[str, Callable[[Problem], Answer]] = {
    "parlay": run_parlay,
    "greedy": run_greedy,
    "knapsack": run_knapsack,
    "SCIP": run_scip,
}


def main() -> None:
    """Measure what is missing, then write the table."""
    console = Console(stderr=True)
    done = {(row["case"], row["solver"]): row for row in _read()}
    for name, case in CASES.items():
        missing = [solver for solver in SOLVERS if (name, solver) not in done]
        if not missing:
            continue
        problem = question(*case)
        for solver in missing:
            row = {"case": name, "solver": solver, "groups": len(problem.space)} | _apart(problem, solver)
            done[name, solver] = row
            with LOG.open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            console.print(f"{name}, {solver}: {row}")
    write_atomically(TABLE, _table(done))


def _apart(problem: Problem, solver: str) -> Answer:
    """One run in a process of its own; where SCIP crashes, once more without its nonlinear programs."""
    for tried in (solver, "SCIP without NLP") if solver == "SCIP" else (solver,):
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
            try:
                answer = pool.submit(_timed, problem, tried).result()
            except BrokenProcessPool:
                continue
        note = "crashed, without NLP: " if tried != solver else ""
        return {"seconds": answer["seconds"], "note": note, **_recounted(problem, answer)}
    blank = {"layout": None, "bound": None, "proven": False}
    return {"seconds": 0.0, "note": "crashed, ", **_recounted(problem, blank)}


def _timed(problem: Problem, solver: str) -> Answer:
    run = SOLVERS.get(solver, run_scip_without_nlp)
    run(_small())  # loads what is loaded at the first call
    started = time.perf_counter()
    answer = run(problem)
    return {**answer, "seconds": time.perf_counter() - started}


def _small() -> Problem:
    rows = Resource.of("params", 2, linear={0: 1, 1: 1}, quadratic={(0, 1): 1})
    space = WidthSpace(groups=(WidthGroup(name="a", maximum=5), WidthGroup(name="b", maximum=5)))
    tables = {group.name: np.arange(1.0, 6.0) for group in space.groups}
    limits = (Constraint.at_most(rows, 20), Constraint.at_most(rows, 21))
    return Problem(space=space, score=TabulatedScore(tables), constraints=limits)


def _recounted(problem: Problem, answer: Answer) -> Answer:
    """What the answer is worth: nothing where a limit is broken."""
    layout: Layout | None = answer["layout"]
    broken = ["nothing found"] if layout is None else problem.violations(layout)
    score = None if layout is None or broken else problem.score_value(layout)
    return {"score": score, "bound": answer["bound"], "proven": answer["proven"], "broken": broken[:1]}


def _read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()] if LOG.exists() else []


def _cell(row: dict[str, Any] | None, best: float | None) -> str:
    if row is None:
        return "-"
    if row["score"] is None:
        return f"{row.get('note', '')}none that keeps all, {row['seconds']:.1f} s"
    short = row.get("note", "")
    short += "" if row["solver"] == "parlay" or best is None else f"worse by {(best - row['score']) / abs(best):.1e}, "
    if row["bound"] is None:
        return f"{short}{row['seconds']:.1f} s"
    gap = "proven" if row["proven"] else f"gap {(row['bound'] - row['score']) / abs(row['score']):.1e}"
    return f"{short}{gap}, {row['seconds']:.1f} s"


def _table(done: dict[tuple[str, str], dict[str, Any]]) -> str:
    from importlib.metadata import version

    lines = [
        "# Pruning under several limits",
        "",
        *INTRODUCTION.strip().split("\n"),
        "",
        f"Hardware: {hardware()}; other work ran on the machine. pyscipopt {version('pyscipopt')}. One run.",
        "",
        "| network | groups | kept by parlay | " + " | ".join(SOLVERS) + " |",
        "|---|---:|---:|" + "---|" * len(SOLVERS),
    ]
    for name in CASES:
        rows = {solver: done.get((name, solver)) for solver in SOLVERS}
        known = next((row for row in rows.values() if row), None)
        ours = rows["parlay"]
        best = None if ours is None else ours["score"]
        first = "- | -" if known is None else f"{known['groups']} | {'-' if best is None else f'{best:.6g}'}"
        lines.append(f"| {name} | {first} | " + " | ".join(_cell(row, best) for row in rows.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
