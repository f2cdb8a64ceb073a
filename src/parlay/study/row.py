"""A trial as a study knows it: planned, running, complete or failed, and everything that came of it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from parlay.study.fields import SHARE, Field, kept, kept_fields
from parlay.study.plan import Kind, Trial
from parlay.study.trial_network import ModelNetwork, layout_costs, network_from
from parlay.train.recipe import Recipe

__all__ = [
    "COMPLETE",
    "COSTS",
    "FAILED",
    "KEPT",
    "MEASURED",
    "NEEDED",
    "PLANNED",
    "RUNNING",
    "STATUSES",
    "Row",
    "pack",
    "unpack",
]

PLANNED, RUNNING, COMPLETE, FAILED = STATUSES = ("planned", "running", "complete", "failed")


COSTS = (
    Field(
        name="energy",
        kind=float,
        meaning="Eq. 3, of a model with each width group once; a width of 1 makes it 0; empty above the largest number",
    ),
    Field(
        name="log_energy",
        kind=float,
        meaning="its natural logarithm; empty where a width is 1",
        is_on_page=True,
        heading="Energy",
        digits=2,
    ),
    Field(name="kernels", kind=int, meaning="P / k^2; empty for models"),
    Field(name="weights", kind=int, meaning="weights of the convolutions, Eq. 1; empty for models"),
    Field(name="params", kind=int, meaning="all parameters", is_on_page=True, heading="Parameters"),
    Field(name="macs", kind=int, meaning="multiply-adds for one image", is_on_page=True, heading="Multiply-adds"),
    Field(
        name="peak_activation_bytes",
        kind=int,
        meaning="most activation memory at any layer, int8, one image",
        unit="bytes",
        is_on_page=True,
        heading="Peak memory (B)",
    ),
)
"""What a layout costs, as ``layout_costs`` counts it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial of a study.

    Attributes:
        trial: what is run.
        kinds: why it was chosen, over all calls.
        data_name: how the data is called (its content is part of the trial).
        counted: energy and costs of the layout, as ``layout_costs`` gives them; counted anew if None.
        versions: of parlay, torch and Python, and the CPU's model.

    Every other field says itself what it is: docs/studies.md prints them.
    """

    trial: Trial
    kinds: frozenset[Kind]
    data_name: str
    counted: Mapping[str, Any] | None = field(default=None, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict)
    status: str = kept("planned, running, complete or failed", default=PLANNED, is_on_page=True, heading="Status")
    attempts: int = kept("how often it ended, well or badly; being interrupted or killed is no end", default=0)
    accuracy: float | None = kept(
        "what the network of the last step gets right of the test images",
        unit=SHARE,
        is_measured=True,
        is_on_page=True,
        heading="Accuracy",
        digits=2,
    )
    loss: float | None = kept(
        "mean loss on the test images", unit="nats", is_measured=True, is_on_page=True, heading="Loss", digits=4
    )
    test_images: int | None = kept(
        "test images that were counted; a difference between accuracies is never surer than so many allow",
        is_measured=True,
    )
    mean_average_precision: float | None = kept(
        "mAP on the test images, where an image has several labels", unit=SHARE, is_measured=True, is_on_page=True
    )
    validation_accuracy: float | None = kept(
        "the accuracy on the images that were set aside; choose by it",
        unit=SHARE,
        is_measured=True,
        is_on_page=True,
        heading="Validation",
        digits=2,
    )
    validation_loss: float | None = kept("mean loss on these", unit="nats", is_measured=True)
    train_loss: float | None = kept(
        "mean loss of the last tenth of the steps", unit="nats", is_measured=True, is_on_page=True
    )
    seconds: float | None = kept(
        "wall-clock time of training and evaluation, over all calls that shared it",
        unit="s",
        is_measured=True,
        is_on_page=True,
        heading="Seconds",
        digits=1,
    )
    images_per_second: float | None = kept("of training", unit="images/s", is_measured=True)
    threads: int | None = kept("CPU threads", is_measured=True)
    device: str | None = kept("where it was trained", is_measured=True)
    host: str | None = kept("machine that ended it")
    pid: int | None = kept("process that ended it", is_exported=False)
    started: str | None = kept("when it was last begun", unit="UTC, ISO 8601")
    finished: str | None = kept("when it ended", unit="UTC, ISO 8601")
    model_sha256: str | None = kept("content of the model's file when it was planned; empty for anything else")
    model_folder: str | None = kept("where the model's file lies", is_exported=False)
    score: str | None = kept("score by which its plan chose the best layouts, which the study judges; empty for none")
    error: str | None = kept("why it failed, in one line", is_on_page=True, heading="Error")
    traceback: str | None = kept("the same in full", repr=False, is_exported=False)

    def __post_init__(self) -> None:
        network = self.trial.network
        if isinstance(network, ModelNetwork):  # columns of their own: no part of the configuration
            object.__setattr__(self, "model_sha256", network.code or self.model_sha256)
            object.__setattr__(self, "model_folder", network.folder or self.model_folder)

    @cached_property
    def costs(self) -> Mapping[str, Any]:
        """Energy and costs of the layout."""
        return layout_costs(self.trial.network, self.trial.layout) if self.counted is None else self.counted

    @property
    def log_energy(self) -> float:
        """ln of Eq. 3; -inf when a width is 1."""
        found = self.costs["log_energy"]
        return float("-inf") if found is None else found

    @property
    def has_ended(self) -> bool:
        """Whether it is complete or failed."""
        return self.status in (COMPLETE, FAILED)

    def values(self) -> dict[str, Any]:
        """The row as it is written into the file."""
        return {
            "trial": self.trial.identity,
            "config": json.dumps(self.trial.config, sort_keys=True),
            "kinds": join_kinds(self.kinds),
            "data": self.data_name,
            "recipe": self.trial.recipe.name,
            "figures": json.dumps(dict(self.costs)),
            "versions": json.dumps(dict(self.versions)),
            **{item.name: getattr(self, item.name) for item in KEPT},
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Row:
        """The row that ``values`` was taken from; an optional field that is not among them is None.

        Raises:
            ValueError, KeyError, TypeError: for values that are no row's.
        """
        config = json.loads(values["config"])
        network = network_from(config["network"])
        if isinstance(network, ModelNetwork):
            folder, code = values.get("model_folder") or network.folder, values.get("model_sha256") or ""
            network = replace(network, folder=folder, code=code)
        trial = Trial(
            network=network,
            layout=tuple(config["layout"]),
            data=config["data"],
            recipe=Recipe.from_numbers(values["recipe"], config["steps"], config["recipe"]),
            steps=config["steps"],
            seed=config["seed"],
            validation=config["validation"],
            precision=config["precision"],
            start=config.get("start", ""),
            teacher=config.get("teacher", ""),
        )
        if trial.identity != values["trial"]:
            raise ValueError(f"trial {values['trial'][:12]} has the configuration of another")
        if values["status"] not in STATUSES:
            raise ValueError(f"trial {values['trial'][:12]} has the status {values['status']!r}")
        costs, versions = json.loads(values["figures"]), json.loads(values["versions"])
        is_whole = isinstance(costs, dict) and costs.keys() >= {"layout", *(item.name for item in COSTS)}
        if not is_whole or not isinstance(versions, dict) or None in (costs["params"], costs["macs"]):
            raise ValueError(f"trial {values['trial'][:12]} has no costs or versions")
        kinds = split_kinds(values["kinds"])
        kept: dict[str, Any] = {item.name: values.get(item.name) for item in KEPT}
        return cls(
            trial=trial,
            kinds=kinds,
            data_name=values["data"],
            counted=costs,
            versions=versions,
            **kept,
        )


KEPT = kept_fields(Row)
"""What is kept of a trial, each in a column of its own."""
MEASURED = tuple(item.name for item in KEPT if item.is_measured)
"""What training measures."""
NEEDED = ("trial", "config", "kinds", "data", "recipe", "figures", "versions")
"""The other columns of the file's table but for the learning curve; ``figures`` holds energy and costs of the layout,
whose drawings came later."""


def join_kinds(kinds: Iterable[Kind]) -> str:
    """Reasons as one text, strongest first."""
    return "+".join(kind for kind in Kind if kind in set(kinds))


def split_kinds(text: str) -> frozenset[Kind]:
    """The reasons that ``join_kinds`` joined.

    >>> sorted(split_kinds("top+search"))
    [<Kind.GIVEN: 'given'>, <Kind.TOP: 'top'>]

    Raises:
        ValueError: for a reason that there is not and never was, or none at all.
    """
    return frozenset(Kind(RETIRED.get(part, part)) for part in text.split("+"))


RETIRED = {"search": Kind.GIVEN, "control": Kind.GIVEN}
"""Reasons that an earlier parlay had: a layout that it chose in a way that is gone was given, from here."""


def pack(losses: Iterable[float]) -> bytes:
    """A learning curve as compressed float32, little-endian; losses are float32 to begin with, so nothing is lost.

    >>> unpack(pack([2.5, 0.125]))
    (2.5, 0.125)
    """
    import numpy as np

    return zlib.compress(np.array(tuple(losses), dtype="<f4").tobytes())


def unpack(blob: bytes) -> tuple[float, ...]:
    """The learning curve that ``pack`` packed."""
    import numpy as np

    return tuple(np.frombuffer(zlib.decompress(blob), dtype="<f4").tolist())
