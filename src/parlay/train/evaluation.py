"""What a trained network gets right: once, on images that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass

from parlay.data import Dataset
from parlay.extras import Needs
from parlay.train.inputs import Inputs

with Needs("training", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

__all__ = ["ImageResult", "evaluate", "loss_of"]

EVALUATION_BATCH = 200


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """How a network did on some images.

    Attributes:
        accuracy: share of the images it gets right, 0 to 1; with several labels an image, the share whose
            highest-scoring class is there.
        loss: mean cross-entropy in nats; with several labels, mean binary cross-entropy an image and class.
        mean_average_precision: with several labels, mAP by the 11-point rule of VOC 2007, 0 to 1; else None.
    """

    accuracy: float
    loss: float
    mean_average_precision: float | None = None


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of a batch, in fp32.

    Args:
        logits: (B, classes).
        labels: (B,) integers, or int8 (B, classes) with 1 present, -1 absent, 0 not counted.
    """
    logits = logits.float()
    if labels.ndim == 1:
        return functional.cross_entropy(logits, labels)
    counted = (labels != 0).float()
    each = functional.binary_cross_entropy_with_logits(logits, (labels > 0).float(), reduction="none")
    return (each * counted).sum() / counted.sum().clamp(min=1)


def evaluate(model: nn.Module, data: Dataset, *, part: str = "test", inputs: Inputs | None = None) -> ImageResult:
    """Score a model on one part of a data set, on the device its parameters are on; left in evaluation mode.

    Args:
        model: images to logits.
        data: the set.
        part: ``test`` or ``validation``.
        inputs: how images become the model's input; fp32 on the model's device without it.
    """
    inputs = inputs or Inputs.of(data, device=str(next(model.parameters()).device))
    images, labels = (data.test_images, data.test_labels)
    if part == "validation":
        images, labels = data.validation_images, data.validation_labels
    model.eval()
    with torch.inference_mode():
        parts = (inputs.logits(model, some.to(inputs.device)) for some in images.split(EVALUATION_BATCH))
        logits, labels = torch.cat([part.float().cpu() for part in parts]), labels.cpu()
        loss = float(loss_of(logits, labels))
        if labels.ndim == 1:
            return ImageResult(accuracy=int((logits.argmax(1) == labels).sum()) / len(labels), loss=loss)
        from parlay.data.metrics import mean_average_precision, top1

        return ImageResult(
            accuracy=top1(logits, labels), loss=loss, mean_average_precision=mean_average_precision(logits, labels)
        )
