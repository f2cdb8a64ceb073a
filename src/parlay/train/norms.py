"""Running moments of batch norms: those that cannot keep up with a short training, and those taken anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parlay.extras import Needs
from parlay.train.inputs import Inputs

with Needs("training", extra="train"):
    import torch
    from torch import nn

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["lagging_norm", "reestimate_norms"]

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


RESET_IMAGES = 2048
"""Training images that moments are taken from: 16 batches of 128, each mean over thousands of pixels."""


def reestimate_norms(network: nn.Module, data: Dataset, *, images: int = RESET_IMAGES, batch: int = 128) -> nn.Module:
    """The network with running moments of its batch norms that are those of its weights now, in evaluation mode.

    After channels went, the moments of what is left are others. Each norm gets the mean over batches of training
    images, without augmentation, in the order of seed 0; a network without batch norms is left as it is.
    """
    parts = [part for part in network.modules() if isinstance(part, NORMS) and part.track_running_stats]
    if parts:
        before = [part.momentum for part in parts]
        device = str(next(network.parameters()).device)
        inputs = Inputs.of(data, device=device)
        order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(0))[:images]
        network.eval()
        for part in parts:  # other layers, such as dropout, stay in evaluation mode
            part.reset_running_stats()
            part.momentum = None  # the mean over all batches
            part.train()
        with torch.no_grad():
            for chosen in order.split(min(batch, len(order))):
                if len(chosen) > 1:
                    inputs.logits(network, data.train_images[chosen].to(device))
        for part, momentum in zip(parts, before, strict=True):
            part.momentum = momentum
    return network.eval()
