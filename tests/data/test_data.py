"""Data sets are read whole and right, or refused in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from parlay.data import Dataset, crop_and_flip, load
from parlay.data.dataset import from_arrays
from parlay.errors import InputError, MissingExtraError


def arrays(count: int = 20, side: int = 8, channels: int = 3, classes: int = 4) -> dict[str, np.ndarray]:
    """Four arrays as Keras keeps them."""
    draw = np.random.RandomState(1)
    return {
        "x_train": draw.randint(0, 256, (count, side, side, channels)).astype(np.uint8),
        "y_train": (np.arange(count) % classes).astype(np.uint8),
        "x_test": draw.randint(0, 256, (count // 2, side, side, channels)).astype(np.uint8),
        "y_test": (np.arange(count // 2) % classes).astype(np.int32)[:, None],
    }


def saved(folder: Path, **changes: Any) -> Path:
    """An .npz file of the arrays with some replaced, or left out where None."""
    content = {key: value for key, value in {**arrays(), **changes}.items() if value is not None}
    np.savez(folder / "toy.npz", **content)
    return folder / "toy.npz"


def test_digits_are_split_by_class_and_always_alike():
    """1,797 images, about half of each class on either side, none on both, the same at every call."""
    data, again = load("digits"), load("digits")
    assert (data.in_channels, data.image, data.classes, data.flips) == (1, 8, 10, False)
    assert len(data.train_labels) + len(data.test_labels) == 1797
    counts = torch.stack([torch.bincount(labels) for labels in (data.train_labels, data.test_labels)])
    assert int((counts[1] - counts[0]).abs().max()) <= 1
    assert data.fingerprint == again.fingerprint == "9ee883095c8ed12bcb502b560c0f0320c51cb3744c69cdde80e3f97e5318f730"
    assert int(data.train_images.max()) == 255


def test_axis_orders_give_the_same_data(tmp_path: Path):
    """Channels last and channels first are one data set with one fingerprint; labels may be a column."""
    last = load(saved(tmp_path))
    turned = {key: arrays()[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test")}
    first = load(saved(tmp_path, **turned))
    assert first.fingerprint == last.fingerprint
    assert (last.name, last.in_channels, last.image, last.classes) == ("toy", 3, 8, 4)
    assert torch.equal(last.train_images[3], torch.from_numpy(arrays()["x_train"][3]).permute(2, 0, 1))
    assert last.train_labels.dtype == last.test_labels.dtype == torch.int64
    assert last.test_labels.shape == (10,)


def test_grey_images_have_one_channel(tmp_path: Path):
    """Images without a channel axis are grey."""
    grey = {key: arrays()[key][..., 0] for key in ("x_train", "x_test")}
    data = load(saved(tmp_path, **grey))
    assert data.train_images.shape == (20, 1, 8, 8)


def test_fingerprints_tell_contents_apart(tmp_path: Path):
    """One changed pixel or label is another data set."""
    prints = {load(saved(tmp_path)).fingerprint}
    for key in arrays():
        changed = arrays()[key].copy()
        changed.flat[0] = (int(changed.flat[0]) + 1) % 4
        prints.add(load(saved(tmp_path, **{key: changed})).fingerprint)
    assert len(prints) == 5


def test_moments_are_those_of_the_training_images():
    """Mean and deviation of each channel, and 1 for a channel that never changes."""
    content = arrays()
    content["x_train"][..., 1] = 7
    means, deviations = from_arrays("toy", content).moments
    pixels = content["x_train"].reshape(-1, 3).astype(float)
    assert np.allclose(means, pixels.mean(0), atol=1e-3)
    assert np.allclose(deviations, [pixels[:, 0].std(), 1, pixels[:, 2].std()], atol=1e-3)


A = arrays()
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "missing array": ({"y_test": None}, "missing: y_test"),
    "float images": ({"x_train": A["x_train"] / 255}, "type of x_train: got float64; allowed: uint8"),
    "float labels": ({"y_train": A["y_train"].astype(float)}, "type of y_train: got float64; allowed: integers"),
    "label too large": ({"y_train": np.where(A["y_train"] == 3, 255, A["y_train"])}, "labels in y_train: got 0 to 255"),
    "test label too large": ({"y_test": A["y_test"] + 1}, "labels in y_test: got 1 to 4; allowed: 0 to 3"),
    "negative label": ({"y_train": A["y_train"].astype(int) - 1}, "labels in y_train: got -1 to 2"),
    "one class": ({"y_train": A["y_train"] * 0}, "classes in y_train: got 1"),
    "one-hot labels": ({"y_train": np.eye(4, dtype=int)[A["y_train"]]}, "shape of y_train: got 20x4; allowed: 20"),
    "too few labels": ({"y_train": A["y_train"][:-1]}, "shape of y_train: got 19; allowed: 20"),
    "no images": ({"x_train": A["x_train"][:0], "y_train": A["y_train"][:0]}, "at least one image"),
    "not square": ({"x_train": A["x_train"][:, :7]}, "shape of x_train: got 20x7x8x3; allowed: square"),
    "flat images": ({"x_train": A["x_train"].reshape(20, -1)}, "shape of x_train: got 20x192"),
    "another size": ({"x_test": A["x_test"][:, :4, :4]}, "shape of x_test: got 3x4x4"),
    "pickles": ({"y_train": np.array([{}] * 20, dtype=object)}, "objects are not loaded"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_get_one_clear_line(case: str, tmp_path: Path):
    """Each kind of wrong array is named, with what is allowed."""
    changes, message = BAD[case]
    with pytest.raises(InputError) as caught:
        load(saved(tmp_path, **changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 3, 40, 300, 1500, 3000])
def test_truncated_files_are_refused(kept: int, tmp_path: Path):
    """A file cut anywhere is one InputError."""
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="data file"):
        load(path)


def test_flipped_bytes_are_noticed(tmp_path: Path):
    """A damaged byte inside an array is caught by the archive's checksum."""
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[1000] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="undamaged"):
        load(path)


