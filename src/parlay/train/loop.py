"""The training loop: one run, decided by its seed, that can be stopped at any step and goes on to the same bits."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from parlay.data import Dataset, crop_and_flip
from parlay.errors import DivergedError, InputError, StoppedError
from parlay.extras import Needs
from parlay.train.arithmetic import sound_arithmetic
from parlay.train.checkpoint import Checkpoints, Snapshot
from parlay.train.device import keep_freed_memory, set_threads
from parlay.train.evaluation import ImageResult, evaluate, loss_of
from parlay.train.inputs import Inputs
from parlay.train.recipe import DISTILLATION, Recipe
from parlay.train.state import Run

with Needs("training", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

__all__ = [
    "History",
    "begin",
    "check_seed",
    "distilled",
    "evaluate",
    "repeatable",
    "set_threads",
    "steps_of",
    "train",
]

Progress = Callable[[int, float], None]
"""Called after every step with the number of steps done and the loss of the last one."""

LARGEST_SEED = 2**63 - 1
LOWER = 4
"""A diverged training is advised to try a rate so many times lower: half the rate is often still too high."""
HIGHEST_ADVISED = 0.1
"""And never a higher one than this, where batch norm networks train (He et al. 2016)."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What a run left behind.

    Attributes:
        steps: batches trained on.
        seed: what drew the order of the data and the augmentation.
        losses: mean loss of each batch, in nats: the learning curve.
        accuracy: share of the test images that the network of the last step gets right, 0 to 1. It chose nothing.
        loss: mean loss over the test images, in nats.
        mean_average_precision: with several labels an image: mAP on the test images; else None.
        test_images: how many test images were counted.
        validation_accuracy, validation_loss: the same on the validation images; None where there are none.
        seconds: wall-clock time of training and evaluation together, over all calls that shared the run.
        images_per_second: images trained on, a second of training.
        threads: CPU threads that torch used; the same number is needed to get the same bits again.
        precision: fp32 or bf16.
        device: where.
    """

    steps: int
    seed: int
    losses: tuple[float, ...]
    accuracy: float
    loss: float
    seconds: float
    threads: int
    test_images: int
    mean_average_precision: float | None = None
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    images_per_second: float = 0.0
    precision: str = "fp32"
    device: str = "cpu"

    @property
    def train_loss(self) -> float:
        """Mean loss of the last tenth of the steps, in nats."""
        last = self.losses[-max(1, len(self.losses) // 10) :]
        return math.fsum(last) / len(last)


def train(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    steps: int | None = None,
    precision: str = "fp32",
    device: str = "cpu",
    channels_last: bool = True,
    teacher: nn.Module | None = None,
    checkpoints: Checkpoints | None = None,
    run: str = "",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> History:
    """Train a model where it stands, and test it once, at the end.

    The same model, data, recipe, seed, number of steps and precision give the same bits again on one machine with one
    number of threads, in one go or interrupted and resumed. Images are normalised by the training set's mean and
    deviation of each channel. Weights and their updates are fp32 throughout.

    Args:
        model: images (N, C, H, W) to logits (N, classes); moved to the device, left trained and in evaluation mode.
        data: what to train and test on; its validation images, if any, are scored once at the end.
        recipe: how.
        seed: draws the batches, the augmentation and what the model itself draws, such as dropout.
        steps: number of batches; the recipe's without one.
        precision: ``fp32``, or ``bf16`` for autocast.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        channels_last: memory order of images and weights.
        teacher: a trained network of as many classes that the model is distilled from (``DISTILLATION``); left as it
            is, in evaluation mode. Losses are then those of both, except in the test.
        checkpoints: where to keep snapshots, and to go on from one of the same run; none are kept without it.
        run: what identifies this run among snapshots, beside the arguments above: the trial's identity.
        progress: called after every step with the steps done and the last loss.
        should_stop: asked before every step; when true a snapshot is written and the run ends with ``StoppedError``.

    Raises:
        InputError: for a bad seed or number of steps, data too small for a batch, or a snapshot that cannot be written.
        DivergedError: when a loss is not finite, with the precision, the rate and what to try.
        StoppedError: when ``should_stop`` said so.
    """
    check_seed(seed)
    steps = recipe.steps if steps is None else steps
    if type(steps) is not int or not 1 <= steps <= 10**9:
        raise InputError("steps", given=repr(steps), allowed=f"an integer from 1 to {10**9}")
    if len(data.train_labels) < 2:
        raise InputError("training images", given=len(data.train_labels), allowed="at least 2, for batch norm")
    for part, labels in (("test", data.test_labels), ("validation", data.validation_labels)):
        if labels.ndim > 1 and len(labels) and not (labels == 1).any():  # neither accuracy nor mAP would be a number
            raise InputError(f"{part} images", given="none with a class present", allowed="at least one to judge by")
    started = time.perf_counter()
    keep_freed_memory()
    with repeatable(seed, device), sound_arithmetic(model, precision=precision, device=device):
        state = begin(model, data, recipe, seed=seed, device=device, channels_last=channels_last)
        inputs = Inputs.of(data, device=device, precision=precision, channels_last=channels_last)
        name = f"{run} seed {seed} steps {steps} {precision} {recipe.numbers()}"
        found = checkpoints.read(name) if checkpoints is not None else None
        if found is not None:
            state.restore(found.tensors)
        if teacher is not None:
            order = torch.channels_last if channels_last else torch.contiguous_format
            teacher.to(device=device).to(memory_format=order)  # pyright: ignore[reportCallIssue]
            teacher.eval()
        for _ in steps_of(state, inputs, recipe, steps, teacher=teacher):
            if progress is not None:
                progress(state.step, state.losses[-1])
            if state.step == steps:
                break
            stopping = should_stop is not None and should_stop()
            if checkpoints is not None and (stopping or checkpoints.is_due(state.step)):
                state.seconds += time.perf_counter() - started
                started = time.perf_counter()
                checkpoints.write(Snapshot(step=state.step, tensors=state.tensors(), run=name))
            if stopping:
                raise StoppedError(f"stopped after {state.step:,} of {steps:,} steps")
        trained = state.seconds + time.perf_counter() - started
        test = evaluate(model, data, inputs=inputs)
        if not math.isfinite(test.loss):
            raise _diverged(f"in its {steps} steps", f"test loss is {test.loss}", inputs, recipe, recipe.lr)
        held: ImageResult | None = None
        if len(data.validation_labels):
            held = evaluate(model, data, part="validation", inputs=inputs)
    return History(
        steps=steps,
        seed=seed,
        losses=tuple(state.losses),
        accuracy=test.accuracy,
        loss=test.loss,
        test_images=len(data.test_labels),
        mean_average_precision=test.mean_average_precision,
        validation_accuracy=None if held is None else held.accuracy,
        validation_loss=None if held is None else held.loss,
        seconds=state.seconds + time.perf_counter() - started,
        images_per_second=steps * state.batch / trained if trained > 0 else 0.0,
        threads=torch.get_num_threads(),
        precision=precision,
        device=device,
    )


def check_seed(seed: int) -> None:
    """Refuse a seed that torch cannot take.

    Raises:
        InputError: unless it is an integer from 0 to 2^63 - 1.
    """
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise InputError("seed", given=repr(seed), allowed="an integer from 0 to 2^63 - 1")


def begin(model: nn.Module, data: Dataset, recipe: Recipe, *, seed: int, device: str, channels_last: bool) -> Run:
    """A run before its first step."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    model.to(device=device)
    model.to(memory_format=order)  # pyright: ignore[reportCallIssue]
    model.train()
    fused = device == "cpu" or device.startswith("cuda")  # one kernel for all parameters, where torch has it
    optimizer = torch.optim.SGD(
        _groups(model, recipe),
        lr=0.0,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        fused=fused,
    )
    return Run(
        model=model,
        optimizer=optimizer,
        generator=torch.Generator().manual_seed(seed),
        images=data.train_images.to(device),
        labels=data.train_labels.to(device),
        batch=min(recipe.batch, len(data.train_labels)),
        flips=recipe.flip and data.flips,
        device=device,
    )


