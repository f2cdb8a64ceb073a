"""``parlay evaluate``: how far to trust a score."""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.options import json_option, takes
from parlay.cli.options.table import BinOptions, TableOptions

__all__ = ["evaluate"]


@click.command()
@click.argument("source", metavar="STUDY|TABLE", type=click.Path(path_type=Path))
@takes(columns=TableOptions, bins=BinOptions)
@click.option("--score", "scores", multiple=True, help="A score to judge; repeatable; default: all that can be.")
@click.option("--resamples", type=int, default=4000, show_default=True, help="Bootstrap samples, and permutations.")
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes both.")
@json_option
def evaluate(
    source: Path,
    columns: TableOptions,
    bins: BinOptions,
    scores: tuple[str, ...],
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """How well scores rank trained networks of one size, against training each once and against chance.

    STUDY is the folder of a study; TABLE a .csv or .csv.gz file with one row a network, its columns named by options.
    """
    from parlay.evidence.evaluate import evaluate as judge

    found = judge(columns.read(source), scores=scores, binning=bins.make(), resamples=resamples, seed=seed)
    if as_json:
        click.echo(found.document())
        return
    from rich.console import Console

    from parlay.report.evaluation import evaluation_lines, panel_tables

    console = Console()
    for panel in found.panels:
        if len(found.panels) > 1:
            console.print(panel.name, style="bold", highlight=False, markup=False)
        for table in panel_tables(panel):
            console.print(table)
            console.print()
    for line in (*evaluation_lines(found), "", *found.verdict.split(" | ")):
        console.print(line, highlight=False, markup=False)
