"""What ``fit`` and ``prune`` share: options of every comparison of arms, how one runs, and what it tells on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from parlay.cli.options import option, record
from parlay.cli.options.model import DeviceOptions, factory_option
from parlay.cli.options.training import DataOptions, RecipeOptions, RunningOptions, checked_seed, seeds_from
from parlay.cli.trials import ProgressBar

if TYPE_CHECKING:
    from parlay.compare import CompareResult, Told
    from parlay.train.recipe import Recipe

__all__ = ["ComparisonOptions", "carried_out"]

MOST_VALIDATION = 5000
"""Images set aside by default at the most: an accuracy on so many is known to 0.7 points."""


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """Under which limits arms are compared, and how often each is trained."""

    heading: ClassVar[str] = "What is compared"
    model_arg: tuple[str, ...] = factory_option()
    device: DeviceOptions = field(metadata=record(DeviceOptions))
    val: int | None = option(
        "--val", type=int, help="Training images set aside to choose by; default a tenth, at most 5,000."
    )
    seeds: int | None = option(
        "--n-seeds", "--seeds", type=int, help="Trainings of each arm, seeds 0, 1, ...; default 5, quick or pruned 3."
    )
    given: tuple[int, ...] = option("--seed", type=int, multiple=True, help="A seed of its own choice; repeatable.")
    random_seed: int = option("--random-seed", type=int, default=0, show_default=True, help="Draws the random arm.")
    time_limit: float | None = option(
        "--time-limit", type=float, help="Seconds for each search; default: until the gap is small, at most 60."
    )

    def asked(
        self, spec: str, source: DataOptions, how: RecipeOptions, recipe: Recipe, *, usual_seeds: int
    ) -> dict[str, Any]:
        """What the questions of both commands have in common, by its name there.

        Raises:
            InputError: for options, data or a model that cannot be.
        """
        from parlay.graph.specs import parse_kwargs
        from parlay.study import ModelNetwork

        limits = self.device.make()
        seeds = seeds_from(usual_seeds if self.seeds is None and not self.given else self.seeds, self.given)
        data = source.load()
        network = ModelNetwork.traced(
            spec,
            in_channels=data.in_channels,
            image=data.image,
            classes=data.classes,
            kwargs=parse_kwargs(self.model_arg),
        )
        return {
            "network": network,
            "data": data,
            "limits": limits,
            "recipe": recipe,
            "seeds": seeds,
            "validation": min(MOST_VALIDATION, len(data.train_labels) // 10) if self.val is None else self.val,
            "steps": how.steps,
            "precision": None if how.precision == "auto" else how.precision,
            "random_seed": checked_seed(self.random_seed),
            "time_limit": self.time_limit,
        }


def carried_out(folder: Path, running: RunningOptions, work: Callable[..., CompareResult]) -> CompareResult | None:
    """The result of ``work(executor=, settings=, watcher=, told=)`` under a progress bar; None after Ctrl-C."""
    settings, executor = running.settings(), running.executor()
    try:
        with ProgressBar() as bar:
            try:
                return work(executor=executor, settings=settings, watcher=bar, told=_teller(bar))
            except KeyboardInterrupt:
                bar.say(f"stopped: what ended is kept in {folder}; run the same command again to go on")
                return None
    finally:
        executor.shutdown(cancel_futures=True)


def _teller(bar: ProgressBar) -> Told:
    """What tells of a comparison on stderr."""
    from parlay.compare import ArmPlan, Told
    from parlay.layout import format_layout

    class Teller(Told):
        """Stages and arms as lines on stderr."""

        def stage(self, text: str) -> None:
            bar.say(f"{text} ...")

        def planned(self, plan: ArmPlan) -> None:
            bar.say(f"arms ({'; '.join(plan.constraints)}):")
            for arm in plan.arms:
                how = "; ".join(f"{name}: {text}" for name, text in arm.how.items())
                bar.say(f"  {format_layout(arm.layout)}{'' if arm.fits else ' (does not fit)'}  {how}")
            bar.say(f"{len(plan.arms)} arms x {len(plan.seeds)} seeds, {plan.steps:,} steps each, {plan.precision}")

        def noticed(self, text: str) -> None:
            bar.say(f"note: {text}")

        def measuring(self, done: int, total: int) -> None:
            if sys.stderr.isatty() and done < total:
                bar.say(f"  {done + 1} of {total}")

    return Teller()
