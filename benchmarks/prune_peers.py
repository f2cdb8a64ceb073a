"""Torch-Pruning beside ``parlay prune``: the same network, limits, trainings and seeds, its layout and its channels.

    python -m benchmarks.prune_peers --study runs/ic02 --model FILE.py:ic02 --data cifar10 --to runs/ic02-tp

``--study`` is a study of ``parlay prune``: its data, validation images, limits, recipe, steps, precision, teacher and
seeds are taken. The mildest global ratio, in hundredths, that keeps every limit is searched; what is left is brought to
length and its batch norms re-estimated, as every arm of ``parlay prune`` is. A second call goes on. It needs
``pip install torch-pruning==1.6.0``, which is no dependency of parlay.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parlay.compare.arm import Arm
from parlay.compare.arm_plan import ArmPlan, read_plan, trials_of
from parlay.compare.measure_trials import measure_trials
from parlay.data import Dataset, load
from parlay.evidence.paired import differences, spread
from parlay.graph import WidthGraph
from parlay.graph.lengths import bring_to_length
from parlay.layout import Layout, format_layout
from parlay.prune.run_prune import with_weights
from parlay.retrofit import Limits
from parlay.study import ModelNetwork, Settings, Store
from parlay.study.runner import run_study
from parlay.study.workspace import Workspace
from parlay.train.evaluation import loss_of
from parlay.train.inputs import Inputs
from parlay.train.norms import reestimate_norms
from parlay.train.recipe import Recipe
from parlay.train.weights import STARTS, save_weights

IMAGES, BATCH = 1024, 128
RATIOS = [hundredth / 100 for hundredth in range(5, 96)]


def mildest(graph: WidthGraph, data: Dataset, limits: Limits, importance: str) -> tuple[float, Layout, nn.Module]:
    """The smallest ratio whose network keeps every limit, its layout, and the network."""
    tp: Any = importlib.import_module("torch_pruning")
    rows = limits.constraints(graph)
    kinds = {"taylor": tp.importance.GroupTaylorImportance, "l2": tp.importance.GroupMagnitudeImportance}
    for ratio in RATIOS:
        model = copy.deepcopy(graph.model).eval()
        last = [part for part in model.modules() if isinstance(part, nn.Linear)][-1]
        pruner = tp.pruner.BasePruner(
            model,
            graph.example.sized(1),
            importance=kinds[importance](),
            global_pruning=True,
            pruning_ratio=ratio,
            ignored_layers=[last],
        )
        inputs = Inputs.of(data, device="cpu")
        order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(0))[:IMAGES]
        for chosen in order.split(BATCH):
            (loss_of(inputs.logits(model, data.train_images[chosen]), data.train_labels[chosen]) / 8).backward()
        pruner.step()
        model.zero_grad()
        parts = dict(model.named_modules())
        layout = tuple(int(parts[group.members[0]].weight.shape[0]) for group in graph.space.groups)  # type: ignore[arg-type]
        if all(row.allows(row.resource(layout)) for row in rows):
            return ratio, layout, model
    raise SystemExit("no ratio keeps the limits")


def planned(arguments: argparse.Namespace, plan: ArmPlan, network: ModelNetwork, data: Dataset) -> ArmPlan:
    """The plan of the study with Torch-Pruning's arm alone."""
    graph = network.graph()
    graph = replace(graph, model=with_weights(graph.model, arguments.weights))
    limits = Limits(**plan.question["limits"])
    ratio, layout, model = mildest(graph, data, limits, arguments.importance)
    module = graph.build(layout, seed=0)
    module.load_state_dict(model.state_dict())
    module = reestimate_norms(bring_to_length(graph, module), data)
    workspace = Workspace(folder=arguments.to)
    start = save_weights(workspace.start("new"), module, run=STARTS)
    workspace.start("new").rename(workspace.start(start))
    if plan.teacher:
        shutil.copy(Workspace(folder=arguments.study).start(plan.teacher), workspace.start(plan.teacher))
    how = f"Torch-Pruning 1.6, global {arguments.importance}, ratio {ratio}, the mildest that keeps every limit"
    name = f"Torch-Pruning {arguments.importance}"
    return replace(plan, arms=(Arm(names=(name,), layout=layout, how={name: how}, fits=True, start=start),))


def main(argv: Sequence[str] | None = None) -> None:
    """Prune, train, measure, and print a row for the table of docs/prune.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--importance", choices=("taylor", "l2"), default="taylor")
    parser.add_argument("--seeds", type=int, nargs="*", help="default: those of the study")
    parser.add_argument("--to", type=Path, required=True, help="folder of its own study")
    arguments = parser.parse_args(argv)
    plan = read_plan(arguments.study, "prune")
    assert plan is not None, "the study has no prune.json"
    data = load(arguments.data)
    held = data.with_validation(plan.question["validation images"])
    kwargs = json.loads(plan.question["network"]["arguments"])
    network = ModelNetwork.traced(
        arguments.model, in_channels=data.in_channels, image=data.image, classes=data.classes, kwargs=kwargs
    )
    kept = arguments.to / "arm.json"
    if kept.exists():
        mine = replace(plan, arms=(Arm.read(json.loads(kept.read_text())),))
    else:
        mine = planned(arguments, plan, network, held)
        kept.write_text(json.dumps(mine.arms[0].to_json()))
    if arguments.seeds:
        mine = replace(mine, question={**mine.question, "seeds": arguments.seeds})
    [arm] = mine.arms
    print(f"{format_layout(arm.layout)}: {next(iter(arm.how.values()))}", flush=True)
    trials = trials_of(mine, network, Recipe.from_numbers("prune", mine.steps, mine.question["recipe"]))
    with Store(arguments.to) as store:
        run_study(store, trials, data, settings=Settings(keep_weights=True))
        wanted = {one.trial.identity for one in trials}
        rows = [row for row in store.rows() if row.trial.identity in wanted]
    found = measure_trials(rows, arguments.to, held, is_int8=mine.dtype == "int8")
    shipped = {row.trial.seed: _shipped(found[row.trial.identity]) for row in rows}
    mean, deviation = spread(list(shipped.values()))
    print(f"{arm.name}: {mean:.4f} (sd {deviation}) over seeds {sorted(shipped)}")
    result = arguments.study / "prune-result.json"
    if result.exists():
        _compare(json.loads(result.read_text()), shipped, len(held.test_labels))


def _shipped(measured: Any) -> float:
    return measured.accuracy if measured.int8_accuracy is None else measured.int8_accuracy


def _compare(content: dict[str, Any], shipped: dict[int, float], images: int) -> None:
    """Every arm of the study minus Torch-Pruning, paired by seed, Holm over the arms."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in content["arms"]:
        values = (one["int8_accuracy"] or one["accuracy"])["values"]
        seeds = zip(content["seeds"], values, strict=True)
        pairs[one["name"]] = [(shipped[seed], value) for seed, value in seeds if seed in shipped]
    for name, found in differences(pairs, images=images).items():
        print(f"{name} minus Torch-Pruning: {found.points()}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
