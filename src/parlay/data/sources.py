"""Which source a name or a path means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from parlay.data.cifar import cifar
from parlay.data.dataset import Dataset
from parlay.data.digits import digits
from parlay.data.folder import image_folder
from parlay.data.images import Progress, check_image_size
from parlay.data.keras import read_npz
from parlay.data.voc import voc2007
from parlay.errors import InputError

__all__ = ["HELP", "RESIZED", "SOURCES", "Resized", "load"]

SOURCES: dict[str, Callable[[Path], Dataset]] = {
    "digits": lambda _: digits(),
    "cifar10": lambda folder: cifar("cifar10", folder),
    "cifar100": lambda folder: cifar("cifar100", folder),
}
"""Name -> reader, given the folder in which downloads are kept."""


@dataclass(frozen=True, kw_only=True)
class Resized:
    """A source of image files that are resized: ``KIND:PATH``, ``KIND:PATH@SIZE``, either with ``:grey`` behind.

    Attributes:
        read: reader, given the path, side=, cache=, grey= and progress=.
        side: pixels when nobody says otherwise.
    """

    read: Callable[..., Dataset]
    side: int


RESIZED: dict[str, Resized] = {
    "folder": Resized(read=image_folder, side=32),
    "voc2007": Resized(read=voc2007, side=64),
}
"""Word before the colon -> reader of the path after it."""

HELP: dict[str, str] = {
    "digits": "scikit-learn's handwritten digits, 8x8, grey",
    "cifar10, cifar100": "fetched by torchvision and checked",
    "PATH.npz": "Keras-style: x_train, y_train, x_test, y_test",
    "folder:PATH[@SIZE][:grey]": "PATH/train/CLASS/* and PATH/test/CLASS/*, or PATH/CLASS/*; resized to 32x32 or SIZE",
    "voc2007:PATH[@SIZE][:grey]": "PATH/VOCdevkit/VOC2007, several labels an image; resized to 64x64 or SIZE",
}
"""What can be given -> what it is, for help texts and messages."""

GREY = ":grey"
"""What stands behind a path or a size for images of one channel; a folder of that name is that folder."""

CACHE = "cache"
"""Folder within the data folder in which resized images are kept."""


def load(
    spec: str | Path,
    *,
    data_dir: str | Path = "data",
    image_size: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read a data set.

    Args:
        spec: ``digits``, ``cifar10``, ``cifar100``, the path of a Keras-style .npz file, ``folder:PATH`` or
            ``voc2007:PATH``; the last two may end in ``@SIZE``, in ``:grey`` for one channel, or in ``@SIZE:grey``.
        data_dir: folder in which downloads and, in its folder ``cache``, resized images are kept.
        image_size: side in pixels to which the images of ``folder:`` and ``voc2007:`` are resized, instead of
            ``@SIZE``; other images have the size they have.
        progress: called with the number of image files read and that of all, while they are read.

    Raises:
        InputError: for an unknown name, a file that is missing, damaged or does not hold what it should, or a size
            that cannot be had.
        MissingExtraError: when a package that the source needs is not installed.

    >>> load("digits").train_images.shape
    torch.Size([896, 1, 8, 8])
    """
    name = str(spec)
    kind, colon, place = name.partition(":")
    if colon and kind in RESIZED:
        source = RESIZED[kind]
        grey = place.endswith(GREY) and not Path(place).exists()
        path, side = _place(kind, place.removesuffix(GREY) if grey else place, image_size)
        side = source.side if side is None else side
        return source.read(path, side=side, cache=Path(data_dir) / CACHE, grey=grey, progress=progress)
    if name in SOURCES:
        return _as_it_is(SOURCES[name](Path(data_dir)), image_size)
    if name.endswith(".npz") or Path(name).is_file():
        return _as_it_is(read_npz(Path(name)), image_size)
    raise InputError("data", given=repr(name), allowed=", ".join(HELP), remedy=_remedy(name))


def _place(kind: str, place: str, image_size: int | None) -> tuple[Path, int | None]:
    """Path and size; a folder whose name ends in @ and digits is that folder."""
    if not place:
        raise InputError(
            "data", given=f"{kind}: without a path", allowed=f"{kind}:PATH, {kind}:PATH@SIZE or {kind}:PATH@SIZE:grey"
        )
    found = re.fullmatch(r"(.+)@(\d{1,9})", place)
    if found is None or Path(place).exists():
        return Path(place), None if image_size is None else check_image_size(image_size)
    side = check_image_size(int(found[2]))
    if image_size not in (None, side):
        raise InputError("image size", given=f"@{side} and {image_size!r}", allowed="one of them")
    return Path(found[1]), side


def _as_it_is(data: Dataset, image_size: int | None) -> Dataset:
    if image_size not in (None, data.image):
        raise InputError(
            "image size",
            given=image_size,
            allowed=f"{data.image}, that of {data.name}",
            remedy=f"only {' and '.join(f'{kind}:PATH' for kind in RESIZED)} are resized",
        )
    return data


def _remedy(name: str) -> str:
    """The nearest right name, or what a folder's is."""
    if Path(name).is_dir():
        return f"for a folder of images say folder:{name}"
    near = get_close_matches(name.lower().partition(":")[0], [*SOURCES, *RESIZED], n=1, cutoff=0.5)
    if not near:
        return ""
    return f"did you mean {near[0]}{':PATH' if near[0] in RESIZED else ''}?"
