"""Progress of trials on stderr, so that stdout keeps to the answer."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from parlay.layout import format_layout
from parlay.study import Planned, Row, Watcher

__all__ = ["ProgressBar"]


class ProgressBar(Watcher):
    """A bar for the running trial and one for the study; on anything but a terminal, one line a trial instead."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._all: TaskID | None = None
        self._one: TaskID | None = None
        self._place = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, planned: Planned, place: int, total: int) -> None:
        """Name the trial and start its bar."""
        name = f"{format_layout(planned.trial.layout)} seed {planned.trial.seed}"
        self._place = f"[{place}/{total}]"
        if self._one is None:
            self._one = self._progress.add_task("", total=1, note="")
            if total > 1:
                self._all = self._progress.add_task("trials", total=total, note="")
        self._progress.reset(self._one, description=name, total=planned.trial.steps, note="")

    def step(self, done: int, loss: float) -> None:
        """Move the trial's bar."""
        if self._one is not None:
            self._progress.update(self._one, completed=done, note=f"loss {loss:.3f}")

    def end(self, row: Row) -> None:
        """Move the study's bar and print the outcome."""
        if self._all is not None:
            self._progress.advance(self._all)
        result = row.error if row.accuracy is None else f"{100 * row.accuracy:.2f} %"
        line = f"{self._place} {format_layout(row.trial.layout)} seed {row.trial.seed}: {result}, {row.seconds:.1f} s"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line beside the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
