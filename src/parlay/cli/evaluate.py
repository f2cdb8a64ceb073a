"""``parlay evaluate``: how far to trust a score."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.kinds import OpenChoice
from parlay.cli.options.table import BinOptions, TableOptions
from parlay.documents import document
from parlay.evidence.scores import predictors
from parlay.layout import format_layout

if TYPE_CHECKING:
    from rich.table import Table

    from parlay.evidence.judged import JudgedPopulation, JudgedScore

__all__ = ["evaluate"]

RANKING = (
    ("Spearman", "spearman"),
    ("95 %", "interval"),
    ("tau-b", "kendall"),
    ("Pearson", "pearson"),
    ("p", "p_value"),
    ("p Holm", "p_holm"),
)
BEYOND = (
    ("given params", "partial_params"),
    ("MACs", "partial_macs"),
    ("both", "partial_params_macs"),
    ("pairs", "concordance"),
    ("top 1", "gain_top1"),
    ("top 5", "gain_top5"),
)
TABLES = {"inside bins": RANKING, "beyond size": BEYOND}
"""Heading and number of every column; two tables, so that each fits a terminal of 80 columns."""


@command("parlay evaluate nets.csv --widths a,b --accuracy acc --params params --macs macs")
@click.argument("source", metavar="STUDY|TABLE", type=click.Path(path_type=Path))
@takes(columns=TableOptions, bins=BinOptions)
@click.option(
    "--score",
    "scores",
    metavar="SCORE",
    type=OpenChoice(predictors()),
    multiple=True,
    help="A score to judge; repeatable; default: all that can be.",
)
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
    """How well scores rank trained networks of one size.

    Beside them stand one training run of each network, and chance. STUDY is the folder of a study; TABLE a .csv or
    .csv.gz file with one row a network, its columns named by options.
    """
    from parlay.evidence.evaluate import evaluate as judge

    found = judge(columns.read(source), scores=scores, binning=bins.make(), resamples=resamples, seed=seed)
    compares = f"parlay study compare {shlex.quote(str(source))}" if source.is_dir() and found.has_too_few else None
    if as_json:
        click.echo(document({**found.to_json(), "next": compares}))
        return
    from parlay.cli.terminal import plain_console

    console = plain_console()
    for panel in found.panels:
        if len(found.panels) > 1:
            console.print(panel.name, style="bold")
        for heading, shown in TABLES.items():
            console.print(_table(panel, heading, shown))
            console.print()
        if any(score.optimum for score in panel.scores):
            console.print(_optima(panel))
            console.print()
    console.print(found.summary())
    if compares is not None:
        console.print(f"too few layouts to rank; {compares} says which is better")


def _table(panel: JudgedPopulation, heading: str, columns: tuple[tuple[str, str], ...]) -> Table:
    """A line a score, highest coefficient first, then one training run and the ceiling."""
    from parlay.cli.terminal import table_of
    from parlay.evidence.judged import JudgedScore

    table = table_of(heading, *(title for title, _ in columns))
    for score in sorted(panel.scores, key=lambda score: -_or_last(score["spearman"])):
        table.add_row(score.name, *(_cell(score, key) for _, key in columns))
    for name, numbers in (("one training run", panel.one_run), ("ceiling", panel.ceiling)):
        row = JudgedScore(name=name, numbers=numbers)
        table.add_row(name, *(_cell(row, key) for _, key in columns), style="dim")
    return table


def _optima(panel: JudgedPopulation) -> Table:
    """A line a score whose best layout was trained, most accurate first."""
    from parlay.cli.terminal import table_of

    table = table_of("best by", "layout", "accuracy", f"beats of {panel.networks}")
    found = [(score.name, score.optimum) for score in panel.scores if score.optimum is not None]
    for name, one in sorted(found, key=lambda item: -item[1].accuracy):
        table.add_row(name, format_layout(one.layout), f"{one.accuracy:.4f}", str(one.beats))
    return table


def _cell(score: JudgedScore, key: str) -> str:
    if key == "interval":
        low, high = score.numbers.get("ci_low", math.nan), score.numbers.get("ci_high", math.nan)
        return "-" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
    value = score.numbers.get(key, math.nan)
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if key.startswith(("gain", "p_")) else f"{value:.2f}"


def _or_last(value: float) -> float:
    return -math.inf if math.isnan(value) else value
