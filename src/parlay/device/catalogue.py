"""Named microcontrollers and boards: their flash, RAM and core, and where each number is written.

They stand in ``devices.toml``; a file of the same form adds to them or takes their place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlay.amounts import parse_bytes
from parlay.errors import InputError, near_miss

__all__ = ["Device", "Taken", "device_named", "devices"]

OWN = Path(__file__).with_name("devices.toml")
FIELDS = ("title", "core", "flash", "ram", "source", "note", "taken")
TAKEN = ("flash", "ram", "by", "source")
NEEDED = ("flash", "ram", "source")


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What is usually in use before a program of one's own.

    Attributes:
        flash, ram: bytes; 0 where that is not documented.
        by: what takes them.
        source: where it is written.
    """

    flash: int = 0
    ram: int = 0
    by: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Device:
    """A microcontroller, or a board with one.

    Attributes:
        name: as options name it.
        title: in words.
        core: kind and clock.
        flash, ram: bytes; RAM that one array can have.
        source: where the numbers are written.
        note: what else to know of them.
        taken: what is usually in use already, where that is documented.
    """

    name: str
    title: str
    core: str
    flash: int
    ram: int
    source: str
    note: str = ""
    taken: Taken | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, in JSON values."""
        return {**vars(self), "taken": None if self.taken is None else dict(vars(self.taken))}


def devices(file: Path | None = None) -> dict[str, Device]:
    """All devices by name, those of a file of one's own last.

    Raises:
        InputError: for a file that is no such list, or an entry without flash, RAM or source.

    >>> devices()["rp2040"].ram
    270336
    """
    found = _read(OWN)
    if file is not None:
        found.update(_read(file))
    return found


def device_named(name: str, file: Path | None = None) -> Device:
    """One device; case, spaces and underscores do not matter.

    Raises:
        InputError: for a name that is none, naming the nearest.

    >>> device_named("nRF52840").flash
    1048576
    >>> device_named("nrf5284")
    Traceback (most recent call last):
    parlay.errors.InputError: device: got 'nrf5284'; allowed: a name that parlay devices lists; did you mean nrf52840?
    """
    known = devices(file)
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    if key not in known:
        raise InputError(
            "device", given=repr(name), allowed="a name that parlay devices lists", remedy=near_miss(key, known)
        )
    return known[key]


def _read(file: Path) -> dict[str, Device]:
    try:
        with file.open("rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        raise InputError(str(file), given=error.strerror or "unreadable", allowed="a file to read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(file), given=str(error), allowed="a list of devices in TOML") from error
    return {name.lower(): _device(name.lower(), entry, str(file)) for name, entry in content.items()}


def _device(name: str, entry: object, file: str) -> Device:
    what = f"{file}: {name}"
    if not isinstance(entry, dict) or set(entry) - set(FIELDS) or not set(NEEDED) <= set(entry):
        given = ", ".join(map(str, entry)) if isinstance(entry, dict) else repr(entry)
        raise InputError(what, given=given or "nothing", allowed=f"{', '.join(NEEDED)} and of {', '.join(FIELDS)}")
    texts: Mapping[str, Any] = entry
    return Device(
        name=name,
        title=str(texts.get("title", name)),
        core=str(texts.get("core", "")),
        flash=parse_bytes(str(texts["flash"]), f"{what}: flash"),
        ram=parse_bytes(str(texts["ram"]), f"{what}: ram"),
        source=str(texts["source"]),
        note=str(texts.get("note", "")),
        taken=_taken(texts.get("taken"), what),
    )


def _taken(entry: object, what: str) -> Taken | None:
    if entry is None:
        return None
    if not isinstance(entry, dict) or set(entry) - set(TAKEN) or not {"by", "source"} <= set(entry):
        raise InputError(f"{what}: taken", given=repr(entry), allowed=f"by, source and of {', '.join(TAKEN)}")
    amounts = {key: parse_bytes(str(entry[key]), f"{what}: {key}") for key in ("flash", "ram") if key in entry}
    return Taken(by=str(entry["by"]), source=str(entry["source"]), **amounts)
