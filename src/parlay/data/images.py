"""Image files of any size as one uint8 array: decoded, made square, and kept in a cache file."""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from parlay.data.streams import atomic_stream, make_folder
from parlay.errors import InputError
from parlay.extras import Needs

__all__ = ["EXTENSIONS", "Progress", "cached", "check_image_size", "read_images", "state_of"]

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What counts as an image in a folder; torchvision's list."""

LARGEST_SIDE = 4096
MOST_NAMED = 3
MOST_THREADS = 8
VERSION = "parlay images 1"
"""Part of every cache's key; raised when the same files would give other pixels."""

Progress = Callable[[int, int], None]
"""Called with the number of images read and the number in all."""


def check_image_size(side: int) -> int:
    """The side to which images are resized, in pixels.

    Raises:
        InputError: unless it is an integer from 1 to 4096.
    """
    if type(side) is not int or not 1 <= side <= LARGEST_SIDE:
        raise InputError("image size", given=repr(side), allowed=f"an integer from 1 to {LARGEST_SIDE} pixels")
    return side


def read_images(
    paths: Sequence[Path], *, side: int, crop: bool, grey: bool = False, progress: Progress | None = None
) -> np.ndarray:
    """Read images as RGB or grey and resize them to ``side`` x ``side``, antialiased (a triangle filter).

    Args:
        paths: image files of any size and format that Pillow reads.
        side: pixels.
        crop: whether to cut the largest centred square (a resized shorter side and a centre crop in one step) or to
            squash the whole image.
        grey: one channel, the luma of ITU-R 601, instead of three.
        progress: called after every image, in this thread.

    Returns:
        uint8 (N, side, side, 3), or (N, side, side, 1) in grey.

    Raises:
        InputError: naming the images that cannot be read, after all have been tried.
        MissingExtraError: when Pillow is not installed.
    """
    with Needs("reading image files", extra="train"):
        from PIL import Image

    def read(path: Path) -> np.ndarray | str:
        try:
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):
                    return f"{path} (more than 8 bits a channel)"
                image.draft(
                    None, (2 * side, 2 * side)
                )  # a JPEG is decoded at a half, quarter or eighth if that will do
                width, height = image.size
                square = min(width, height)
                left, top = ((width - square) / 2, (height - square) / 2) if crop else (0, 0)
                box = (left, top, width - left, height - top)
                small = image.convert("L" if grey else "RGB").resize((side, side), Image.Resampling.BILINEAR, box=box)
                return np.asarray(small).reshape(side, side, -1)
        except Exception as error:  # decoders raise anything on damaged files
            return f"{path} ({' '.join(str(error).split()) or type(error).__name__})"

    images = np.empty((len(paths), side, side, 1 if grey else 3), dtype=np.uint8)
    unreadable: list[str] = []
    pool = ThreadPoolExecutor(max_workers=min(MOST_THREADS, os.cpu_count() or 1))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on odd but readable files
            for place, image in enumerate(pool.map(read, paths)):
                if isinstance(image, str):
                    unreadable.append(image)
                else:
                    images[place] = image
                if progress is not None:
                    progress(place + 1, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)
    if unreadable:
        more = f" and {len(unreadable) - MOST_NAMED} more" if len(unreadable) > MOST_NAMED else ""
        raise InputError(
            "images",
            given=f"{len(unreadable)} that cannot be read: {', '.join(unreadable[:MOST_NAMED])}{more}",
            allowed=f"undamaged 8-bit images ({' '.join(EXTENSIONS)})",
            remedy="replace or remove them",
        )
    return images


def state_of(root: Path, files: Sequence[Path], *, side: int, grey: bool = False) -> str:
    """SHA-256 over names, sizes and times of change of files, and what is asked for: the key of what they make.

    Raises:
        InputError: naming a file that is missing.
    """
    digest = hashlib.sha256(f"{VERSION}\n{side}{' grey' if grey else ''}\n".encode())
    for file in files:
        try:
            found = file.stat()
        except OSError as error:
            raise InputError(
                "file", given=str(file), allowed="a file that can be read", remedy=error.strerror or ""
            ) from None
        digest.update(os.fsencode(file.relative_to(root).as_posix()))  # names need not be UTF-8
        digest.update(f"\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def cached(
    folder: Path, *, source: str, root: Path, side: int, key: str, make: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays made from a source, read from a cache file if that has the same key, else made and written there.

    There is one file a source, place and size, so that a folder that changes leaves no old caches behind. What is
    damaged, by the checksums of the archive, or cut short is made anew.

    Args:
        folder: where caches lie; made where it is not there.
        source: first part of the file's name.
        root: place of the source.
        side: pixels.
        key: state of the source.
        make: makes the arrays.

    Raises:
        InputError: when the cache cannot be written, or as ``make`` does.
    """
    place = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
    file = folder / f"{source}-{side}-{place}.npz"
    kept = _read(file, key)
    if kept is not None:
        return kept
    make_folder(folder)  # before the work, so that a folder that cannot be written does not waste it
    arrays = dict(make())
    with atomic_stream(file) as stream:
        np.savez(stream, key=np.array(key), **arrays)  # pyright: ignore[reportArgumentType]
    return arrays


def _read(file: Path, key: str) -> dict[str, np.ndarray] | None:
    """What the file holds, or None when it is not there, not of this key, or damaged."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            if str(content["key"]) != key:
                return None
            return {name: np.asarray(content[name]) for name in content.files if name != "key"}
    except (OSError, ValueError, EOFError, LookupError, SyntaxError, RuntimeError, TypeError, AttributeError):
        return None
    except (zipfile.BadZipFile, zlib.error, MemoryError, OverflowError):
        return None
