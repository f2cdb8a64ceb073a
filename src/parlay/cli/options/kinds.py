"""Kinds of values that options take: amounts, bytes, choices, lists; what each shows in ``--help`` and completes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from parlay.amounts import parse_bytes, parse_count
from parlay.errors import unknown

__all__ = ["Bytes", "Choice", "Count", "KernelSizes", "Names", "OpenChoice"]


class _Amount(click.ParamType):
    """An amount in text, read by a function that names the option in its refusals."""

    read: Callable[[str, str], int]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return value if isinstance(value, int) else type(self).read(str(value), named(param))


class Count(_Amount):
    """A number of things, such as 4288, 30k or 1.5M."""

    name = "count"
    read = staticmethod(parse_count)


class Bytes(_Amount):
    """A size in bytes, such as 65536 or 64KiB."""

    name = "bytes"
    read = staticmethod(parse_bytes)


class Choice(click.Choice[str]):
    """One of several names, members of a StrEnum among them; of a misspelt one the nearest is named.

    >>> Choice(["plain", "resnet"]).convert("resent", None, None)
    Traceback (most recent call last):
    ...
    parlay.errors.InputError: value: got 'resent'; allowed: plain, resnet; did you mean resnet?
    """

    def __init__(self, choices: Iterable[str]) -> None:
        super().__init__(tuple(map(str, choices)))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            raise unknown(named(param), value, self.choices)
        return str(value)


class OpenChoice(click.Choice[str]):
    """One of several names or of some patterns such as ``calibrated:FILE``, which whoever reads the value checks."""

    def __init__(self, choices: Iterable[str], *patterns: str) -> None:
        super().__init__(tuple(choices))
        self.patterns = patterns

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join((*self.choices, *self.patterns))}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)


class KernelSizes(click.ParamType):
    """One kernel size, or one a width group, joined by commas."""

    name = "k[,k...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"got {value!r}; allowed: an integer, or one a width group such as 5,3,3", param, ctx)


class Names(click.ParamType):
    """Column names joined by commas."""

    name = "name[,name...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in str(value).split(","))
        if not all(names) or len(set(names)) != len(names):
            self.fail(f"got {value!r}; allowed: different names joined by commas", param, ctx)
        return names


def named(param: click.Parameter | None) -> str:
    """An option as refusals name it: by its longest name, without dashes."""
    return "value" if param is None else max(param.opts, key=len).lstrip("-")
