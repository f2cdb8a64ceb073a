"""Run what is left of a study, on an executor, and keep each trial as it ends."""

from __future__ import annotations

import signal
import threading
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from parlay.documents import write_atomically
from parlay.errors import InputError, ParlayError, StudyError
from parlay.study.executors import TrialExecutor
from parlay.study.executors.serial import SerialExecutor
from parlay.study.plan import Planned
from parlay.study.row import COMPLETE, FAILED, PLANNED, RUNNING, Row
from parlay.study.store import DataSource, Store
from parlay.study.trials_csv import TABLE, csv_text
from parlay.study.work import STOPPED, Task, described, now, perform
from parlay.study.workspace import Beat, Workspace

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["RunCounts", "Settings", "Watcher", "run_study"]

LISTEN_EVERY = 0.5
"""Seconds between looks at how far running trials are."""

RESULT_PATIENCE = 10.0
"""Seconds to wait for a result's file on a slow network's file system."""


class Watcher:
    """Told how a study goes; every method does nothing until it is overridden."""

    def noticed(self, text: str) -> None:
        """What should be known before anything is trained, such as that a model's code is another."""

    def begin(self, planned: Planned, place: int, total: int) -> None:
        """A trial begins, the ``place``-th (from 1) of ``total`` that are left."""

    def beat(self, identity: str, step: int, loss: float, images_per_second: float | None) -> None:
        """A running trial is so far."""

    def end(self, row: Row) -> None:
        """A trial ended and is kept."""

    def stopping(self) -> None:
        """Ctrl-C was pressed: running trials are saving checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to run trials; nothing here is part of a trial's identity.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        retries: how often a trial that fails is tried again in the same call.
        checkpoint_seconds: seconds between checkpoints of a trial, the most that a kill can cost.
        keep_weights: keep the trained weights of every trial run now, in ``weights/`` of the study's folder.
    """

    device: str = "auto"
    retries: int = 0
    checkpoint_seconds: float = 60.0
    keep_weights: bool = False

    def __post_init__(self) -> None:
        if type(self.retries) is not int or not 0 <= self.retries <= 1000:
            raise InputError("retries", given=repr(self.retries), allowed="an integer from 0 to 1000")
        if not 0 < self.checkpoint_seconds <= 10**6:
            raise InputError("checkpoint seconds", given=self.checkpoint_seconds, allowed="above 0, at most 10^6")


@dataclass(frozen=True, kw_only=True)
class RunCounts:
    """What a call did.

    Attributes:
        planned: how many trials it was to see to.
        reused: how many of them were complete before.
        trained: how many were completed now.
        failed: how many failed now.
    """

    planned: int
    reused: int
    trained: int
    failed: int


@dataclass(kw_only=True, eq=False)
class _Left:
    """A trial that has to run."""

    row: Row
    place: int
    failures: int = 0


def run_study(
    store: Store,
    plan: Sequence[Planned] | None,
    data: Dataset | Callable[[str], Dataset],
    *,
    executor: TrialExecutor | None = None,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
    after: Callable[[list[Row]], None] | None = None,
) -> RunCounts:
    """Train every trial that is not complete; keep each as it ends.

    A trial that raises is kept as failed, with its error, and the others go on. Trials whose data cannot be had stay
    planned; the error passes through when all others have ended. The first Ctrl-C asks running trials to
    save a checkpoint and stop; the second ends at once. Either passes through as KeyboardInterrupt, and what ended
    before is kept. ``trials.csv`` in the study's folder is rewritten after every trial and once at the end.

    Args:
        store: the open study.
        plan: what to run, added to the study where it is new; everything the study holds if None.
        data: the data set of all trials, or what gives the one of a SHA-256.
        executor: where trials run; here, one after another, if None. The caller shuts it down.
        settings: device, retries, checkpoints.
        watcher: told how it goes.
        after: called with the rows that ended, at the end, also when the study is interrupted.

    Raises:
        StudyError: when the study cannot be written.
        InputError: when a file beside it cannot be written, or data cannot be read.
    """
    driver = _Driver(
        store=store,
        data=data,
        executor=executor or SerialExecutor(),
        settings=settings or Settings(),
        watcher=watcher or Watcher(),
    )
    return driver.run(plan, after)


