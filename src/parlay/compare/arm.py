"""An arm of a comparison: one network to be trained beside others, and every reason why it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parlay.errors import InputError
from parlay.layout import Layout
from parlay.retrofit import Retrofit
from parlay.solver import Conflict
from parlay.study import Kind

__all__ = [
    "ENERGY",
    "IMPORTANCE",
    "KINDS",
    "ORIGINAL",
    "RANDOM",
    "RANDOM_CHANNELS",
    "SCRATCH",
    "UNIFORM",
    "Arm",
    "no_layout",
]

ORIGINAL, ENERGY, UNIFORM, RANDOM = "original", "energy-layer", "uniform", "random"
"""Names of the arms of a fit; the fifth bears the recommended score's."""
IMPORTANCE, RANDOM_CHANNELS, SCRATCH = "importance", "random channels", "from scratch"
"""Names of the arms of a pruning, beside uniform."""
KINDS = {
    ORIGINAL: Kind.ORIGINAL,
    ENERGY: Kind.TOP,
    UNIFORM: Kind.GIVEN,
    RANDOM: Kind.SAMPLE,
    IMPORTANCE: Kind.TOP,
    RANDOM_CHANNELS: Kind.SAMPLE,
    SCRATCH: Kind.GIVEN,
}
"""Name of an arm -> its reason among a study's; the recommended score's is as the energy's."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One network, and every reason why it is trained.

    Attributes:
        names: the arms it is; the first one calls it.
        layout: its widths.
        how: name -> how the layout was found, in words.
        fits: whether it keeps every limit.
        start: SHA-256 of the weights that its trainings begin with; empty where they are initialised from the seed.
    """

    names: tuple[str, ...]
    layout: Layout
    how: Mapping[str, str]
    fits: bool
    start: str = ""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return " = ".join(self.names)

    def to_json(self) -> dict[str, Any]:
        """The arm in JSON values."""
        start = {"start": self.start} if self.start else {}
        return {
            "names": list(self.names),
            "layout": list(self.layout),
            "how": dict(self.how),
            "fits": self.fits,
            **start,
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Arm:
        """The arm that ``to_json`` made."""
        return cls(
            names=tuple(values["names"]),
            layout=tuple(values["layout"]),
            how=values["how"],
            fits=values["fits"],
            start=values.get("start", ""),
        )


def no_layout(found: Retrofit, clash: Conflict | None) -> InputError:
    """What is said where no layout keeps a budget: what cannot be kept together, and what would do."""
    wanted = "; ".join(str(constraint) for constraint in found.problem.constraints)
    parts = "" if clash is None else f"cannot be kept together: {'; '.join(clash.parts)}"
    could = f"would do: {', or '.join(clash.remedies)}" if clash and clash.remedies else "allow more, or more time"
    return InputError(
        "budget",
        given=f"{wanted} ({found.result.status.value})",
        allowed="limits that some layout within the ratios keeps",
        remedy="; ".join(part for part in (parts, could) if part),
    )
