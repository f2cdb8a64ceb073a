"""``parlay list``, ``count`` and ``sample``: all layouts of a size, how many there are, some of them at random."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.options import family_from, family_options, json_option, problem_from, problem_options
from parlay.documents import SCHEMA_VERSION, document, finite
from parlay.errors import InputError
from parlay.layout import format_layout

if TYPE_CHECKING:
    from parlay.families import Family
    from parlay.layout import Layout
    from parlay.problem import Problem

__all__ = ["count", "list_command", "sample"]

memory_option = click.option(
    "--memory", type=float, default=2.0, show_default=True, help="GiB that the counting tables may take."
)


@click.command("list")
@family_options
@problem_options
@click.option("--limit", type=int, default=1000, show_default=True, help="Stop after so many layouts.")
@json_option
def list_command(limit: int, as_json: bool, **options: Any) -> int:
    """List the layouts of one size in order of their widths, as they are found.

    For the best ones see 'parlay solve --top-k', for how many there are 'parlay count'. Exit code 1 when there is none.
    """
    from parlay.solver import stream_layouts

    family = family_from(options)
    problem = problem_from(family, options)
    if limit < 1:
        raise InputError("limit", given=limit, allowed="an integer of at least 1")
    found = iter(stream_layouts(problem))
    rows = (layout_facts(family, problem, layout) for layout in islice(found, min(limit, sys.maxsize)))
    listed = _stream_json(family, problem, rows, found) if as_json else _stream_lines(rows)
    if not as_json:
        _say_the_rest(listed, found)
    return 0 if listed else 1


@click.command()
@family_options
@problem_options
@memory_option
@json_option
def count(memory: float, as_json: bool, **options: Any) -> None:
    """Count the layouts of one size, exactly, without listing them.

    Layouts with a width of 1 (energy 0) count; --min-width 2 leaves them out. The score has no influence.
    """
    from parlay.solver import count_layouts

    family = family_from(options)
    problem = problem_from(family, options)
    with _table_progress() as tick:
        number = count_layouts(problem, memory=_bytes(memory), tick=tick)
    facts = {"count": number, **question_facts(family, problem)}
    click.echo(document(facts) if as_json else f"{number:,} layouts: {_question_words(facts)}")


@click.command()
@family_options
@problem_options
@click.option("--n-samples", type=int, default=32, show_default=True, help="How many layouts to draw.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same layouts, on any machine.")
@click.option("--replace", is_flag=True, help="Let a layout come more than once.")
@memory_option
@json_option
def sample(n_samples: int, seed: int, replace: bool, memory: float, as_json: bool, **options: Any) -> None:
    """Draw layouts of one size at random, each as likely as every other, without replacement."""
    from parlay.solver import Sampler

    family = family_from(options)
    problem = problem_from(family, options)
    with _table_progress() as tick:
        sampler = Sampler(problem, memory=_bytes(memory), tick=tick)
    drawn = sampler.draw(n_samples, seed=seed, replace=replace)
    facts = {
        "count": sampler.total,
        **question_facts(family, problem),
        "n_samples": n_samples,
        "seed": seed,
        "replace": replace,
        "layouts": [layout_facts(family, problem, layout) for layout in drawn],
    }
    if as_json:
        click.echo(document(facts))
    else:
        click.echo("\n".join(format_layout(layout) for layout in drawn))


def layout_facts(family: Family, problem: Problem, layout: Layout) -> dict[str, Any]:
    """One layout under the keys of ``parlay solve``'s solutions."""
    from parlay.problem import Solution

    solution = Solution(layout=layout, log_energy=problem.log_energy(layout))
    return {
        "layout": list(layout),
        "energy": finite(solution.energy),
        "log_energy": finite(solution.log_energy),
        **family.sizes(layout),
        **family.amounts(layout),
    }


def question_facts(family: Family, problem: Problem) -> dict[str, Any]:
    """The question in JSON."""
    space = problem.space
    return {
        "family": family.name,
        "depth": family.depth,
        "size": str(problem.constraints[0]),
        "order": str(space.order),
        "max_step": None if space.max_step is None else str(space.max_step),
    }


def _question_words(facts: dict[str, Any]) -> str:
    return f"{facts['family']} of depth {facts['depth']}, {facts['size']}, order {facts['order']}"


def _stream_lines(rows: Iterator[dict[str, Any]]) -> int:
    listed = 0
    for row in rows:
        click.echo(format_layout(row["layout"]))
        listed += 1
    return listed


def _stream_json(family: Family, problem: Problem, rows: Iterator[dict[str, Any]], found: Iterator[Layout]) -> int:
    """One JSON document, written as the layouts are found."""
    head = json.dumps({"schema_version": SCHEMA_VERSION, **question_facts(family, problem)}, indent=2)
    click.echo(head[: head.rindex("\n}")] + ',\n  "layouts": [', nl=False)
    listed = 0
    for row in rows:
        click.echo(f"{',' if listed else ''}\n    {json.dumps(row)}", nl=False)
        listed += 1
    complete = next(found, None) is None
    click.echo(f'\n  ],\n  "listed": {listed},\n  "complete": {json.dumps(complete)}\n}}')
    return listed


def _say_the_rest(listed: int, found: Iterator[Layout]) -> None:
    """A word on stderr, so that what is listed can be piped."""
    if next(found, None) is not None:
        click.echo(f"the first {listed:,} are listed; there are more: raise --limit, or see 'parlay count'", err=True)
    elif listed:
        click.echo(f"these {listed:,} are all there are", err=True)
    else:
        click.echo("no layout has this size within these fences; 'parlay solve' names the nearest sizes", err=True)


def _bytes(gibibytes: float) -> int:
    if not 0 < gibibytes <= 1 << 20:
        raise InputError("memory", given=gibibytes, allowed="GiB, above 0")
    return int(gibibytes * (1 << 30))


@contextmanager
def _table_progress() -> Iterator[Callable[[float], None]]:
    """A bar on stderr while the counting tables fill, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("counting", total=1.0)
        yield lambda share: bar.update(task, completed=share)
