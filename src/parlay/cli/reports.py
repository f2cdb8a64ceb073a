"""How the commands that run studies show progress and outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from parlay.cli.progress import ProgressBar
from parlay.errors import InputError
from parlay.report.studies import Conducted
from parlay.study import Watcher

__all__ = ["checked_seed", "finish", "seeds_from"]

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def checked_seed(seed: int) -> int:
    """The seed, if torch takes it."""
    if not 0 <= seed < 2**63:
        raise InputError("--seed", given=seed, allowed="an integer from 0 to 2^63 - 1")
    return seed


def seeds_from(count: int | None, given: Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to count - 1, or those given one by one; seed 0 without either."""
    if count is not None and given:
        raise InputError("seeds", given="--seeds and --seed", allowed="one of the two")
    if given:
        return tuple(checked_seed(seed) for seed in given)
    if count is not None and not 1 <= count <= 1000:
        raise InputError("--seeds", given=count, allowed="an integer from 1 to 1000")
    return tuple(range(1 if count is None else count))


def finish(context: click.Context, folder: Path, as_json: bool, work: Callable[[Watcher], Conducted]) -> None:
    """Run a study under a progress bar, then print its table or its JSON document; exit 1 when a trial failed."""
    with ProgressBar() as bar:
        try:
            done = work(bar)
        except KeyboardInterrupt:
            bar.say(f"stopped: every trial that ended is kept in {folder}; run the same command again to go on")
            context.exit(INTERRUPTED)
        bar.say(done.summary())
    if as_json:
        click.echo(done.document())
    else:
        from rich.console import Console

        console = Console()
        for table in done.tables():
            console.print(table)
            console.print()
        console.print(
            f"{folder / 'trials.csv'}\n{folder / 'scatter.png'}", highlight=False, soft_wrap=True, markup=False
        )
    context.exit(1 if done.outcome.failed else 0)
