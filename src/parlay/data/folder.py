"""Image folders as torchvision's ImageFolder reads them: one folder a class, images of any size."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from parlay.data.dataset import Dataset, from_arrays
from parlay.data.images import EXTENSIONS, Progress, cached, read_images, state_of
from parlay.data.split import stratified
from parlay.errors import InputError

__all__ = ["image_folder"]

TEST_FOLDERS = ("test", "val", "valid")
"""Where the test images may be; the first that is there."""

PART_FOR_TEST = 5
"""Where there are no split folders, one image in so many is kept to test on."""


def image_folder(
    root: Path, *, side: int, cache: Path, grey: bool = False, progress: Progress | None = None
) -> Dataset:
    """Read ``root/train/CLASS/*`` and ``root/test/CLASS/*`` (or val, or valid), or split ``root/CLASS/*`` by class.

    Splits may be spelled otherwise, such as Training and Testing.

    Without a folder ``train`` and without one of the others, a fifth of the images, of each class its share, is kept to
    test on, drawn with seed 0. Class folders are searched at any depth; classes and images are numbered in the order of
    their names; hidden files and folders are passed over. The shorter side is resized to ``side`` and the centre taken.

    Args:
        root: the folder.
        side: pixels of the images.
        cache: folder of the caches.
        grey: one channel instead of three.
        progress: called with images read and images in all; not when the cache is used.

    Raises:
        InputError: for a folder of another layout, without images, or with images that cannot be read.
    """
    train, test, classes = _parts(root)
    has_test = bool(test)
    names = [name for name, _ in train], [name for name, _ in test]
    files = [file for _, file in train + test]

    def make() -> dict[str, np.ndarray]:
        number = {name: label for label, name in enumerate(classes)}
        images = read_images(files, side=side, crop=True, grey=grey, progress=progress)
        labels = np.array([number[name] for part in names for name in part], dtype=np.int64)
        tested = np.arange(len(files)) >= len(train)
        if not has_test:
            tested = stratified(labels, len(files), max(1, len(files) // PART_FOR_TEST), seed=0)
        return {
            "x_train": images[~tested],
            "y_train": labels[~tested],
            "x_test": images[tested],
            "y_test": labels[tested],
        }

    if len(classes) < 2:
        raise InputError(f"classes in {root}", given=_some(classes), allowed="at least 2 folders, one a class")
    if not has_test and len(files) == len(classes):
        raise InputError(f"images in {root}", given="one a class", allowed="more, since some are kept to test on")
    key = state_of(root, files, side=side, grey=grey)
    arrays = cached(cache, source="folder-grey" if grey else "folder", root=root, side=side, key=key, make=make)
    return from_arrays(root.resolve().name, arrays, class_names=tuple(classes))


def _parts(root: Path) -> tuple[list[tuple[str, Path]], list[tuple[str, Path]], list[str]]:
    """Images to train and to test on with their classes, and the classes; none to test on where they are not apart."""
    if not root.is_dir():
        raise InputError("image folder", given=str(root), allowed="a folder", remedy="there is no such folder")
    train_folder, test_folder = _splits(root)
    if train_folder is None or test_folder is None:
        listed, classes = _listing(root)
        return listed, [], classes
    train, classes = _listing(train_folder)
    test, test_classes = _listing(test_folder, of_train=False)
    strange = [name for name in test_classes if name not in classes]
    if strange:
        raise InputError(
            f"classes in {test_folder}", given=strange[0], allowed=f"those of {train_folder}: {_some(classes)}"
        )
    return train, test, classes


def _splits(root: Path) -> tuple[Path | None, Path | None]:
    """Folders of the images to train and to test on; none where class folders lie in the root itself.

    Other spellings (``Train``, ``Testing``, ``validation_set``) are taken for splits where both kinds are there: alone,
    ``Train`` may well be a class of vehicles.
    """
    names = _folders(root)
    train, test = _spelled(names, "train"), next(filter(None, (_spelled(names, word) for word in TEST_FOLDERS)), None)
    if train is not None and test is not None:
        spelled = [name for name in (train, test) if name not in ("train", *TEST_FOLDERS)]
        if all(_folders(root / name) for name in spelled):  # folders of images alone are classes of such names
            return root / train, root / test
    alone = [name for name in names if name in ("train", *TEST_FOLDERS)]
    if alone:
        raise InputError(
            f"image folder {root}",
            given=f"{alone[0]} alone",
            allowed="train/CLASS and test/CLASS (or val, or valid), or CLASS folders only",
        )
    return None, None


def _folders(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _spelled(names: list[str], word: str) -> str | None:
    """The folder that stands for a split: of its very name, or else the only one that spells it otherwise.

    Raises:
        InputError: where several spell it otherwise.

    >>> _spelled(["Test", "TRAIN"], "train"), _spelled(["testing", "cats"], "test"), _spelled(["trains"], "train")
    ('TRAIN', 'testing', None)
    """
    if word in names:
        return word
    spelling = re.compile(rf"{word}(ing|idation|ation)?([\W_]?(set|data|images|split))?", re.IGNORECASE)
    found = [name for name in names if spelling.fullmatch(name)]
    if len(found) > 1:
        raise InputError(
            "image folder",
            given=f"{_some(found)}, which all look like {word}",
            allowed=f"one folder {word}",
            remedy="rename them",
        )
    return found[0] if found else None


def _listing(folder: Path, *, of_train: bool = True) -> tuple[list[tuple[str, Path]], list[str]]:
    """Every image below a folder with its class, and the classes, in the order of their names."""
    classes = _folders(folder)
    if not classes:
        raise InputError(f"image folder {folder}", given="no folders in it", allowed="one folder a class")
    listed: list[tuple[str, Path]] = []
    for name in classes:
        files = _images(folder / name)
        if of_train and not files:
            raise InputError(
                f"class folder {folder / name}", given="no images", allowed=f"at least one of {' '.join(EXTENSIONS)}"
            )
        listed += [(name, file) for file in files]
    if not listed:
        raise InputError(f"image folder {folder}", given="no images", allowed=f"some of {' '.join(EXTENSIONS)}")
    return listed, classes


def _images(folder: Path) -> list[Path]:
    """Images at any depth, sorted; links to folders are followed, as torchvision does."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in files if name.lower().endswith(EXTENSIONS) and not name.startswith(".")]
    return sorted(found)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
