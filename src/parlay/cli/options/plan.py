"""Options that plan trials: which layouts of which network, on which data, how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.cli.options import given, option, record
from parlay.cli.options.problem import ProblemOptions
from parlay.cli.options.training import DataOptions, NetworkOptions, RecipeOptions, SeedOptions
from parlay.errors import InputError
from parlay.families import Family
from parlay.problem import Problem

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.study import DataSource, Planned

__all__ = ["Asked", "PlanOptions"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks for.

    Attributes:
        plan: the trials.
        problem: the size and the fences, where a size is given.
        data: what they are trained on.
        source: where that comes from.
    """

    plan: tuple[Planned, ...]
    problem: Problem | None
    data: Dataset
    source: DataSource


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Everything that decides trials."""

    layouts: tuple[str, ...] = option(
        "--layouts",
        multiple=True,
        help="top:K, spread:K, sample:K[@SEED], all, or layouts joined by commas ('original': a model's own);"
        " repeatable.",
    )
    seeds: SeedOptions = field(metadata=record(SeedOptions))
    data: DataOptions = field(metadata=record(DataOptions))
    network: NetworkOptions = field(metadata=record(NetworkOptions))
    recipe: RecipeOptions = field(metadata=record(RecipeOptions))
    size: ProblemOptions = field(metadata=record(ProblemOptions))

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
        """The plan, for the study in a folder."""
        from parlay.study import make_plan, select

        seeds = self.seeds.make()
        recipe = self.recipe.make(self.data.data, family=self.network.family.family)
        data = self.data.load()
        network = self.network.make(data, groups=self._groups())
        problem = None
        if self.size.has_size:
            if not isinstance(network, Family):
                raise InputError(
                    "size", given="with --model", allowed="layouts by name, such as those of parlay retrofit"
                )
            problem = self.size.make(network)
        validation = self.network.val
        layouts = select(self.layouts, family=network, problem=problem)
        first = next(iter(layouts))
        precision = self.recipe.precision_of(
            network, first, data, recipe, folder=folder, device=device, threads=threads
        )
        plan = make_plan(
            network,
            layouts,
            data=data.fingerprint,
            recipe=recipe,
            steps=self.recipe.steps,
            seeds=seeds,
            validation=validation,
            precision=precision,
        )
        if validation:
            data.with_validation(validation)  # refused now rather than in every trial
        return Asked(plan=plan, problem=problem, data=data, source=self.data.source(data))

    def _groups(self) -> int | None:
        """Number of widths of the first layout given by name, which sets the depth where no option does."""
        named = [choice for choice in self.layouts if choice.strip()[:1].isdigit()]
        return len(named[0].split(",")[0].split("-")) if named else None
