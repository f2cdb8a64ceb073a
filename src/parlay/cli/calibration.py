"""``parlay calibrate`` and ``parlay search``: weights from trained networks, and the search that uses them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from parlay.cli.options import json_option
from parlay.cli.tables import bin_options, binning_from, populations_from, table_options
from parlay.documents import write_atomically
from parlay.errors import InputError

__all__ = ["calibrate", "search"]

prior_option = click.option(
    "--prior", help="Score to start from, one that solve can maximise; default: the recommended one."
)


@click.command()
@click.argument("source", metavar="STUDY|TABLE", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File for the weights.")
@table_options
@bin_options
@click.option("--n", "count", type=int, help="Draw this many networks of one size, one run each; the others judge.")
@click.option("--size", type=int, help="A size in the bin to draw from; default: the bin with most networks.")
@prior_option
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

    _checked(seed)
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


@click.command()
@click.option(
    "--replay", "source", type=click.Path(path_type=Path), required=True, help="Table of trained networks, .csv[.gz]."
)
@table_options
@bin_options
@click.option("--n-trials", "trials", type=int, default=16, show_default=True, help="Trainings of a search.")
@click.option("--repetitions", type=int, default=200, show_default=True, help="Of every method in every bin.")
@click.option(
    "--method", "methods", multiple=True, help="thompson, ucb, learn, top, random, evolution, tpe; repeatable."
)
@prior_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of every choice.")
@click.option("--out", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder for replay.json, .png.")
@json_option
def search(
    source: Path,
    trials: int,
    repetitions: int,
    methods: tuple[str, ...],
    prior: str | None,
    seed: int,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search with trainings: propose, train, calibrate, propose again.

    With --replay a training is a look into a table; the loop stands beside random search, the score's top n, Optuna's
    TPE and regularised evolution. Without --min-bin, bins of 100 networks or more count.
    """
    from parlay.evidence.replay import replay
    from parlay.evidence.scores import RECOMMENDED

    _checked(seed)
    least = options["min_bin"] or 100
    population = populations_from(source, options)[0]
    binning = binning_from(options)
    shown = sys.stderr.isatty() and not as_json

    def watch(done: int, every: int) -> None:
        if shown:
            click.echo(f"\r{done} of {every} bins", err=True, nl=done == every)

    found = replay(
        population,
        bin_width=binning.width,
        least=least,
        trials=trials,
        repetitions=repetitions,
        prior=prior or RECOMMENDED,
        methods=methods or None,
        seed=seed,
        progress=watch,
    )
    if folder is not None:
        from parlay.report.replay import save_replay

        save_replay(found, folder)
    if as_json:
        click.echo(found.document())
        return
    from rich.console import Console

    from parlay.report.replay import replay_table

    console = Console()
    Console(width=max(console.width, 110)).print(replay_table(found))
    console.print(found.verdict, highlight=False, markup=False)
    if folder is not None:
        console.print(str(folder / "replay.png"), highlight=False, soft_wrap=True, markup=False)


def _checked(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise InputError("--seed", given=seed, allowed="an integer from 0 to 2^63 - 1")
