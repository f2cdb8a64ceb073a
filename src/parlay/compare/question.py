"""What every comparison of arms is asked: a network, images, limits, and how its arms are trained."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parlay.data import Dataset
from parlay.documents import without_folders
from parlay.errors import InputError
from parlay.retrofit import Limits
from parlay.study import ModelNetwork
from parlay.train.recipe import Recipe

__all__ = ["ArmQuestion"]


@dataclass(frozen=True, kw_only=True)
class ArmQuestion(ABC):
    """The question of a comparison.

    Attributes:
        network: the traced model.
        data: images with one label each, no validation images set aside.
        limits: what the device allows.
        recipe: how every arm is trained.
        seeds: of every arm, at least two.
        validation: training images set aside to choose by.
        fences: of the widths, as ``parlay.retrofit`` has them.
        steps: batches of each training; None leaves them to the recipe.
        precision: fp32 or bf16; None leaves it to what is found faster.
        random_seed: of the random arm.
        time_limit: seconds for each search.
    """

    network: ModelNetwork
    data: Dataset
    limits: Limits
    recipe: Recipe
    seeds: Sequence[int]
    validation: int
    fences: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    precision: str | None = None
    random_seed: int = 0
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError("--steps", given=self.steps, allowed="1 or more")
        if len(set(self.seeds)) < 2:
            raise InputError("seeds", given=len(set(self.seeds)), allowed="two or more: one has no spread")
        if self.data.multi_label:
            raise InputError("data", given=f"{self.data.name}, several labels an image", allowed="one label an image")
        if self.validation < 1:
            raise InputError("--val", given=self.validation, allowed="1 or more: arms are chosen on validation images")

    def shared(self) -> dict[str, Any]:
        """What is asked in every comparison, in JSON values, as it was written: a study answers one question."""
        return {
            "model": self.network.spec,
            "network": {"structure": self.network.structure, "arguments": without_folders(self.network.kwargs)},
            "data": self.data.fingerprint,
            "limits": vars(self.limits).copy(),
            "fences": {name: None if value is None else str(value) for name, value in self.fences.items()},
            "recipe": self.recipe.numbers(),
            "steps": self.steps or self.recipe.steps,
            "seeds": list(self.seeds),
            "validation images": self.validation,
            "precision": self.precision,
        }
