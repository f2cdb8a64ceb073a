"""The validation split: by class, by a seed, the same in every process; and what else a data set carries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parlay.data import Dataset, crop_and_flip, load
from parlay.data.dataset import TENSORS, from_arrays
from parlay.data.split import stratified
from parlay.errors import InputError


def toy(labels: list[int], *, test: int = 4) -> Dataset:
    """Images that hold their own number."""
    count = len(labels)
    numbered = np.arange(count, dtype=np.uint8).reshape(count, 1, 1).repeat(4, 1).repeat(4, 2)
    arrays = {
        "x_train": numbered,
        "y_train": np.array(labels),
        "x_test": numbered[:test],
        "y_test": np.array(labels)[:test],
    }
    return from_arrays("toy", arrays)


def present(rows: list[list[int]]) -> Dataset:
    """A data set of several labels an image."""
    labels = np.array(rows)
    images = np.arange(len(rows), dtype=np.uint8).reshape(-1, 1, 1).repeat(4, 1).repeat(4, 2)
    return from_arrays(
        "many", {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}, multi_label=True
    )


def test_the_split_divides_the_training_images():
    """Every training image is on exactly one side, with its own label and in its old order."""
    labels = [0, 1, 2] * 10
    data = toy(labels).with_validation(9, seed=5)
    held, kept = data.validation_images[:, 0, 0, 0].tolist(), data.train_images[:, 0, 0, 0].tolist()
    assert sorted(held + kept) == list(range(30)) and held == sorted(held) and kept == sorted(kept)
    assert data.validation_labels.tolist() == [labels[number] for number in held]
    assert data.train_labels.tolist() == [labels[number] for number in kept]
    assert data.validation_labels.bincount().tolist() == [3, 3, 3]
    assert len(data.test_images) == 4


def test_the_split_is_no_part_of_the_fingerprint_but_of_the_moments():
    """The fingerprint is that of the data as loaded; moments are those of the images still trained on."""
    whole = toy([0, 1] * 8)
    part = whole.with_validation(4)
    assert part.fingerprint == whole.fingerprint == part.origin
    assert whole.origin == ""
    pixels = part.train_images.double()
    assert float(part.moments[0]) == pytest.approx(float(pixels.mean()))
    assert float(part.moments[1]) == pytest.approx(float(pixels.std(correction=0)))


def test_no_split_has_no_validation_images():
    """Without a split there are validation tensors of the right shapes and types, and none in them; so with 0."""
    data = toy([0, 1, 0, 1])
    assert data.validation_images.shape == (0, 1, 4, 4) and data.validation_images.dtype == torch.uint8
    assert data.validation_labels.shape == (0,) and data.validation_labels.dtype == torch.int64
    assert data.with_validation(0) is data


def test_a_seed_gives_the_same_images_for_ever():
    """These very images, by name: no process, machine or release may draw others; other seeds do."""
    labels = np.arange(12) % 2
    assert np.flatnonzero(stratified(labels, 12, 4, seed=7)).tolist() == [2, 7, 10, 11]
    assert np.flatnonzero(stratified(None, 12, 4, seed=7)).tolist() == [5, 7, 9, 11]
    others = {tuple(np.flatnonzero(stratified(labels, 12, 4, seed=seed))) for seed in (0, 1, 2, 2**63 - 1)}
    assert len(others) > 1


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.integers(0, 60),
    st.integers(0, 3),
)
def test_each_class_gives_its_share(sizes: list[int], count: int, seed: int):
    """As many as asked; of each class its share to within one image where no class is tiny; never a class's last."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    if count > len(labels) - len(sizes):
        with pytest.raises(InputError, match="images to set aside"):
            stratified(labels, len(labels), count, seed=seed)
        return
    chosen = stratified(labels, len(labels), count, seed=seed)
    drawn = np.bincount(labels[chosen], minlength=len(sizes))
    assert drawn.sum() == count
    assert (drawn < np.array(sizes)).all()
    shares = np.array(sizes) * count / len(labels)
    if (np.ceil(shares) < np.array(sizes)).all():
        assert (np.abs(drawn - shares) < 1).all()


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [
        (11, 0, r"images to set aside: got 11; allowed: 0 to 10, which leaves one of each of the 2 classes"),
        (-1, 0, "images to set aside: got -1"),
        (1.5, 0, "images to set aside: got 1.5"),
        (True, 0, "images to set aside: got True"),
        (2, -1, "seed of the split: got -1"),
        (2, 2**63, "seed of the split"),
    ],
)
def test_bad_splits_are_refused(count, seed, message: str):
    """A count that leaves a class empty, or is no number, and a bad seed are each one line."""
    with pytest.raises(InputError, match=message):
        toy([0, 1] * 6).with_validation(count, seed=seed)


