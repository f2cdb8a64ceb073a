"""Files and JSON documents: one schema version, atomic writes."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parlay.errors import InputError

__all__ = ["SCHEMA_VERSION", "document", "finite", "portable", "write_atomically"]

SCHEMA_VERSION = 1
"""Version of every JSON document and file format that parlay writes; raised when a key changes its meaning."""


def document(content: Mapping[str, Any]) -> str:
    """One JSON document, ``schema_version`` first.

    >>> print(document({"kernels": 4288}))
    {
      "schema_version": 1,
      "kernels": 4288
    }
    """
    return json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=2, allow_nan=False)


def portable(path: Path | str) -> str:
    """A path as a page or a card names it: a relative one as it is, of an absolute one the last name alone.

    >>> portable("results/free4"), portable("/home/me/runs/free4")
    ('results/free4', 'free4')
    """
    return Path(path).name if Path(path).expanduser().is_absolute() or ".." in Path(path).parts else str(path)


def finite(value: float | None) -> float | None:
    """The value, or None (null in JSON) where JSON has no number for it.

    >>> finite(-math.inf) is None, finite(2.5)
    (True, 2.5)
    """
    return value if value is not None and math.isfinite(value) else None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing: temporary file, fsync, rename.

    Raises:
        InputError: when the folder cannot be written.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError("file", given=str(path), allowed="a folder that can be written", remedy=str(error)) from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InputError("file", given=str(path), allowed="a place that can be written", remedy=str(error)) from None
