"""A training between two steps: everything that the steps to come depend on, as tensors that a file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parlay.extras import Needs

with Needs("training", extra="train"):
    import torch
    from torch import Tensor, nn

__all__ = ["Run"]


@dataclass(kw_only=True, eq=False)
class Run:
    """The parts of a running training.

    Attributes:
        model, optimizer, generator: what is kept; the generator draws batches and augmentation.
        images: uint8 (N, C, H, W), all training images, on the device.
        labels: (N,) or (N, classes), on the device.
        batch: images in a batch.
        flips: whether images are mirrored.
        device: where the model is.
        step: steps done.
        losses: their losses.
        seconds: wall-clock time of calls before this one, and of this one up to the last snapshot.
        order, place: the epoch's order of images and how many of them are used up.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    images: Tensor
    labels: Tensor
    batch: int
    flips: bool
    device: str
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    order: Tensor | None = None
    place: int = 0

    def next_batch(self) -> Tensor:
        """Indices (B,) of the next batch: epoch after epoch in a new order; an incomplete last batch is dropped."""
        count = len(self.labels)
        if self.order is None or self.place + self.batch > count:
            self.order, self.place = torch.randperm(count, generator=self.generator), 0
        chosen = self.order[self.place : self.place + self.batch]
        self.place += self.batch
        return chosen.to(self.device)

    def tensors(self) -> dict[str, Tensor]:
        """The state, on the CPU; names begin with ``model.``, ``momentum.`` and ``run.``."""
        kept = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, parameter in enumerate(self._parameters()):
            buffer = self.optimizer.state.get(parameter, {}).get("momentum_buffer")
            if buffer is not None:
                kept[f"momentum.{index}"] = buffer
        kept["run.generator"] = self.generator.get_state()
        kept["run.torch"] = torch.get_rng_state()
        if self.device.startswith("cuda"):
            kept["run.cuda"] = torch.cuda.get_rng_state(torch.device(self.device))
        if self.order is not None:
            kept["run.order"] = self.order
        kept["run.place"] = torch.tensor([self.step, self.place])
        kept["run.losses"] = torch.tensor(self.losses, dtype=torch.float64)
        kept["run.seconds"] = torch.tensor([self.seconds], dtype=torch.float64)
        return {name: value.detach().cpu().contiguous().clone() for name, value in kept.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a state that ``tensors`` gave."""
        state = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(state)
        for index, parameter in enumerate(self._parameters()):
            buffer = tensors.get(f"momentum.{index}")
            if buffer is not None:
                kept = torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(buffer)
                self.optimizer.state[parameter]["momentum_buffer"] = kept.detach()
        self.generator.set_state(tensors["run.generator"])
        torch.set_rng_state(tensors["run.torch"])
        if "run.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["run.cuda"], torch.device(self.device))
        self.order = tensors.get("run.order")
        self.step, self.place = (int(number) for number in tensors["run.place"])
        self.losses = tensors["run.losses"].tolist()
        self.seconds = float(tensors["run.seconds"])

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
