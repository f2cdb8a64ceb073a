"""Options as frozen records: a record's fields say what click is to read, and a command gets every record ready made.

Several commands share them: the network, the size and limits, a model, what is trained and on what machine, a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import Field, field, fields
from functools import wraps
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from parlay.cli.command import GroupedOption

__all__ = ["argument", "csv_option", "given", "is_given", "json_option", "option", "record", "takes"]

Command = TypeVar("Command", bound=Callable[..., Any])


def _alone(ctx: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    if value and (ctx.params.get("as_json") or ctx.params.get("as_csv")):  # those of the command line read so far
        raise click.UsageError("--json and --csv: one of the two.")
    return value


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_alone,
    help="Print one JSON document on stdout and nothing else there.",
)

csv_option = click.option(
    "--csv", "as_csv", is_flag=True, callback=_alone, help="Print a table of comma-separated values there instead."
)


def option(*names: str, **settings: Any) -> Any:
    """A field of a record that ``click.option`` reads; the field's name is the parameter's.

    A class variable ``heading`` of the record is the option's heading in ``--help``.
    """
    return field(metadata={"click": (click.option, names, settings)})


def argument(**settings: Any) -> Any:
    """A field of a record that ``click.argument`` reads."""
    return field(metadata={"click": (click.argument, (), settings)})


def record(kind: type[Any]) -> dict[str, Any]:
    """Metadata of a field of a record that is itself a record of options."""
    return {"record": kind}


def takes(**records: type[Any]) -> Callable[[Command], Callable[..., Any]]:
    """Add the options of records to a command, which gets each record, made once, by its keyword.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Size:
    ...     kernels: int = option("--kernels", type=int)
    >>> @click.command()
    ... @takes(size=Size)
    ... def show(size: Size) -> None:
    ...     print(size.kernels)
    >>> show(["--kernels", "4288"], standalone_mode=False)
    4288
    """

    def decorate(command: Command) -> Callable[..., Any]:
        @wraps(command)
        def call(*positional: Any, **values: Any) -> Any:
            made = {keyword: _make(kind, values) for keyword, kind in records.items()}
            return command(*positional, **values, **made)

        decorated: Callable[..., Any] = call
        for heading, one in reversed([each for kind in records.values() for each in _parameters(kind)]):
            add, names, settings = one.metadata["click"]
            shown = {"cls": GroupedOption, "heading": heading} if add is click.option else {}
            decorated = add(*names, one.name, **shown, **settings)(decorated)
        return decorated

    return decorate


def given(kind: type[Any]) -> list[str]:
    """Options of a record that the command line names, in their order, such as ``--max-step``."""
    found: list[str] = []
    for _, one in _parameters(kind):
        if is_given(one.name):
            names = one.metadata["click"][1]
            found.append(names[0] if names else one.name.upper())
    return found


def is_given(name: str) -> bool:
    """Whether the command line names this parameter of the command that runs."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _parameters(kind: type[Any]) -> Iterator[tuple[str, Field[Any]]]:
    """Every parameter of a record and of the records in it, with its record's heading."""
    for one in fields(kind):
        if "record" in one.metadata:
            yield from _parameters(one.metadata["record"])
        else:
            yield getattr(kind, "heading", ""), one


def _make(kind: type[Any], values: dict[str, Any]) -> Any:
    """The record, whose values are taken out."""
    return kind(
        **{
            one.name: _make(one.metadata["record"], values) if "record" in one.metadata else values.pop(one.name)
            for one in fields(kind)
        }
    )
