"""A few steps of the network at hand, timed: which arithmetic and how many threads it is faster with here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from parlay.data import Dataset
from parlay.errors import DivergedError
from parlay.extras import Needs
from parlay.train.arithmetic import sound_arithmetic
from parlay.train.device import available_cores, precisions_of, set_threads
from parlay.train.inputs import Inputs
from parlay.train.loop import begin, repeatable, steps_of
from parlay.train.recipe import Recipe

with Needs("training", extra="train"):
    from torch import nn

__all__ = ["Pace", "time_steps"]

ROUNDS = 6
"""Steps of each choice; the first warms up, and the median of five is not moved by two that something else delayed."""
SECONDS = 4.0
"""No further round begins after so long: two choices whose steps take seconds are settled by one or two of each."""
WORTHWHILE = {"bf16": 1.15, "threads": 1.5}
"""So many times as fast a choice has to be: bf16 for its coarser arithmetic, threads for the cores they take."""
LONG = 0.02
"""Seconds of a step from which there is anything to choose. In shorter ones threads wait for each other (60 steps of
8-12-16 on digits took 47 s with 8 threads on a busy machine, 4 s with one), and small networks are the same trials on
all machines."""

Choice = TypeVar("Choice")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a network is trained in here, and how fast.

    Attributes:
        precision: ``fp32`` or ``bf16``.
        threads: CPU threads.
        seconds: of one step, the median of a few.
    """

    precision: str
    threads: int
    seconds: float


def time_steps(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    precision: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
) -> Pace:
    """Take a few training steps, on real batches, in each precision and with each number of threads that is open.

    The choices take turns, so that what else the machine does meets all of them. A network whose steps take less than
    20 ms is trained in fp32 on one thread. This takes about three times four seconds at the most, or one step of each
    choice where steps are longer than that.

    Args:
        model: a network to spoil: it is trained a little.
        data, recipe: what it is trained on and how.
        precision: ``auto`` to choose, else it is this one.
        threads: of torch; None for one, or all cores where they prove 1.5 times as fast.
        device: where.

    Returns:
        The choice; torch's number of threads is what it was before.

    Raises:
        InputError: as ``precisions_of`` and ``sound_arithmetic`` do.
    """
    possible = precisions_of(precision, device)
    state = begin(model, data, recipe, seed=0, device=device, channels_last=True)
    before = set_threads(1 if threads is None else threads)

    def step(precision: str) -> None:
        inputs = Inputs.of(data, device=device, precision=precision)
        with sound_arithmetic(model, precision=precision, device=device):
            next(steps_of(state, inputs, recipe, max(recipe.steps, state.step + 1)))

    def threaded(count: int) -> None:
        set_threads(count)
        step(chosen)

    try:
        with repeatable(0, device):
            chosen, count, cores = possible[0], threads or 1, available_cores()
            alone = _in_turns((chosen,), step)[chosen]
            is_long = min(alone) >= LONG  # of the fastest: what else the machine does makes no step shorter
            seconds = median(alone)
            if is_long and len(possible) > 1:
                times = {name: median(taken) for name, taken in _in_turns(possible, step).items()}
                if times["fp32"] >= WORTHWHILE["bf16"] * times["bf16"]:
                    chosen = "bf16"
                seconds = times[chosen]
            if is_long and threads is None and cores > 1 and device == "cpu":
                by_threads = {number: median(taken) for number, taken in _in_turns((1, cores), threaded).items()}
                seconds = by_threads[1]
                if by_threads[1] >= WORTHWHILE["threads"] * by_threads[cores]:
                    count, seconds = cores, by_threads[cores]
    finally:
        set_threads(before)
    return Pace(precision=chosen, threads=count, seconds=seconds)


def _in_turns(choices: Sequence[Choice], step: Callable[[Choice], None]) -> dict[Choice, list[float]]:
    """Choice -> seconds of its steps, the first of several left out."""
    times: dict[Choice, list[float]] = {choice: [] for choice in choices}
    started = time.perf_counter()
    for done in range(ROUNDS):
        if done and time.perf_counter() - started > SECONDS:
            break
        for choice in choices:
            begun = time.perf_counter()
            with suppress(DivergedError):  # the training will say so; a step takes as long with any numbers
                step(choice)
            times[choice].append(time.perf_counter() - begun)
    return {choice: taken[1:] or taken for choice, taken in times.items()}
