"""How uint8 images become a network's input: normalised, in channels-last memory, under the run's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from parlay.data import Dataset
from parlay.extras import Needs

with Needs("training", extra="train"):
    import torch
    from torch import Tensor, nn

__all__ = ["Inputs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Normalisation by the training images' mean and deviation of each channel, and the precision of a forward pass.

    Attributes:
        means, deviations: float32 (C, 1, 1), in grey levels.
        device: where the model is.
        precision: ``fp32``, or ``bf16`` for autocast.
        channels_last: memory order of images; what CPUs and tensor cores handle best.
    """

    means: Tensor
    deviations: Tensor
    device: str
    precision: str = "fp32"
    channels_last: bool = True

    @classmethod
    def of(cls, data: Dataset, *, device: str, precision: str = "fp32", channels_last: bool = True) -> Inputs:
        """For one data set."""
        means, deviations = (moment.to(device)[:, None, None] for moment in data.moments)
        return cls(means=means, deviations=deviations, device=device, precision=precision, channels_last=channels_last)

    def logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """Logits (B, classes) of uint8 images (B, C, H, W) on the device."""
        normal = (images - self.means) / self.deviations
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        kind = self.device.partition(":")[0]
        with torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16"):
            return model(normal.contiguous(memory_format=order))
