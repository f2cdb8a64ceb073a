"""Which importance and which objective should pruning maximise? docs/prune.md has the rule, written first.

    python -m benchmarks.prune_objectives --data FILE --resnet8 FILE.py:ic02 --log prune_objectives.jsonl

Every measurement is a line of the log; a second call goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr

from parlay.data import Dataset, load
from parlay.graph import WidthGraph, trace
from parlay.graph.slicing import Kept, largest, units_of
from parlay.graph.specs import load_model
from parlay.layout import Layout, format_layout
from parlay.problem import Problem
from parlay.prune.importance import IMPORTANCES, measure_importance
from parlay.prune.objective import OBJECTIVES, objective, score_of
from parlay.prune.solve_prune import MIN_RATIO
from parlay.retrofit import Limits
from parlay.retrofit.scaling import largest_scaling, random_layout
from parlay.retrofit.solve_retrofit import retrofit_problem
from parlay.solver import solve
from parlay.tabulated import TabulatedScore
from parlay.train.evaluation import evaluate
from parlay.train.loop import train
from parlay.train.norms import reestimate_norms
from parlay.train.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPE = Recipe(name="objectives", steps=100, batch=64, lr=0.02)
TRAINED = Recipe(name="plain4", steps=1500, lr=0.1)
LAYOUTS, FEW, FINALISTS, NEAR = 30, 5, 5, 0.1
SHARES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Of a group's units, at which its curve is measured."""
VALIDATION, CURVE_IMAGES = 1000, 500
KINDS = (*IMPORTANCES, "random")
NAMES = (*((kind, name) for kind in (*IMPORTANCES, "even") for name in OBJECTIVES), ("chosen", "curve"))


@dataclass(kw_only=True)
class Case:
    """One network, its limits, and what was measured on it."""

    name: str
    graph: WidthGraph
    data: Dataset
    limits: Limits
    log: Log

    @cached_property
    def problem(self) -> Problem:
        return retrofit_problem(self.graph, self.limits, min_ratio=MIN_RATIO, max_ratio="1")

    @cached_property
    def layouts(self) -> list[Layout]:
        return [random_layout(self.problem, seed=seed).layout for seed in range(LAYOUTS)]

    @cached_property
    def importances(self) -> dict[str, tuple[torch.Tensor, ...]]:
        counts = units_of(self.graph, self.graph.layout)
        generator = torch.Generator().manual_seed(0)
        drawn = tuple(torch.rand(count, generator=generator).double() for count in counts)
        even = tuple(torch.ones(count).double() for count in counts)
        found = {kind: measure_importance(self.graph, self.data, kind) for kind in IMPORTANCES}
        return {**found, "random": drawn, "even": even}

    def losses(self, layout: Layout, kind: str) -> tuple[float, float]:
        """Validation loss right after slicing, and after 100 steps."""
        key = {"case": self.name, "layout": format_layout(layout), "kind": kind}
        found = self.log.find(key)
        if found is None:
            began = time.perf_counter()
            kept = largest(self.graph, self.importances[kind], layout)
            module = reestimate_norms(self.graph.build(keep=kept, seed=0), self.data)
            before = evaluate(module, self.data, part="validation")
            history = train(module, self.data, RECIPE, seed=0, precision="bf16")
            found = {
                "before": before.loss,
                "after": history.validation_loss,
                "accuracy": history.validation_accuracy,
                "seconds": round(time.perf_counter() - began, 1),
            }
            self.log.add(key, found)
        return found["before"], found["after"]

    def curve(self, kind: str) -> TabulatedScore:
        """Minus the loss that cutting each group alone costs, straight between measured widths."""
        tables: list[np.ndarray] = []
        counts = units_of(self.graph, self.graph.layout)
        some = replace(
            self.data,
            validation_images=self.data.train_images[:CURVE_IMAGES],
            validation_labels=self.data.train_labels[:CURVE_IMAGES],
        )
        for g, count in enumerate(counts):
            measured: list[tuple[int, float]] = []
            for share in SHARES:
                units = max(1, round(share * count))
                key = {"case": self.name, "group": g, "units": units, "kind": kind}
                found = self.log.find(key)
                if found is None:
                    widths = list(self.graph.layout)
                    widths[g] = units * self.graph.space.groups[g].multiple_of
                    kept: Kept = largest(self.graph, self.importances[kind], tuple(widths))
                    module = reestimate_norms(self.graph.build(keep=kept, seed=0), some, images=512)
                    found = {"loss": evaluate(module, some, part="validation").loss}
                    self.log.add(key, found)
                measured.append((units, -found["loss"]))
            points = np.array(measured)
            values = np.interp(np.arange(1, count + 1), points[:, 0], points[:, 1])
            tables.append(np.maximum.accumulate(values))
        return score_of(self.graph, tables)

    def score(self, kind: str, name: str, chosen: str) -> TabulatedScore:
        return self.curve(chosen) if name == "curve" else objective(self.graph, self.importances[kind], name)


