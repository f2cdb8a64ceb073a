"""From options to a plan: which layouts of which network, on which data, how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from parlay.cli.inputs import load_data, network_for, precision_for, recipe_for, source_of, training_options
from parlay.cli.options import SIZE_KEYS, family_options, problem_from, problem_options
from parlay.errors import InputError
from parlay.families import Family
from parlay.problem import Problem
from parlay.study import DataSource, Planned, make_plan, select

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["Asked", "checked_seed", "is_planning", "plan_from", "planning_options", "seeds_from"]

Command = TypeVar("Command", bound=Callable[..., Any])


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


def planning_options(command: Command) -> Command:
    """Add everything that decides trials."""
    for option in reversed(
        (
            click.option(
                "--layouts",
                multiple=True,
                help="top:K, spread:K, sample:K[@SEED], all, or layouts joined by commas ('original': a model's own);"
                " repeatable.",
            ),
            click.option("--n-seeds", "--seeds", "seeds", type=int, help="Runs of each layout, seeds 0, 1, ...; [1]."),
            click.option("--seed", "given", type=int, multiple=True, help="A seed of its own choice; repeatable."),
            training_options(required=False),
            family_options,
            problem_options,
        )
    ):
        command = option(command)
    return command


PLANNING = {
    *("layouts", "seeds", "given", "data", "data_dir", "val", "model", "model_arg", "recipe", "recipe_set", "steps"),
    *("precision", "family", "depth", "in_channels", "kernel_size", "image", "classes", "kernels", "weights"),
    *("max_kernels", "max_weights", "score", "order", "max_step", "min_width", "max_width", "multiple_of"),
}


def is_planning(options: dict[str, Any]) -> bool:
    """Whether the command line plans; the options are taken out of ``options`` where it does not.

    Raises:
        click.UsageError: for options of a plan without layouts or data.
    """
    context = click.get_current_context()
    given = [key for key in sorted(PLANNING) if context.get_parameter_source(key) is not ParameterSource.DEFAULT]
    if not given:
        for key in PLANNING:
            options.pop(key)
        return False
    for key, example in (("layouts", "--layouts top:6"), ("data", "--data cifar10")):
        if not options[key]:
            raise click.UsageError(f"Missing option '--{key}', such as {example}: a plan needs it.")
    return True


def plan_from(options: dict[str, Any], folder: Path) -> Asked:
    """The plan that the options describe, for the study in a folder; they are taken out of ``options``."""
    layouts = options.pop("layouts")
    numbers = seeds_from(options.pop("seeds"), options.pop("given"))
    validation, steps = options.pop("val"), options.pop("steps")
    recipe, precision = recipe_for(options), precision_for(options, folder=folder)
    data = load_data(options)
    spec, downloads = source_of(options)
    network = network_for(data, options, groups=_first_groups(layouts))
    problem = None
    if any(options[key] is not None for key in SIZE_KEYS):
        if not isinstance(network, Family):
            raise InputError("size", given="with --model", allowed="layouts by name, such as those of parlay retrofit")
        problem = problem_from(network, options)
    plan = make_plan(
        network,
        select(layouts, family=network, problem=problem),
        data=data.fingerprint,
        recipe=recipe,
        steps=steps,
        seeds=numbers,
        validation=validation,
        precision=precision,
    )
    if validation:
        data.with_validation(validation)  # refused now rather than in every trial
    source = DataSource(name=data.name, spec=spec, folder=downloads)
    for key in PLANNING:
        options.pop(key, None)
    return Asked(plan=plan, problem=problem, data=data, source=source)


def checked_seed(seed: int) -> int:
    """The seed, if torch takes it."""
    if not 0 <= seed < 2**63:
        raise InputError("--seed", given=seed, allowed="an integer from 0 to 2^63 - 1")
    return seed


def seeds_from(count: int | None, given: Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to count - 1, or those given one by one; seed 0 without either."""
    if count is not None and given:
        raise InputError("seeds", given="--n-seeds and --seed", allowed="one of the two")
    if given:
        return tuple(checked_seed(seed) for seed in given)
    if count is not None and not 1 <= count <= 1000:
        raise InputError("--n-seeds", given=count, allowed="an integer from 1 to 1000")
    return tuple(range(1 if count is None else count))


def _first_groups(layouts: Sequence[str]) -> int | None:
    """Number of widths of the first layout given by name, which sets the depth where no option does."""
    named = [choice for choice in layouts if choice.strip()[:1].isdigit()]
    return len(named[0].split(",")[0].split("-")) if named else None
