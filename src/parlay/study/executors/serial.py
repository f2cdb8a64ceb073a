"""One trial after another, in this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from parlay.data import Dataset

__all__ = ["SerialExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


class SerialExecutor(Executor):
    """``submit`` runs the call before it returns; Ctrl-C passes through.

    >>> SerialExecutor().submit(divmod, 7, 2).result()
    (3, 1)

    Attributes:
        threads: CPU threads of each trial; one if None.
        is_here: calls run in this process, so that a trial can report every step to it.
    """

    is_here = True

    def __init__(self, *, threads: int | None = None) -> None:
        self.threads = 1 if threads is None else threads

    def slots(self) -> int:
        """How many calls to have in flight."""
        return 1

    def share(self, data: Dataset, folder: Path) -> Any:
        """What stands for a data set among the arguments of a call."""
        return data

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def kill(self) -> None:
        """End what runs, at once; here nothing runs between calls."""
