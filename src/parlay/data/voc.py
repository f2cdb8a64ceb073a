"""PASCAL VOC 2007, classification: 20 classes, several in one image, in the layout that torchvision unpacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parlay.data.dataset import Dataset, from_arrays
from parlay.data.images import Progress, cached, read_images, state_of
from parlay.errors import InputError

__all__ = ["CLASSES", "voc2007"]

CLASSES = tuple(
    "aeroplane bicycle bird boat bottle bus car cat chair cow "
    "diningtable dog horse motorbike person pottedplant sheep sofa train tvmonitor".split()
)
"""The classes of VOC 2007 in their usual order."""

PARTS = {"train": "trainval", "test": "test"}
"""Our name of a part -> that of VOC's image set."""


def voc2007(root: Path, *, side: int, cache: Path, grey: bool = False, progress: Progress | None = None) -> Dataset:
    """Read ``root/VOCdevkit/VOC2007``: trainval to train on, test to test on.

    Labels are those of ``ImageSets/Main/CLASS_trainval.txt`` and ``CLASS_test.txt``: 1 present, 0 only difficult ones
    present, -1 absent. Images are squashed to a square, not cropped: a crop would cut away objects that the labels
    name. ``Annotations`` are not read.

    Args:
        root: the folder given to ``torchvision.datasets.VOCDetection``.
        side: pixels of the images.
        cache: folder of the caches.
        grey: one channel instead of three.
        progress: called with images read and images in all; not when the cache is used.

    Raises:
        InputError: for a missing or odd file, naming it, and for images that cannot be read.
    """
    devkit = root / "VOCdevkit" / "VOC2007"
    if not devkit.is_dir():
        raise InputError(
            "VOC 2007",
            given=f"no folder {devkit}",
            allowed="the folder that holds VOCdevkit/VOC2007, as torchvision unpacks it",
        )
    sets = devkit / "ImageSets" / "Main"
    images, texts, labels = {}, [], {}
    for part, image_set in PARTS.items():
        names = [words[0] for words in _lines(sets / f"{image_set}.txt", 1)]
        if not names:
            raise InputError(f"image set {sets / f'{image_set}.txt'}", given="no images", allowed="at least one")
        images[part] = [devkit / "JPEGImages" / f"{name}.jpg" for name in names]
        texts += [sets / f"{image_set}.txt", *(sets / f"{kind}_{image_set}.txt" for kind in CLASSES)]
        labels[part] = np.stack([_column(sets / f"{kind}_{image_set}.txt", names) for kind in CLASSES], axis=1)
    files = images["train"] + images["test"]

    def make() -> dict[str, np.ndarray]:
        pixels = read_images(files, side=side, crop=False, grey=grey, progress=progress)
        train, test = pixels[: len(images["train"])], pixels[len(images["train"]) :]
        return {"x_train": train, "y_train": labels["train"], "x_test": test, "y_test": labels["test"]}

    key = state_of(root, [*texts, *files], side=side, grey=grey)
    arrays = cached(cache, source="voc2007-grey" if grey else "voc2007", root=root, side=side, key=key, make=make)
    return from_arrays("voc2007", arrays, multi_label=True, class_names=CLASSES)


def _column(path: Path, names: list[str]) -> np.ndarray:
    """Labels of one class for the images named, int8 (N,)."""
    found: dict[str, int] = {}
    for name, label in _lines(path, 2):
        if label not in ("1", "0", "-1"):
            raise InputError(f"label of {name} in {path}", given=label, allowed="1, 0 or -1")
        found[name] = int(label)
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"labels in {path}", given=f"none for image {missing[0]}", allowed="one for each image")
    return np.array([found[name] for name in names], dtype=np.int8)


def _lines(path: Path, words: int) -> list[list[str]]:
    """The words of every line that is not empty."""
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError("image set", given=str(path), allowed="a text file of VOC 2007", remedy=reason or "") from None
    for line in lines:
        if len(line) != words:
            allowed = "one image's name a line" if words == 1 else "an image's name and 1, 0 or -1 a line"
            raise InputError(f"line of {path}", given=repr(" ".join(line)), allowed=allowed)
    return lines
