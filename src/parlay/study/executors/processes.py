"""Several worker processes on this machine; one that dies is replaced alone, and its call is made again.

Each worker is a ``ProcessPoolExecutor`` of one process, since a pool of several breaks as a whole when one of its
processes dies. One thread owns all of them; nothing here is shared between threads but a queue.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from parlay.errors import InputError, WorkerLostError

if TYPE_CHECKING:
    from pathlib import Path

    from parlay.data import Dataset

__all__ = ["ProcessExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

MOST_CRASHES = 10
"""How often one call may lose its process before it counts as failed: a trial that is too large for the machine's
memory is killed by the system every time."""

LARGEST = 1024
STARTING = 30.0
"""Seconds to wait for a process that is just starting, before it is given up."""


@dataclass(kw_only=True, eq=False)
class _Submitted:
    """A submitted call."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any] = field(default_factory=Future)
    crashes: int = 0


@dataclass(kw_only=True, eq=False)
class _Worker:
    """A pool of one process, and what it is doing."""

    pool: ProcessPoolExecutor
    pid: Future[int]
    call: _Submitted | None = None


class ProcessExecutor(Executor):
    """``workers`` processes, started afresh (spawn).

    A process that is killed, or ends by itself, is replaced, and its call made again, up to ``MOST_CRASHES`` times.
    When this process ends, however it does, its workers end within a second.

    Args:
        workers: how many processes.
        threads: CPU threads of each; one if None.

    Raises:
        InputError: for a number out of range.
    """

    is_here = False

    def __init__(self, workers: int, *, threads: int | None = None) -> None:
        if not 1 <= workers <= LARGEST:
            raise InputError("workers", given=workers, allowed=f"an integer from 1 to {LARGEST}")
        self.workers = workers
        self.threads = 1 if threads is None else threads
        self._events: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = SimpleQueue()
        self._waiting: deque[_Submitted] = deque()
        self._busy: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._retired: list[ProcessPoolExecutor] = []
        self._ending = False
        self._thread = threading.Thread(target=self._serve, name="parlay workers", daemon=True)
        self._thread.start()

    def slots(self) -> int:
        """How many calls to have in flight."""
        return self.workers

    def share(self, data: Dataset, folder: Path) -> Any:
        """A file that every worker maps, so that the data is in memory once."""
        from parlay.study.handles import SharedFile

        return SharedFile.write(data, folder)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._ending:
            raise RuntimeError("cannot schedule new futures after shutdown")
        call = _Submitted(fn=fn, args=args, kwargs=kwargs)
        self._events.put((self._accept, (call,)))
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if not self._ending:
            self._ending = True
            self._events.put((self._finish, (cancel_futures,)))
        if wait:
            self._thread.join()

    def kill(self) -> None:
        """End what runs, at once; its futures are cancelled or get an error."""
        self._ending = True
        self._events.put((self._kill, ()))
        self._thread.join()

    def _serve(self) -> None:
        with suppress(StopIteration):
            while True:
                action, arguments = self._events.get()
                action(*arguments)
                if self._ending and not self._busy and not self._waiting and self._events.empty():
                    break
        # Waited for: a pool that is still closing when Python ends prints a traceback.
        for pool in (*self._retired, *(worker.pool for worker in self._idle)):
            pool.shutdown(wait=True)

    def _accept(self, call: _Submitted) -> None:
        if call.future.set_running_or_notify_cancel():
            self._waiting.append(call)
            self._assign()

    def _finish(self, cancel: bool) -> None:
        while cancel and self._waiting:
            self._waiting.pop().future.set_exception(WorkerLostError("the call was given up before it began"))

    def _kill(self) -> None:
        self._finish(cancel=True)
        for worker in (*self._busy, *self._idle):
            with suppress(Exception):  # it may have ended by itself
                os.kill(worker.pid.result(timeout=STARTING), signal.SIGKILL)
            self._retired.append(worker.pool)
        self._idle.clear()
        for worker in self._busy:
            if worker.call is not None and not worker.call.future.done():
                worker.call.future.set_exception(WorkerLostError("its process was ended"))
        self._busy.clear()
        raise StopIteration

    def _assign(self) -> None:
        """Give waiting calls to idle workers, made as they are needed."""
        while self._waiting and len(self._busy) < self.workers:
            call = self._waiting.popleft()
            try:
                worker = self._idle.pop() if self._idle else _hire(self.threads)
                worker.call = call
                inner = worker.pool.submit(call.fn, *call.args, **call.kwargs)
            except BrokenProcessPool:  # its process died while it was idle
                self._waiting.appendleft(call)
                continue
            except Exception as error:  # no memory, no process, arguments that cannot be pickled
                call.future.set_exception(error)
                continue
            self._busy.append(worker)
            # Called in the pool's own thread, which holds the pool's locks: what is to be done is done in ours.
            inner.add_done_callback(lambda done, worker=worker: self._events.put((self._done, (worker, done))))

    def _done(self, worker: _Worker, inner: Future[Any]) -> None:
        call = worker.call
        if call is None or worker not in self._busy:
            return
        self._busy.remove(worker)
        worker.call = None
        error = None if inner.cancelled() else inner.exception()
        if isinstance(error, BrokenProcessPool):
            self._retired.append(worker.pool)
            call.crashes += 1
            if call.crashes <= MOST_CRASHES:
                self._waiting.appendleft(call)
            else:
                call.future.set_exception(
                    WorkerLostError(
                        f"its process ended {call.crashes} times without a result; the system ends processes that take"
                        " too much memory: fewer --workers leave each more"
                    )
                )
        else:
            self._idle.append(worker)
            if error is not None:
                call.future.set_exception(error)
            else:
                call.future.set_result(inner.result())
        self._assign()


def _hire(threads: int) -> _Worker:
    pool = ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(threads, os.getpid()),
    )
    # Ctrl-C reaches every process of the terminal, also one that has not come to ignoring it: it is born with the
    # signal blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return _Worker(pool=pool, pid=pool.submit(os.getpid))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(threads: int, driver: int) -> None:
    """In a new worker: leave Ctrl-C to the driver, end when it ends, and take no more than the share of the cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when torch is imported, which is later
        os.environ[name] = str(threads)
    threading.Thread(target=_follow, args=(driver,), daemon=True).start()


def _follow(driver: int) -> None:
    """End this process at once when the driver is gone: the next one must not find trainings that still run.

    The driver's number comes from the driver: it may be gone before this process asks for its parent's.
    """
    parent = multiprocessing.parent_process()
    while parent is not None and os.getppid() == driver:
        parent.join(timeout=1)
    os._exit(1)
