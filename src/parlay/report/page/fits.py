"""What a fit found, where ``fit-result.json`` lies beside a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlay.layout import Layout, format_layout

__all__ = ["FILE", "HEADS", "KIND", "TERMINAL", "Fit", "FittedArm", "about", "arm_cells", "device_lines", "read_fit"]

FILE = "fit-result.json"
KIND = "parlay fit result"
MOST_BYTES = 5_000_000

HEADS = ("Arm", "Params", "Flash", "RAM", "MACs", "Latency here", "Float", "Int8", "To original", "p (Holm)")
"""Columns of the table of arms on a page."""

TERMINAL = (
    ("Arm", "Params", "MACs", "Flash", "RAM"),
    ("Arm", "Float", "Int8", "To original", "p (Holm)"),
)
"""Columns of the two tables in a terminal of 80 columns: what an arm costs, and how good it is."""


@dataclass(frozen=True, kw_only=True)
class FittedArm:
    """What marks and lines of a layout's trials are called on a page.

    Attributes:
        layout: its widths.
        name: of the arm, or arms, that it is.
        fits: whether its file and its run fit the device.
        words: the name, and what does not fit.
    """

    layout: Layout
    name: str
    fits: bool
    words: str


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fit as a page shows it.

    Attributes:
        study: name of the study it lies beside.
        verdict: in one sentence.
        about: how it was done, in one sentence.
        arms: one row each, in the order of ``HEADS``.
        by_layout: widths as text -> the arm.
        layouts: name of an arm, and its widths and how they were found.
        files: of the winner.
        devices: one line on each file for a device's engine.
    """

    study: str
    verdict: str
    about: str
    arms: tuple[tuple[str, ...], ...]
    by_layout: Mapping[str, FittedArm]
    layouts: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    devices: tuple[str, ...]


def read_fit(folder: Path, study: str) -> Fit | None:
    """The fit beside a study; None where there is no such file, or one that is not ``parlay fit``'s."""
    path = folder / FILE
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        content = json.loads(path.read_bytes())
        if content["kind"] != KIND:
            return None
        arms = content["arms"]
        return Fit(
            study=study,
            verdict=str(content["verdict"]),
            about=about(content),
            arms=tuple(arm_cells(arm) for arm in arms),
            by_layout={format_layout(arm.layout): arm for arm in map(_arm, arms)},
            layouts=tuple((str(arm["name"]), _found(arm)) for arm in arms),
            files=tuple(map(str, content["files"])),
            devices=device_lines(content),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def about(content: Mapping[str, Any]) -> str:
    """How a fit was done, from its JSON values."""
    ships = "int8 files" if content["arms"][0]["int8_accuracy"] is not None else "float files"
    caveats = "".join(f" Note: {text}." for text in content.get("caveats", ()))
    return (
        f"{content['spec']} on {content['data']}; {'; '.join(content['constraints'])}. {len(content['seeds'])} seeds,"
        f" {content['steps']:,} steps each; {content['validation_images']:,} validation images choose. Accuracy on"
        f" test images, mean ± standard deviation over seeds, of exported files in onnxruntime. Differences: of"
        f" {ships}, paired by seed, 95 % interval of Student's t for each arm alone; p of the paired t-test after Holm."
        f" Latency: one image on this host; in brackets its ratio to the original, timed in turns."
        f" Flash and RAM: bytes ({content['dtype']}), predicted; in brackets, of the int8 file and of its run.{caveats}"
    )


def arm_cells(arm: Mapping[str, Any]) -> tuple[str, ...]:
    """An arm's row, from its JSON values."""
    found = arm["difference_to_original"]
    return (
        arm["name"] + _misfit(arm),
        f"{arm['params']:,}",
        _bytes(arm["flash_bytes"], arm["int8_file_bytes"]),
        _bytes(arm["peak_activation_bytes"], arm["live_bytes"]),
        f"{arm['macs']:,}",
        "–" if arm["latency_ms"] is None else f"{arm['latency_ms']:.2f} ms (× {arm['latency_ratio']:.2f})",
        _spread(arm["accuracy"]),
        "–" if arm["int8_accuracy"] is None else _spread(arm["int8_accuracy"]),
        "–" if found is None else _difference(found),
        "–" if found is None or found["p_holm"] is None else _chance(found["p_holm"]),
    )


def device_lines(content: Mapping[str, Any]) -> tuple[str, ...]:
    """One line on each file for a device's engine, written or not, from a fit's JSON values."""
    found = content["winner_files"]
    [predicted] = [arm["peak_activation_bytes"] for arm in content["arms"] if arm["name"] == content["winner"]]
    lines = [
        f"{one['file']} ({one['name']}): {one['file_bytes']:,} bytes, "
        + (
            "planned arena not shown"
            if one["arena_bytes"] is None
            else f"planned arena {one['arena_bytes']:,} bytes (predicted RAM {predicted:,})"
        )
        + f", {100 * one['accuracy']:.2f} % of {one['images']:,} test images right, run by {one['run_by']}"
        for one in found.get("device_files", [])
    ]
    lines += [
        f"{one['file']} ({one['name']}) not written: {one['reason']}" for one in found.get("device_files_missing", [])
    ]
    return tuple(lines)


def _arm(arm: Mapping[str, Any]) -> FittedArm:
    name = str(arm["name"])
    return FittedArm(layout=tuple(arm["layout"]), name=name, fits=bool(arm["fits"]), words=name + _misfit(arm))


def _misfit(arm: Mapping[str, Any]) -> str:
    """Marks what does not fit: as predicted, or only by its file or its run."""
    if arm["fits"]:
        return ""
    return " (does not fit)" if not arm.get("predicted_to_fit") else f" (does not fit: {', '.join(arm['exceeds'])})"


def _bytes(predicted: int, counted: int | None) -> str:
    return f"{predicted:,}" + ("" if counted is None else f" ({counted:,})")


def _spread(found: Mapping[str, Any]) -> str:
    return f"{100 * found['mean']:.2f} ± {100 * found['sd']:.2f} %"


def _difference(found: Mapping[str, Any]) -> str:
    """With its interval; without one where there was no test."""
    if found["low"] is None:
        return f"{_points(found['mean'])} (no test)"
    return f"{_points(found['mean'])} [{_points(found['low'])}, {_points(found['high'])}]"


def _points(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "−")


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _found(arm: Mapping[str, Any]) -> str:
    how = "; ".join(f"{name}: {text}" for name, text in arm["how"].items())
    return f"{format_layout(tuple(arm['layout']))} ({how})"
