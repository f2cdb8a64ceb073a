"""A command as people meet it in ``--help``: options in groups, choices as choices, and an example that runs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import Any

import click

__all__ = ["Command", "GroupedOption", "command", "short_text"]


class GroupedOption(click.Option):
    """An option with the heading of the record that it comes from; ``""`` for the command's own."""

    def __init__(self, *declarations: Any, heading: str = "", **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.heading = heading


class Command(click.Command):
    """A command whose options stand under the headings of their records, and whose short text is a whole sentence."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"": []}  # the command's own come first
        for parameter in self.get_params(ctx):
            line = parameter.get_help_record(ctx)
            if line is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "heading", ""), []).append(line)
        for heading, lines in groups.items():
            with formatter.section(heading or "Options"):
                formatter.write_dl(lines)

    def get_short_help_str(self, limit: int = 45) -> str:
        return short_text(self)


def short_text(command: click.Command) -> str:
    """The first line of a command's help, whole, where click would cut it after some words or at a period."""
    return (command.help or "").partition("\n")[0].removesuffix(".")


def command(example: str, *, name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    r"""``click.command``, with an example that ends ``--help``, over several lines where it is long.

    >>> @command("parlay greet")
    ... def greet() -> None:
    ...     '''Say a word.'''
    >>> greet.get_short_help_str(), greet.epilog
    ('Say a word', '\x08\nExample:\n  parlay greet')
    """
    tied = re.sub(r" (?!--)", "\0", example)  # a line ends before an option, never between it and its value
    lines = " \\\n    ".join(textwrap.wrap(tied, 74, break_long_words=False, break_on_hyphens=False))
    return click.command(name, cls=Command, epilog="\b\nExample:\n  " + lines.replace("\0", " "))
