"""``parlay demo``: the main job in small."""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.options import json_option

__all__ = ["demo"]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where to write.")
@click.option("--seeds", type=int, default=3, show_default=True, help="Runs of each layout.")
@json_option
@click.pass_context
def demo(context: click.Context, out: Path, seeds: int, as_json: bool) -> None:
    """Solve a small size, train every layout of it on handwritten digits, and plot energy against accuracy."""
    from parlay.cli.plans import seeds_from
    from parlay.cli.reports import finish
    from parlay.demo import run_demo

    numbers = seeds_from(seeds, ())
    finish(context, out, as_json, lambda watcher: run_demo(out, seeds=len(numbers), watcher=watcher))
