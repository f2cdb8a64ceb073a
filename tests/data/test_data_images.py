"""Image folders and VOC 2007: read as documented, resized once, cached, refused in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from parlay.data import folder as folder_module
from parlay.data import load
from parlay.data.images import read_images
from parlay.data.voc import CLASSES
from parlay.errors import InputError


def picture(path: Path, red: int, *, size: tuple[int, int] = (12, 10)) -> None:
    """An image file of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (red, 255 - red, 7)).save(path)


def split_folder(root: Path, test: str = "test") -> Path:
    """Two classes, three images each to train on and one each to test on."""
    for label, kind in enumerate(("cat", "dog")):
        for number in range(3):
            picture(root / "train" / kind / f"{number}.png", 100 * label + 10 * number)
        picture(root / test / kind / "deep" / "9.PNG", 100 * label + 90)
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    (root / "train" / ".hidden").mkdir(exist_ok=True)
    return root


def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of every call that decodes some."""
    calls: list[int] = []

    def counting(paths, **options):
        calls.append(len(paths))
        return read_images(paths, **options)

    monkeypatch.setattr(folder_module, "read_images", counting)
    return calls


@pytest.mark.parametrize("test", ["test", "val", "valid"])
def test_split_folders_are_read_in_order(test: str, tmp_path: Path):
    """Classes and images by name, at any depth; what is hidden or no image is passed over; 32x32 unless said."""
    data = load(f"folder:{split_folder(tmp_path / 'pets', test)}", data_dir=tmp_path / "data")
    assert (data.name, data.classes, data.class_names, data.image, data.in_channels) == (
        "pets",
        2,
        ("cat", "dog"),
        32,
        3,
    )
    assert data.train_images[:, 0, 5, 5].tolist() == [0, 10, 20, 100, 110, 120]
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1] and data.test_labels.tolist() == [0, 1]
    assert data.test_images[:, 1, 0, 0].tolist() == [165, 65]
    assert data.flips and not data.multi_label


def test_test_goes_before_val(tmp_path: Path):
    """With both, test is what is tested on."""
    root = split_folder(split_folder(tmp_path / "pets"), "val")
    shutil.rmtree(root / "test" / "dog")
    assert load(f"folder:{root}", data_dir=tmp_path).test_labels.tolist() == [0]


def test_class_folders_alone_are_split(tmp_path: Path):
    """A fifth of each class is tested on, always the same images."""
    for label, kind in enumerate("abc"):
        for number in range(10):
            picture(tmp_path / "p" / kind / f"{number}.png", 60 * label + number)
    data = load(f"folder:{tmp_path / 'p'}", data_dir=tmp_path / "one")
    again = load(f"folder:{tmp_path / 'p'}", data_dir=tmp_path / "two")
    assert data.fingerprint == again.fingerprint
    assert data.train_labels.bincount().tolist() == [8, 8, 8] and data.test_labels.bincount().tolist() == [2, 2, 2]
    seen = torch.cat([data.train_images, data.test_images])[:, 0, 0, 0].tolist()
    assert sorted(seen) == sorted(60 * label + number for label in range(3) for number in range(10))


def test_resizing_is_that_of_torchvision(tmp_path: Path):
    """A resized shorter side and a centre crop, antialiased: within rounding of torchvision's transforms."""
    from torchvision.transforms import v2

    draw = np.random.RandomState(0)
    rough = draw.randint(0, 256, (9, 12, 3)).astype(np.uint8)
    image = Image.fromarray(rough).resize((160, 120), Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.png")
    ours = read_images([tmp_path / "a.png"], side=30, crop=True)[0].astype(int)
    theirs = np.asarray(v2.Compose([v2.Resize(30, antialias=True), v2.CenterCrop(30)])(image)).astype(int)
    assert np.abs(ours - theirs)[1:-1, 1:-1].max() <= 1
    squashed = read_images([tmp_path / "a.png"], side=30, crop=False)[0].astype(int)
    assert np.abs(squashed - np.asarray(image.resize((30, 30), Image.Resampling.BILINEAR)).astype(int)).max() == 0


def test_images_and_classes_are_those_of_torchvision(tmp_path: Path):
    """The same classes and labelled images as torchvision's ImageFolder, on nested folders and odd names."""
    from torchvision.datasets import ImageFolder

    for number, name in enumerate(
        ("b/2.png", "b/10.png", "B/z/1.png", "B/a/3.png", "B/b.png", "a c/é.png", "a c/x.y.bmp")
    ):
        for part in ("train", "test"):
            picture(tmp_path / "odd" / part / name, 30 * number)
    data, theirs = load(f"folder:{tmp_path / 'odd'}", data_dir=tmp_path), ImageFolder(str(tmp_path / "odd" / "train"))
    assert data.class_names == tuple(theirs.classes)
    reds = [image.getpixel((0, 0))[0] for image, _ in theirs]
    assert sorted(zip(data.train_labels.tolist(), data.train_images[:, 0, 0, 0].tolist(), strict=True)) == sorted(
        zip(theirs.targets, reds, strict=True)
    )


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_image_becomes_rgb(mode: str, tmp_path: Path):
    """Grey, palette, transparent and print images come out in three channels of 8 bits."""
    file = tmp_path / ("a.tif" if mode in ("CMYK",) else "a.png")
    Image.new("RGB", (12, 10), "white").convert(mode).save(file)
    image = read_images([file], side=4, crop=True)
    assert image.shape == (1, 4, 4, 3) and image.dtype == np.uint8
    assert int(image.min()) == 255


def test_large_jpegs_keep_their_looks(tmp_path: Path):
    """A JPEG that is decoded at a fraction of its size differs by little from one decoded in full."""
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp[None, :, None], (480, 640, 3)).copy()).save(tmp_path / "a.jpg", quality=95)
    ours = read_images([tmp_path / "a.jpg"], side=32, crop=False)[0].astype(int)
    with Image.open(tmp_path / "a.jpg") as whole:
        full = np.asarray(whole.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - full).max() <= 3