class Log:
    """JSON lines, each a question and its answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.known = {json.dumps(row["asked"], sort_keys=True): row["found"] for row in map(json.loads, lines)}

    def find(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        return self.known.get(json.dumps(asked, sort_keys=True))

    def add(self, asked: dict[str, Any], found: dict[str, Any]) -> None:
        self.known[json.dumps(asked, sort_keys=True)] = found
        with self.path.open("a") as file:
            file.write(json.dumps({"asked": asked, "found": found}) + "\n")


def chosen_importance(cases: Sequence[Case]) -> tuple[str, dict[str, list[float]]]:
    """The kind with the lowest loss after 100 steps, and the means of each kind, one a network."""
    means = {
        kind: [float(np.mean([case.losses(layout, kind)[1] for layout in case.layouts[:FEW]])) for case in cases]
        for kind in KINDS
    }
    return min(IMPORTANCES, key=lambda kind: float(np.mean(means[kind]))), means


def report(cases: Sequence[Case]) -> None:
    """Everything, as the tables of docs/prune.md."""
    chosen, means = chosen_importance(cases)
    print("| importance | " + " | ".join(f"{case.name}, loss after 100 steps" for case in cases) + " |")
    print("|---|" + "---:|" * len(cases))
    for kind, values in sorted(means.items(), key=lambda item: np.mean(item[1])):
        print(f"| {kind} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    print(f"\nchosen importance: {chosen}\n")
    rows: list[tuple[float, str, str, list[tuple[float, float]]]] = []
    for kind, name in NAMES:
        ranks: list[tuple[float, float]] = []
        for case in cases:
            terms = case.score(kind, name, chosen).terms(case.problem.space)
            scores = [terms(layout) for layout in case.layouts]
            losses = [case.losses(layout, chosen) for layout in case.layouts]
            ranks.append(tuple(-float(spearmanr(scores, [pair[i] for pair in losses])[0]) for i in (0, 1)))  # type: ignore[arg-type]
        rows.append((float(np.mean([after for _, after in ranks])), kind, name, ranks))
    rows.sort(key=lambda row: -row[0])
    finalists = [row for row in rows[:FINALISTS] if row[0] >= rows[0][0] - NEAR]
    heads = " | ".join(f"{case.name}, right after | after 100 steps" for case in cases)
    print(f"| importance | objective | {heads} | mean | its optimum: layout, loss after 100 steps |")
    print("|---|---|" + "---:|" * (2 * len(cases) + 1) + "---|")
    for mean, kind, name, ranks in rows:
        best: list[str] = []
        if (mean, kind, name, ranks) in finalists:
            for case in cases:
                question = replace(case.problem, score=case.score(kind, name, chosen))
                result = solve(question, time_limit=60)
                loss = case.losses(result.best.layout, chosen)[1]
                best.append(f"{format_layout(result.best.layout)} ({result.status.value}) {loss:.3f}")
        cells = " | ".join(f"{before:.2f} | {after:.2f}" for before, after in ranks)
        print(f"| {kind} | {name} | {cells} | {mean:.2f} | {'; '.join(best)} |", flush=True)
    for case in cases:
        scaled = largest_scaling(case.problem, case.graph.layout)
        assert scaled is not None
        before, after = case.losses(scaled.layout, chosen)
        print(
            f"\n{case.name}: uniform {format_layout(scaled.layout)} has {before:.3f} right after, {after:.3f} after 100"
        )


def cases_of(arguments: argparse.Namespace) -> list[Case]:
    """Both networks; the second is trained where its weights are not there."""
    data = load(arguments.data).with_validation(5000)
    data = replace(
        data,
        validation_images=data.validation_images[:VALIDATION],
        validation_labels=data.validation_labels[:VALIDATION],
        test_images=data.test_images[:100],  # not looked at: the loop counts them, and a hundred cost nothing
        test_labels=data.test_labels[:100],
    )
    image = torch.zeros(1, 3, 32, 32)
    resnet8 = load_model(arguments.resnet8).eval()
    plain4 = load_model(f"{ROOT}/examples/cifar.py:plain4")
    wide = trace(plain4, image)
    plain4 = wide.build([2 * width for width in wide.layout], seed=0)
    weights = arguments.log.with_suffix(".plain4.safetensors")
    if weights.exists():
        plain4.load_state_dict(load_file(weights))
    else:
        history = train(plain4, data, TRAINED, seed=0, precision="bf16")
        print(f"plain4: {history.validation_accuracy:.3f} on validation images", flush=True)
        save_file({k: v.contiguous() for k, v in plain4.state_dict().items()}, weights)
    plain4.eval()
    log = Log(arguments.log)
    few = Limits(max_params=78_186, max_macs=12_501_632, ram=49_152)
    ratios = Limits(max_params="0.3x", max_macs="0.25x", max_peak_memory="0.5x")
    return [
        Case(name="resnet8", graph=trace(resnet8, image), data=data, limits=few, log=log),
        Case(name="plain4", graph=trace(plain4, image), data=data, limits=ratios, log=log),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--resnet8", required=True, help="FILE.py:factory of the trained ResNet-8 of width 40")
    parser.add_argument("--log", type=Path, default=Path("prune_objectives.jsonl"))
    report(cases_of(parser.parse_args(argv)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
