"""The model card: what the winner is, how it was made and judged, and what it must not be taken for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parlay.compare.result import CompareResult
from parlay.documents import without_folders
from parlay.evidence.paired import spread
from parlay.layout import format_layout
from parlay.report.page.fits import about

__all__ = ["CARD", "model_card"]

CARD = "MODEL_CARD.md"
"""Its file's name."""


def model_card(result: CompareResult, arguments: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        result: with the winner's files.
        arguments: of the model's factory.
    """
    winner, facts, plan = result.winner(), result.winner_facts, result.plan
    int8 = "" if facts.get("int8_accuracy") is None else f", {_percent(facts['int8_accuracy'])} in int8"
    quick = "**A quick fit: few seeds and short trainings. A first answer, no result.**\n\n" if plan.is_quick else ""
    classes = winner.shipped
    mean, deviation = spread(classes)
    made = without_folders(f"{result.spec}{f' with {dict(arguments)}' if arguments else ''}")
    lines = [
        f"# {made}, layout {format_layout(winner.arm.layout)}",
        "",
        f"{quick}{result.sentence[0].upper()}{result.sentence[1:]}.",
        "",
        "## What it is",
        f"- Arm: {winner.arm.name}. " + "; ".join(f"{name}: {how}" for name, how in winner.arm.how.items()),
        f"- {winner.amounts['params']:,} parameters, {winner.amounts['macs']:,} multiply-adds an image",
        f"- Flash {winner.amounts['flash_bytes']:,} bytes, peak activation memory"
        f" {winner.amounts['peak_activation_bytes']:,} bytes ({plan.dtype}), both predicted by parlay's convention",
        f"- Limits: {'; '.join(plan.constraints)}",
        *([f"- **Does not fit: {', '.join(winner.exceeds)}**"] if winner.exceeds else []),
        "",
        "## Input and output",
        f"- Images of {result.data_name}, grey levels 0 to 255, normalised channel by channel: (x - mean) / deviation,"
        f" means {facts['input_means']}, deviations {facts['input_deviations']}; the normalisation is not in the files",
        "- Output: logits, one a class",
        "",
        "## How good",
        f"- This file, measured through onnxruntime on the test images: {_percent(facts['accuracy'])} in floats{int8}",
        f"- Over seeds, what ships: {_percent(mean)}, standard deviation {100 * deviation:.2f} points,"
        f" {len(classes)} seeds. The file is of seed {facts['seed']}, the best on validation images"
        f" ({_percent(facts['validation_accuracy'])})",
        "",
        *_devices(facts, winner.amounts["peak_activation_bytes"]),
        "## How it was made",
        f"- {plan.steps:,} steps, {plan.precision}; every number of the recipe is in {plan.command}.json of the study",
        f"- {plan.question['validation images']:,} training images chose; the test images were looked at once",
        *(
            ["- int8: onnxruntime, after training, weights per channel, ranges of activations from training images"]
            if int8
            else []
        ),
        "",
        "## What the numbers mean",
        about(result.to_json()),
        "",
        "## Limits",
        *(f"- {caveat[0].upper()}{caveat[1:]}." for caveat in result.caveats),
        "- One data set, one recipe: other data or a longer training may rank layouts otherwise.",
        "- Flash and RAM are of weights and activations; code, the engine and its buffers come on top.",
        "- Accuracy on images unlike those of the test set is unknown.",
        "",
    ]
    return "\n".join(lines)


def _devices(facts: Mapping[str, Any], predicted: int) -> list[str]:
    """The files for engines of devices, as a table with the predicted memory beside the planned."""
    rows = facts.get("device_files", [])
    if not rows:
        return []
    return [
        "## Files for devices",
        "| file | engine | bytes | planned arena, bytes | predicted RAM, bytes | right on test images | run by |",
        "|---|---|---:|---:|---:|---:|---|",
        *(
            f"| {row['file']} | {row['name']} | {row['file_bytes']:,} | {_arena(row)} | {predicted:,}"
            f" | {_percent(row['accuracy'])} of {row['images']:,} | {row['run_by']} |"
            for row in rows
        ),
        "",
        *(f"- {row['name']}: {row['arena']}" for row in rows),
        "- Each engine's own quantiser, on the same calibration images as the ONNX file",
        "",
    ]


def _arena(row: Mapping[str, Any]) -> str:
    return "–" if row["arena_bytes"] is None else f"{row['arena_bytes']:,}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
