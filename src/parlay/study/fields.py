"""The fields of a trial: what each is called, of which kind and unit, what it means, and how it is text.

``Row`` declares what is kept of a trial (``kept``), ``trials_csv`` lists what its configuration and its layout
decide. The file's tables, trials.csv, its reader, the page's table and the table in docs/studies.md are made from
these.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parlay.layout import format_layout, parse_layout

__all__ = ["SHARE", "Field", "kept", "kept_fields"]

SHARE = "share, 0 to 1"
"""Unit of a share; people are shown it in per cent."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One number or text of a trial.

    >>> Field(name="layout", kind=tuple, meaning="widths").parse("4-6")
    (4, 6)

    Attributes:
        name: in SQL, CSV, JSON and Python.
        kind: of its value: int, float, str, or tuple for integers joined by ``-``.
        meaning: in words.
        unit: of a number.
        is_optional: whether it may be None, and a file of an earlier parlay may be without it.
        is_measured: whether training measures it: ``History`` has it under this name.
        is_exported: whether it is in trials.csv and JSON; else it is in study.sqlite alone.
        is_on_page: whether a report's page knows it, and its download has it.
        heading: of its column in the page's table; empty for none.
        digits: decimals there; a share's are those of its per cent.
    """

    name: str
    kind: type
    meaning: str
    unit: str = ""
    is_optional: bool = True
    is_measured: bool = False
    is_exported: bool = True
    is_on_page: bool = False
    heading: str = ""
    digits: int = 0

    @property
    def allowed(self) -> str:
        """What its text may be, for a message."""
        return ALLOWED[self.kind]

    @property
    def sql(self) -> str:
        """Its column in a file's table."""
        return f"{self.name} {SQL[self.kind]}{'' if self.is_optional else ' NOT NULL'}"

    def parse(self, text: str) -> Any:
        """The value of a text; None for an empty one.

        Raises:
            ValueError: for a text that is none of its kind.
        """
        if not text:
            return None
        value = parse_layout(text) if self.kind is tuple else self.kind(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{text} is no finite number")
        return value

    def text(self, value: Any) -> Any:
        """The value as a CSV file has it."""
        return format_layout(value) if self.kind is tuple and value is not None else value


ALLOWED: Mapping[type, str] = {
    int: "a whole number",
    float: "a finite number",
    str: "text",
    tuple: "positive integers joined by -",
}
SQL: Mapping[type, str] = {int: "INTEGER", float: "REAL", str: "TEXT"}


def kept(meaning: str, *, default: Any = None, repr: bool = True, **facts: Any) -> Any:
    """Declare a field of a dataclass that is kept of every trial; name and kind are those of the attribute.

    Args:
        meaning: in words.
        default: its value before anything is known.
        repr: whether the dataclass shows it.
        facts: other fields of ``Field``.
    """
    return dataclasses.field(default=default, repr=repr, metadata={"meaning": meaning, **facts})


def kept_fields(cls: type) -> tuple[Field, ...]:
    """The fields that a dataclass declares with ``kept``, in order."""
    hints = typing.get_type_hints(cls)
    found: list[Field] = []
    for item in dataclasses.fields(cls):
        if not item.metadata:
            continue
        kinds = typing.get_args(hints[item.name]) or (hints[item.name],)
        [kind] = [kind for kind in kinds if kind is not types.NoneType]
        found.append(Field(name=item.name, kind=kind, is_optional=len(kinds) > 1, **item.metadata))
    return tuple(found)