def test_the_cache_is_used_until_the_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One decoding, then none; a changed, added or touched image, or another size, decodes again; no file is left."""
    calls = reads(monkeypatch)
    root = split_folder(tmp_path / "pets")
    first = load(f"folder:{root}", data_dir=tmp_path / "data")
    assert load(f"folder:{root}", data_dir=tmp_path / "data").fingerprint == first.fingerprint
    assert calls == [8]
    picture(root / "train" / "dog" / "5.png", 44)
    changed = load(f"folder:{root}", data_dir=tmp_path / "data")
    assert len(changed.train_images) == 7 and changed.fingerprint != first.fingerprint
    os.utime(root / "train" / "dog" / "5.png", ns=(1, 1))
    assert load(f"folder:{root}", data_dir=tmp_path / "data").fingerprint == changed.fingerprint
    assert calls == [8, 9, 9]
    assert len(list((tmp_path / "data" / "cache").iterdir())) == 1
    assert load(f"folder:{root}@16", data_dir=tmp_path / "data").image == 16
    assert load(f"folder:{root}", data_dir=tmp_path / "data", image_size=16).image == 16
    assert calls == [8, 9, 9, 9]
    assert len(list((tmp_path / "data" / "cache").iterdir())) == 2


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "text"])
def test_a_damaged_cache_is_made_anew(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Wrong bytes are noticed by the archive's checksums; the images are decoded again and the cache replaced."""
    calls = reads(monkeypatch)
    root = split_folder(tmp_path / "pets")
    first = load(f"folder:{root}", data_dir=tmp_path)
    (file,) = (tmp_path / "cache").iterdir()
    content = bytearray(file.read_bytes())
    content[2000] ^= 255
    file.write_bytes({"flipped": bytes(content), "short": content[:5000], "empty": b"", "text": b"hello"}[damage])
    assert load(f"folder:{root}", data_dir=tmp_path).fingerprint == first.fingerprint
    assert load(f"folder:{root}", data_dir=tmp_path).fingerprint == first.fingerprint
    assert calls == [8, 8]


def test_progress_is_told_while_images_are_read(tmp_path: Path):
    """Every image is counted once, the last time with all of them; reading the cache tells nothing."""
    root = split_folder(tmp_path / "pets")
    told: list[tuple[int, int]] = []
    for _ in range(2):
        load(f"folder:{root}", data_dir=tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 8) for number in range(1, 9)]


def test_unreadable_images_are_named_in_one_line(tmp_path: Path):
    """All are tried first; three are named and the rest counted; 16-bit images are among them; no cache is left."""
    root = split_folder(tmp_path / "pets")
    for number in range(3):
        (root / "train" / "cat" / f"{number}.png").write_bytes(b"\x89PNG no image")
    whole = (root / "train" / "dog" / "1.png").read_bytes()
    (root / "train" / "dog" / "1.png").write_bytes(whole[: len(whole) - 30])
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(root / "test" / "dog" / "deep" / "9.PNG")
    with pytest.raises(InputError, match=r"5 that cannot be read: .*cat/0\.png.*cat/2\.png.* and 2 more") as caught:
        load(f"folder:{root}", data_dir=tmp_path)
    assert "\n" not in str(caught.value) and not list((tmp_path / "cache").iterdir())


