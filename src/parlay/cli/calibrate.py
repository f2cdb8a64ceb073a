"""``parlay calibrate``: weights of a score from trained networks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.kinds import Count, OpenChoice
from parlay.cli.options.table import BinOptions, TableOptions
from parlay.documents import document, write_atomically
from parlay.energy import SCORES

if TYPE_CHECKING:
    from rich.table import Table

    from parlay.evidence.calibrate import Calibration

__all__ = ["calibrate"]


@command("parlay calibrate runs/cifar --out weights.json")
@click.argument("source", metavar="STUDY|TABLE", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File for the weights.")
@takes(table=TableOptions, bins=BinOptions)
@click.option("--n", "count", type=int, help="Draw this many networks of one size, one run each; the others judge.")
@click.option("--size", type=Count(), help="A size in the bin to draw from; default: the bin with most networks.")
@click.option(
    "--prior",
    type=OpenChoice(SCORES),
    metavar="SCORE",
    help=f"Score to start from: {', '.join(SCORES)}; default: the recommended one.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn.")
@json_option
def calibrate(
    source: Path,
    out: Path | None,
    table: TableOptions,
    bins: BinOptions,
    count: int | None,
    size: int | None,
    prior: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fit the weights of the energy to trained networks.

    Use them with solve --score calibrated:FILE. STUDY is the folder of a study; TABLE a .csv or .csv.gz file with one
    row a network, its columns named by options.
    """
    from parlay.cli.options.training import checked_seed
    from parlay.energy import RECOMMENDED
    from parlay.evidence.calibrate import calibrate_population

    population = table.read(source, judging=False)[0]
    found = calibrate_population(
        population,
        bin_width=bins.make().width,
        count=count,
        size=size,
        prior=prior or RECOMMENDED,
        seed=checked_seed(seed),
    )
    if out is not None:
        write_atomically(out, document(found.to_json()) + "\n")
    if as_json:
        click.echo(document(found.to_json()))
        return
    from parlay.cli.terminal import plain_console

    console = plain_console()
    console.print(_weights(found))
    console.print(found.summary())
    if out is not None:
        click.echo(f"written: --score {shlex.quote(f'calibrated:{out}')}")


def _weights(found: Calibration) -> Table:
    """A line a group: the weight before and after, and its 95 % interval; in bold where that leaves out the former."""
    from parlay.cli.terminal import table_of

    table = table_of("group", "layers", "before", "weight", "sd", "95 %")
    for w in found.weights:
        ends = f"{w.low:.2f} to {w.high:.2f}"
        cells = (w.group, str(w.layers), f"{w.prior:g}", f"{w.weight:.2f}", f"{w.sd:.2f}", ends)
        table.add_row(*cells, style="bold" if w.is_new else "")
    return table
