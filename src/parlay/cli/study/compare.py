"""``parlay study compare``: which of these layouts?"""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.options import json_option

__all__ = ["compare"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("layouts", nargs=-1, metavar="[A B ...]")
@json_option
def compare(folder: Path, layouts: tuple[str, ...], as_json: bool) -> None:
    """Which layout is better, with the seeds at hand, and how many more would decide it.

    A B ... are layouts such as 35-36-37-43 (or 'original'), each compared with the first; without any, all are
    compared, with the one that is best on validation images, or the first planned. FOLDER may hold a trials.csv alone.
    """
    from parlay.evidence.comparison import compare_layouts
    from parlay.study.reading import read_trials

    found = compare_layouts(read_trials(folder), layouts)
    if as_json:
        click.echo(found.document())
        return
    from rich.console import Console

    from parlay.report.comparison import accuracy_table, comparison_lines, difference_table

    console = Console()
    for table in (accuracy_table(found), difference_table(found)):
        console.print(table)
        console.print()
    for line in comparison_lines(found):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
