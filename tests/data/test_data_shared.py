"""One copy of the data for all processes: whole or not there, mapped and not read, never written to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from parlay.data import Dataset, load, open_shared, save_shared, streams
from parlay.data.dataset import TENSORS, from_arrays
from parlay.errors import InputError


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").with_validation(50, seed=2)


def test_what_is_opened_is_what_was_saved(data: Dataset, tmp_path: Path):
    """Every tensor, name and number comes back, moments and fingerprint too."""
    there = open_shared(save_shared(data, tmp_path))
    for name in TENSORS:
        ours, theirs = getattr(data, name), getattr(there, name)
        assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
    for name in ("name", "classes", "flips", "multi_label", "class_names", "fingerprint"):
        assert getattr(there, name) == getattr(data, name)
    assert all(torch.equal(a, b) for a, b in zip(there.moments, data.moments, strict=True))


def test_several_labels_and_no_split_are_kept(tmp_path: Path):
    """int8 rows of labels and empty validation tensors survive."""
    images, rows = np.zeros((2, 4, 4), np.uint8), np.array([[1, 0], [-1, 1]])
    arrays = {"x_train": images, "y_train": rows, "x_test": images, "y_test": rows}
    there = open_shared(save_shared(from_arrays("many", arrays, multi_label=True), tmp_path))
    assert there.multi_label and there.train_labels.tolist() == rows.tolist()
    assert there.validation_images.shape == (0, 1, 4, 4) and there.validation_labels.dtype == torch.int8


def test_names_tell_splits_apart(data: Dataset, tmp_path: Path):
    """Whole data and two splits are three folders that begin with one fingerprint."""
    whole = load("digits")
    paths = {
        save_shared(whole, tmp_path),
        save_shared(data, tmp_path),
        save_shared(whole.with_validation(50), tmp_path),
    }
    assert len(paths) == 3
    assert {path.name.split("-")[0] for path in paths} == {data.fingerprint[:16]}


def test_an_intact_copy_is_used_again_and_a_damaged_one_repaired(data: Dataset, tmp_path: Path):
    """Nothing is written twice; a changed byte, a short file, a lost file or header is put right."""
    path = save_shared(data, tmp_path)
    before = {file.name: file.stat().st_ino for file in path.iterdir()}
    assert save_shared(data, tmp_path) == path
    assert {file.name: file.stat().st_ino for file in path.iterdir()} == before
    images = path / "train_images.bin"
    content = bytearray(images.read_bytes())
    content[77] ^= 1
    images.write_bytes(bytes(content))
    (path / "test_images.bin").write_bytes(b"short")
    (path / "test_labels.bin").unlink()
    (path / "header.json").write_text("{")
    assert save_shared(data, tmp_path) == path
    assert all(torch.equal(getattr(open_shared(path), name), getattr(data, name)) for name in TENSORS)
    assert sorted(file.name for file in path.iterdir()) == sorted(before)


def test_the_files_are_never_changed(data: Dataset, tmp_path: Path):
    """Writing to an opened tensor changes this process's page, neither the file nor another opening."""
    path = save_shared(data, tmp_path)
    before = (path / "train_images.bin").read_bytes()
    one, two = open_shared(path), open_shared(path)
    old = int(two.train_images[0, 0, 0, 0])
    one.train_images[0, 0, 0, 0] = 255 - old
    assert (path / "train_images.bin").read_bytes() == before
    assert int(two.train_images[0, 0, 0, 0]) == old


def own_memory(text: str) -> int:
    """Memory in kB that belongs to no file, by Linux's account."""
    return sum(int(kilobytes) for kilobytes in re.findall(r"^Anonymous:\s+(\d+)", text, flags=re.MULTILINE))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads Linux's list of mapped memory")
def test_opening_takes_no_memory_of_its_own(tmp_path: Path):
    """64 MB of images, opened and read through, are pages of the file's cache and none of the process's own."""
    images, few = np.zeros((16000, 64, 64), np.uint8), np.zeros((2, 64, 64), np.uint8)
    arrays = {"x_train": images, "y_train": np.arange(16000) % 2, "x_test": few, "y_test": np.arange(2)}
    path = save_shared(from_arrays("big", arrays), tmp_path)
    maps = Path("/proc/self/smaps")
    before = own_memory(maps.read_text())
    there = open_shared(path)
    assert own_memory(maps.read_text()) - before < 8000
    assert int(there.train_images.max()) == 0 and float(there.moments[1]) == 1
    ours = [one for one in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", maps.read_text()) if "train_images.bin" in one]
    resident = sum(int(re.findall(r"\nRss:\s+(\d+)", one)[0]) for one in ours)
    assert resident > 60000 and sum(own_memory(one) for one in ours) == 0


def damaged(path: Path, what: str) -> None:
    """One way in which a folder can be wrong."""
    header = json.loads((path / "header.json").read_text())
    if what == "short file":
        (path / "train_images.bin").write_bytes(b"12")
    elif what == "lost file":
        (path / "test_labels.bin").unlink()
    elif what == "no header":
        (path / "header.json").unlink()
    elif what == "other document":
        (path / "header.json").write_text(json.dumps({**header, "kind": "study"}))
    elif what == "later version":
        (path / "header.json").write_text(json.dumps({**header, "schema_version": 99}))
    elif what == "strange type":
        header["tensors"]["train_images"]["dtype"] = "object"
        (path / "header.json").write_text(json.dumps(header))
    else:
        (path / "header.json").write_text("[1]")


@pytest.mark.parametrize(
    "what",
    ["short file", "lost file", "no header", "other document", "later version", "strange type", "list"],
)
def test_what_is_not_whole_is_refused(what: str, data: Dataset, tmp_path: Path):
    """Each is one line that says what to do."""
    path = save_shared(data, tmp_path)
    damaged(path, what)
    with pytest.raises(InputError, match=r"shared data: .*write it again") as caught:
        open_shared(path)
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_nothing_and_is_one_line(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No half-written file stays, there is no header, and the line names the file."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streams.os, "fsync", full)
    with pytest.raises(InputError, match=r"train_images\.bin.*No space left"):
        save_shared(data, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_place_that_cannot_be_written_is_one_line(data: Dataset, tmp_path: Path):
    """A file where the folder should be is an InputError."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="allowed: a place that can be written"):
        save_shared(data, tmp_path / "taken")
