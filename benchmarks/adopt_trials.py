"""Take a trials.csv of an earlier parlay into results/: ``python -m benchmarks.adopt_trials FILE --precision bf16``.

Tables written before precision and validation were columns do not say in which arithmetic their networks were trained,
so it has to be said; every row then carries a note on where it comes from, which the panel's README repeats. Running it
again changes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from parlay.errors import ParlayError
from parlay.paper.results import write_results
from parlay.study.reading import read_csv

NOTE = "trained by an earlier parlay whose tables did not record versions or hardware"


@click.command()
@click.argument("table", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), required=True, help="What the networks were trained in."
)
@click.option("--results", type=click.Path(path_type=Path), default="results", show_default=True)
@click.option("--note", default=NOTE, show_default=True, help="Kept with every row.")
def adopt(table: Path, precision: str, results: Path, note: str) -> None:
    """Add the complete trials of TABLE to the panels they are points of."""
    try:
        rows = read_csv(table, precision=precision, note=note).rows
        results.mkdir(parents=True, exist_ok=True)
        held = write_results(results, rows)
    except ParlayError as error:
        click.echo(f"adopt_trials: {error}", err=True)
        sys.exit(2)
    click.echo(f"{len(rows)} complete trials; " + (", ".join(f"{k} holds {v}" for k, v in held.items()) or "no panel"))


if __name__ == "__main__":
    adopt()
