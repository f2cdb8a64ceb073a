"""``fit``: from a device's budget to a verdict, as one study that goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from parlay.compare.arm_plan import ArmPlan, plan_before
from parlay.compare.measure_trials import export_untrained, network_inputs
from parlay.compare.quantise import logits_of, session_of
from parlay.compare.question import ArmQuestion
from parlay.compare.result import CompareResult
from parlay.compare.run_comparison import Told, carry_out
from parlay.fit.arms import choose_arms
from parlay.graph import WidthGraph
from parlay.layout import Layout
from parlay.study import DataSource, Settings, TrialExecutor, Watcher
from parlay.train.device import available_cores, resolve_device
from parlay.train.timing import time_steps

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["QUICK_SEEDS", "QUICK_SECONDS", "FitQuestion", "fit"]

QUICK_SECONDS = 600.0
QUICK_SEEDS = 3
QUICK_SHARE = 0.8
"""Share of a quick fit's time that is planned; the rest is for reading data, solving and exporting."""
QUICK_SHARED = 1.4
"""Seconds of a step with others at work over those of a step alone, as taken on two cores with two trainings."""
QUICK_LEAST = 30
"""Steps of a quick training at the least, however slow the machine."""


@dataclass(frozen=True, kw_only=True)
class FitQuestion(ArmQuestion):
    """The question of a fit, beside that of every comparison; quick ones have as many steps as ten minutes allow.

    Attributes:
        layouts: the user's own, arms besides; two or more are compared with each other, too.
        is_quick: a first answer in some ten minutes.
    """

    layouts: Sequence[Layout] = ()
    is_quick: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for layout in self.layouts:
            self.network.check(layout)

    def question(self) -> dict[str, Any]:
        """What is asked, in JSON values."""
        timed = {"steps": "quick"} if self.is_quick and self.steps is None else {}
        return {
            **self.shared(),
            **timed,
            "layouts": [list(layout) for layout in dict.fromkeys(self.layouts)] or None,
            "seed of the random layout": self.random_seed,
        }


def fit(
    folder: Path,
    asked: FitQuestion,
    *,
    source: DataSource,
    executor: TrialExecutor,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
    told: Told | None = None,
) -> CompareResult:
    """Plan, train, quantise, measure, judge, and write the winner's files.

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
        InputError: before anything is trained, for a budget that no layout keeps, or a network that cannot be exported
            or quantised.
        StudyError: when the folder answers another question, holds something else, or a training failed.
    """
    told = told or Told()
    graph = asked.network.graph()
    data = asked.data.with_validation(asked.validation)
    plan = plan_before(folder, "fit", asked.question(), asked.limits.constraints(graph))
    if plan is None:
        plan = _planned(asked, graph, data, executor, told, device=(settings or Settings()).device)
    return carry_out(
        folder,
        plan,
        asked.network,
        asked.data,
        asked.recipe,
        source=source,
        executor=executor,
        settings=settings,
        watcher=watcher,
        told=told,
    )


def _planned(
    asked: FitQuestion,
    graph: WidthGraph,
    data: Dataset,
    executor: TrialExecutor,
    told: Told,
    *,
    device: str,
) -> ArmPlan:
    """The plan; whatever is wrong with the budget or the model is met here."""
    told.stage("searching layouts")
    arms, problem = choose_arms(
        graph,
        asked.limits,
        given=asked.layouts,
        seed=asked.random_seed,
        time_limit=asked.time_limit,
        progress=told.searching,
        **asked.fences,
    )
    told.stage("trying export and quantisation on the untrained network")
    is_int8 = asked.limits.dtype == "int8"
    files = export_untrained(graph.build(graph.layout, seed=0), data, is_int8=is_int8)
    is_timed = asked.is_quick and asked.steps is None
    precision, seconds = asked.precision, 0.0
    if precision is None or is_timed:
        told.stage("timing a few steps")
        model, there = graph.build(graph.layout, seed=0), resolve_device(device)
        pace = time_steps(
            model, data, asked.recipe, precision=precision or "auto", threads=executor.threads, device=there
        )
        precision, seconds = pace.precision, pace.seconds
    steps = asked.steps or asked.recipe.steps
    if is_timed:
        sessions = [session_of(content, threads=available_cores()) for content in (files.plain, files.int8) if content]
        counts = [len(data.test_labels), len(data.test_labels) + asked.validation][: len(sessions)]
        some = network_inputs(data.test_images[:100], data)
        measuring = 0.0
        for session, images in zip(sessions, counts, strict=True):
            started = perf_counter()
            logits_of(session, some)
            measuring += (perf_counter() - started) / len(some) * images
        trials = len(arms) * len(asked.seeds)
        steps = quick_steps(
            seconds_per_step=seconds,
            trials=trials,
            slots=min(executor.slots(), available_cores()),
            measuring=trials * measuring,
            most=asked.recipe.steps,
        )
    return ArmPlan(
        question=asked.question(),
        arms=arms,
        constraints=tuple(str(constraint) for constraint in problem.constraints),
        dtype=asked.limits.dtype,
        steps=steps,
        precision=precision,
        is_quick=asked.is_quick,
    )


def quick_steps(*, seconds_per_step: float, trials: int, slots: int, measuring: float, most: int) -> int:
    """Steps of each training, so that all of them and their measurement take ten minutes.

    Args:
        seconds_per_step: of one training alone.
        trials, slots: how many there are, and how many run at a time.
        measuring: seconds that measuring takes.
        most: steps of the recipe.

    >>> quick_steps(seconds_per_step=0.1, trials=15, slots=1, measuring=180, most=2000)
    200
    >>> quick_steps(seconds_per_step=0.1, trials=15, slots=2, measuring=180, most=2000)
    285
    """
    seconds = QUICK_SHARE * QUICK_SECONDS - measuring
    steps = int(seconds * slots / (trials * seconds_per_step * (QUICK_SHARED if slots > 1 else 1)))
    return min(most, max(QUICK_LEAST, steps))