def without(root: Path, *parts: str) -> Path:
    for part in parts:
        shutil.rmtree(root / part)
    return root


def test_folders_of_another_layout_are_refused(tmp_path: Path):
    """Each is one line that names the folder and what is allowed."""
    cases = {
        "none": r"there is no such folder",
        "only_train": r"got train alone; allowed: train/CLASS and test/CLASS",
        "only_test": r"got test alone",
        "empty_class": r"class folder .*bird: got no images",
        "strange_class": r"classes in .*test: got bird; allowed: those of .*train: cat, dog",
        "one_class": r"classes in .*: got cat; allowed: at least 2",
        "flat": r"got no folders in it; allowed: one folder a class",
        "single": r"got one a class",
        "no_test_images": r"test: got no images",
    }
    without(split_folder(tmp_path / "only_train"), "test")
    without(split_folder(tmp_path / "only_test"), "train")
    (split_folder(tmp_path / "empty_class") / "train" / "bird").mkdir()
    picture(split_folder(tmp_path / "strange_class") / "test" / "bird" / "1.png", 3)
    without(split_folder(tmp_path / "one_class"), "train/dog", "test/dog")
    picture(tmp_path / "flat" / "1.png", 3)
    for kind in "ab":
        picture(tmp_path / "single" / kind / "1.png", 3)
    without(split_folder(tmp_path / "no_test_images"), "test/cat/deep", "test/dog/deep")
    for name, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            load(f"folder:{tmp_path / name}", data_dir=tmp_path / "data")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "size", "message"),
    [
        ("folder:", None, "folder: without a path"),
        ("folder:{root}@0", None, "image size: got 0"),
        ("folder:{root}@16", 32, "image size: got @16 and 32; allowed: one of them"),
        ("folder:{root}", -3, "image size: got -3"),
        ("folder:{root}", 2.5, "image size: got 2.5"),
        ("digits", 32, "image size: got 32; allowed: 8, that of digits; only folder:PATH and voc2007:PATH are resized"),
        ("{root}", None, "for a folder of images say folder:"),
        ("voc2007", None, "did you mean voc2007:PATH"),
        ("foldr:x", None, "did you mean folder:PATH"),
    ],
)
def test_bad_specs_and_sizes_are_refused(spec: str, size, message: str, tmp_path: Path):
    """A size that cannot be had and a spec without a path are each one line."""
    root = split_folder(tmp_path / "pets")
    with pytest.raises(InputError) as caught:
        load(spec.format(root=root), image_size=size, data_dir=tmp_path)
    assert message in str(caught.value)


def test_a_folder_may_have_an_at_sign(tmp_path: Path):
    """A folder that is there under its whole name is that folder; its own size is allowed where it is the same."""
    root = split_folder(tmp_path / "pets@64")
    assert load(f"folder:{root}", data_dir=tmp_path).image == 32
    assert load(f"folder:{root}@8", data_dir=tmp_path).image == 8
    assert load("digits", image_size=8).image == 8


def test_grey_images_have_one_channel(tmp_path: Path):
    """``:grey`` gives Pillow's luma, resized alike; colour keeps a cache of its own; a folder so called is itself."""
    root = split_folder(tmp_path / "pets")
    picture(root / "train" / "cat" / "0.png", 200, size=(9, 9))
    grey, colour = (load(f"folder:{root}@9{end}", data_dir=tmp_path / "data") for end in (":grey", ""))
    assert (grey.in_channels, grey.image, colour.in_channels) == (1, 9, 3)
    with Image.open(root / "train" / "cat" / "0.png") as image:
        luma = np.asarray(image.convert("L"))
    assert (grey.train_images[0, 0].numpy() == luma).all()
    assert load(f"folder:{root}:grey", data_dir=tmp_path / "data").train_images.shape[1:] == (1, 32, 32)
    assert grey.fingerprint == load(f"folder:{root}@9:grey", data_dir=tmp_path / "data").fingerprint
    named = split_folder(tmp_path / "odd:grey")
    assert load(f"folder:{named}", data_dir=tmp_path / "data").in_channels == 3


def test_an_unwritable_cache_is_one_line(tmp_path: Path):
    """A file where the data folder should be: an InputError, before any image is read."""
    root = split_folder(tmp_path / "pets")
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="allowed: a place that can be written"):
        load(f"folder:{root}", data_dir=tmp_path / "taken", progress=lambda done, total: pytest.fail("read"))


