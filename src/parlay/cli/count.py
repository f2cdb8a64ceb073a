"""``parlay count``: how many layouts a size has."""

from __future__ import annotations

import click

from parlay.cli.command import command
from parlay.cli.facts import question_facts, question_words
from parlay.cli.options import json_option, takes
from parlay.cli.options.problem import FamilyOptions, MemoryOptions, ProblemOptions
from parlay.cli.progress import counting
from parlay.documents import document

__all__ = ["count"]


@command("parlay count --depth 4 --kernels 4288")
@takes(network=FamilyOptions, size=ProblemOptions, tables=MemoryOptions)
@json_option
def count(network: FamilyOptions, size: ProblemOptions, tables: MemoryOptions, as_json: bool) -> None:
    """Count the layouts of one size, exactly, without listing them.

    Layouts with a width of 1 (energy 0) count; --min-width 2 leaves them out. The score has no influence.
    """
    from parlay.solver import count_layouts

    family = network.make()
    problem = size.make(family)
    with counting() as tick:
        number = count_layouts(problem, memory=tables.bytes, tick=tick)
    if as_json:
        click.echo(document({"count": number, **question_facts(family, problem)}))
    else:
        click.echo(f"{number:,} layouts: {question_words(family.title, problem)}")
