"""Which images are set aside: drawn by class, by a seed, the same in every process and on every machine."""

from __future__ import annotations

import numpy as np

from parlay.errors import InputError

__all__ = ["check_kept", "stratified"]

LARGEST_SEED = 2**63 - 1


def stratified(labels: np.ndarray | None, images: int, count: int, *, seed: int) -> np.ndarray:
    """Draw ``count`` images, of each class its share, and never a class's last one.

    Shares are rounded by the largest remainders; among equal remainders the lower class gets the image.

    Args:
        labels: int (N,), 0, 1, ...; None draws from all images alike.
        images: N.
        count: how many to draw, from 0.
        seed: which ones, 0 to 2^63 - 1.

    Returns:
        bool (N,), true where drawn.

    Raises:
        InputError: when so many cannot be drawn, or for a bad seed.

    >>> stratified(np.array([0, 0, 0, 0, 1, 1]), 6, 3, seed=0).sum()
    np.int64(3)
    """
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise InputError("seed of the split", given=repr(seed), allowed="an integer from 0 to 2^63 - 1")
    sizes = np.array([images]) if labels is None else np.bincount(labels)
    present = int((sizes > 0).sum())
    most = images - present
    if type(count) is not int or not 0 <= count <= most:
        kept = "one for training" if labels is None else f"one of each of the {present} classes for training"
        raise InputError("images to set aside", given=repr(count), allowed=f"0 to {most}, which leaves {kept}")
    shares = _shares(sizes, count)
    # legacy numpy: the streams of RandomState and of MT19937 are frozen, those of default_rng are not
    draw = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    chosen = np.zeros(images, dtype=bool)
    for label, share in enumerate(shares):
        members = np.arange(images) if labels is None else np.flatnonzero(labels == label)
        chosen[draw.permutation(members)[:share]] = True
    return chosen


def check_kept(labels: np.ndarray, chosen: np.ndarray) -> None:
    """Refuse a random draw that takes every training image of a class.

    Args:
        labels: int8 (N, classes), 1 where present.
        chosen: bool (N,), the images taken.

    Raises:
        InputError: naming the first such class.
    """
    before, after = (labels == 1).sum(0), (labels[~chosen] == 1).sum(0)
    lost = np.flatnonzero((before > 0) & (after == 0))
    if len(lost):
        raise InputError(
            "images to set aside",
            given=f"{int(chosen.sum())}, among them all {before[lost[0]]} of class {lost[0]}",
            allowed="a draw that leaves each class a training image",
            remedy="set fewer aside, or try another seed",
        )


def _shares(sizes: np.ndarray, count: int) -> np.ndarray:
    """How many of each class: in proportion, rounded by largest remainders, at most all but one."""
    total = int(sizes.sum())
    shares, remainders = sizes * count // total, sizes * count % total
    free = np.maximum(sizes - 1, 0)
    shares = np.minimum(shares, free)
    for label in np.argsort(-remainders, kind="stable"):
        if shares.sum() == count:
            break
        shares[label] += int(shares[label] < free[label])
    # only where classes of a single image kept their own: the rest comes from the largest
    while shares.sum() < count:
        shares[np.argmax(free - shares)] += 1
    return shares
