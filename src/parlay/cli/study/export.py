"""``parlay study export``: every trial as text."""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import csv_option, json_option
from parlay.documents import document

__all__ = ["export"]


@command("parlay study export runs/digits --curves curves.csv")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--curves", type=click.Path(path_type=Path), help="Loss of every step: .csv, or .npz by trial.")
@json_option
@csv_option
def export(folder: Path, curves: Path | None, as_json: bool, as_csv: bool) -> None:
    """Every trial of the study, planned ones too, as text.

    On stdout, as CSV unless told otherwise; none there with --curves alone.
    """
    from parlay.study.export import export_curves, trials_json, trials_text

    if curves is not None:
        export_curves(folder, curves)
    if as_json:
        click.echo(document(trials_json(folder)))
    elif as_csv or curves is None:
        click.echo(trials_text(folder), nl=False)
