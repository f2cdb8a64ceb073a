"""Recipes: every number that decides a training run, in one place, with its unit and its reason."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from difflib import get_close_matches

from parlay.errors import InputError

__all__ = ["RECIPES", "Recipe", "get_recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Stochastic gradient descent on the mean cross-entropy of random batches, on a one-cycle schedule.

    Attributes:
        name: how the command line calls it.
        steps: batches in a run, unless a run says otherwise.
        batch: images in a batch; all of them where the data has fewer.
        peak_rate: highest learning rate.
        warmup: share of the steps in which the rate rises linearly from 0 to the peak; in the rest it falls linearly to
            0. Ending at 0 lets the last step's accuracy stand for the run, without choosing a best one.
        momentum: of Nesterov's method.
        weight_decay: L2 penalty on the weights of convolutions and the linear layer. Batch norms and biases have none:
            they are a few numbers a channel, and pulling a scale to 0 does not regularise what follows it.
        crop: pixels of zero padding on each side before a random crop of the old size.
        flip: mirror half of the images, where the data allows it.

    >>> [round(get_recipe("fast").rate(step, 10), 3) for step in (0, 2, 9)]
    [0.073, 0.194, 0.024]
    """

    name: str
    steps: int
    batch: int = 128
    peak_rate: float = 0.2
    warmup: float = 0.25
    momentum: float = 0.9
    weight_decay: float = 5e-4
    crop: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        for what, value, least in (("steps", self.steps, 1), ("batch", self.batch, 2), ("crop", self.crop, 0)):
            if type(value) is not int or not least <= value <= 10**9:
                raise InputError(what, given=repr(value), allowed=f"an integer from {least} to {10**9}")
        for what, value in (("peak rate", self.peak_rate), ("weight decay", self.weight_decay)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(what, given=value, allowed="a number of at least 0")
        for what, value in (("warmup", self.warmup), ("momentum", self.momentum)):
            if not 0 <= value < 1:
                raise InputError(what, given=value, allowed="a number from 0 to below 1")

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step ``step`` (0, 1, ...) in a run of ``steps``; never 0, so that no step is wasted."""
        place = (step + 1) / (steps + 1)  # inside (0, 1)
        rising = place / self.warmup if self.warmup else 1.0
        return self.peak_rate * min(rising, (1 - place) / (1 - self.warmup))

    def numbers(self) -> dict[str, int | float | bool]:
        """What decides a run: everything but the name and the default number of steps."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "steps")}


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # 2,000 steps, five epochs of CIFAR: the schedule of the first runs, in which the trend was already clear
        Recipe(name="fast", steps=2000),
        # 8x8 grey digits: half the batch for 896 images, one pixel of shift, and no mirror, since digits have a side
        Recipe(name="digits", steps=200, batch=64, peak_rate=0.1, crop=1, flip=False),
    )
}
"""Every recipe by name."""


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: when there is none, with the nearest name.

    >>> get_recipe("digits").batch
    64
    """
    if name not in RECIPES:
        near = get_close_matches(name, RECIPES, n=1)
        remedy = f"did you mean {near[0]}?" if near else ""
        raise InputError("recipe", given=repr(name), allowed=", ".join(RECIPES), remedy=remedy)
    return RECIPES[name]
