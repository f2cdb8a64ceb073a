"""Groups of commands that import a command only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from parlay.cli.command import short_text
from parlay.errors import unknown

__all__ = ["CommandTable"]


class CommandTable(click.Group):
    """A group with tables of commands: heading -> command -> ``module:attribute``, in the order of ``--help``."""

    def __init__(self, tables: Mapping[str, Mapping[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self.tables = tables
        self.table = {name: place for table in tables.values() for name, place in table.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute = self.table[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            raise unknown("command", name, self.table, f"see '{ctx.command_path} --help'")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, table in self.tables.items():
            commands = ((name, self.get_command(ctx, name)) for name in table)
            with formatter.section(heading):
                formatter.write_dl([(name, one.get_short_help_str()) for name, one in commands if one is not None])

    def get_short_help_str(self, limit: int = 45) -> str:
        return short_text(self)
