"""Keras-style .npz files: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from parlay.data.dataset import Dataset, from_arrays
from parlay.errors import InputError

__all__ = ["ARRAYS", "read_npz"]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")

UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    SyntaxError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise on files that are damaged, encrypted, or promise more than there is."""


def read_npz(path: Path) -> Dataset:
    """Read a file and check everything in it; pickled objects are never loaded.

    Raises:
        InputError: when the file is missing, damaged, or holds anything but four fitting arrays.
    """
    if not path.is_file():
        raise InputError("data file", given=str(path), allowed="an .npz file", remedy="there is no such file")
    with path.open("rb") as stream:  # numpy leaves a damaged file open when it opens it itself
        try:
            content = np.load(stream, allow_pickle=False)
        except UNREADABLE as error:
            raise _unreadable(path, error) from None
        arrays = _read(path, content)
    try:
        return from_arrays(path.stem, arrays)
    except InputError as error:
        raise InputError(f"data file {path}: {error}") from None


def _read(path: Path, content: object) -> dict[str, np.ndarray]:
    """The four arrays of an open archive."""
    if not isinstance(content, np.lib.npyio.NpzFile):
        raise InputError("data file", given=f"{path}, a single array", allowed=f"an .npz file with {', '.join(ARRAYS)}")
    arrays: dict[str, np.ndarray] = {}
    with content:
        missing = [name for name in ARRAYS if name not in content.files]
        if missing:
            raise InputError(
                f"data file {path}",
                given=f"arrays {', '.join(content.files) or 'none'}",
                allowed=", ".join(ARRAYS),
                remedy=f"missing: {', '.join(missing)}",
            )
        for name in ARRAYS:
            try:
                arrays[name] = np.asarray(content[name])
            except UNREADABLE as error:
                raise _unreadable(path, error, name) from None
    return arrays


def _unreadable(path: Path, error: BaseException, array: str | None = None) -> InputError:
    where = f"{array} in {path}" if array else str(path)
    reason = " ".join(str(error).split()) or type(error).__name__
    if "pickle" in reason:
        reason = "it holds Python objects or is no numpy file; objects are not loaded, since they can run code"
    return InputError("data file", given=where, allowed="an undamaged .npz file of plain arrays", remedy=reason)
