"""From a plan to a verdict: trainings as one study that goes on where it stopped, files, judgement, artefacts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parlay.compare.arm_plan import ArmPlan, trials_of, write_plan
from parlay.compare.artefacts import write_artefacts
from parlay.compare.measure_trials import measure_trials
from parlay.compare.result import CompareResult, conclude, write_result
from parlay.errors import StudyError
from parlay.graph import WidthGraph
from parlay.solver import Progress
from parlay.study import DataSource, ModelNetwork, Planned, Reader, Row, Settings, Store, TrialExecutor, Watcher
from parlay.study.row import COMPLETE, PLANNED
from parlay.study.runner import run_study
from parlay.study.schema import has_study
from parlay.study.trial_network import as_known
from parlay.study.workspace import Workspace
from parlay.train.device import available_cores
from parlay.train.norms import lagging_norm
from parlay.train.recipe import Recipe
from parlay.train.weights import read_weights

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["Told", "carry_out"]


class Told:
    """Told how a comparison goes; every method does nothing until it is overridden."""

    def stage(self, text: str) -> None:
        """What is being done."""

    def planned(self, plan: ArmPlan) -> None:
        """The arms, before any of them is trained."""

    def noticed(self, text: str) -> None:
        """What should be known before the trainings begin."""

    def searching(self, now: Progress) -> None:
        """How a search goes."""

    def measuring(self, done: int, total: int) -> None:
        """So many of the trained networks are exported and measured."""


def carry_out(
    folder: Path,
    plan: ArmPlan,
    network: ModelNetwork,
    data: Dataset,
    recipe: Recipe,
    *,
    caveats: Sequence[str] = (),
    source: DataSource,
    executor: TrialExecutor,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
    told: Told,
) -> CompareResult:
    """Train, export, measure, judge, write the winner's files; interrupted at any point and called again, it goes on.

    Args:
        folder: of the study.
        plan: the folder's, or the one that it gets.
        network: the traced model.
        data: no validation images set aside.
        recipe: how every arm is trained.
        caveats: what a reader of the verdict should know, beside what is found here.
        source, executor, settings, watcher: as ``run_study`` takes them.
        told: told how it goes.

    Raises:
        StudyError: when a training failed in so many seeds that fewer than two are left.
    """
    graph = network.graph()
    told.planned(plan)
    caveats = (*caveats, *_caveats(graph, plan))
    for caveat in caveats:
        told.noticed(caveat)
    known = network
    if has_study(folder):
        with Reader(folder) as study:
            known = as_known(network, (row.trial.network for row in study.rows()))
    assert isinstance(known, ModelNetwork)
    trials = trials_of(plan, known, recipe)
    held = data.with_validation(plan.question["validation images"])
    told.stage("training")
    with Store(folder) as store:
        write_plan(folder, plan)
        store.remember_source(data.fingerprint, source)
        _forget_lost(store, trials)
        keeping = replace(settings or Settings(), keep_weights=True)
        run_study(store, trials, data, executor=executor, settings=keeping, watcher=watcher)
        rows, failed = _complete(store, trials, plan)
        compared = [planned for planned in trials if planned.trial.identity in rows]
        failures = _failed_words(failed, plan) if failed else ""
        if failures:
            told.noticed(failures)
        told.stage("exporting and measuring")
        measured = measure_trials(
            list(rows.values()),
            folder,
            held,
            is_int8=plan.dtype == "int8",
            threads=available_cores(),
            told=told.measuring,
        )
        told.stage("timing and judging")
        result = conclude(
            plan, network, graph, compared, rows, measured, data_name=data.name, test_images=len(held.test_labels)
        )
        result = replace(result, caveats=(*caveats, *store.changed_models()), failures=failures)
        told.stage("writing the winner's files")
        result = write_artefacts(result, plan, network, graph, rows, measured, held, folder)
        write_result(folder, result)
    return result


def _caveats(graph: WidthGraph, plan: ArmPlan) -> tuple[str, ...]:
    """What a reader of the verdict should know about trainings and counts, each in one sentence."""
    lagging = lagging_norm(graph.build(graph.layout, seed=0), plan.steps)
    return (*(() if lagging is None else (lagging,)), *graph.unchecked)


def _forget_lost(store: Store, trials: Sequence[Planned]) -> None:
    """Complete trials whose weights are gone or damaged are run again; the bits are the same."""
    wanted = {planned.trial.identity for planned in trials}
    workspace = Workspace(folder=store.folder)
    lost = [
        identity
        for identity in sorted(store.complete() & wanted)
        if read_weights(workspace.weights(identity), run=identity) is None
    ]
    store.mark(lost, PLANNED)


def _complete(store: Store, trials: Sequence[Planned], plan: ArmPlan) -> tuple[dict[str, Row], tuple[Row, ...]]:
    """identity -> row of every complete trial of the seeds that every arm has, and the trials that failed.

    Raises:
        StudyError: when fewer than two seeds are left.
    """
    wanted = [planned.trial for planned in trials]
    rows = {row.trial.identity: row for row in store.rows()}
    failed = tuple(rows[trial.identity] for trial in wanted if rows[trial.identity].status != COMPLETE)
    lost = {row.trial.seed for row in failed}
    seeds = {trial.seed for trial in wanted} - lost
    if len(seeds) < 2:
        raise StudyError(
            f"{_failed_words(failed, plan)}, so there is no verdict; the same command tries them again,"
            f" parlay study status {shlex.quote(str(store.folder))} --json says more"
        )
    return {trial.identity: rows[trial.identity] for trial in wanted if trial.seed in seeds}, failed


def _failed_words(failed: Sequence[Row], plan: ArmPlan) -> str:
    """What failed, why the first of it did, and what is left out for it, in one sentence."""
    arms = ", ".join(dict.fromkeys(plan.arm_of(row.trial).name for row in failed))
    seeds = sorted({row.trial.seed for row in failed})
    return (
        f"{len(failed)} of {len(plan.arms) * len(plan.seeds)} trainings failed (of {arms}; {failed[0].error}):"
        f" seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))} left out of every arm"
    )
