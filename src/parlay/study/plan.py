"""What is to be trained: trials, each with an identity that its configuration alone decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from parlay.errors import InputError, unknown
from parlay.layout import Layout
from parlay.study.trial_network import TrialNetwork
from parlay.train.recipe import DISTILLATION, Recipe

__all__ = ["Kind", "Planned", "Trial", "differing", "make_plan", "strongest"]


class Kind(StrEnum):
    """Why a layout was chosen, strongest reason first: a layout chosen for several is drawn as the first of them."""

    TOP = "top"
    GIVEN = "given"
    SPREAD = "spread"
    SAMPLE = "sample"
    ALL = "all"
    ORIGINAL = "original"


PRECISIONS = ("fp32", "bf16")
"""What a trial can be trained in."""
UNRECORDED = "unrecorded precision"
"""Of a trial in a table that was written before precision was a column: such trials are alike among themselves only."""


def strongest(kinds: Iterable[Kind]) -> Kind:
    """The reason that counts where there are several.

    >>> strongest({Kind.ALL, Kind.TOP})
    <Kind.TOP: 'top'>
    """
    return min(kinds, key=list(Kind).index)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training run, fully decided.

    Attributes:
        network: everything but its widths.
        layout: channels per width group.
        data: SHA-256 of the data set.
        recipe: how it is trained; its name and its default number of steps do not count.
        steps: batches.
        seed: of initial weights, order of the data and augmentation.
        validation: images held out of the training images to choose by.
        precision: arithmetic of the forward and backward pass, ``fp32`` or ``bf16``; ``UNRECORDED`` in a table that
            does not say.
        start: SHA-256 of the weights that it begins with, in the study's folder (``Workspace.start``); empty where they
            are initialised from the seed.
        teacher: SHA-256 of weights of the network at today's widths, in the same place, that it is distilled from;
            empty without.
    """

    network: TrialNetwork
    layout: Layout
    data: str
    recipe: Recipe
    steps: int
    seed: int
    validation: int = 0
    precision: str = "fp32"
    start: str = ""
    teacher: str = ""

    def __post_init__(self) -> None:
        self.network.check(self.layout)
        if type(self.validation) is not int or self.validation < 0:
            raise InputError("validation images", given=repr(self.validation), allowed="an integer of at least 0")
        if self.precision not in (*PRECISIONS, UNRECORDED):
            raise unknown("precision", self.precision, PRECISIONS)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The canonical configuration: everything that decides the run, in plain JSON values."""
        return {
            "network": self.network.config,
            "layout": list(self.layout),
            "data": self.data,
            "recipe": self.recipe.numbers(),
            "steps": self.steps,
            "seed": self.seed,
            "validation": self.validation,
            "precision": self.precision,
            **({"start": self.start} if self.start else {}),  # identities of other trials are as they always were
            **({"teacher": self.teacher, "distillation": DISTILLATION} if self.teacher else {}),
        }

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the canonical configuration; two trials with the same one are the same trial."""
        text = json.dumps(self.config, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def protocol(self) -> str:
        """All that trials have in common that may be compared: everything but layout and seed, as canonical JSON.

        So networks that begin with weights of their own are compared by nothing that knows layouts alone.
        """
        alike = {key: value for key, value in self.config.items() if key not in ("layout", "seed")}
        return json.dumps(alike, sort_keys=True)

    @property
    def training(self) -> str:
        """How it is trained, in a few words.

        >>> from parlay.families import plain
        >>> from parlay.train.recipe import get_recipe
        >>> net = plain(3)
        >>> Trial(network=net, layout=(8, 8, 525), data="", recipe=get_recipe("fast"), steps=2000, seed=0).training
        'fast, 2,000 steps, fp32'
        """
        held = f", {self.validation:,} images held out" if self.validation else ""
        return f"{self.recipe.name}, {self.steps:,} steps, {self.precision}{held}"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A trial and why it was chosen; the reasons are no part of its identity.

    Attributes:
        trial: what is to be trained.
        kinds: why.
        counted: what its layout costs, where that is known; counted when it is kept if None.
        score: name of the score by which its plan chose the best layouts; None where it chose none so.
    """

    trial: Trial
    kinds: frozenset[Kind]
    counted: Mapping[str, Any] | None = field(default=None, repr=False)
    score: str | None = None


def make_plan(
    network: TrialNetwork,
    chosen: Mapping[Layout, frozenset[Kind]],
    *,
    data: str,
    recipe: Recipe,
    steps: int | None = None,
    seeds: Sequence[int] = (0,),
    validation: int = 0,
    precision: str = "fp32",
    score: str | None = None,
) -> tuple[Planned, ...]:
    """Every layout with every seed: all layouts with the first seed, then all with the second, and so on.

    That order gives a picture of the whole range as early as possible.

    Args:
        network: everything but its widths.
        chosen: layouts and why they were chosen (``parlay.study.select``).
        data: SHA-256 of the data set.
        recipe: how to train.
        steps: batches of each run; the recipe's without one.
        seeds: one run each; repeated ones count once.
        validation: images held out to choose by.
        precision: ``fp32`` or ``bf16``.
        score: by which the best layouts were chosen, where some were; the study judges it.

    Raises:
        InputError: for no seed, a seed or a number of steps out of range, another precision, or layouts that do not fit
            the network.
    """
    count = recipe.steps if steps is None else steps
    if type(count) is not int or not 1 <= count <= 10**9:
        raise InputError("steps", given=repr(count), allowed=f"an integer from 1 to {10**9}")
    if not seeds or not all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds):
        raise InputError("seeds", given=tuple(seeds), allowed="at least one integer from 0 to 2^63 - 1")
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    return tuple(
        Planned(
            trial=Trial(
                network=network,
                layout=layout,
                data=data,
                recipe=recipe,
                steps=count,
                seed=seed,
                validation=validation,
                precision=precision,
            ),
            kinds=kinds,
            score=score,
        )
        for seed in dict.fromkeys(seeds)
        for layout, kinds in chosen.items()
    )


def differing(trial: Trial, others: Iterable[Trial]) -> dict[str, tuple[Any, Any]]:
    """In what a trial is trained otherwise than the nearest of others: name -> what it is there, and here.

    Names are ``network``, ``data``, ``steps``, ``validation``, ``precision`` and those of the recipe's numbers; nothing
    where one of the others is trained alike, or there is none.

    >>> from dataclasses import replace
    >>> from parlay.families import plain
    >>> from parlay.train.recipe import get_recipe
    >>> one = Trial(network=plain(2), layout=(4, 6), data="", recipe=get_recipe("fast"), steps=400, seed=0)
    >>> differing(replace(one, steps=150, seed=7), [one]), differing(one, [])
    ({'steps': (400, 150)}, {})
    """
    here = _conditions(trial)
    nearest: dict[str, tuple[Any, Any]] | None = None
    for there in {other.protocol: _conditions(other) for other in others}.values():
        found = {name: (there[name], here[name]) for name in here if there[name] != here[name]}
        if nearest is None or len(found) < len(nearest):
            nearest = found
    return nearest or {}


def _conditions(trial: Trial) -> dict[str, Any]:
    named = {name: value for name, value in trial.config.items() if name not in ("layout", "seed", "recipe")}
    return {**named, **trial.recipe.numbers()}
