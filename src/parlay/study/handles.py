"""A data set among the arguments of a call that another process makes: a mapped file, or arrays in an object store.

The numbers are in memory once a machine, however many processes train on them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from parlay.data import Dataset

__all__ = ["SharedArrays", "SharedFile", "opened"]


@dataclass(frozen=True, kw_only=True)
class SharedFile:
    """A data set in a folder that processes of this machine map.

    Attributes:
        path: what ``parlay.data.save_shared`` returned.
    """

    path: Path

    @classmethod
    def write(cls, data: Dataset, folder: Path) -> SharedFile:
        """Write the data under a folder."""
        from parlay.data.shared import save_shared

        return cls(path=save_shared(data, folder))

    def open(self) -> Dataset:
        """The data, mapped."""
        from parlay.data.shared import open_shared

        return open_shared(self.path)


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedArrays:
    """A data set as numpy arrays, which Ray moves between processes of a node without a copy.

    Attributes:
        arrays: the data set's tensors.
        facts: its other fields.
        moments: mean and deviation of each channel.
    """

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]
    moments: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, data: Dataset) -> SharedArrays:
        """Take a data set apart."""
        from parlay.data.dataset import TENSORS

        names = ("name", "classes", "flips", "multi_label", "class_names")
        means, deviations = data.moments
        return cls(
            arrays={name: getattr(data, name).cpu().contiguous().numpy() for name in TENSORS},
            facts={**{name: getattr(data, name) for name in names}, "origin": data.fingerprint},
            moments=(means.numpy(), deviations.numpy()),
        )

    def open(self) -> Dataset:
        """The data, over the same memory."""
        import torch

        from parlay.data import Dataset

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the memory must not be written to, and is not
            data = Dataset(**{name: torch.from_numpy(value) for name, value in self.arrays.items()}, **self.facts)
            moments = tuple(torch.from_numpy(moment.copy()) for moment in self.moments)
        data.__dict__["moments"] = moments
        return data


_LAST: dict[Path, Dataset] = {}


def opened(handle: Any) -> Dataset:
    """The data set that a handle stands for; a mapped file is opened once a process."""
    if isinstance(handle, SharedArrays):
        return handle.open()
    if not isinstance(handle, SharedFile):
        return handle
    if handle.path not in _LAST:
        _LAST.clear()
        _LAST[handle.path] = handle.open()
    return _LAST[handle.path]
