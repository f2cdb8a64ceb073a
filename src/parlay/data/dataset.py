"""A data set in memory, validated and fingerprinted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from parlay.errors import InputError
from parlay.extras import Needs

with Needs("reading image data", extra="train"):
    import torch
    from torch import Tensor

__all__ = ["Dataset", "from_arrays"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels to train and to test on; ``load`` and ``from_arrays`` make them and check what they read.

    Attributes:
        name: how tables and figures call it.
        train_images, test_images: uint8 (N, C, H, W), square.
        train_labels, test_labels: int64 (N,), from 0 to classes - 1.
        classes: how many there are; every one occurs among the training labels.
        flips: whether a mirrored image still shows the same thing (not so for digits).
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    flips: bool = True

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
        """SHA-256 of shapes and contents; the same for the same images however the file ordered its axes."""
        digest = hashlib.sha256(b"parlay dataset 1\n")
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the training images, float32 (C,), in units of grey levels.

        Counted in a histogram, so that they are exact; a channel that never changes gets 1 as its deviation.
        """
        levels = torch.arange(256, dtype=torch.float64)
        channels = self.train_images.transpose(0, 1).flatten(1)  # C, N*H*W
        counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()  # C, 256
        shares = counts / counts.sum(1, keepdim=True)
        means = shares @ levels
        deviations = (shares @ levels**2 - means**2).clamp(min=0).sqrt()
        deviations[deviations == 0] = 1
        return means.float(), deviations.float()


def from_arrays(name: str, arrays: Mapping[str, np.ndarray], *, flips: bool = True) -> Dataset:
    """A data set from arrays as Keras keeps them.

    Args:
        name: how to call it.
        arrays: ``x_train``, ``x_test``: uint8 images (N, H, W, C), (N, C, H, W) or, in grey, (N, H, W); ``y_train``,
            ``y_test``: integer labels (N,) or (N, 1); the classes are 0, 1, ... without a gap.
        flips: whether mirroring keeps the meaning.

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
    train_labels = _labels("y_train", arrays["y_train"], len(train))
    test_labels = _labels("y_test", arrays["y_test"], len(test))
    classes = len(np.unique(train_labels))
    if classes < 2:
        raise InputError("classes in y_train", given=classes, allowed="at least 2")
    for array, labels in (("y_train", train_labels), ("y_test", test_labels)):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise InputError(
                f"labels in {array}",
                given=f"{low} to {high}",
                allowed=f"0 to {classes - 1}, since {classes} classes occur in y_train",
                remedy="number the classes 0, 1, 2, ... without a gap",
            )
    return Dataset(
        name=name,
        train_images=torch.from_numpy(train),
        train_labels=torch.from_numpy(train_labels.astype(np.int64)),
        test_images=torch.from_numpy(test),
        test_labels=torch.from_numpy(test_labels.astype(np.int64)),
        classes=classes,
        flips=flips,
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
    return labels.reshape(images)


def _size(images: np.ndarray) -> str:
    return "x".join(map(str, images.shape[1:]))
