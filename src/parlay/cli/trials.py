"""What the commands that train show: progress of trials on stderr, the outcome on stdout."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from parlay.cli.terminal import plain_console
from parlay.documents import document
from parlay.layout import format_layout
from parlay.study import Planned, Row, Trial, Watcher

if TYPE_CHECKING:
    from parlay.study.conduct import Conducted

__all__ = ["INTERRUPTED", "ProgressBar", "finish"]

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class ProgressBar(Watcher):
    """A bar a running trial and one for the study; on anything but a terminal, one line a trial instead."""

    def __init__(self) -> None:
        self._console = plain_console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._all: TaskID | None = None
        self._running: dict[str, TaskID] = {}
        self._places: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def noticed(self, text: str) -> None:
        """A line of its own."""
        self.say(f"note: {text}")

    def begin(self, planned: Planned, place: int, total: int) -> None:
        """Name the trial and start its bar."""
        identity = planned.trial.identity
        self._places[identity] = f"[{place}/{total}] "
        if self._all is None and total > 1:
            self._all = self._progress.add_task("trials", total=total, note="")
        self._drop(identity)
        self._running[identity] = self._progress.add_task(_name(planned.trial), total=planned.trial.steps, note="")

    def beat(self, identity: str, step: int, loss: float, images_per_second: float | None) -> None:
        """Move the trial's bar."""
        if identity in self._running:
            speed = "" if images_per_second is None else f", {images_per_second:,.0f} images/s"
            self._progress.update(self._running[identity], completed=step, note=f"loss {loss:.3f}{speed}")

    def end(self, row: Row) -> None:
        """Move the study's bar and print the outcome."""
        self._drop(row.trial.identity)
        if self._all is not None:
            self._progress.advance(self._all)
        result = row.error if row.accuracy is None else f"{100 * row.accuracy:.2f} %"
        seconds = "" if row.seconds is None else f", {row.seconds:.1f} s"
        self.say(f"{self._places.get(row.trial.identity, '')}{_name(row.trial)}: {result}{seconds}")

    def stopping(self) -> None:
        """Say that Ctrl-C was heard, where somebody looks."""
        if self._console.is_terminal:
            self.say("stopping: running trials save a checkpoint; Ctrl-C again ends at once")

    def say(self, line: str) -> None:
        """One line beside the bars."""
        self._console.print(line, soft_wrap=True)

    def _drop(self, identity: str) -> None:
        task = self._running.pop(identity, None)
        if task is not None:
            self._progress.remove_task(task)


def _name(trial: Trial) -> str:
    return f"{format_layout(trial.layout)} seed {trial.seed}"


def finish(folder: Path, as_json: bool, work: Callable[[Watcher], Conducted]) -> int:
    """Run a study under a progress bar, then print its table or its JSON document.

    Returns:
        The exit code: 1 when a trial failed, 130 after Ctrl-C.
    """
    with ProgressBar() as bar:
        try:
            done = work(bar)
        except KeyboardInterrupt:
            bar.say(f"stopped: every trial that ended is kept in {folder}; run the same command again to go on")
            return INTERRUPTED
        bar.say(done.summary())
    from parlay.evidence import largest, relate
    from parlay.report.scatter import FILE
    from parlay.study.trials_csv import TABLE

    measured = largest(done.rows)
    relation = relate(measured)
    if as_json:
        picture = {"scatter_png": str(folder / FILE)}
        click.echo(document({**done.to_json(), **picture, "correlations": relation.to_json()}))
    else:
        from parlay.cli.terminal import plain_console
        from parlay.report.tables import relation_table, relation_words, trials_table

        console = plain_console()
        for table in (trials_table(done.rows), relation_table(relation)):
            console.print(table)
            console.print()
        click.echo(relation_words(measured, relation))
        if len(measured.rows) < len(done.rows):
            others = f"{len(done.rows) - len(measured.rows)} trials of other sizes are judged apart"
            click.echo(f"over {measured.title}; {others}: parlay evaluate {shlex.quote(str(folder))}")
        click.echo(f"{folder / TABLE}\n{folder / FILE}")
    return 1 if done.outcome.failed else 0
