"""Which source a name or a path means."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from parlay.data.cifar import cifar
from parlay.data.dataset import Dataset
from parlay.data.digits import digits
from parlay.data.keras import read_npz
from parlay.errors import InputError

__all__ = ["SOURCES", "load"]

SOURCES: dict[str, Callable[[Path], Dataset]] = {
    "digits": lambda _: digits(),
    "cifar10": lambda folder: cifar("cifar10", folder),
    "cifar100": lambda folder: cifar("cifar100", folder),
}
"""Name -> reader, given the folder in which downloads are kept."""


def load(spec: str | Path, *, data_dir: str | Path = "data") -> Dataset:
    """Read a data set.

    Args:
        spec: ``digits``, ``cifar10``, ``cifar100``, or the path of a Keras-style .npz file.
        data_dir: folder in which downloads are kept.

    Raises:
        InputError: for an unknown name, or a file that is missing, damaged or does not hold what it should.
        MissingExtraError: when a package that the source needs is not installed.

    >>> load("digits").train_images.shape
    torch.Size([896, 1, 8, 8])
    """
    name = str(spec)
    if name in SOURCES:
        return SOURCES[name](Path(data_dir))
    if name.endswith(".npz") or Path(name).exists():
        return read_npz(Path(name))
    near = get_close_matches(name.lower(), SOURCES, n=1, cutoff=0.5)
    raise InputError(
        "data",
        given=repr(name),
        allowed=f"{', '.join(SOURCES)}, or the path of an .npz file",
        remedy=f"did you mean {near[0]}?" if near else "",
    )
