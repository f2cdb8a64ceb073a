"""``parlay study compare``: which of these layouts?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import csv_option, json_option
from parlay.documents import csv_lines, document
from parlay.layout import format_layout

if TYPE_CHECKING:
    from rich.table import Table

    from parlay.evidence.compared import Comparison
    from parlay.evidence.comparison import LayoutComparison
    from parlay.evidence.measured import MeasuredLayout
    from parlay.evidence.paired import Difference

__all__ = ["compare", "differences_table"]


@command("parlay study compare runs/digits 8-12-16 6-12-18")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("layouts", nargs=-1, metavar="[A B ...]")
@json_option
@csv_option
def compare(folder: Path, layouts: tuple[str, ...], as_json: bool, as_csv: bool) -> None:
    """Which layout is better, with the seeds at hand.

    And how many more seeds would decide it. A B ... are layouts such as 35-36-37-43 (or 'original'), each compared
    with the first; without any, all are compared, with the one that is best on validation images, or the first
    planned. FOLDER may hold a trials.csv alone.
    """
    from parlay.evidence.comparison import compare_layouts
    from parlay.study.reading import read_trials

    found = compare_layouts(read_trials(folder), layouts)
    if as_json:
        click.echo(document(found.to_json()))
        return
    if as_csv:
        for line in csv_lines(found.comparison.rows()):
            click.echo(line)
        return
    from parlay.cli.terminal import plain_console

    console = plain_console()
    for table in (_accuracies(found), differences_table(found.comparison)):
        console.print(table)
        console.print()
    console.print(found.summary(), soft_wrap=True)


def _accuracies(found: LayoutComparison) -> Table:
    """A line a layout: what it costs, and its accuracy in per cent, mean ± standard deviation over seeds."""
    from parlay.cli.terminal import table_of

    has_validation = any(one.validation is not None for one in found.comparison.others)
    measures = {**({"validation %": "validation_accuracy"} if has_validation else {}), "test %": "accuracy"}
    table = table_of("layout", "params", "MACs", "seeds", *measures)
    for one in found.layouts:
        cells = (_accuracy(one, measure) for measure in measures.values())
        table.add_row(
            format_layout(one.layout), f"{one.amount('params'):,}", f"{one.macs:,}", str(len(one.rows)), *cells
        )
    return table


def differences_table(found: Comparison) -> Table:
    """A line for each layout but the reference: its difference in points, with the interval and p after Holm."""
    from parlay.cli.terminal import table_of

    first = f"minus {format_layout(found.reference)}"
    table = table_of(first, "on", "points", "95 %", "p Holm", "seeds", "verdict")
    for one in found.others:
        name = format_layout(one.layout)
        if one.validation is not None:
            table.add_row(name, "validation", *_difference(one.validation))
            name = ""
        table.add_row(name, "test", *_difference(one.test))
    return table


def _accuracy(one: MeasuredLayout, measure: str) -> str:
    from parlay.evidence.paired import spread

    values = [value for row in one.rows if (value := getattr(row, measure)) is not None]
    if not values:
        return "-"
    mean, deviation = spread(values)
    return f"{100 * mean:.2f}" + (f" ± {100 * deviation:.2f}" if len(values) > 1 else "")


def _difference(found: Difference) -> tuple[str, ...]:
    ends = "no test" if found.low is None or found.high is None else f"{100 * found.low:.2f} to {100 * found.high:.2f}"
    p = "-" if found.p_holm is None else "< 0.001" if found.p_holm < 0.001 else f"{found.p_holm:.3f}"
    return f"{100 * found.mean:+.2f}", ends, p, str(found.seeds), str(found.outcome)
