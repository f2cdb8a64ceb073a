"""Groups of commands that import a command only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

__all__ = ["CommandTable"]


class CommandTable(click.Group):
    """A group with a table: command -> ``module:attribute``, in the order of ``--help``."""

    def __init__(self, table: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self.table = dict(table)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute = self.table[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command
