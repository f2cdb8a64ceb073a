"""A data set in memory, validated and fingerprinted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from parlay.data.split import check_kept, stratified
from parlay.errors import InputError
from parlay.extras import Needs

with Needs("reading image data", extra="train"):
    import torch
    from torch import Tensor

__all__ = ["Dataset", "from_arrays"]


TENSORS = (
    "train_images",
    "train_labels",
    "validation_images",
    "validation_labels",
    "test_images",
    "test_labels",
)
"""The attributes of a data set that are tensors."""

CHUNK = 4096
"""Images counted at once for the moments, so that no second copy of all of them is made."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels to train, to choose and to test on; ``load`` and ``from_arrays`` make them and check them.

    Attributes:
        name: how tables and figures call it.
        train_images, validation_images, test_images: uint8 (N, C, H, W), square; no validation images (0, C, H, W)
            until ``with_validation`` takes some from the training images.
        train_labels, validation_labels, test_labels: int64 (N,), from 0 to classes - 1; or, where several classes can
            be in one image, int8 (N, classes): 1 present, -1 absent, 0 present but difficult and not to be judged
            (the convention of VOC's files).
        classes: how many there are; where an image has one label, each occurs among the training labels.
        flips: whether a mirrored image still shows the same thing (not so for digits).
        multi_label: whether several classes can be in one image.
        class_names: name of each class in order; empty where the source has none.
        origin: fingerprint of the whole data that this is a part or a copy of; empty for data as loaded.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    flips: bool = True
    validation_images: Tensor = field(default_factory=lambda: torch.empty(0))
    validation_labels: Tensor = field(default_factory=lambda: torch.empty(0))
    multi_label: bool = False
    class_names: tuple[str, ...] = ()
    origin: str = ""

    def __post_init__(self) -> None:
        if len(self.validation_images) == 0:  # none: the shapes and types that some would have
            object.__setattr__(self, "validation_images", self.train_images[:0])
            object.__setattr__(self, "validation_labels", self.train_labels[:0])
        if self.class_names and len(self.class_names) != self.classes:
            raise InputError(
                "class names", given=f"{len(self.class_names)} names", allowed=f"{self.classes}, one a class, or none"
            )
        for part in ("train", "validation", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if len(images) != len(labels):
                raise InputError(f"{part} labels", given=len(labels), allowed=f"{len(images)}, one an image")

    @property
    def in_channels(self) -> int:
        """Channels of the images, n_0 of Eq. 1."""
        return self.train_images.shape[1]

    @property
    def image(self) -> int:
        """Side of the images in pixels."""
        return self.train_images.shape[2]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shapes and contents; the same for the same images however the file ordered its axes.

        It is that of the training and test data as loaded: a validation split, a shared copy or another device does not
        change it.
        """
        if self.origin:
            return self.origin
        digest = hashlib.sha256(b"parlay dataset 1\n")
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the training images, float32 (C,), in units of grey levels.

        Counted in a histogram, so that they are exact; a channel that never changes gets 1 as its deviation. Validation
        images have no part in them. They are on the CPU, wherever the images are.
        """
        counts = torch.zeros(self.in_channels, 256, dtype=torch.int64)
        for images in self.train_images.split(CHUNK):
            channels = images.transpose(0, 1).flatten(1)  # C, N*H*W
            counts += torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).cpu()
        levels = torch.arange(256, dtype=torch.float64)
        shares = counts.double() / counts.sum(1, keepdim=True)
        means = shares @ levels
        deviations = (shares @ levels**2 - means**2).clamp(min=0).sqrt()
        deviations[deviations == 0] = 1
        return means.float(), deviations.float()

    def with_validation(self, count: int, *, seed: int = 0) -> Dataset:
        """The data with ``count`` training images set aside for choices; the same ones in every process, for ever.

        Where an image has one label, each class gives its share of ``count``, to within one image; where it can have
        several, images are drawn at random, since no draw can keep all shares. The images keep their order.

        Args:
            count: images to set aside; 0 sets none aside.
            seed: which ones, 0 to 2^63 - 1.

        Returns:
            A new data set; the test images and the fingerprint are as they were.

        Raises:
            InputError: when a class would be left without training images, some are set aside already, or for a bad
                count or seed.

        >>> from parlay.data import load
        >>> data = load("digits").with_validation(100)
        >>> len(data.train_images), len(data.validation_images), data.validation_labels.bincount().tolist()
        (796, 100, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
        """
        if len(self.validation_images):
            raise InputError(
                "validation images",
                given=f"{count} more, where {len(self.validation_images)} are set aside already",
                allowed="one split",
                remedy="split the data as loaded",
            )
        labels = self.train_labels.cpu().numpy()
        chosen = stratified(None if self.multi_label else labels, len(labels), count, seed=seed)  # N, bool
        if self.multi_label:
            check_kept(labels, chosen)
        if count == 0:
            return self
        held = torch.from_numpy(np.flatnonzero(chosen)).to(self.train_images.device)
        kept = torch.from_numpy(np.flatnonzero(~chosen)).to(self.train_images.device)
        return replace(
            self,
            train_images=self.train_images.index_select(0, kept),
            train_labels=self.train_labels.index_select(0, kept),
            validation_images=self.train_images.index_select(0, held),
            validation_labels=self.train_labels.index_select(0, held),
            origin=self.fingerprint,
        )

    def to(self, device: torch.device | str) -> Dataset:
        """All images and labels on a device, in the types they have; whatever is there already is not copied."""
        moved = replace(self, **{name: getattr(self, name).to(device) for name in TENSORS}, origin=self.fingerprint)
        moved.__dict__["moments"] = self.moments  # counted once, before they are far away
        return moved


def from_arrays(
    name: str,
    arrays: Mapping[str, np.ndarray],
    *,
    flips: bool = True,
    multi_label: bool = False,
    class_names: tuple[str, ...] = (),
) -> Dataset:
    """A data set from arrays as Keras keeps them.

    Args:
        name: how to call it.
        arrays: ``x_train``, ``x_test``: uint8 images (N, H, W, C), (N, C, H, W) or, in grey, (N, H, W); ``y_train``,
            ``y_test``: integer labels (N,) or (N, 1); the classes are 0, 1, ... without a gap. With ``multi_label``
            labels are (N, classes) of 1, 0 and -1.
        flips: whether mirroring keeps the meaning.
        multi_label: whether several classes can be in one image.
        class_names: name of each class, or none.

    Raises:
        InputError: for anything else, saying which array and why.
    """
    train, test = _images("x_train", arrays["x_train"]), _images("x_test", arrays["x_test"])
    if train.shape[1:] != test.shape[1:]:
        raise InputError(
            "shape of x_test",
            given=f"{_size(test)} (channels x height x width)",
            allowed=f"{_size(train)}, that of x_train",
        )
    read = _presence if multi_label else _labels
    train_labels = read("y_train", arrays["y_train"], len(train))
    test_labels = read("y_test", arrays["y_test"], len(test))
    classes = train_labels.shape[1] if multi_label else len(np.unique(train_labels))
    if classes < 2:
        raise InputError("classes in y_train", given=classes, allowed="at least 2")
    if multi_label and test_labels.shape[1] != classes:
        raise InputError("classes in y_test", given=test_labels.shape[1], allowed=f"{classes}, as in y_train")
    if not multi_label:
        _check_range(train_labels, test_labels, classes)
    return Dataset(
        name=name,
        train_images=torch.from_numpy(train),
        train_labels=torch.from_numpy(train_labels),
        test_images=torch.from_numpy(test),
        test_labels=torch.from_numpy(test_labels),
        classes=classes,
        flips=flips,
        multi_label=multi_label,
        class_names=class_names,
    )


def _check_range(train_labels: np.ndarray, test_labels: np.ndarray, classes: int) -> None:
    """Refuse labels beyond the classes that occur."""
    for array, labels in (("y_train", train_labels), ("y_test", test_labels)):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise InputError(
                f"labels in {array}",
                given=f"{low} to {high}",
                allowed=f"0 to {classes - 1}, since {classes} classes occur in y_train",
                remedy="number the classes 0, 1, 2, ... without a gap",
            )


def _images(array: str, images: np.ndarray) -> np.ndarray:
    """Check images and put their axes in the order N, C, H, W."""
    if images.dtype != np.uint8:
        raise InputError(f"type of {array}", given=images.dtype, allowed="uint8, grey levels from 0 to 255")
    if images.size == 0:
        raise InputError(array, given=f"shape {images.shape}", allowed="at least one image")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[1] == images.shape[2]:  # Keras's order wins where both would fit
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if images.ndim == 4 and images.shape[2] == images.shape[3]:
        return np.ascontiguousarray(images)
    raise InputError(
        f"shape of {array}",
        given="x".join(map(str, images.shape)),
        allowed="square images: NxHxWxC, NxCxHxW, or NxHxW in grey",
    )


def _labels(array: str, labels: np.ndarray, images: int) -> np.ndarray:
    """Check the type and number of labels and make them one-dimensional."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"type of {array}", given=labels.dtype, allowed="integers")
    if labels.shape not in ((images,), (images, 1)):
        raise InputError(
            f"shape of {array}",
            given="x".join(map(str, labels.shape)) or "a single number",
            allowed=f"{images}, one label an image",
        )
    return labels.reshape(images).astype(np.int64)


def _presence(array: str, labels: np.ndarray, images: int) -> np.ndarray:
    """Check labels of several classes an image."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"type of {array}", given=labels.dtype, allowed="integers")
    if labels.ndim != 2 or len(labels) != images:
        raise InputError(
            f"shape of {array}",
            given="x".join(map(str, labels.shape)) or "a single number",
            allowed=f"{images} x classes, one row an image",
        )
    strange = np.setdiff1d(labels, (-1, 0, 1))
    if len(strange):
        raise InputError(f"labels in {array}", given=strange[0], allowed="1 present, 0 difficult, -1 absent")
    return np.ascontiguousarray(labels.astype(np.int8))


def _size(images: np.ndarray) -> str:
    return "x".join(map(str, images.shape[1:]))
