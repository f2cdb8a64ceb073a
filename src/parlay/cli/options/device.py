"""Options that say what a device has: by its name, or in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click

from parlay.amounts import parse_bytes
from parlay.cli.options import option
from parlay.cli.options.kinds import Bytes
from parlay.errors import InputError

__all__ = ["BoardOptions", "NamedBoardOptions"]

NAMED = "Take flash and RAM of this device; 'parlay devices' lists them."


@dataclass(frozen=True, kw_only=True)
class BoardOptions:
    """A named device, and what of it is left."""

    heading: ClassVar[str] = "Device"
    board: str | None = option("--board", metavar="NAME", help=NAMED)
    devices: str | None = option(
        "--devices", type=click.Path(), help="Further devices, in TOML; see 'parlay devices --help'."
    )
    reserve_ram: int | None = option(
        "--reserve-ram", type=Bytes(), help="RAM of the device that is taken already, such as 13KiB."
    )
    reserve_flash: int | None = option(
        "--reserve-flash", type=Bytes(), help="Flash of the device that is taken already, such as 156KiB."
    )

    def limits(self, ram: str | None, flash: str | None) -> tuple[str | None, str | None]:
        """RAM and flash in text: what was written, or else what the device has, less what is reserved.

        Raises:
            InputError: for an unknown device, or a reserve of more than there is, or without a device.
        """
        reserved = {"ram": self.reserve_ram or 0, "flash": self.reserve_flash or 0}
        if self.board is None:
            given = [f"--reserve-{name}" for name, amount in reserved.items() if amount]
            if given:
                raise InputError(" and ".join(given), allowed="with --board", remedy="or give --ram and --flash")
            return ram, flash
        from parlay.device.catalogue import device_named

        device = device_named(self.board, Path(self.devices) if self.devices else None)
        left = {"ram": device.ram - reserved["ram"], "flash": device.flash - reserved["flash"]}
        for name, amount in left.items():
            if amount <= 0:
                raise InputError(
                    f"reserve-{name}",
                    given=reserved[name],
                    allowed=f"less than the {amount + reserved[name]} B there are",
                )
        return (str(left["ram"]) if ram is None else ram), (str(left["flash"]) if flash is None else flash)

    def bytes(self, ram: str | None, flash: str | None) -> tuple[int | None, int | None]:
        """The same as numbers."""
        texts = self.limits(ram, flash)
        ram_bytes, flash_bytes = (
            None if text is None else parse_bytes(text, name)
            for text, name in zip(texts, ("ram", "flash"), strict=True)
        )
        return ram_bytes, flash_bytes


@dataclass(frozen=True, kw_only=True)
class NamedBoardOptions(BoardOptions):
    """The same for commands that train nothing, where ``--device`` can only be what is built for."""

    board: str | None = option("--board", "--device", metavar="NAME", help=NAMED)
