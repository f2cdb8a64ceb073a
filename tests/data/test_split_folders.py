"""Image folders: splits of other spellings are splits, and names need not be UTF-8."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parlay.data.folder import image_folder
from parlay.errors import InputError


def fill(folder: Path, images: int = 4) -> None:
    folder.mkdir(parents=True)
    for number in range(images):
        pixels = np.random.default_rng(number).integers(0, 255, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


SPELLINGS = [
    ("Train", "Test"),
    ("TRAIN", "test"),
    ("training", "testing"),
    ("Training_Set", "Test_Set"),
    ("train", "Validation"),
    ("Train", "VAL"),
    ("train-images", "valid-images"),
]


@pytest.mark.parametrize(("train", "test"), SPELLINGS)
def test_splits_of_other_spellings_are_splits(tmp_path: Path, train: str, test: str) -> None:
    """The classes are the folders inside them, and what is tested on is what the folder says."""
    for split, images in ((train, 4), (test, 2)):
        for name in ("cat", "dog"):
            fill(tmp_path / "set" / split / name, images)
    data = image_folder(tmp_path / "set", side=8, cache=tmp_path / "cache")
    assert data.class_names == ("cat", "dog")
    assert (len(data.train_labels), len(data.test_labels)) == (8, 4)


@pytest.mark.parametrize("names", [("Train", "Car"), ("Train", "Test"), ("train_station", "test_tube", "valley")])
def test_classes_of_such_names_are_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    """A class of trains, folders that hold images themselves, and words that only begin so."""
    for name in names:
        fill(tmp_path / "set" / name, 5)
    data = image_folder(tmp_path / "set", side=8, cache=tmp_path / "cache")
    assert data.class_names == tuple(sorted(names))


def test_several_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    """Which of two is meant is not guessed."""
    for split in ("Train", "training", "Test"):
        for name in ("cat", "dog"):
            fill(tmp_path / "set" / split / name)
    with pytest.raises(InputError, match="Train, training"):
        image_folder(tmp_path / "set", side=8, cache=tmp_path / "cache")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
@pytest.mark.parametrize("part", ["root", "class", "file"])
def test_names_that_are_not_utf8_are_read(tmp_path: Path, part: str) -> None:
    """As Python's own functions read them, and with a cache that knows them again."""
    odd = os.fsdecode(b"caf\xe9")
    root = tmp_path / (odd if part == "root" else "set")
    fill(root / (odd if part == "class" else "cafe"), 5)
    fill(root / "dog", 5)
    if part == "file":
        (root / "dog" / "0.png").rename(root / "dog" / f"{odd}.png")
    for _ in range(2):
        data = image_folder(root, side=8, cache=tmp_path / "cache")
        assert (len(data.train_labels), len(data.test_labels), len(data.class_names)) == (8, 2, 2)
    assert len([*(tmp_path / "cache").iterdir()]) == 1
