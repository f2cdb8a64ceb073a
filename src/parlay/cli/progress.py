"""Progress of a solve and of counting on stderr, so that stdout keeps to the answer."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from parlay.solver import Progress

__all__ = ["counting", "solving"]


@contextmanager
def solving(*, quiet: bool, stops: bool = True) -> Iterator[Callable[[Progress], None]]:
    """Time, best and bound on stderr; the first Ctrl-C ends the solve with what it has, the second one at once.

    Without ``stops`` already the first one ends everything. Nothing is shown where stderr is no terminal.
    """
    from parlay.cli.terminal import plain_console
    from parlay.solver import StopSolvingError

    is_stopped = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_stopped
        is_stopped = True
        signal.signal(signal.SIGINT, before)
        click.echo("parlay: stopping with the best found so far; Ctrl-C again to quit at once", err=True)

    def report(now: Progress) -> None:
        if is_stopped:
            raise StopSolvingError
        if status is not None:
            best = "none yet" if now.best is None else f"{now.best:.6f}"
            bound = "unknown" if now.bound is None else f"{now.bound:.6f}"
            status.update(f"{now.seconds:.1f} s, best score {best}, bound {bound}; Ctrl-C ends it")

    before = signal.signal(signal.SIGINT, stop if stops else signal.getsignal(signal.SIGINT))
    is_shown = not quiet and sys.stderr.isatty()
    status = plain_console(stderr=True).status("solving") if is_shown else None
    try:
        with status or nullcontext():
            yield report
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def counting() -> Iterator[Callable[[float], None]]:
    """A bar on stderr while the counting tables fill, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress

    from parlay.cli.terminal import plain_console

    with Progress(console=plain_console(stderr=True), transient=True) as bar:
        task = bar.add_task("counting", total=1.0)
        yield lambda share: bar.update(task, completed=share)
