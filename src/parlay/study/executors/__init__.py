"""Where trials run: in this process, in several, or on a Ray cluster; one seam, that of ``concurrent.futures``.

Each executor is one file; ``make_executor`` picks one. Besides ``submit`` and ``shutdown`` every executor has
``slots()``, how many calls to have in flight, ``share(data, folder)``, what stands for a data set among the arguments
of a call, ``kill()``, ``threads``, and ``is_here``. Only the driver writes the study, whatever runs a trial.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from parlay.errors import InputError

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["TrialExecutor", "make_executor"]

P = ParamSpec("P")
T = TypeVar("T")


class TrialExecutor(Protocol):
    """What a study needs of an executor.

    Attributes:
        is_here: whether calls run in this process.
    """

    is_here: bool

    @property
    def threads(self) -> int:
        """CPU threads of each trial."""
        ...

    def slots(self) -> int:
        """How many calls to have in flight."""
        ...

    def share(self, data: Dataset, folder: Path) -> Any:
        """What stands for a data set among the arguments of a call."""
        ...

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Make a call, now or later."""
        ...

    def kill(self) -> None:
        """End what runs, at once; the executor takes no more calls."""
        ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of processes and connections."""
        ...


def make_executor(
    *,
    workers: int | None = None,
    ray: str | None = None,
    ray_cpus: float = 1,
    ray_gpus: float = 0,
    threads: int | None = None,
) -> TrialExecutor:
    """The executor that the options name: serial without one.

    Args:
        workers: processes on this machine.
        ray: ``auto`` or the address of a cluster.
        ray_cpus, ray_gpus: what one trial reserves there.
        threads: CPU threads of each trial; one without it, or as many as ``ray_cpus`` on a cluster.

    Raises:
        InputError: for both workers and ray, or numbers out of range.
        MissingExtraError: when Ray is asked for and not installed.

    >>> make_executor().slots()
    1
    """
    if threads is not None and not 1 <= threads <= 1024:
        raise InputError("threads", given=repr(threads), allowed="an integer from 1 to 1024")
    if ray is not None:
        if workers is not None:
            raise InputError("executor", given="--workers and --ray", allowed="one of the two")
        from parlay.study.executors.ray import RayExecutor

        return RayExecutor(ray, cpus=ray_cpus, gpus=ray_gpus, threads=threads)
    if workers is not None:
        from parlay.study.executors.processes import ProcessExecutor

        return ProcessExecutor(workers, threads=threads)
    from parlay.study.executors.serial import SerialExecutor

    return SerialExecutor(threads=threads)
