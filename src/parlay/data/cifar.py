"""CIFAR-10 and CIFAR-100 by torchvision's download."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path

import numpy as np

from parlay.data.dataset import Dataset, from_arrays
from parlay.errors import InputError
from parlay.extras import Needs

__all__ = ["cifar"]


def cifar(name: str, folder: Path) -> Dataset:
    """CIFAR from its archive in ``folder``, fetched first where it is not there yet; torchvision checks it by its MD5.

    Args:
        name: ``cifar10`` or ``cifar100``.
        folder: where the archive is kept.

    Raises:
        InputError: when it can neither be found nor fetched.
        MissingExtraError: when torchvision is not installed.
    """
    with Needs("the CIFAR download", extra="train"):
        from torchvision import datasets
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    arrays: dict[str, np.ndarray] = {}
    names: tuple[str, ...] = ()
    try:
        # torchvision may print to stdout, which belongs to our caller; its pickles make newer numpy warn
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for split in ("train", "test"):
                part = kind(root=folder, train=split == "train", download=True)
                arrays[f"x_{split}"] = np.asarray(part.data)
                arrays[f"y_{split}"] = np.asarray(part.targets)
                names = tuple(part.classes)
    except (OSError, RuntimeError, EOFError) as error:
        raise InputError(
            f"{name} in {folder}",
            given=" ".join(str(error).split()) or type(error).__name__,
            allowed="an undamaged archive, or a network to fetch it from",
            remedy="give a Keras-style .npz file instead, or another --data-dir",
        ) from None
    return from_arrays(name, arrays, class_names=names)
