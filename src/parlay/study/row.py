"""A trial as a study knows it: planned, running, complete or failed, and everything that came of it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from parlay.study.network import layout_costs, network_from
from parlay.study.plan import Kind, Trial
from parlay.train.recipe import Recipe

__all__ = ["COMPLETE", "FAILED", "FIELDS", "PLANNED", "RUNNING", "STATUSES", "Row", "pack", "unpack"]

PLANNED, RUNNING, COMPLETE, FAILED = STATUSES = ("planned", "running", "complete", "failed")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial of a study.

    Attributes:
        trial: what is run.
        kinds: why it was chosen, over all calls.
        data_name: how the data is called (its content is part of the trial).
        status: ``planned``, ``running``, ``complete`` or ``failed``.
        attempts: how often it ended, well or badly; being interrupted or killed is no end.
        figures: energy and costs of the layout, as ``layout_costs`` gives them; counted anew if None.
        accuracy: share of the test images that the last step's network gets right, 0 to 1; None unless complete.
        loss: mean loss on the test images, in nats.
        mean_average_precision: mAP where an image has several labels.
        validation_accuracy, validation_loss: the same on the validation images; None without.
        train_loss: mean loss of the last tenth of the steps, in nats.
        seconds: wall-clock time of the trial, over all calls that shared it.
        images_per_second: of training.
        threads: CPU threads.
        device: where.
        host, pid: which process of which machine ended it.
        versions: of parlay, torch and Python, and the CPU's model.
        started, finished: when it was last begun and when it ended; UTC, ISO 8601.
        error: what went wrong, in one line.
        traceback: the same in full.
    """

    trial: Trial
    kinds: frozenset[Kind]
    data_name: str
    status: str = PLANNED
    attempts: int = 0
    figures: Mapping[str, Any] | None = field(default=None, repr=False)
    accuracy: float | None = None
    loss: float | None = None
    mean_average_precision: float | None = None
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    train_loss: float | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    threads: int | None = None
    device: str | None = None
    host: str | None = None
    pid: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    started: str | None = None
    finished: str | None = None
    error: str | None = None
    traceback: str | None = field(default=None, repr=False)

    @cached_property
    def costs(self) -> Mapping[str, Any]:
        """Energy and costs of the layout."""
        return layout_costs(self.trial.network, self.trial.layout) if self.figures is None else self.figures

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
        plain = {name: getattr(self, name) for name in PLAIN}
        return {
            "trial": self.trial.identity,
            "config": json.dumps(self.trial.config, sort_keys=True),
            "kinds": join_kinds(self.kinds),
            "data": self.data_name,
            "recipe": self.trial.recipe.name,
            "figures": json.dumps(dict(self.costs)),
            "versions": json.dumps(dict(self.versions)),
            **plain,
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Row:
        """The row that ``values`` was taken from.

        Raises:
            ValueError, KeyError, TypeError: for values that are no row's.
        """
        config = json.loads(values["config"])
        trial = Trial(
            network=network_from(config["network"]),
            layout=tuple(config["layout"]),
            data=config["data"],
            recipe=Recipe.from_numbers(values["recipe"], config["steps"], config["recipe"]),
            steps=config["steps"],
            seed=config["seed"],
            validation=config["validation"],
            precision=config["precision"],
        )
        if trial.identity != values["trial"]:
            raise ValueError(f"trial {values['trial'][:12]} has the configuration of another")
        if values["status"] not in STATUSES:
            raise ValueError(f"trial {values['trial'][:12]} has the status {values['status']!r}")
        figures, versions = json.loads(values["figures"]), json.loads(values["versions"])
        counted = isinstance(figures, dict) and figures.keys() >= FIGURES
        if not counted or not isinstance(versions, dict) or None in (figures["params"], figures["macs"]):
            raise ValueError(f"trial {values['trial'][:12]} has no figures or versions")
        kinds = split_kinds(values["kinds"])
        if not kinds:
            raise ValueError(f"trial {values['trial'][:12]} has no reason")
        return cls(
            trial=trial,
            kinds=kinds,
            data_name=values["data"],
            figures=figures,
            versions=versions,
            **{name: values[name] for name in PLAIN},
        )


# fmt: off
PLAIN = (
    "status", "attempts", "accuracy", "loss", "mean_average_precision", "validation_accuracy", "validation_loss",
    "train_loss", "seconds", "images_per_second", "threads", "device", "host", "pid", "started", "finished", "error",
    "traceback",
)
"""Fields that are kept as they are."""
FIGURES = {
    "layout", "energy", "log_energy", "kernels", "weights", "params", "macs", "peak_activation_bytes",
}
"""What ``figures`` has, at the least."""
FIELDS = ("trial", "config", "kinds", "data", "recipe", "figures", "versions", *PLAIN)
"""Columns of the table ``trials`` but for the learning curve."""
# fmt: on


def join_kinds(kinds: Iterable[Kind]) -> str:
    """Reasons as one text, strongest first."""
    return "+".join(kind for kind in Kind if kind in set(kinds))


def split_kinds(text: str) -> frozenset[Kind]:
    """The reasons that ``join_kinds`` joined."""
    return frozenset(Kind(part) for part in text.split("+") if part)


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