def test_other_files_are_refused(tmp_path: Path):
    """Text, a single array, a folder and a missing file are each one InputError."""
    text, single = tmp_path / "text.npz", tmp_path / "single.npy"
    text.write_text("x_train")
    np.save(single, np.zeros(3))
    for path in (text, single, tmp_path, tmp_path / "none.npz"):
        with pytest.raises(InputError, match=r"data.*allowed"):
            load(path)


@pytest.mark.parametrize(("spec", "near"), [("cifar1O", "did you mean cifar10"), ("Digit", "did you mean digits")])
def test_unknown_names_get_the_nearest_right_one(spec: str, near: str):
    """A misspelt name is answered with the right one."""
    with pytest.raises(InputError, match=near):
        load(spec)


def test_cifar_comes_from_torchvision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The downloader's arrays and list of labels become a data set; what it prints stays off stdout."""
    import torchvision

    def fake(*, root: Path, train: bool, download: bool) -> SimpleNamespace:
        print("Files already downloaded")
        assert root == tmp_path and download
        part = "train" if train else "test"
        return SimpleNamespace(
            data=arrays()[f"x_{part}"], targets=arrays()[f"y_{part}"].ravel().tolist(), classes=["a", "b", "c", "d"]
        )

    monkeypatch.setattr(torchvision.datasets, "CIFAR100", fake)
    data = load("cifar100", data_dir=tmp_path)
    assert (data.name, len(data.train_labels), data.classes, data.flips) == ("cifar100", 20, 4, True)
    assert data.class_names == ("a", "b", "c", "d")
    assert capsys.readouterr().out == ""


def test_a_download_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No network and no archive: an InputError that says what to do."""
    import torchvision

    def broken(**kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", broken)
    with pytest.raises(InputError, match=r"no route to host.*--data-dir"):
        load("cifar10", data_dir=tmp_path)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    """Without scikit-learn the digits say which extra brings it."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"sklearn.*'\.\[train\]'"):
        load("digits")


@pytest.mark.parametrize("module", ["parlay.nets", "parlay.data", "parlay.train.loop"])
def test_without_torch_the_extra_is_named(module: str):
    """Importing what needs torch where it is missing raises MissingExtraError, and nothing else."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from parlay.errors import MissingExtraError\n"
        f"try:\n    import {module}\nexcept MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs torch, which is not installed; pip install '.[train]'" in done.stdout


def ramp(count: int = 64, channels: int = 2, side: int = 6) -> torch.Tensor:
    """Images whose every pixel is another grey level, none of them 0."""
    image = torch.arange(1, channels * side * side + 1, dtype=torch.uint8).reshape(1, channels, side, side)
    return image.repeat(count, 1, 1, 1)


def test_augmentation_only_shifts_and_mirrors():
    """Every result is a shift of the image or of its mirror image with zeros moved in, the same for all channels."""
    images = ramp()
    out = crop_and_flip(images, margin=2, flip=True, generator=torch.Generator().manual_seed(3))
    padded = torch.nn.functional.pad(images[0], (2, 2, 2, 2))
    allowed = {}
    for mirrored, source in ((False, padded), (True, torch.nn.functional.pad(images[0].flip(2), (2, 2, 2, 2)))):
        for down in range(5):
            for across in range(5):
                allowed[bytes(source[:, down : down + 6, across : across + 6].contiguous().numpy())] = (
                    mirrored,
                    down,
                    across,
                )
    seen = {allowed[bytes(image.contiguous().numpy())] for image in out}
    assert out.dtype == torch.uint8 and out.shape == images.shape
    assert {mirrored for mirrored, _, _ in seen} == {False, True}
    assert {down for _, down, _ in seen} == {across for _, _, across in seen} == set(range(5))


def test_augmentation_can_be_off_and_repeats_with_its_generator():
    """No margin and no mirror leave images alone; one seed gives one result; without mirror none is mirrored."""
    images = ramp(8)
    assert crop_and_flip(images, margin=0, flip=False, generator=torch.Generator()) is images
    one, two = (crop_and_flip(images, margin=1, flip=True, generator=torch.Generator().manual_seed(9)) for _ in "ab")
    assert torch.equal(one, two)
    only = crop_and_flip(images, margin=0, flip=True, generator=torch.Generator().manual_seed(0))
    assert {torch.equal(image, images[0]) or torch.equal(image, images[0].flip(2)) for image in only} == {True}
    assert isinstance(load("digits"), Dataset)