def steps_of(
    state: Run, inputs: Inputs, recipe: Recipe, steps: int, *, teacher: nn.Module | None = None
) -> Iterator[None]:
    """Do the steps that are left, one at a time.

    Raises:
        DivergedError: when a loss is not finite.
    """
    while state.step < steps:
        chosen = state.next_batch()  # B
        images = crop_and_flip(
            state.images.index_select(0, chosen), margin=recipe.crop, flip=state.flips, generator=state.generator
        )  # B, C, H, W
        rate = recipe.rate(state.step, steps)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        logits = inputs.logits(state.model, images)  # B, classes
        loss = loss_of(logits, state.labels[chosen])
        if teacher is not None:
            with torch.no_grad():
                taught = inputs.logits(teacher, images)
            loss = distilled(loss, logits, taught)
        state.losses.append(loss.item())
        if not math.isfinite(state.losses[-1]):
            place = f"at step {state.step + 1} of {steps}"
            raise _diverged(place, f"loss is {state.losses[-1]}", inputs, recipe, rate)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.step += 1
        yield


def distilled(loss: Tensor, logits: Tensor, taught: Tensor) -> Tensor:
    """The loss of labels and teacher together (``DISTILLATION``), in fp32.

    Args:
        loss: of the labels, in nats.
        logits: (B, classes) of the network.
        taught: (B, classes) of its teacher.

    >>> same = torch.tensor([[2.0, -1.0]])
    >>> round(distilled(torch.tensor(1.0), same, same).item(), 6)
    0.1
    """
    temperature, share = DISTILLATION["temperature"], DISTILLATION["share"]
    ours, theirs = (F.log_softmax(some.float() / temperature, 1) for some in (logits, taught))
    divergence = F.kl_div(ours, theirs, log_target=True, reduction="batchmean")
    return (1 - share) * loss + share * temperature**2 * divergence


def _diverged(place: str, found: str, inputs: Inputs, recipe: Recipe, rate: float) -> DivergedError:
    """Says in which arithmetic and at which rate it happened, and what to try: first what costs least to be sure of."""
    lower = f"--recipe-set lr={min(recipe.lr / LOWER, HIGHEST_ADVISED):.1g}"
    advice = f"--precision fp32, then {lower}" if inputs.precision == "bf16" else lower
    return DivergedError(
        f"training diverged {place} in {inputs.precision} at the rate {rate:.3g}: the {found}; try {advice}"
    )


@contextlib.contextmanager
def repeatable(seed: int, device: str) -> Iterator[None]:
    """Seed what layers draw from, and keep to deterministic kernels; everything is as before afterwards."""
    devices = [torch.device(device)] if device.startswith("cuda") else []
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices=devices):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Parameters with and without weight decay: vectors (batch norms, biases) have none."""
    parameters = list(model.parameters())
    groups: list[dict[str, object]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
