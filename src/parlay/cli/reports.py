"""How the commands that run studies show progress and outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from parlay.cli.progress import ProgressBar
from parlay.study import Watcher
from parlay.study.conduct import Conducted

__all__ = ["INTERRUPTED", "finish"]

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def finish(context: click.Context, folder: Path, as_json: bool, work: Callable[[Watcher], Conducted]) -> None:
    """Run a study under a progress bar, then print its table or its JSON document; exit 1 when a trial failed."""
    with ProgressBar() as bar:
        try:
            done = work(bar)
        except KeyboardInterrupt:
            bar.say(f"stopped: every trial that ended is kept in {folder}; run the same command again to go on")
            context.exit(INTERRUPTED)
        bar.say(done.summary())
    from parlay.evidence import relate

    relation = relate(done.rows)
    if as_json:
        click.echo(done.document(relation.document()))
    else:
        from rich.console import Console

        from parlay.report.tables import relation_table, trials_table

        console = Console()
        for table in (trials_table(done.rows), relation_table(relation)):
            console.print(table)
            console.print()
        console.print(
            f"{folder / 'trials.csv'}\n{folder / 'scatter.png'}", highlight=False, soft_wrap=True, markup=False
        )
    context.exit(1 if done.outcome.failed else 0)
