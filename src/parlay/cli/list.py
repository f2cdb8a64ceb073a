"""``parlay list``: all layouts of a size, as they are found."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from parlay.cli.command import command
from parlay.cli.facts import layout_facts, question_facts
from parlay.cli.options import csv_option, json_option, takes
from parlay.cli.options.problem import FamilyOptions, ProblemOptions
from parlay.documents import csv_lines, document
from parlay.errors import InputError
from parlay.layout import Layout, format_layout

__all__ = ["list_command"]


@command("parlay list --depth 4 --kernels 4288 --limit 5", name="list")
@takes(network=FamilyOptions, size=ProblemOptions)
@click.option("--limit", type=int, default=1000, show_default=True, help="Stop after so many layouts.")
@json_option
@csv_option
def list_command(network: FamilyOptions, size: ProblemOptions, limit: int, as_json: bool, as_csv: bool) -> int:
    """List the layouts of one size, as they are found.

    They come in order of their widths. For the best ones see 'parlay solve --top-k', for how many there are 'parlay
    count'. Exit code 1 when there is none.
    """
    from parlay.solver import stream_layouts

    family = network.make()
    problem = size.make(family)
    if limit < 1:
        raise InputError("limit", given=limit, allowed="an integer of at least 1")
    found = iter(stream_layouts(problem))
    some = islice(found, min(limit, sys.maxsize))
    if as_json:
        rows = (layout_facts(family, problem, layout) for layout in some)
        return 0 if _stream_json(question_facts(family, problem), rows, found) else 1
    listed = 0
    rows = (layout_facts(family, problem, layout) for layout in some)
    for line in csv_lines(rows) if as_csv else map(format_layout, some):
        click.echo(line)
        listed += 1
    listed -= as_csv and listed > 0  # the names of the columns
    _say_the_rest(listed, found)
    return 0 if listed else 1


def _stream_json(question: dict[str, Any], rows: Iterator[dict[str, Any]], found: Iterator[Layout]) -> int:
    """One JSON document, written as the layouts are found."""
    head = document(question)
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
