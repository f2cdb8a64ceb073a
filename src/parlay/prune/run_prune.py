"""``parlay prune``: from a trained network and a budget to arms that are trained on, and a verdict, as one study."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parlay.compare.arm import IMPORTANCE, RANDOM_CHANNELS, SCRATCH, UNIFORM, Arm, no_layout
from parlay.compare.arm_plan import ArmPlan, plan_before
from parlay.compare.measure_trials import export_untrained, measure_network
from parlay.compare.question import ArmQuestion
from parlay.compare.result import CompareResult
from parlay.compare.run_comparison import Told, carry_out
from parlay.data import Dataset
from parlay.documents import finite
from parlay.errors import InputError, unknown
from parlay.extras import Needs
from parlay.graph import WidthGraph
from parlay.graph.lengths import bring_to_length
from parlay.graph.slicing import Kept, largest, units_of
from parlay.layout import Layout
from parlay.prune.importance import DEFAULT_IMPORTANCE, IMPORTANCES, measure_importance
from parlay.prune.objective import DEFAULT_OBJECTIVE
from parlay.prune.solve_prune import MIN_RATIO, Pruned, prune_or_conflict
from parlay.retrofit.scaling import keeps_budget, largest_scaling
from parlay.study import DataSource, Settings, TrialExecutor, Watcher
from parlay.study.workspace import Workspace
from parlay.train.device import available_cores, resolve_device
from parlay.train.evaluation import evaluate
from parlay.train.norms import reestimate_norms
from parlay.train.timing import time_steps
from parlay.train.weights import STARTS, save_weights

with Needs("pruning networks", extra="train"):
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch import nn

__all__ = ["PruneQuestion", "prune_and_train", "with_weights"]

SURE = 3.0
"""Standard deviations above chance from which a network counts as trained."""


@dataclass(frozen=True, kw_only=True)
class PruneQuestion(ArmQuestion):
    """The question of a pruning, beside that of every comparison; the network is trained, fences may have ``pin``.

    Attributes:
        weights: a safetensors file whose weights take the place of the model's own; None without.
        importance: ``taylor``, ``fisher``, ``l2`` or ``bn-scale``; validation images are not looked at.
        distill: whether arms are distilled from the unpruned network.
    """

    weights: Path | None = None
    importance: str = DEFAULT_IMPORTANCE
    distill: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.importance not in IMPORTANCES:
            raise unknown("--importance", self.importance, IMPORTANCES)

    def question(self, weights: str) -> dict[str, Any]:
        """What is asked, in JSON values; ``weights`` is the checksum of the unpruned network's."""
        return {
            **self.shared(),
            "weights": weights,
            "importance": self.importance,
            "distilled": self.distill,
            "seed of the random channels": self.random_seed,
        }


def prune_and_train(
    folder: Path,
    asked: PruneQuestion,
    *,
    source: DataSource,
    executor: TrialExecutor,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
    told: Told | None = None,
) -> CompareResult:
    """Measure, solve, slice, train on, quantise, judge, and write the winner's files.

    Interrupted at any point and called again with the same question, it goes on.

    Args:
        folder: of the study.
        asked: the question.
        source: where the data comes from.
        executor: where trainings run; the caller shuts it down.
        settings: device, retries, checkpoints.
        watcher: told how trainings go.
        told: told how everything else goes.

    Raises:
        InputError: before anything is trained: for a budget that no layout keeps or that the network keeps as it is, an
            untrained network, weights of another, or a network that cannot be exported or quantised.
        StudyError: when the folder answers another question, holds something else, or too many trainings failed.
    """
    told = told or Told()
    graph = asked.network.graph()
    graph = replace(graph, model=with_weights(graph.model, asked.weights))
    question = asked.question(checksum(graph.model))
    plan = plan_before(folder, "prune", question, asked.limits.constraints(graph))
    if plan is None:
        device = resolve_device((settings or Settings()).device)
        plan = _planned(folder, asked, question, graph, executor, told, device=device)
    return carry_out(
        folder,
        plan,
        asked.network,
        asked.data,
        asked.recipe,
        caveats=plan.facts["caveats"],
        source=source,
        executor=executor,
        settings=settings,
        watcher=watcher,
        told=told,
    )


