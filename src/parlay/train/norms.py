"""Batch norms whose running moments cannot keep up with a short training."""

from __future__ import annotations

from torch import nn

__all__ = ["lagging_norm"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

SHARE = 0.1
"""Of a training: running moments that remember more of it than this still hold what earlier weights produced."""


def lagging_norm(network: nn.Module, steps: int) -> str | None:
    """One sentence on the batch norm that lags most in a training of so many steps; None where none does.

    Running moments with momentum m remember some 1 / m steps. In evaluation they stand for the moments of the final
    weights; where 1 / m is more than a tenth of all steps, they are rather those of the weights before, and a test is
    worse than the training, by many points on ResNet-8 (docs/limits.md).

    >>> lagging_norm(nn.Sequential(nn.BatchNorm2d(4)), 500) is None
    True
    >>> lagging_norm(nn.Sequential(nn.BatchNorm2d(4, momentum=0.01)), 500)
    'running moments of batch norm 0 (momentum 0.01) remember 100 of 500 steps and lag in tests; take 0.02 or more'
    """
    slowest: tuple[float, str] | None = None
    for name, part in network.named_modules():
        if isinstance(part, NORMS) and part.track_running_stats and part.momentum:
            slowest = min(slowest or (part.momentum, name), (part.momentum, name))
    if slowest is None or slowest[0] * steps * SHARE * (1 + 1e-9) >= 1:
        return None
    momentum, name = slowest
    enough = min(1.0, 1 / (SHARE * steps))
    return (
        f"running moments of batch norm {name} (momentum {momentum:g}) remember {1 / momentum:,.0f} of {steps:,} steps"
        f" and lag in tests; take {enough:.2g} or more"
    )
