"""``parlay pareto``: the best score at every level of one resource."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.layouts import progress_report
from parlay.cli.options import (
    family_from,
    family_options,
    json_option,
    limit_options,
    problem_from,
    problem_options,
)
from parlay.documents import document

if TYPE_CHECKING:
    from parlay.solver import ParetoPoint

__all__ = ["pareto"]

AGAINST = ("macs", "peak-memory", "params", "weights")


@click.command()
@family_options
@problem_options
@limit_options
@click.option("--against", type=click.Choice(AGAINST), default="macs", show_default=True, help="What is levelled.")
@click.option("--levels", type=int, default=8, show_default=True, help="How many levels, in equal ratios.")
@click.option("--level", "given", type=int, multiple=True, help="A level of its own choice; repeatable.")
@click.option("--time-limit", type=float, default=20.0, show_default=True, help="Seconds a level.")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Folder for pareto.json, pareto.csv, pareto.png."
)
@json_option
def pareto(
    against: str,
    levels: int,
    given: tuple[int, ...],
    time_limit: float,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """The best score at every level of multiply-adds or peak memory, all else kept.

    With --out every level is kept as it is solved; after Ctrl-C the same command goes on where it stopped.
    """
    from rich.console import Console

    from parlay.report.pareto import conduct_pareto, pareto_table, point_facts

    settings = {key: value for key, value in options.items() if value is not None} | {"against": against}
    family = family_from(options)
    dtype = options["dtype"]
    problem = problem_from(family, options)
    resource = family.peak_activation_bytes(dtype) if against == "peak-memory" else getattr(family, against)
    sizes = ", ".join(str(constraint) for constraint in problem.constraints)
    title = f"{family.title}, {sizes}, order {problem.space.order}, score {problem.score.name}"
    question = {"title": title, **{key: _plain(settings[key]) for key in sorted(settings)}}

    def watch(point: ParetoPoint) -> None:
        if not as_json and sys.stderr.isatty():
            click.echo(f"{resource.name} <= {point.level:,}: {point.status.value}", err=True)

    with progress_report(quiet=as_json or not sys.stderr.isatty(), stops=False) as report:
        points = conduct_pareto(
            folder,
            problem,
            resource,
            question,
            levels=list(given) if given else levels,
            time_limit=time_limit,
            watch=watch,
            progress=report,
        )
    if as_json:
        facts = {**question, "unit": resource.name, "points": [point_facts(point) for point in points]}
        click.echo(document(facts))
        return
    click.echo(title)
    console = Console()
    Console(width=max(console.width, 120)).print(pareto_table(points, resource.name))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
