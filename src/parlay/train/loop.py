"""The training loop: one run, decided by its seed, and the evaluation at its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from parlay.data import Dataset, crop_and_flip
from parlay.errors import DivergedError, InputError
from parlay.extras import Needs
from parlay.families import Family
from parlay.layout import Layout
from parlay.nets import build
from parlay.train.recipe import Recipe

with Needs("training", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

__all__ = ["History", "evaluate", "set_threads", "train", "train_layout"]

Progress = Callable[[int, float], None]
"""Called after every step with the number of steps done and the loss of the last one."""

EVALUATION_BATCH = 250
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class History:
    """What a run left behind.

    Attributes:
        steps: batches trained on.
        seed: what drew the order of the data and the augmentation.
        losses: mean cross-entropy of each batch, in nats.
        accuracy: share of the test images that the network of the last step gets right, 0 to 1. It chose nothing.
        loss: mean cross-entropy over the test images, in nats.
        seconds: wall-clock time of training and evaluation together.
        threads: CPU threads that torch used; the same number is needed to get the same bits again.
    """

    steps: int
    seed: int
    losses: tuple[float, ...]
    accuracy: float
    loss: float
    seconds: float
    threads: int

    @property
    def train_loss(self) -> float:
        """Mean loss of the last tenth of the steps, in nats."""
        last = self.losses[-max(1, len(self.losses) // 10) :]
        return math.fsum(last) / len(last)


def train_layout(
    family: Family,
    layout: Layout,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    steps: int | None = None,
    progress: Progress | None = None,
) -> History:
    """Build the family's network at a layout and train it; the seed draws its initial weights as well.

    Raises:
        InputError: when the family's input or classes are not those of the data, or as ``train`` does.
        DivergedError: as ``train`` does.
    """
    for what, ours, theirs in (
        ("in-channels", family.in_channels, data.in_channels),
        ("image side", family.image, data.image),
        ("classes", family.classes, data.classes),
    ):
        if ours != theirs:
            raise InputError(f"{what} of the network", given=ours, allowed=f"{theirs}, that of {data.name}")
    check_seed(seed)
    return train(build(family, layout, seed=seed), data, recipe, seed=seed, steps=steps, progress=progress)


def train(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    steps: int | None = None,
    progress: Progress | None = None,
) -> History:
    """Train a model where it stands, on the device its parameters are on, and test it once, at the end.

    The same model, data, recipe, seed and number of steps give the same bits again on one machine with one number of
    threads. Images are normalised by the training set's mean and deviation of each channel; arithmetic is fp32 in
    channels-last memory, which CPUs handle best.

    Args:
        model: images (N, C, H, W) to logits (N, classes); left trained, and in evaluation mode.
        data: what to train and test on.
        recipe: how.
        seed: draws the batches and the augmentation.
        steps: number of batches; the recipe's without one.
        progress: called after every step with the steps done and the last loss.

    Raises:
        InputError: for a bad seed or number of steps, or data too small for a batch.
        DivergedError: when a loss is not finite.
    """
    check_seed(seed)
    steps = recipe.steps if steps is None else steps
    if type(steps) is not int or not 1 <= steps <= 10**9:
        raise InputError("steps", given=repr(steps), allowed=f"an integer from 1 to {10**9}")
    if len(data.train_labels) < 2:
        raise InputError("training images", given=len(data.train_labels), allowed="at least 2, for batch norm")
    started = time.perf_counter()
    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    model.train()
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    means, deviations = (moment.to(device)[:, None, None] for moment in data.moments)  # C, 1, 1
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(_groups(model, recipe), lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    batches = _batches(len(labels), recipe.batch, generator)
    losses: list[float] = []
    for step in range(steps):
        chosen = next(batches).to(device)  # B
        batch = crop_and_flip(
            images[chosen], margin=recipe.crop, flip=recipe.flip and data.flips, generator=generator
        )  # B, C, H, W
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step, steps)
        loss = functional.cross_entropy(model(_normalise(batch, means, deviations)), labels[chosen])
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"training diverged at step {step + 1} of {steps}: the loss is {losses[-1]}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress is not None:
            progress(step + 1, losses[-1])
    accuracy, test_loss = evaluate(model, data)
    if not math.isfinite(test_loss):
        raise DivergedError(f"training diverged in its {steps} steps: the test loss is {test_loss}")
    return History(
        steps=steps,
        seed=seed,
        losses=tuple(losses),
        accuracy=accuracy,
        loss=test_loss,
        seconds=time.perf_counter() - started,
        threads=torch.get_num_threads(),
    )


def evaluate(model: nn.Module, data: Dataset) -> tuple[float, float]:
    """Accuracy (0 to 1) and mean cross-entropy (nats) on the test images; the model is left in evaluation mode."""
    device = next(model.parameters()).device
    means, deviations = (moment.to(device)[:, None, None] for moment in data.moments)
    right, total = 0, 0.0
    model.eval()
    with torch.inference_mode():
        batches = zip(data.test_images.split(EVALUATION_BATCH), data.test_labels.split(EVALUATION_BATCH), strict=True)
        for some_images, some_labels in batches:
            images, labels = some_images.to(device), some_labels.to(device)
            logits: Tensor = model(_normalise(images, means, deviations))
            right += int((logits.argmax(1) == labels).sum())
            total += functional.cross_entropy(logits, labels, reduction="sum").item()
    return right / len(data.test_labels), total / len(data.test_labels)


def set_threads(threads: int) -> int:
    """Let torch use this many CPU threads in this process; returns how many it used before.

    Raises:
        InputError: unless it is an integer from 1 to 1,024.
    """
    if type(threads) is not int or not 1 <= threads <= 1024:
        raise InputError("threads", given=repr(threads), allowed="an integer from 1 to 1024")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    return before


def check_seed(seed: int) -> None:
    """Refuse a seed that torch cannot take.

    Raises:
        InputError: unless it is an integer from 0 to 2^63 - 1.
    """
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise InputError("seed", given=repr(seed), allowed="an integer from 0 to 2^63 - 1")


def _normalise(images: Tensor, means: Tensor, deviations: Tensor) -> Tensor:
    return ((images - means) / deviations).contiguous(memory_format=torch.channels_last)


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of random batches without end: epoch after epoch in a new order; an incomplete last batch is dropped."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from (batch for batch in order.split(size) if len(batch) == size)


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Parameters with and without weight decay: vectors (batch norms, biases) have none."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
