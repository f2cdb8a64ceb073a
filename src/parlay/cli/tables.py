"""Options of the commands that read trained networks: a table with its columns named, or a study's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from parlay.errors import InputError

if TYPE_CHECKING:
    from parlay.evidence.panel import Binning
    from parlay.evidence.table import Population

__all__ = ["binning_from", "bin_options", "populations_from", "table_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

COLUMN_KEYS = ("widths", "layers", "accuracy", "params", "macs", "peak_memory")


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


class Counts(click.ParamType):
    """Whole numbers joined by commas."""

    name = "n[,n...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 10**6 for part in parts):
            self.fail(f"got {value!r}; allowed: whole numbers of at least 1 joined by commas", param, ctx)
        return tuple(int(part) for part in parts)


_columns = (
    click.option("--widths", type=Names(), help="Columns with the widths, such as c0,c1,c2."),
    click.option("--layers", type=Counts(), help="Convolutions that every width sets, such as 3,1,1; default 1 each."),
    click.option("--accuracy", type=Names(), help="Columns with the accuracies, one a run; an empty cell is no run."),
    click.option("--params", help="Column with the parameters."),
    click.option("--macs", help="Column with the multiply-adds."),
    click.option("--peak-memory", help="Column with the most activation memory; optional."),
)

_bins = (
    click.option("--bin", "bin_width", type=float, default=0.01, show_default=True, help="Width; 0: equal sizes only."),
    click.option("--min-bin", type=int, help="Networks a bin needs; default 30, or 5 where no bin has 30."),
)


def table_options(command: Command) -> Command:
    """Add the options that name a table's columns."""
    for option in reversed(_columns):
        command = option(command)
    return command


def bin_options(command: Command) -> Command:
    """Add the options that say which networks are of one size."""
    for option in reversed(_bins):
        command = option(command)
    return command


def populations_from(source: Path, options: dict[str, Any]) -> list[Population]:
    """The networks of a table, or of a study's folder, largest group first; the column options are taken out.

    Raises:
        InputError: when columns of a table are not named, or those of a study are.
    """
    from parlay.evidence.table import read_table

    columns = {key: options.pop(key) for key in COLUMN_KEYS}
    if source.is_dir():
        from parlay.evidence.trials import read_study

        given = [f"--{key.replace('_', '-')}" for key, value in columns.items() if value is not None]
        if given:
            raise InputError(given[0], given="a study", allowed="tables only", remedy="a study names its own columns")
        return read_study(source)
    missing = [key for key in ("widths", "accuracy", "params", "macs") if columns[key] is None]
    if missing:
        names = ", ".join(f"--{key}" for key in missing)
        raise InputError("table", given=f"{source} without {names}", allowed="these columns named")
    return [read_table(source, **columns)]


def binning_from(options: dict[str, Any]) -> Binning:
    """The bins asked for; the options are taken out."""
    from parlay.evidence.panel import Binning

    return Binning(width=options.pop("bin_width"), least=options.pop("min_bin"))
