"""Run what is left of a plan, one trial after another, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from parlay.documents import write_atomically
from parlay.study.plan import Kind, Planned
from parlay.study.store import COMPLETE, FAILED, Row, Store
from parlay.study.table import csv_text

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["Outcome", "Watcher", "run_study"]


class Watcher:
    """Told how a study goes; every method does nothing until it is overridden."""

    def begin(self, planned: Planned, place: int, total: int) -> None:
        """A trial begins, the ``place``-th (from 1) of ``total`` that are left."""

    def step(self, done: int, loss: float) -> None:
        """A step of the running trial is done."""

    def end(self, row: Row) -> None:
        """A trial ended and is kept."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a call did.

    Attributes:
        planned: how many trials the plan has.
        reused: how many of them were complete before.
        trained: how many were completed now.
        failed: how many failed now.
    """

    planned: int
    reused: int
    trained: int
    failed: int


def run_study(
    store: Store,
    plan: Sequence[Planned],
    data: Dataset,
    *,
    watcher: Watcher | None = None,
    after: Callable[[list[Row]], None] | None = None,
) -> Outcome:
    """Train every trial of the plan that is not complete; keep each as it ends.

    A trial that raises is kept as failed, with its error, and the next one runs; a later call tries it again. Ctrl-C
    passes through; what ended before it is kept. ``trials.csv`` in the study's folder is rewritten after every trial
    and once at the end, also when nothing was left to do.

    Args:
        store: the open study.
        plan: what should be in it.
        data: the data set of all trials.
        watcher: told how it goes.
        after: called with all rows at the end, also when the study is interrupted.
    """
    watcher = watcher or Watcher()
    kinds = store.remember_kinds(plan)
    complete = store.complete()
    left = [planned for planned in plan if planned.trial.identity not in complete]
    trained = failed = 0
    try:
        for place, planned in enumerate(left, start=1):
            watcher.begin(planned, place, len(left))
            row = _run(planned, kinds[planned.trial.identity], data, watcher)
            store.write(row)
            write_table(store)
            trained += row.status == COMPLETE
            failed += row.status == FAILED
            watcher.end(row)
    finally:
        write_table(store)
        if after is not None:
            after(store.rows())
    return Outcome(planned=len(plan), reused=len(plan) - len(left), trained=trained, failed=failed)


def write_table(store: Store) -> None:
    """Write trials.csv, all of it or nothing."""
    write_atomically(store.folder / "trials.csv", csv_text(store.rows()))


def _run(planned: Planned, kinds: frozenset[Kind], data: Dataset, watcher: Watcher) -> Row:
    from parlay.train.loop import train_layout

    trial = planned.trial
    started = time.perf_counter()
    try:
        history = train_layout(
            trial.family,
            trial.layout,
            data,
            trial.recipe,
            seed=trial.seed,
            steps=trial.steps,
            precision=trial.precision,
            progress=watcher.step,
        )
    except Exception as error:  # one bad trial must not end a study of hundreds
        return Row(
            trial=trial,
            kinds=kinds,
            data_name=data.name,
            status=FAILED,
            seconds=time.perf_counter() - started,
            finished=_now(),
            error=f"{type(error).__name__}: {' '.join(str(error).split())}"[:500],
        )
    return Row(
        trial=trial,
        kinds=kinds,
        data_name=data.name,
        status=COMPLETE,
        accuracy=history.accuracy,
        loss=history.loss,
        train_loss=history.train_loss,
        seconds=history.seconds,
        threads=history.threads,
        finished=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
