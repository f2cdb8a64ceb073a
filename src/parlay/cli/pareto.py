"""``parlay pareto``: the best score at every level of one resource."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.calibrated import CalibratedScore
from parlay.cli.command import command
from parlay.cli.facts import question_words
from parlay.cli.options import csv_option, json_option, takes
from parlay.cli.options.kinds import Choice, Count
from parlay.cli.options.problem import FamilyOptions, LimitOptions, ProblemOptions
from parlay.cli.progress import solving
from parlay.documents import csv_lines, document

if TYPE_CHECKING:
    from parlay.solver import ParetoPoint

__all__ = ["pareto"]

AGAINST = ("macs", "peak-memory", "params", "weights")


@command("parlay pareto --depth 4 --kernels 4288 --against macs --levels 4")
@takes(network=FamilyOptions, size=ProblemOptions, limits=LimitOptions)
@click.option("--against", type=Choice(AGAINST), default="macs", show_default=True, help="What is levelled.")
@click.option("--levels", type=int, default=8, show_default=True, help="How many levels, in equal ratios.")
@click.option(
    "--level", "given", type=Count(), multiple=True, help="A level of its own choice, such as 1.5M; repeatable."
)
@click.option("--time-limit", type=float, default=20.0, show_default=True, help="Seconds a level.")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Folder for pareto.json, pareto.csv, pareto.png."
)
@json_option
@csv_option
def pareto(
    network: FamilyOptions,
    size: ProblemOptions,
    limits: LimitOptions,
    against: str,
    levels: int,
    given: tuple[int, ...],
    time_limit: float,
    folder: Path | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """The best score at every level of one resource.

    All else is kept. With --out every level is kept as it is solved; after Ctrl-C the same command goes on where it
    stopped.
    """
    from parlay.report.front import conduct_pareto, pareto_table

    family = network.make()
    problem = size.make(family, limits)
    resource = family.peak_activation_bytes(limits.dtype) if against == "peak-memory" else getattr(family, against)
    title = f"{question_words(family, problem)}, score {problem.score.name}"
    asked = {**vars(network), **vars(size), **vars(limits), "against": against}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asked.items()}
    if isinstance(problem.score, CalibratedScore):  # a file's name is no question, its weights are
        plain |= {"score": problem.score.name, "score_sha256": problem.score.digest}
    question = {"title": title, **{key: plain[key] for key in sorted(plain) if plain[key] is not None}}

    def watch(point: ParetoPoint) -> None:
        if not (as_json or as_csv) and sys.stderr.isatty():
            click.echo(f"{resource.name} <= {point.level:,}: {point.status.value}", err=True)

    with solving(quiet=as_json or as_csv, stops=False) as report:
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
        click.echo(document({**question, "unit": resource.name, "points": [point.to_json() for point in points]}))
        return
    if as_csv:
        for line in csv_lines(point.to_json() for point in points):
            click.echo(line)
        return
    from parlay.cli.terminal import wide_console

    click.echo(title)
    wide_console(120).print(pareto_table(points, resource.name))
    click.echo(problem.score.worth(problem.space))
