"""Options that plan trials: which layouts of which network, on which data, how."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from parlay.cli.options import given, is_given, option, record
from parlay.cli.options.kinds import OpenChoice
from parlay.cli.options.model import ModelLimitOptions, refuse_family_sizes
from parlay.cli.options.problem import ProblemOptions
from parlay.cli.options.training import DataOptions, NetworkOptions, RecipeOptions, SeedOptions
from parlay.errors import InputError
from parlay.families import Family
from parlay.problem import Problem
from parlay.study.schema import has_study

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.study import DataSource, Planned, Trial
    from parlay.study.trial_network import TrialNetwork

__all__ = ["Asked", "PlanOptions"]

OPTIONS = {"steps": "steps", "validation": "val", "precision": "precision", "network": "model"}
"""What trials differ in -> the parameter that decides it; everything else is a number of the recipe."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks for.

    Attributes:
        plan: the trials.
        problem: the size and the fences, where a size is given.
        data: what they are trained on.
        source: where that comes from.
        notes: what should be known before it is trained, a sentence each.
    """

    plan: tuple[Planned, ...]
    problem: Problem | None
    data: Dataset
    source: DataSource
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Everything that decides trials."""

    heading: ClassVar[str] = "Layouts"
    layouts: tuple[str, ...] = option(
        "--layouts",
        type=OpenChoice(("all", "original"), "top:K", "spread:K", "sample:K", "A,B,..."),
        multiple=True,
        help="Best, over a score, at random, by name; top:K@SCORE, spread:K@SCORE, sample:K@SEED; repeatable.",
    )
    as_new: bool = option(
        "--as-new-protocol", is_flag=True, help="Plan trials that are trained otherwise than those of the study."
    )
    seeds: SeedOptions = field(metadata=record(SeedOptions))
    data: DataOptions = field(metadata=record(DataOptions))
    network: NetworkOptions = field(metadata=record(NetworkOptions))
    recipe: RecipeOptions = field(metadata=record(RecipeOptions))
    size: ProblemOptions = field(metadata=record(ProblemOptions))
    limits: ModelLimitOptions = field(metadata=record(ModelLimitOptions))

    def is_planning(self) -> bool:
        """Whether the command line plans new trials; seeds alone are added to what a study holds (``adds_seeds``).

        Raises:
            click.UsageError: for options of a plan without layouts or data.
        """
        if not given(PlanOptions) or self.adds_seeds():
            return False
        for name, value, example in (
            ("layouts", self.layouts, "--layouts top:6"),
            ("data", self.data.data, "--data cifar10"),
        ):
            if not value:
                raise click.UsageError(f"Missing option '--{name}', such as {example}: a plan needs it.")
        return True

    def adds_seeds(self) -> bool:
        """Whether the command line names seeds and nothing else of a plan."""
        named = given(PlanOptions)
        return bool(named) and set(named) == set(given(SeedOptions))

    def make(self, folder: Path, *, device: str = "auto", threads: int | None = None) -> Asked:
        """The plan, for the study in a folder.

        Raises:
            InputError: for what cannot be planned, or would be trained otherwise than the trials that the study holds
                without the command line saying so.
        """
        from parlay.study import Reader, make_plan, select
        from parlay.study.trial_network import as_known

        seeds = self.seeds.make()
        recipe = self.recipe.make(self.data.data, family=self.network.family.family)
        data = self.data.load()
        network = self.network.make(data, groups=self._groups())
        if has_study(folder):
            with Reader(folder) as study:
                network = as_known(network, (row.trial.network for row in study.rows()))
        problem = self._problem(network)
        validation = self.network.val
        selection = select(self.layouts, family=network, problem=problem)
        first = next(iter(selection.layouts))
        precision = self.recipe.precision_of(
            network, first, data, recipe, folder=folder, device=device, threads=threads
        )
        plan = make_plan(
            network,
            selection.layouts,
            data=data.fingerprint,
            recipe=recipe,
            steps=self.recipe.steps,
            seeds=seeds,
            validation=validation,
            precision=precision,
            score=selection.score,
        )
        if validation:
            data.with_validation(validation)  # refused now rather than in every trial
        if not self.as_new:
            self._refuse_another_protocol(folder, plan[0].trial)
        source = self.data.source(data)
        return Asked(plan=plan, problem=problem, data=data, source=source, notes=selection.notes)

    def _problem(self, network: TrialNetwork) -> Problem | None:
        """The size, the limits and the fences; None where layouts are named and nothing is said of a size."""
        asked = given(ModelLimitOptions)
        if isinstance(network, Family):
            if asked:
                raise InputError(
                    asked[0], given="without --model", allowed="with a model; --kernels 4288 with a family"
                )
            return self.size.make(network) if self.size.has_size else None
        refuse_family_sizes()
        from parlay.study.selection import names_layouts

        if not asked and all(names_layouts(choice) for choice in self.layouts):
            return None
        return self.limits.problem(network.graph(), self.size, self.limits.device.make().of_one_size())

    def _refuse_another_protocol(self, folder: Path, trial: Trial) -> None:
        """Ask, or refuse where nobody can be asked, before trials are planned that a forgotten option made different.

        Raises:
            InputError: saying what differs, and the options that go on or confirm.
        """
        if not has_study(folder):
            return
        from parlay.study import Reader
        from parlay.study.plan import differing

        with Reader(folder) as study:
            found = differing(trial, [row.trial for row in study.rows()])
        if "data" in found or ("network" in found and self._names_network(found["network"])):
            return  # said on the command line: another question, with a recipe of its own
        forgotten = {name: values for name, values in found.items() if not is_given(OPTIONS.get(name, "recipe_set"))}
        if is_given("recipe"):
            forgotten = {name: values for name, values in forgotten.items() if name in OPTIONS}
        if not forgotten:
            return
        differs = "; ".join(_differs(name, *values) for name, values in forgotten.items())
        before, now = (
            " ".join(_option(name, values[which]) for name, values in forgotten.items()).strip() for which in (0, 1)
        )
        confirms = " or ".join(part for part in (now, "--as-new-protocol") if part)
        if sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm(f"{differs} in {folder}. Plan trials that cannot be compared?", abort=True, err=True)
            return
        goes_on = f"{before} goes on with them, " if before else ""
        raise InputError(
            f"study {folder}", given=differs, allowed="trials trained alike", remedy=f"{goes_on}{confirms} plans others"
        )

    def _names_network(self, networks: tuple[Mapping[str, Any], Mapping[str, Any]]) -> bool:
        """Whether the command line says that it is another network: by an option, or by layouts of another length."""
        there, here = networks
        is_other_depth = "depth" in there and "depth" in here and there["depth"] != here["depth"]
        return is_other_depth or any(map(is_given, ("family", "model", "model_arg", "kernel_size")))

    def _groups(self) -> int | None:
        """Number of widths of the first layout given by name, which sets the depth where no option does."""
        named = [choice for choice in self.layouts if choice.strip()[:1].isdigit()]
        return len(named[0].split(",")[0].split("-")) if named else None


def _differs(name: str, there: Any, here: Any) -> str:
    """Such as ``steps 400 there, 150 here``."""
    if name == "network":
        there, here = (value.get("model") or value["name"] for value in (there, here))
    return f"{name} {there} there, {here} here"


def _option(name: str, value: Any) -> str:
    """What sets it; nothing of a network, which takes several options."""
    if name == "network":
        return ""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"--{OPTIONS[name]} {text}" if name in OPTIONS else f"--recipe-set {name}={text}"