def write_table(store: Store, rows: Sequence[Row] | None = None) -> None:
    """Write trials.csv, all of it or nothing: the trials that ended."""
    ended = [row for row in (store.rows() if rows is None else rows) if row.has_ended]
    write_atomically(store.folder / TABLE, csv_text(ended))


@dataclass(kw_only=True, eq=False)
class _Driver:
    """One call of ``run_study``."""

    store: Store
    data: Dataset | Callable[[str], Dataset]
    executor: TrialExecutor
    settings: Settings
    watcher: Watcher
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    handles: dict[tuple[str, int], Any] = field(default_factory=dict)
    active: dict[Future[str], _Left] = field(default_factory=dict)
    missing: dict[tuple[str, int], ParlayError] = field(default_factory=dict)
    interrupts: int = 0
    trained: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        self.workspace = Workspace(folder=self.store.folder)

    def run(self, plan: Sequence[Planned] | None, after: Callable[[list[Row]], None] | None) -> RunCounts:
        """Everything from the plan to the last row."""
        if plan is not None:
            if not callable(self.data):
                self.store.remember_source(self.data.fingerprint, DataSource(name=self.data.name))
            sources = self.store.sources()
            for fingerprint in dict.fromkeys(planned.trial.data for planned in plan):
                name = sources[fingerprint].name if fingerprint in sources else fingerprint[:12]
                self.store.add([p for p in plan if p.trial.data == fingerprint], data_name=name)
        self.store.recover()
        for note in self.store.changed_models():
            self.watcher.noticed(note)
        asked = None if plan is None else {planned.trial.identity for planned in plan}
        rows = [row for row in self.store.rows() if asked is None or row.trial.identity in asked]
        order = {} if plan is None else {p.trial.identity: place for place, p in enumerate(plan)}
        rows.sort(key=lambda row: order.get(row.trial.identity, 0))
        self.workspace.begin(self.token)
        kept = [row for row in rows if row.status == COMPLETE or self._recovered(row)]
        done = {row.trial.identity for row in kept}
        left = [row for row in rows if row.trial.identity not in done]
        try:
            with self._interruptible():
                self._work(deque(_Left(row=row, place=place) for place, row in enumerate(left, start=1)), len(left))
        except BaseException:
            self.executor.kill()
            with suppress(StudyError, InputError):  # the first error is the one to tell
                self._close(after)
            raise
        self._close(after)
        if self.interrupts:
            raise KeyboardInterrupt
        for error in self.missing.values():
            raise error
        return RunCounts(planned=len(rows), reused=len(kept), trained=self.trained, failed=self.failed)

    def _close(self, after: Callable[[list[Row]], None] | None) -> None:
        """Leave the study as the next call should find it."""
        self.workspace.end()
        self.store.recover()
        found = self.store.rows()
        write_table(self.store, found)
        if after is not None:
            after([row for row in found if row.has_ended])

    def _recovered(self, row: Row) -> bool:
        """Whether an earlier driver was killed between the end of a trial and its row; then the row is written now."""
        identity = row.trial.identity
        result = self.workspace.result(identity)
        if result is not None and result["status"] == COMPLETE:
            self._keep(row, result)
            return True
        if result is not None:
            self.workspace.forget_result(identity)
        return False

    def _work(self, queue: deque[_Left], total: int) -> None:
        """Keep the executor busy until nothing is left, or Ctrl-C."""
        while self.active or (queue and not self.interrupts):
            while queue and not self.interrupts and len(self.active) < self.executor.slots():
                self._submit(queue.popleft(), total)
            done, _ = wait(self.active, timeout=LISTEN_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                again = self._settle(future, self.active.pop(future))
                if again is not None:
                    queue.append(again)
            self._listen()

    def _submit(self, left: _Left, total: int) -> None:
        row = left.row
        trial = row.trial
        if (trial.data, trial.validation) in self.missing:
            return
        try:
            handle = self._handle(trial.data, trial.validation)
        except ParlayError as error:  # told when the trials on other data have ended
            self.missing[trial.data, trial.validation] = error
            return
        self.watcher.begin(Planned(trial=trial, kinds=row.kinds), left.place, total)
        self.store.mark([trial.identity], RUNNING, started=now())
        task = Task(
            trial=trial,
            folder=self.store.folder.absolute(),
            token=self.token,
            device=self.settings.device,
            threads=self.executor.threads,
            checkpoint_seconds=self.settings.checkpoint_seconds,
            keep_weights=self.settings.keep_weights,
        )
        arguments: list[Any] = [task, handle]
        if self.executor.is_here:
            arguments.append(lambda step, loss: self.watcher.beat(trial.identity, step, loss, None))
        self.active[self.executor.submit(perform, *arguments)] = left

    def _handle(self, fingerprint: str, validation: int) -> Any:
        """What stands for a data set among the arguments; one at a time is kept, since each may be large."""
        key = (fingerprint, validation)
        if key not in self.handles:
            data = self.data(fingerprint) if callable(self.data) else self.data
            if data.fingerprint != fingerprint:
                raise StudyError(
                    f"the data {data.name} has the content {data.fingerprint[:12]}, the study was planned with"
                    f" {fingerprint[:12]}; restore it, or plan anew"
                )
            if validation:
                data = data.with_validation(validation)
            if self.executor.is_here:
                self.handles.clear()
            self.handles[key] = self.executor.share(data, self.workspace.data)
        return self.handles[key]

    def _settle(self, future: Future[str], left: _Left) -> _Left | None:
        """Keep a trial that ended; returns it where it is to be tried again."""
        row, identity = left.row, left.row.trial.identity
        error = future.exception()
        ended = None if error is not None else future.result()
        if ended == STOPPED or (self.interrupts and error is not None):
            self.store.mark([identity], PLANNED)
            return None
        result = self.workspace.result(identity, patience=RESULT_PATIENCE if error is None else 0.0)
        if result is None or error is not None:
            lines = "" if error is None else "".join(traceback.format_exception(error))
            said = described(error) if error is not None else f"StudyError: its result is not in {self.workspace.root}"
            result = {"status": FAILED, "error": said, "traceback": lines, "finished": now(), "keeps_checkpoints": True}
        self._keep(row, result)
        if result["status"] == COMPLETE:
            self.trained += 1
            return None
        if left.failures < self.settings.retries and not self.interrupts:
            again = replace(row, attempts=row.attempts + 1)
            return _Left(row=again, place=left.place, failures=left.failures + 1)
        self.failed += 1
        return None

    def _keep(self, row: Row, result: dict[str, Any]) -> None:
        """Write a trial's row, and only then remove its folder."""
        names = set(Row.__dataclass_fields__) - {"trial"}
        losses = result.get("losses")
        ended = replace(
            _planned(row), attempts=row.attempts + 1, **{key: value for key, value in result.items() if key in names}
        )
        self.store.write(ended, losses)
        if result.get("keeps_checkpoints"):
            self.workspace.forget_result(row.trial.identity)
        else:
            self.workspace.clear(row.trial.identity)
        write_table(self.store)
        self.watcher.end(ended)

    def _listen(self) -> None:
        if self.executor.is_here:
            return
        for left in self.active.values():
            identity = left.row.trial.identity
            beat: Beat | None = self.workspace.beat(identity)
            if beat is not None:
                self.watcher.beat(identity, beat.step, beat.loss, beat.images_per_second)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM, as a batch system sends it) asks trials to stop; the second ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(*_: object) -> None:
            self.interrupts += 1
            if self.interrupts > 1:
                raise KeyboardInterrupt
            self.workspace.ask_to_stop(self.token)
            self.watcher.stopping()

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _planned(row: Row) -> Row:
    """The row without what an earlier try left in it."""
    return Row(
        trial=row.trial,
        kinds=row.kinds,
        data_name=row.data_name,
        counted=row.costs,
        started=row.started,
        score=row.score,
    )