def devkit(root: Path) -> Path:
    """VOC 2007 in small: three images to train on, two to test on, their labels in the files of every class."""
    voc = root / "VOCdevkit" / "VOC2007"
    sets = voc / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (voc / "Annotations").mkdir()
    parts = {"trainval": ["000005", "000007", "000009"], "test": ["000001", "000002"]}
    for number, name in enumerate(sorted(parts["trainval"] + parts["test"])):
        picture(voc / "JPEGImages" / f"{name}.jpg", 40 * number, size=(50, 37))
    for image_set, names in parts.items():
        (sets / f"{image_set}.txt").write_text("".join(f"{name}\n" for name in names))
        for place, kind in enumerate(CLASSES):
            labels = [(1, 0, -1)[(place + row) % 3] for row in range(len(names))]
            lines = [f"{name} {label:2d}" for name, label in zip(names, labels, strict=True)]
            (sets / f"{kind}_{image_set}.txt").write_text("\n".join(reversed(lines)) + "\n")
    return root


def test_voc_is_read_with_all_its_labels(tmp_path: Path):
    """trainval to train on, test to test on, 20 classes of 1, 0 and -1 in any order of lines, 64x64 unless said."""
    data = load(f"voc2007:{devkit(tmp_path / 'voc')}", data_dir=tmp_path)
    assert (data.name, data.classes, data.image, data.multi_label) == ("voc2007", 20, 64, True)
    assert data.class_names == CLASSES and len(set(CLASSES)) == 20
    assert data.train_labels.dtype == torch.int8 and data.train_labels.shape == (3, 20)
    assert data.train_labels[:, 0].tolist() == [1, 0, -1] and data.train_labels[0, :4].tolist() == [1, 0, -1, 1]
    assert data.test_labels[:, 1].tolist() == [0, -1]
    assert np.abs(data.train_images[:, 0, 9, 9].numpy().astype(int) - [80, 120, 160]).max() <= 3
    assert load(f"voc2007:{tmp_path / 'voc'}@32", data_dir=tmp_path).image == 32


def test_voc_images_are_squashed_whole(tmp_path: Path):
    """Both edges of a wide image are still there."""
    root = devkit(tmp_path / "voc")
    wide = np.zeros((37, 50, 3), np.uint8)
    wide[:, :4, 0], wide[:, -4:, 1] = 255, 255
    Image.fromarray(wide).save(root / "VOCdevkit" / "VOC2007" / "JPEGImages" / "000005.jpg", quality=95)
    image = load(f"voc2007:{root}", data_dir=tmp_path).train_images[0]
    assert int(image[0, 30, 1]) > 200 and int(image[1, 30, 62]) > 200


def test_changed_voc_labels_are_noticed(tmp_path: Path):
    """The label files are part of the cache's key."""
    root = devkit(tmp_path / "voc")
    before = load(f"voc2007:{root}", data_dir=tmp_path)
    path = root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "cat_test.txt"
    path.write_text("000001 -1\n000002 1\n\n")
    after = load(f"voc2007:{root}", data_dir=tmp_path)
    assert after.test_labels[:, CLASSES.index("cat")].tolist() == [-1, 1]
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("cat_test.txt", None, r"image set: got .*cat_test\.txt; allowed: a text file of VOC 2007"),
        ("cat_test.txt", "000001 2\n000002 1\n", r"label of 000001 in .*cat_test\.txt: got 2; allowed: 1, 0 or -1"),
        ("cat_test.txt", "000001 1\n", r"labels in .*cat_test\.txt: got none for image 000002"),
        ("cat_test.txt", "000001\n", r"line of .*cat_test\.txt: got '000001'"),
        ("test.txt", "", r"test\.txt: got no images"),
        ("test.txt", "000001 x\n", r"one image's name a line"),
        ("cat_test.txt", b"\xff\xfe\x00", r"it is no text"),
    ],
)
def test_odd_voc_files_are_refused(file: str, content, message: str, tmp_path: Path):
    """Each is one line that names the file."""
    root = devkit(tmp_path / "voc")
    path = root / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        load(f"voc2007:{root}", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_voc_folders_and_images_are_named(tmp_path: Path):
    """No devkit, and an image that an image set names but that is not there, are each one line."""
    with pytest.raises(InputError, match=r"no folder .*VOC2007; allowed: .*VOCdevkit/VOC2007"):
        load(f"voc2007:{tmp_path}", data_dir=tmp_path)
    root = devkit(tmp_path / "voc")
    (root / "VOCdevkit" / "VOC2007" / "JPEGImages" / "000002.jpg").unlink()
    with pytest.raises(InputError, match=r"file: got .*000002\.jpg.*No such file"):
        load(f"voc2007:{root}", data_dir=tmp_path)
