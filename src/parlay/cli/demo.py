"""``parlay demo``: the main job in small."""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import json_option

__all__ = ["demo"]


@command("parlay demo --out demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where to write.")
@click.option("--seeds", type=int, default=3, show_default=True, help="Runs of each layout.")
@json_option
def demo(out: Path, seeds: int, as_json: bool) -> int:
    """Solve a small size, train its layouts on digits, plot the outcome.

    All layouts of the size, on handwritten digits; the plot is of energy and accuracy.
    """
    from parlay.cli.options.training import seeds_from
    from parlay.cli.trials import finish
    from parlay.demo import run_demo

    numbers = seeds_from(seeds, ())
    return finish(out, as_json, lambda watcher: run_demo(out, seeds=len(numbers), watcher=watcher))
