"""Data sets as uint8 tensors: ``load(spec)`` and the batched augmentation.

One file a source; every source is validated and fingerprinted the same way (``dataset.py``). Importing this package
needs torch, from the extra ``train``.
"""

from parlay.data.augment import crop_and_flip
from parlay.data.dataset import Dataset
from parlay.data.sources import SOURCES, load

__all__ = ["SOURCES", "Dataset", "crop_and_flip", "load"]