def with_weights(model: nn.Module, path: Path | None) -> nn.Module:
    """A copy of the model in evaluation mode, with the weights of a safetensors file if one is given.

    Raises:
        InputError: for a file that cannot be read, or whose tensors are not those of the model.
    """
    loaded = copy.deepcopy(model).eval()
    if path is None:
        return loaded
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            "--weights", given=str(path), allowed="a safetensors file that can be read", remedy=str(error)
        ) from None
    own = loaded.state_dict()
    named = {name: tensor for name, tensor in tensors.items() if name in own}
    wrong = [
        f"{name} is {'x'.join(map(str, tensor.shape))}, not {'x'.join(map(str, own[name].shape))}"
        for name, tensor in named.items()
        if tensor.shape != own[name].shape
    ]
    shared = {id(tensor) for name, tensor in loaded.state_dict(keep_vars=True).items() if name in named}
    missing = [n for n, t in loaded.state_dict(keep_vars=True).items() if n not in named and id(t) not in shared]
    wrong += [f"{name} is not in it" for name in missing]
    wrong += [f"{name} is in no layer of the model" for name in tensors if name not in own]
    if wrong:
        raise InputError(
            f"--weights {path.name}",
            given="; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            allowed="every tensor of the model's state_dict, of its shape",
        )
    loaded.load_state_dict(named, strict=False)
    return loaded


