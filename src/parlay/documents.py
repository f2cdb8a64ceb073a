"""Files, JSON documents, tables as CSV and as HTML: one schema version, atomic writes."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parlay.errors import InputError

__all__ = [
    "SCHEMA_VERSION",
    "csv_lines",
    "document",
    "finite",
    "html_table",
    "portable",
    "without_folders",
    "write_atomically",
]

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

    >>> portable("results/free4"), portable("/mnt/me/runs/free4")
    ('results/free4', 'free4')
    """
    return Path(path).name if Path(path).expanduser().is_absolute() or ".." in Path(path).parts else str(path)


NAME = r"[^/\s:;,'\"]"
FOLDERS = re.compile(rf"(?<![\w./~-])(?:/(?!/)(?:{NAME}+/)+|~{NAME}*/(?:{NAME}+/)*)")
"""The folders of an absolute path inside a text; what is left is the name. An address of the web has none."""


def without_folders(text: str) -> str:
    """A text for a file that others may get, every absolute path in it cut to its last name.

    >>> without_folders("no room in /mnt/me/runs/x.bin: 3/4 used, see https://host/a/b and ~/nets/net.py:12")
    'no room in x.bin: 3/4 used, see https://host/a/b and net.py:12'
    """
    return FOLDERS.sub("", text)


def finite(value: float | None) -> float | None:
    """The value, or None (null in JSON) where JSON has no number for it.

    >>> finite(-math.inf) is None, finite(2.5)
    (True, 2.5)
    """
    return value if value is not None and math.isfinite(value) else None


def csv_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    r"""Rows as comma-separated values, a line as each row comes: the names of the first row's keys, then every row.

    A layout's widths are joined by ``-``; what is not known is empty.

    >>> print("\n".join(csv_lines([{"layout": [35, 36], "gap": None}, {"layout": [4, 5], "gap": 0.5}])))
    layout,gap
    35-36,
    4-5,0.5
    """
    for place, row in enumerate(rows):
        if not place:
            yield _csv_line(row)
        yield _csv_line(map(_cell, row.values()))


def _cell(value: Any) -> Any:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else value  # pyright: ignore[reportUnknownArgumentType]


def _csv_line(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def html_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, below: str = "") -> str:
    """A table as a notebook shows it, with lines of text below.

    >>> html_table(["layout"], [["35-36"]], below="a < b")
    '<table><tr><th>layout</th></tr><tr><td>35-36</td></tr></table><pre>a &lt; b</pre>'
    """
    lines = [
        "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        for tag, cells in (("th", heads), *(("td", row) for row in rows))
    ]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table><pre>{html.escape(below)}</pre>"


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