def test_a_second_split_is_refused():
    """What is set aside is set aside once."""
    with pytest.raises(InputError, match="are set aside already; allowed: one split"):
        toy([0, 1] * 6).with_validation(4).with_validation(2)


def test_several_labels_are_split_at_random():
    """Images with several labels: as many as asked, labels with their images; a class that would be lost is named."""
    data = present([[1, -1], [-1, 1], [1, 0], [0, 1], [1, 1], [-1, 1]])
    part = data.with_validation(2, seed=1)
    assert part.multi_label and part.classes == 2 and part.train_labels.dtype == torch.int8
    rows = data.train_labels[part.validation_images[:, 0, 0, 0].long()]
    assert torch.equal(part.validation_labels, rows) and len(rows) == 2
    rare = present([[1, -1], [1, 1], [1, -1]])  # any two of three leave one, with class 1 or without
    outcomes = set()
    for seed in range(20):
        try:
            outcomes.add(rare.with_validation(2, seed=seed).train_labels.tolist() == [[1, 1]])
        except InputError as error:
            outcomes.add(str(error).partition(";")[0])
    assert outcomes == {True, "images to set aside: got 2, among them all 1 of class 1"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2]], "labels in y_train: got 2; allowed: 1 present, 0 difficult, -1 absent"),
        ([[1], [1]], "classes in y_train: got 1"),
        ([1, 1], "shape of y_train: got 2"),
        ([[0.5, 1.0]], "type of y_train: got float64"),
    ],
)
def test_bad_rows_of_labels_are_refused(rows, message: str):
    """Labels of several classes are rows of 1, 0 and -1."""
    with pytest.raises(InputError, match=message):
        present(rows)


def test_lengths_that_do_not_fit_are_refused():
    """Images without labels, and class names that are too few, are refused when a data set is made."""
    data = toy([0, 1, 0, 1])
    fields = {name: getattr(data, name) for name in TENSORS}
    with pytest.raises(InputError, match="test labels: got 3; allowed: 4"):
        Dataset(name="x", classes=2, **{**fields, "test_labels": data.test_labels[:3]})
    with pytest.raises(InputError, match="class names: got 1 names; allowed: 2"):
        Dataset(name="x", classes=2, class_names=("a",), **fields)
    assert load("digits").class_names == tuple("0123456789")


def test_moving_to_a_device_keeps_types_and_fingerprint():
    """Everything goes to the device as it is; what is there already is not copied."""
    data = toy([0, 1] * 6).with_validation(4)
    there = data.to("cpu")
    assert all(getattr(there, name).data_ptr() == getattr(data, name).data_ptr() for name in TENSORS)
    assert there.fingerprint == data.fingerprint
    meta = data.to("meta")
    assert {getattr(meta, name).device.type for name in TENSORS} == {"meta"}
    assert meta.train_images.dtype == torch.uint8 and len(meta.validation_labels) == 4
    assert torch.equal(meta.moments[0], data.moments[0]) and meta.fingerprint == data.fingerprint


def by_three_indices(images, *, margin: int, flip: bool, generator):
    """How crops were first made: padded images, read by three index tensors."""
    count, _, height, width = images.shape
    down, across = torch.randint(0, 2 * margin + 1, (2, count), generator=generator)
    rows = down[:, None] + torch.arange(height)
    columns = torch.arange(width).expand(count, width)
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    columns = columns + across[:, None]
    padded = torch.nn.functional.pad(images, (margin, margin, margin, margin))
    which = torch.arange(count)[:, None, None]
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("shape", "margin", "flip"),
    [
        ((128, 3, 32, 32), 4, True),
        ((7, 1, 8, 8), 1, False),
        ((5, 3, 9, 9), 0, True),
        ((1, 4, 3, 3), 5, True),
        ((6, 2, 4, 7), 2, True),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_crops_are_bit_for_bit_those_of_three_indices(shape, margin: int, flip: bool, last: bool):
    """The fast form gives the same images, leaves the generator in the same state, and is channels-last in memory."""
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    images = images.to(memory_format=torch.channels_last) if last else images
    one, two = torch.Generator().manual_seed(11), torch.Generator().manual_seed(11)
    ours = crop_and_flip(images, margin=margin, flip=flip, generator=one)
    assert torch.equal(ours, by_three_indices(images, margin=margin, flip=flip, generator=two))
    assert torch.equal(one.get_state(), two.get_state())
    assert ours.is_contiguous(memory_format=torch.channels_last)
