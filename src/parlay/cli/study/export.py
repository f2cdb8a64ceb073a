"""``parlay study export``: every trial as text."""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import json_option
from parlay.documents import document, write_atomically

__all__ = ["export"]

STDOUT = "-"


@command("parlay study export runs/digits --curves curves.csv")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--curves", type=click.Path(path_type=Path), help="Loss of every step: .csv, or .npz by trial.")
@json_option
@click.option(
    "--csv",
    "table",
    is_flag=False,
    flag_value=STDOUT,
    metavar="[FILE]",
    help="Comma-separated values, into FILE or, without one, there.",
)
def export(folder: Path, curves: Path | None, as_json: bool, table: str | None) -> None:
    """Every trial of the study, planned ones too, as text.

    On stdout, as CSV unless told otherwise; none there with --curves alone, or with a file for --csv.
    """
    from parlay.study.export import export_curves, trials_json, trials_text

    if as_json and table is not None:
        raise click.UsageError("--json and --csv: one of the two.")
    if curves is not None:
        export_curves(folder, curves)
    if as_json:
        click.echo(document(trials_json(folder)))
    elif table not in (None, STDOUT):
        write_atomically(Path(table), trials_text(folder))
    elif table == STDOUT or curves is None:
        click.echo(trials_text(folder), nl=False)
