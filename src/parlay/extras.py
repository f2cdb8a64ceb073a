"""Optional packages: one place that turns a missing one into a clear error."""

from __future__ import annotations

from types import TracebackType

from parlay.errors import MissingExtraError

__all__ = ["Needs"]


class Needs:
    """Imports inside this block belong to an extra; one that is missing raises ``MissingExtraError``.

    A missing module of parlay's own is our mistake, not a missing extra, and passes through.

    >>> with Needs("training", extra="train"):  # doctest: +ELLIPSIS
    ...     import no_such_package
    Traceback (most recent call last):
    ...
    parlay.errors.MissingExtraError: training needs no_such_package, which is not installed; pip install '.[train]' ...
    """

    def __init__(self, purpose: str, *, extra: str) -> None:
        self.purpose = purpose
        self.extra = extra

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, MissingExtraError) or not isinstance(error, ModuleNotFoundError):
            return
        package = (error.name or str(error)).partition(".")[0]
        if package != "parlay":
            raise MissingExtraError(self.purpose, package=package, extra=self.extra) from error
