"""Trials as tasks of a Ray cluster; the only file that knows Ray.

Tasks of a node that is lost run again elsewhere, from their checkpoints, which are on a path that all nodes share. The
data set is put into the object store once, and each node maps one copy of it.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from parlay.errors import InputError, StudyError, WorkerLostError, first_line
from parlay.extras import Needs

if TYPE_CHECKING:
    from pathlib import Path

    from parlay.data import Dataset

__all__ = ["RayExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

MOST_LOSSES = 10
"""How often a task may lose its process or its node before it counts as failed."""


class RayExecutor(Executor):
    """Calls as Ray tasks.

    Args:
        address: ``auto`` joins the cluster of this machine and starts one where there is none; otherwise the address of
            a cluster, such as ``10.0.0.1:6379`` or ``ray://10.0.0.1:10001``.
        cpus: cores that one trial reserves; fractions share a core.
        gpus: GPUs that one trial reserves; fractions share a GPU.
        threads: CPU threads of each trial; ``cpus`` rounded down, and at least one, if None.

    Raises:
        InputError: for a number out of range.
        MissingExtraError: when Ray is not installed.
        StudyError: when no cluster answers.
    """

    is_here = False

    def __init__(self, address: str = "auto", *, cpus: float = 1, gpus: float = 0, threads: int | None = None) -> None:
        for what, value in (("ray-cpus", cpus), ("ray-gpus", gpus)):
            if not 0 <= value <= 1024 or (value > 1 and value != int(value)):
                raise InputError(what, given=value, allowed="a share from 0 to 1, or a whole number")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # otherwise it warns on every start
        with Needs("a Ray cluster", extra="ray"):
            import ray
        self.threads = max(1, int(cpus)) if threads is None else threads
        self._cpus, self._gpus = cpus, gpus
        self._ray: Any = ray
        self._refs: dict[int, Any] = {}
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, address)

    def slots(self) -> int:
        """How many calls the cluster has room for now; nodes may come and go."""
        room = self._ray.cluster_resources()
        by_cpu = room.get("CPU", 0) / self._cpus if self._cpus else float("inf")
        by_gpu = room.get("GPU", 0) / self._gpus if self._gpus else float("inf")
        return max(1, int(min(by_cpu, by_gpu, 10_000)))

    def share(self, data: Dataset, folder: Path) -> Any:
        """A reference to the data's arrays in the object store; Ray gives the call the arrays themselves, unmoved."""
        from parlay.study.handles import SharedArrays

        return self._ray.put(SharedArrays.of(data))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        task = self._ray.remote(fn).options(
            num_cpus=self._cpus, num_gpus=self._gpus, max_retries=MOST_LOSSES, retry_exceptions=False
        )
        outer: Future[T] = Future()
        outer.set_running_or_notify_cancel()
        reference = task.remote(*args, **kwargs)
        self._refs[id(outer)] = reference

        def settle(inner: Future[Any]) -> None:
            self._refs.pop(id(outer), None)
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            elif isinstance(error, self._ray.exceptions.RayTaskError):
                outer.set_exception(error)
            else:
                outer.set_exception(WorkerLostError(f"Ray: {first_line(error)}"))

        cast("Future[Any]", reference.future()).add_done_callback(settle)
        return outer

    def kill(self) -> None:
        """End what runs, at once."""
        for reference in list(self._refs.values()):
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        self.shutdown(wait=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self._ours:
            self._ours = False
            self._ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(
                address=None if address == "auto" else address,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        except Exception as error:
            raise StudyError(
                f"Ray cluster {address} does not answer: {first_line(error)}; see 'ray status', or leave --ray auto"
            ) from None
