"""How a study stands: what is running, done, failed and left, from outside the process that runs it."""

from __future__ import annotations

import shlex
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlay.layout import format_layout
from parlay.study.row import COMPLETE, FAILED, PLANNED, RUNNING, Row
from parlay.study.store import Reader
from parlay.study.workspace import Beat, Workspace

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Running", "StudyStatus", "gather", "time_left"]

MOST_SHOWN = 20
SILENT = 120.0
"""Seconds without a beat after which a running trial is called silent."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A trial that is being run, and how far it is; no beat in its first second or two."""

    row: Row
    beat: Beat | None


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """How a study stands.

    Attributes:
        folder: the study's.
        driver: process that runs it; None when nobody does.
        rows: every trial.
        running: those that are being run.
        seconds_left: estimated; None where nothing is known yet.
        time: when this was so, in seconds since 1970.
    """

    folder: Path
    driver: int | None
    rows: tuple[Row, ...]
    running: tuple[Running, ...]
    seconds_left: float | None
    time: float

    @property
    def left(self) -> int:
        """Trials that are planned or running."""
        return sum(not row.has_ended for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """Status -> number of trials; what no driver runs any more counts as planned."""
        return {
            COMPLETE: sum(row.status == COMPLETE for row in self.rows),
            RUNNING: len(self.running),
            FAILED: sum(row.status == FAILED for row in self.rows),
            PLANNED: self.left - len(self.running),
        }

    @property
    def command(self) -> str | None:
        """What resumes a study that nobody works on; None where somebody does, or nothing is left."""
        is_left = any(row.status != COMPLETE for row in self.rows)
        return f"parlay study run {shlex.quote(str(self.folder))}" if self.driver is None and is_left else None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "study": str(self.folder),
            "driver": self.driver,
            "trials": len(self.rows),
            **self.counts,
            "images_per_second": self._speed(),
            "seconds_left": self.seconds_left,
            "next": self.command,
            "running_trials": [_running_facts(item, self.time) for item in self.running],
            "failed_trials": [
                {
                    **_name_facts(row),
                    "attempts": row.attempts,
                    "error": row.error,
                    "traceback": row.traceback,
                }
                for row in self.rows
                if row.status == FAILED
            ],
        }

    def renderable(self) -> RenderableType:
        """A line on the whole and a table of what runs, what failed and what ended last."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items() if count)
        who = f"run by process {self.driver}" if self.driver is not None else "nobody works on it"
        left = f"; about {duration(self.seconds_left)} left" if self.seconds_left is not None else ""
        speed = self._speed()
        pace = f"; {speed:,.0f} images/s" if speed else ""
        line = Text(f"{self.folder}: {len(self.rows)} trials: {counts or 'none'}; {who}{pace}{left}")
        if self.command is not None:
            line.append(f"\n{self.command} goes on")
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("layout", "network", "seed", "status", "step", "images/s", "accuracy %", "note"):
            table.add_column(column, overflow="fold" if column in ("layout", "note") else "ellipsis")
        for item in self.running:
            table.add_row(*_running_cells(item, self.time))
        failed = [row for row in self.rows if row.status == FAILED]
        for row in failed[:MOST_SHOWN]:
            note = f"{row.error} ({row.attempts} tries)" if row.attempts > 1 else row.error or ""
            table.add_row(*_cells(row), Text("failed", style="magenta"), "", "", "", Text(note, style="magenta"))
        if len(failed) > MOST_SHOWN:
            table.add_row("...", "", "", "", "", "", "", f"{len(failed) - MOST_SHOWN} more failed")
        done = sorted((row for row in self.rows if row.status == COMPLETE), key=lambda row: row.finished or "")
        for row in reversed(done[-MOST_SHOWN:]):
            pace = "" if row.images_per_second is None else f"{row.images_per_second:,.0f}"
            accuracy = "" if row.accuracy is None else f"{100 * row.accuracy:.2f}"
            seconds = "" if row.seconds is None else duration(row.seconds)
            table.add_row(*_cells(row), "done", f"{row.trial.steps:,}", pace, accuracy, seconds)
        return Group(line, table)

    def _speed(self) -> float:
        return sum(item.beat.images_per_second for item in self.running if item.beat is not None)


def gather(folder: Path) -> StudyStatus:
    """How a study stands now; nothing is written.

    Raises:
        StudyError: when there is no study in the folder.
    """
    workspace = Workspace(folder=folder)
    with Reader(folder) as reader:
        driver = reader.driver()
        rows = tuple(reader.rows())
    running = tuple(
        Running(row=row, beat=workspace.beat(row.trial.identity))
        for row in rows
        if row.status == RUNNING and driver is not None
    )
    now = time.time()
    return StudyStatus(
        folder=folder,
        driver=driver,
        rows=rows,
        running=running,
        seconds_left=time_left(rows, running),
        time=now,
    )


def time_left(rows: Sequence[Row], running: Sequence[Running]) -> float | None:
    """Seconds until nothing is left, if the trials take as long for a multiply-add as those that ran; None if none did.

    As many trials are taken to run at a time as do now, and at least one.
    """
    rates = [
        row.seconds / _work(row) for row in rows if row.status == COMPLETE and row.seconds is not None and _work(row)
    ]
    beats = {item.row.trial.identity: item.beat for item in running if item.beat is not None}
    if not rates:
        rates = [
            1 / (beat.images_per_second * item.row.costs["macs"])
            for item in running
            if (beat := item.beat) is not None and beat.images_per_second > 0 and item.row.costs["macs"]
        ]
    if not rates or all(row.has_ended for row in rows):
        return None
    rate = statistics.median(rates)
    work = 0.0
    for row in rows:
        if not row.has_ended:
            beat = beats.get(row.trial.identity)
            work += _work(row) * (1 - (beat.step / beat.steps if beat is not None else 0))
    return work * rate / max(1, len(running))


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(8), duration(90), duration(7500), duration(200_000)
    ('8 s', '1 min 30 s', '2 h 5 min', '2 d 7 h')
    """
    total = round(seconds)
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for unit, size in units:
        if total >= size or (unit == "s" and not parts):
            parts.append(f"{total // size} {unit}")
        elif parts:
            break
        total %= size
    return " ".join(parts[:2])


