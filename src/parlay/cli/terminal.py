"""How numbers, layouts and tables of answers look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["number", "plain_console", "table_of", "wide_console"]


def number(value: Any) -> str:
    """A number as tables show it, anything else as it is.

    >>> number(4288), number(173.03581), number(None)
    ('4,288', '173.0358', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1e9 else f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table_of(left: str, *right: str) -> Table:
    """An empty table: a column of words, then columns of numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(left, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that prints words as they are: names may look like markup (``k[a]``) or like emoji (``net:key:``)."""
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def wide_console(columns: int) -> Console:
    """A console of at least so many columns: a narrow terminal wraps lines, not columns of a table."""
    return plain_console(width=max(plain_console().width, columns))
