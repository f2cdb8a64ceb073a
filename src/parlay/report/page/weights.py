"""Calibrated weights, where ``weights.json`` lies beside a study."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

__all__ = ["FILE", "Weight", "Weights", "read_weights"]

FILE = "weights.json"
KIND = "parlay weights"
MOST_BYTES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Weight:
    """What a calibrated score puts before ln ln n of one group.

    Attributes:
        group: its name.
        layers: how many layers it sets.
        prior: the weight before calibration.
        weight: the weight after.
        low, high: 95 % interval, where the file has one.
    """

    group: str
    layers: int
    prior: float
    weight: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of a file.

    Attributes:
        study: name of the study it lies beside.
        prior: name of the score they were fitted from.
        weights: one a group.
        warnings: what the fit warned of.
    """

    study: str
    prior: str
    weights: tuple[Weight, ...]
    warnings: tuple[str, ...]


def read_weights(folder: Path, study: str) -> Weights | None:
    """The weights beside a study; None where there is no such file, or one that is not ``parlay calibrate``'s."""
    path = folder / FILE
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    found = cast("dict[str, Any]", content)
    entries = found.get("weights")
    if found.get("kind") != KIND or not isinstance(entries, list) or not entries:
        return None
    weights = [_weight(entry) for entry in cast("list[Any]", entries)]
    known = tuple(weight for weight in weights if weight is not None)
    if len(known) < len(weights):
        return None
    warnings = found.get("warnings")
    return Weights(
        study=study,
        prior=str(found.get("prior")),
        weights=known,
        warnings=tuple(map(str, warnings)) if isinstance(warnings, list) else (),
    )


def _weight(entry: object) -> Weight | None:
    values = cast("Mapping[str, Any]", entry) if isinstance(entry, dict) else {}
    prior, weight = _number(values.get("prior")), _number(values.get("weight"))
    layers, interval = values.get("layers"), values.get("interval")
    if type(layers) is not int or prior is None or weight is None:
        return None
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    return Weight(
        group=str(values.get("group")), layers=layers, prior=prior, weight=weight, low=_number(low), high=_number(high)
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
