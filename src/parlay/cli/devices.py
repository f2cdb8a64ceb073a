"""``parlay devices``: named microcontrollers and boards, and what they have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import csv_option, json_option
from parlay.documents import csv_lines, document

if TYPE_CHECKING:
    from parlay.device.catalogue import Device

__all__ = ["devices", "devices_option"]

devices_option = click.option(
    "--devices",
    "file",
    type=click.Path(path_type=Path),
    help="Further devices, in TOML as src/parlay/device/devices.toml has them; one of the same name takes its place.",
)


@command("parlay devices nrf")
@click.argument("pattern", required=False, default="")
@devices_option
@json_option
@csv_option
def devices(pattern: str, file: Path | None, as_json: bool, as_csv: bool) -> int:
    """Named microcontrollers and boards: flash, RAM, core, sources.

    Each with what is usually taken already, and the source of every number.

    PATTERN lists those with it in name, title or core. RAM is what one array can have. Exit code 1 where there is none.
    """
    from parlay.device.catalogue import devices as known

    found = [one for one in known(file).values() if pattern.lower() in f"{one.name} {one.title} {one.core}".lower()]
    if as_json:
        click.echo(document({"devices": [one.to_json() for one in found]}))
    elif as_csv:
        for line in csv_lines({**one.to_json(), "taken": one.taken.by if one.taken else None} for one in found):
            click.echo(line)
    else:
        _print(found, [one for one in found if one.name == pattern.lower()] or found[: len(found) == 1])
    return 0 if found else 1


def _print(found: list[Device], told: list[Device]) -> None:
    """A line a device; of some the sources, too."""
    from parlay.cli.terminal import number, table_of, wide_console

    table = table_of("device", "flash", "RAM", "usually taken", "core", "what it is")
    for one in found:
        taken = "-" if one.taken is None else f"{one.taken.flash // 1024} + {one.taken.ram // 1024} KiB"
        table.add_row(one.name, number(one.flash), number(one.ram), taken, one.core, one.title)
    wide_console(110).print(table)
    for one in told:
        click.echo(f"{one.name}: {one.source}")
        if one.note:
            click.echo(f"  note: {one.note}")
        if one.taken is not None:
            click.echo(f"  taken: {one.taken.by} ({one.taken.source})")
