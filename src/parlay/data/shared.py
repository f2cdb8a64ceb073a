"""One copy of a data set for all processes of a machine: raw files, mapped into memory.

A folder holds a file of raw bytes per tensor and ``header.json`` with their types, shapes and SHA-256. A process that
maps them reads pages of the system's file cache, which exist once however many processes look at them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from parlay.data.dataset import TENSORS, Dataset
from parlay.data.streams import atomic_stream, make_folder
from parlay.documents import document, write_atomically
from parlay.errors import InputError
from parlay.extras import Needs

with Needs("reading image data", extra="train"):
    import torch
    from torch import Tensor

__all__ = ["open_shared", "save_shared"]

HEADER = "header.json"
KIND = "parlay shared data"
FACTS = ("name", "classes", "flips", "multi_label")
TYPES = {"uint8": np.uint8, "int64": np.int64, "int8": np.int8}


def save_shared(data: Dataset, folder: str | Path) -> Path:
    """Write a data set under ``folder``, for all processes of a machine to map, unless the same is there and intact.

    The folder's name is made of the fingerprint and of a digest of the content, so that another validation split of
    the same data is another one. Each file is written whole or not at all and the header last: what has a header is
    complete. A damaged file is written anew beside the old one, which stays readable for those who have it mapped.

    Args:
        data: images and labels, on any device.
        folder: made where it is not there; best on a local disk.

    Returns:
        The folder that ``open_shared`` takes.

    Raises:
        InputError: when it cannot be written, or the disk is full.
    """
    arrays = {name: _bytes(getattr(data, name)) for name in TENSORS}
    means, deviations = data.moments
    facts: dict[str, Any] = {
        "kind": KIND,
        "fingerprint": data.fingerprint,
        **{name: getattr(data, name) for name in FACTS},
        "class_names": list(data.class_names),
        "moments": [means.tolist(), deviations.tolist()],
        "tensors": {
            name: {
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "sha256": hashlib.sha256(array.data).hexdigest() if array.size else "",
            }
            for name, array in arrays.items()
        },
    }
    header = document(facts)
    path = Path(folder) / f"{data.fingerprint[:16]}-{hashlib.sha256(header.encode()).hexdigest()[:16]}"
    make_folder(path)
    for name, array in arrays.items():
        file = path / f"{name}.bin"
        if not _is_intact(file, facts["tensors"][name]["sha256"], array.nbytes):
            with atomic_stream(file) as stream:
                stream.write(array.data if array.size else b"")
    written = path / HEADER
    if not written.is_file() or written.read_bytes() != header.encode():
        write_atomically(written, header)
    _sync_folder(path)
    return path


def open_shared(path: str | Path) -> Dataset:
    """Map a data set that ``save_shared`` wrote into memory: no copy is made, nor is anything read before it is used.

    The maps are copy-on-write: the files are never changed, and whoever writes to a tensor in place gets private pages.
    Sizes are checked, contents are not; ``save_shared`` checks them when it is called again.

    Args:
        path: what ``save_shared`` returned.

    Raises:
        InputError: when it is missing, incomplete, or not such a folder.

    >>> import tempfile
    >>> from parlay.data import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = open_shared(save_shared(load("digits"), folder))
    >>> data.name, data.train_images.shape
    ('digits', torch.Size([896, 1, 8, 8]))
    """
    path = Path(path)
    try:
        header = json.loads((path / HEADER).read_bytes())
        if header["kind"] != KIND or header["schema_version"] != 1:
            raise ValueError(f"it is {header['kind']!r} of version {header['schema_version']}")
        data = Dataset(
            **{name: _mapped(path / f"{name}.bin", header["tensors"][name]) for name in TENSORS},
            **{name: header[name] for name in FACTS},
            class_names=tuple(header["class_names"]),
            origin=header["fingerprint"],
        )
        means, deviations = (torch.tensor(values, dtype=torch.float32) for values in header["moments"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "shared data",
            given=str(path),
            allowed="a whole folder that save_shared wrote",
            remedy=f"write it again ({' '.join(str(error).split()) or type(error).__name__})",
        ) from None
    data.__dict__["moments"] = (means, deviations)  # so that no process has to read all images for them
    return data


def _bytes(tensor: Tensor) -> np.ndarray:
    """The tensor as a contiguous array, without a copy where it is one already."""
    return tensor.cpu().contiguous().numpy()


def _mapped(file: Path, facts: dict[str, Any]) -> Tensor:
    """One tensor over a file's pages."""
    shape, kind = tuple(facts["shape"]), np.dtype(TYPES[facts["dtype"]])
    expected = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if file.stat().st_size != expected:
        raise ValueError(f"{file.name} has {file.stat().st_size} bytes, not {expected}")
    if not expected:  # an empty file cannot be mapped
        return torch.from_numpy(np.empty(shape, dtype=kind))
    return torch.from_numpy(np.memmap(file, dtype=kind, mode="c", shape=shape))


def _is_intact(file: Path, expected: str, size: int) -> bool:
    """Whether a file is there and holds what it should."""
    try:
        if file.stat().st_size != size:
            return False
        with file.open("rb") as stream:
            return not size or hashlib.file_digest(stream, "sha256").hexdigest() == expected
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make the new names durable, where the system lets a folder be synced."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(handle)
    os.close(handle)