def checksum(model: nn.Module) -> str:
    """SHA-256 of names, shapes and values of a model's tensors."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _planned(
    folder: Path,
    asked: PruneQuestion,
    question: Mapping[str, Any],
    graph: WidthGraph,
    executor: TrialExecutor,
    told: Told,
    *,
    device: str,
) -> ArmPlan:
    """The plan; whatever is wrong with budget, weights or model is met here, the cheapest first."""
    data = asked.data.with_validation(asked.validation)
    is_int8 = asked.limits.dtype == "int8"
    if all(constraint.allows(constraint.resource(graph.layout)) for constraint in asked.limits.constraints(graph)):
        raise InputError(
            "budget",
            given="limits that the network keeps as it is",
            allowed="at least one that it does not keep: there is nothing to prune",
        )
    _refuse_untrained(evaluate(graph.model, data, part="validation").accuracy, data)
    told.stage(f"measuring importance ({asked.importance})")
    importance = measure_importance(graph, data, asked.importance)
    told.stage("searching widths")
    fences = {"min_ratio": MIN_RATIO, **asked.fences}
    found, clash = prune_or_conflict(
        graph, importance, asked.limits, time_limit=asked.time_limit, progress=told.searching, **fences
    )
    if not found.result.solutions:
        raise no_layout(found.found, clash)
    told.stage("trying export and quantisation of the network as it is")
    export_untrained(graph.model, data, is_int8=is_int8)
    arms, modules = _arms(folder, asked, graph, data, found)
    told.stage("measuring files before, and right after slicing")
    folder.mkdir(parents=True, exist_ok=True)
    teacher = save_weights(Workspace(folder=folder).start("original"), graph.model, run=STARTS)
    Workspace(folder=folder).start("original").rename(Workspace(folder=folder).start(teacher))

    def files_of(name: str, module: nn.Module) -> dict[str, Any]:
        threads = available_cores()
        taken = measure_network(name, question["weights"], module, data, is_int8=is_int8, threads=threads)
        validation = evaluate(module, data, part="validation").accuracy
        return {
            "accuracy": taken.accuracy,
            "int8_accuracy": taken.int8_accuracy,
            "validation_accuracy": taken.int8_validation if is_int8 else validation,
        }

    before = files_of("before", graph.model)
    after = {arm.name: files_of(arm.name, modules[arm.start]) for arm in arms if arm.start}
    precision = asked.precision
    if precision is None:
        told.stage("timing a few steps")
        model = graph.build(arms[0].layout, seed=0)
        precision = time_steps(model, data, asked.recipe, threads=executor.threads, device=device).precision
    return ArmPlan(
        command="prune",
        question=question,
        arms=arms,
        constraints=tuple(str(constraint) for constraint in found.found.problem.constraints),
        dtype=asked.limits.dtype,
        steps=asked.steps or asked.recipe.steps,
        precision=precision,
        teacher=teacher if asked.distill else "",
        facts={**_facts(graph, found, importance), "before": before, "right_after": after},
    )


def _refuse_untrained(accuracy: float, data: Dataset) -> None:
    count = len(data.validation_labels)
    chance = float(torch.bincount(data.validation_labels).max()) / count  # always naming the most frequent class
    if accuracy <= chance + SURE * math.sqrt(chance * (1 - chance) / count):
        raise InputError(
            "model",
            given=f"{accuracy:.1%} of {count:,} validation images right, where chance is {chance:.1%}",
            allowed="a trained network",
            remedy="load its weights with --weights, or check the normalisation: images are given with mean 0 and"
            " deviation 1 of each channel",
        )


def _arms(
    folder: Path, asked: PruneQuestion, graph: WidthGraph, data: Dataset, found: Pruned
) -> tuple[tuple[Arm, ...], dict[str, nn.Module]]:
    """The arms, their starting weights written, and the networks by these weights' checksums."""
    problem, layout = found.found.problem, found.layout
    result = found.result
    gap = finite(result.gap)
    shown = "" if gap is None else f", gap {gap:.3g}"
    wanted: list[tuple[str, Layout, Kept, str]] = [
        (IMPORTANCE, layout, found.channels, f"most {asked.importance} importance kept: {result.status.value}{shown}")
    ]
    scaled = largest_scaling(problem, graph.layout)
    if scaled is not None:
        kept = largest(graph, found.importance, scaled.layout)
        how = f"every width times {float(scaled.multiplier):.4g}, rounded down; the most important channels of each"
        wanted.append((UNIFORM, scaled.layout, kept, how))
    generator = torch.Generator().manual_seed(asked.random_seed)
    drawn = tuple(
        tuple(torch.randperm(now, generator=generator)[:count].sort().values.tolist())
        for now, count in zip(units_of(graph, graph.layout), units_of(graph, layout), strict=True)
    )
    how = f"the widths of {IMPORTANCE}, channels drawn at random (seed {asked.random_seed})"
    wanted.append((RANDOM_CHANNELS, layout, drawn, how))
    reasons: dict[tuple[Layout, str], dict[str, str]] = {}
    modules: dict[str, nn.Module] = {}
    workspace = Workspace(folder=folder)
    for name, widths, kept, how in wanted:
        module = reestimate_norms(bring_to_length(graph, graph.build(keep=kept, seed=0)), data)
        start = save_weights(workspace.start("new"), module, run=STARTS)
        workspace.start("new").rename(workspace.start(start))
        modules[start] = module
        reasons.setdefault((widths, start), {})[name] = how
    reasons[layout, ""] = {SCRATCH: f"the widths of {IMPORTANCE}, weights initialised from the seed"}
    return tuple(
        Arm(names=tuple(how), layout=widths, how=how, fits=keeps_budget(problem, widths), start=start)
        for (widths, start), how in reasons.items()
    ), modules


def _facts(graph: WidthGraph, found: Pruned, importance: Sequence[torch.Tensor]) -> dict[str, Any]:
    """What was found, in JSON values: the certificate, the channels, what should be known."""
    result = found.result
    same = [
        group.name
        for group, values in zip(graph.space.groups, importance, strict=True)
        if len(values) > 1 and float(values.max() - values.min()) <= 1e-12 * float(values.max())
    ]
    caveats = (
        [f"all channels of {', '.join(same)} are equally important, so that the first ones stay: see what reads them"]
        if same
        else []
    )
    return {
        "original": list(graph.layout),
        "groups": [group.name for group in graph.space.groups],
        "objective": DEFAULT_OBJECTIVE,
        "status": result.status.value,
        "score_value": finite(result.best.score_value),
        "bound": finite(result.bound),
        "gap": finite(result.gap),
        "kept_channels": [list(units) for units in found.channels],
        "caveats": caveats,
    }
