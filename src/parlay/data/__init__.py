"""Data sets as uint8 tensors: ``load(spec)``, the validation split, one shared copy, and the batched augmentation.

One file a source; every source is validated and fingerprinted the same way (``dataset.py``). Importing this package
needs torch, from the extra ``train``.
"""

from parlay.data.augment import crop_and_flip
from parlay.data.dataset import Dataset
from parlay.data.shared import open_shared, save_shared
from parlay.data.sources import HELP, SOURCES, load

__all__ = ["HELP", "SOURCES", "Dataset", "crop_and_flip", "load", "open_shared", "save_shared"]
