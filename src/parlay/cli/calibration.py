"""``parlay calibrate``: weights of a score from trained networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from parlay.cli.options import json_option
from parlay.cli.plans import checked_seed
from parlay.cli.tables import bin_options, binning_from, populations_from, table_options
from parlay.documents import write_atomically

__all__ = ["calibrate"]


@click.command()
@click.argument("source", metavar="STUDY|TABLE", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File for the weights.")
@table_options
@bin_options
@click.option("--n", "count", type=int, help="Draw this many networks of one size, one run each; the others judge.")
@click.option("--size", type=int, help="A size in the bin to draw from; default: the bin with most networks.")
@click.option("--prior", help="Score to start from, one that solve can maximise; default: the recommended one.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn.")
@json_option
def calibrate(
    source: Path,
    out: Path | None,
    count: int | None,
    size: int | None,
    prior: str | None,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit the weights of the energy to trained networks; use them with solve --score calibrated:FILE.

    STUDY is the folder of a study; TABLE a .csv or .csv.gz file with one row a network, its columns named by options.
    """
    from parlay.evidence.calibrate import calibrate_population
    from parlay.evidence.scores import RECOMMENDED

    checked_seed(seed)
    population = populations_from(source, options)[0]
    binning = binning_from(options)
    found = calibrate_population(
        population, bin_width=binning.width, count=count, size=size, prior=prior or RECOMMENDED, seed=seed
    )
    if out is not None:
        write_atomically(out, found.document() + "\n")
    if as_json:
        click.echo(found.document())
        return
    from rich.console import Console

    from parlay.report.calibration import calibration_lines, weights_table

    console = Console()
    console.print(weights_table(found))
    for line in calibration_lines(found):
        console.print(line, highlight=False, markup=False)
    if out is not None:
        console.print(f"written: --score calibrated:{out}", highlight=False, soft_wrap=True, markup=False)
