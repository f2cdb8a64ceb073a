"""``parlay study``: many layouts trained the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from parlay.cli.inputs import family_for, load_data, recipe_for, training_options
from parlay.cli.options import SIZE_KEYS, family_options, json_option, problem_from, problem_options

__all__ = ["study"]


@click.group()
def study() -> None:
    """Train many layouts of one size, keep every result, go on where it stopped."""


@study.command()
@click.option("--study", "folder", required=True, type=click.Path(path_type=Path), help="The study's folder.")
@click.option(
    "--layouts",
    multiple=True,
    required=True,
    help="top:K, spread:K, sample:K[@SEED], all, or layouts joined by commas; repeatable.",
)
@click.option("--seeds", type=int, help="Runs of each layout, with seeds 0, 1, ...; default 1.")
@click.option("--seed", "given", type=int, multiple=True, help="A seed of its own choice; repeatable.")
@training_options
@family_options
@problem_options
@json_option
@click.pass_context
def run(
    context: click.Context,
    folder: Path,
    layouts: tuple[str, ...],
    seeds: int | None,
    given: tuple[int, ...],
    as_json: bool,
    steps: int | None,
    **options: Any,
) -> None:
    """Train every layout chosen, and write trials.csv and scatter.png into the study's folder."""
    from parlay.cli.reports import finish, seeds_from
    from parlay.report.studies import conduct
    from parlay.study import make_plan, select

    numbers = seeds_from(seeds, given)
    recipe = recipe_for(options)
    data = load_data(options)
    family = family_for(data, options, groups=_first_groups(layouts))
    sized = any(options[key] is not None for key in SIZE_KEYS)
    problem = problem_from(family, options) if sized else None
    chosen = select(layouts, family=family, problem=problem)
    plan = make_plan(family, chosen, data=data.fingerprint, recipe=recipe, steps=steps, seeds=numbers, precision="bf16")
    finish(context, folder, as_json, lambda watcher: conduct(folder, plan, data, problem=problem, watcher=watcher))


def _first_groups(layouts: tuple[str, ...]) -> int | None:
    """Number of widths of the first layout given by name, which sets the depth where no option does."""
    named = [choice for choice in layouts if choice.strip()[:1].isdigit()]
    return len(named[0].split(",")[0].split("-")) if named else None
