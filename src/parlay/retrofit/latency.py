"""How long old and new network take here: interleaved runs, median and spread."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parlay.extras import Needs

with Needs("measuring latency", extra="train"):
    import torch
    from torch import nn

__all__ = ["Latency", "compare_latency"]

ROUNDS = 30
WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds for one image in evaluation mode, on this host.

    Attributes:
        old, new: median.
        old_spread, new_spread: the quarter points of the runs.
        ratio: median of new / old, round by round.
        rounds: runs of each.
        host: processor and threads.
    """

    old: float
    new: float
    old_spread: tuple[float, float]
    new_spread: tuple[float, float]
    ratio: float
    rounds: int
    host: str

    def __str__(self) -> str:
        (a, b), (c, d) = self.old_spread, self.new_spread
        return (
            f"latency on this host ({self.host}): {self.old:.2f} ms [{a:.2f}, {b:.2f}] before, "
            f"{self.new:.2f} ms [{c:.2f}, {d:.2f}] after, ratio {self.ratio:.3f}; "
            f"medians and quartiles of {self.rounds} interleaved runs; other hosts differ"
        )


def compare_latency(old: nn.Module, new: nn.Module, inputs: Sequence[Any], *, rounds: int = ROUNDS) -> Latency:
    """Time two modules on the same inputs, taking turns, which alternate in who comes first."""
    modules = (old, new)
    modes = [(part, part.training) for module in modules for part in module.modules()]
    times: tuple[list[float], list[float]] = ([], [])
    try:
        for module in modules:
            module.eval()
        with torch.inference_mode():
            for number in range(-WARM_UP, rounds):
                for which in (0, 1) if number % 2 else (1, 0):
                    started = time.perf_counter()
                    modules[which](*inputs)
                    if number >= 0:
                        times[which].append(1000 * (time.perf_counter() - started))
    finally:
        for part, mode in modes:
            part.training = mode
    quarters = [statistics.quantiles(some, n=4) for some in times]
    return Latency(
        old=statistics.median(times[0]),
        new=statistics.median(times[1]),
        old_spread=(quarters[0][0], quarters[0][2]),
        new_spread=(quarters[1][0], quarters[1][2]),
        ratio=statistics.median(b / a for a, b in zip(*times, strict=True)),
        rounds=rounds,
        host=", ".join((platform.machine(), f"{torch.get_num_threads()} threads", f"torch {torch.__version__}")),
    )
