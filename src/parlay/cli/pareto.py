"""``parlay pareto``: the best score at every level of one resource."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import csv_option, json_option, takes
from parlay.cli.options.front import AGAINST, FrontOptions
from parlay.cli.options.kinds import Choice
from parlay.cli.progress import solving
from parlay.documents import csv_lines, document

if TYPE_CHECKING:
    from parlay.solver import ParetoPoint

__all__ = ["pareto"]


@command("parlay pareto --depth 4 --kernels 4288 --against macs --levels 4")
@takes(asked=FrontOptions)
@click.option("--against", type=Choice(AGAINST), default="macs", show_default=True, help="What is levelled.")
@click.option("--levels", type=int, default=8, show_default=True, help="How many levels, in equal ratios.")
@click.option(
    "--level",
    "given",
    metavar="N|BYTES|RATIOx",
    multiple=True,
    help="A level of its own choice, such as 1.5M or 64KiB, or 0.5x of a model's own; repeatable.",
)
@click.option("--time-limit", type=float, default=20.0, show_default=True, help="Seconds a level.")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Folder for pareto.json, pareto.csv, pareto.png."
)
@json_option
@csv_option
def pareto(
    asked: FrontOptions,
    against: str,
    levels: int,
    given: tuple[str, ...],
    time_limit: float,
    folder: Path | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """The best score at every level of one resource.

    All else is kept. Of a model, every level is what 'parlay retrofit' answers under that limit, with its defaults and
    its score, step-energy. With --out every level is kept as it is solved; after Ctrl-C the same command goes on where
    it stopped.
    """
    from parlay.report.front import conduct_pareto, pareto_table

    front = asked.make(against, quiet=as_json or as_csv)
    problem, resource, question = front.problem, front.resource, front.question

    def watch(point: ParetoPoint) -> None:
        if not (as_json or as_csv) and sys.stderr.isatty():
            click.echo(f"{resource.name} <= {point.level:,}: {point.status.value}", err=True)

    with solving(quiet=as_json or as_csv, stops=False) as report:
        points = conduct_pareto(
            folder,
            problem,
            resource,
            question,
            levels=[front.level(text) for text in given] or levels,
            time_limit=time_limit,
            watch=watch,
            progress=report,
        )
    if as_json:
        facts = {**question, "worth": problem.score.worth(problem.space), "unit": resource.name}
        click.echo(document({**facts, "points": [point.to_json() for point in points]}))
        return
    if as_csv:
        for line in csv_lines(point.to_json() for point in points):
            click.echo(line)
        return
    from parlay.cli.terminal import wide_console

    click.echo(front.title)
    wide_console(120).print(pareto_table(points, resource.name))
    click.echo(problem.score.worth(problem.space))