def _work(row: Row) -> float:
    """Multiply-adds of all images of a trial, up to a constant."""
    return float(row.costs["macs"]) * row.trial.steps * row.trial.recipe.batch


def _cells(row: Row) -> tuple[str, str, str]:
    return format_layout(row.trial.layout), row.trial.network.title, str(row.trial.seed)


def _running_cells(item: Running, now: float) -> tuple[str, ...]:
    beat = item.beat
    if beat is None:
        return (*_cells(item.row), "running", "", "", "", "beginning")
    silence = now - beat.time
    note = f"silent for {duration(silence)}" if silence > SILENT else f"loss {beat.loss:.3f}"
    step = f"{beat.step:,}/{beat.steps:,}"
    return (
        *_cells(item.row),
        "running",
        step,
        f"{beat.images_per_second:,.0f}",
        "",
        f"{note} ({beat.host}:{beat.pid})",
    )


def _name_facts(row: Row) -> dict[str, Any]:
    return {
        "trial": row.trial.identity,
        "layout": list(row.trial.layout),
        "network": row.trial.network.title,
        "seed": row.trial.seed,
    }


def _running_facts(item: Running, now: float) -> dict[str, Any]:
    beat = item.beat
    return {
        **_name_facts(item.row),
        "step": beat.step if beat else 0,
        "steps": item.row.trial.steps,
        "loss": beat.loss if beat else None,
        "images_per_second": beat.images_per_second if beat else None,
        "seconds_since_beat": now - beat.time if beat else None,
        "host": beat.host if beat else None,
        "pid": beat.pid if beat else None,
    }
