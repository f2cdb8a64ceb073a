"""What a training takes at the least, known before anything is built."""

from __future__ import annotations

import os
from pathlib import Path

from parlay.errors import InputError
from parlay.extras import Needs
from parlay.layout import Layout
from parlay.network import Network
from parlay.train.recipe import Recipe

with Needs("training", extra="train"):
    import torch

__all__ = ["check_memory", "least_bytes", "memory_of"]

FLOAT = 4
"""Bytes of a weight, its gradient, its momentum."""
LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says what a container may use."""


def least_bytes(*, params: int, live: int, batch: int, recipe: Recipe) -> int:
    """Bytes that a training cannot do without: weights, gradients, momentum, and the activations alive at the peak.

    A training keeps more: every layer's input until its gradient is done.

    Args:
        params: parameters of the network.
        live: bytes of activations alive at once in a forward pass of one image.
        batch: images in a batch.
        recipe: decides whether there is momentum.

    >>> from parlay.train import get_recipe
    >>> least_bytes(params=1000, live=400, batch=64, recipe=get_recipe("digits"))
    37600
    """
    return FLOAT * params * (3 if recipe.momentum else 2) + live * batch


def memory_of(device: str) -> int | None:
    """Bytes of memory that a device has, or this process may use; None where the system does not say."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_properties(torch.device(device)).total_memory
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (ValueError, OSError, AttributeError):
        return None
    for path in LIMIT_FILES:
        try:
            found.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(found)


def check_memory(network: Network, layout: Layout, *, batch: int, recipe: Recipe, precision: str, device: str) -> int:
    """The least that a training of a layout takes, in bytes.

    Args:
        network, layout: what is trained.
        batch, recipe, precision: of the training.
        device: where.

    Raises:
        InputError: when the device has less.
    """
    amounts = network.amounts(layout, "bfloat16" if precision == "bf16" else "float32")
    needed = least_bytes(params=amounts["params"], live=amounts["peak_activation_bytes"], batch=batch, recipe=recipe)
    there = memory_of(device)
    if there is not None and needed > there:
        raise InputError(
            "memory of a training",
            given=f"at least {needed / 1e9:,.1f} GB for {amounts['params']:,} parameters at batch {batch}",
            allowed=f"at most the {there / 1e9:,.1f} GB there are",
            remedy="ask for a smaller layout, or a smaller batch (--recipe-set batch=32)",
        )
    return needed
