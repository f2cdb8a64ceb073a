"""What a trained network is worth on the device's terms: its exported files, measured through onnxruntime."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parlay.compare.liveness import live_bytes
from parlay.compare.order import reordered
from parlay.compare.quantise import check_int8, export_float, logits_of, quantised, session_of, stored_bytes
from parlay.documents import SCHEMA_VERSION, document, write_atomically
from parlay.errors import StudyError
from parlay.extras import Needs
from parlay.study import Row
from parlay.study.workspace import Workspace
from parlay.train.weights import load_weights, read_weights

with Needs("measuring networks", extra="train"):
    import torch
    from torch import Tensor, nn

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = [
    "CALIBRATION",
    "ExportedFiles",
    "MeasuredTrial",
    "export_trial",
    "export_untrained",
    "measure_network",
    "measure_trials",
    "trained",
]

CALIBRATION = 500
"""Training images that the ranges of int8 activations are taken from; drawn with seed 0."""
RULES = 2
"""Raised when a measurement changes its meaning, so that kept ones are made anew."""


@dataclass(frozen=True, kw_only=True)
class ExportedFiles:
    """A network's files.

    Attributes:
        plain: ONNX in float32.
        int8: ONNX in int8; None where no int8 was asked for.
    """

    plain: bytes
    int8: bytes | None


@dataclass(frozen=True, kw_only=True)
class MeasuredTrial:
    """One trial's files, measured. Accuracies are shares of images, 0 to 1.

    Attributes:
        trial: identity.
        weights: SHA-256 of the trained weights.
        accuracy: of the float file on the test images.
        int8_accuracy, int8_validation: of the int8 file on the test and on the validation images.
        file_bytes, int8_file_bytes: sizes of the files.
        stored_bytes: int8 weights and int32 biases in the int8 file, what docs/counting.md calls flash.
        live_bytes, live_apart_bytes: ``parlay.compare.liveness``.
        float_difference: largest difference of logits to torch on a batch, relative to the largest logit.
    """

    trial: str
    weights: str
    accuracy: float
    float_difference: float
    file_bytes: int
    int8_accuracy: float | None = None
    int8_validation: float | None = None
    int8_file_bytes: int | None = None
    stored_bytes: int | None = None
    live_bytes: int | None = None
    live_apart_bytes: int | None = None


def export_untrained(module: nn.Module, data: Dataset, *, is_int8: bool) -> ExportedFiles:
    """Export, and quantise, a network before it is trained, so that what cannot be is met at once.

    Raises:
        InputError: naming operators without an int8 form, or what torch or onnxruntime could not do.
    """
    return _export(module, data, is_int8=is_int8)


def export_trial(row: Row, folder: Path, data: Dataset, *, is_int8: bool) -> ExportedFiles:
    """The files of a complete trial, from the weights that the study keeps; the same ones every time.

    Raises:
        StudyError: when the weights are missing or damaged.
    """
    module, _ = trained(row, folder)
    return _export(module, data, is_int8=is_int8)


def trained(row: Row, folder: Path) -> tuple[nn.Module, str]:
    """A trial's network with its trained weights, in evaluation mode, and their checksum.

    Raises:
        StudyError: when the weights are missing or damaged.
    """
    trial = row.trial
    found = read_weights(Workspace(folder=folder).weights(trial.identity), run=trial.identity)
    if found is None:
        raise StudyError(f"the weights of trial {trial.identity[:12]} are missing or damaged; run the command again")
    return load_weights(trial.network.build(trial.layout, seed=trial.seed), found[0]), found[1]


def measure_trials(
    rows: Sequence[Row],
    folder: Path,
    data: Dataset,
    *,
    is_int8: bool,
    threads: int | None = None,
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, MeasuredTrial]:
    """Measure every trial; what was measured before, of the same weights, is read from ``measured/``.

    Args:
        rows: complete trials.
        folder: the study's.
        data: with its validation images set aside.
        is_int8: whether int8 files are made too.
        threads: CPU threads of onnxruntime.
        told: called with how many are done, and how many there are.

    Returns:
        identity -> measurement.
    """
    found: dict[str, MeasuredTrial] = {}
    for place, row in enumerate(rows):
        told(place, len(rows))
        identity = row.trial.identity
        path = folder / "measured" / f"{identity[:24]}.json"
        module, weights = trained(row, folder)
        known = _kept(path, identity, weights, is_int8)
        if known is None:
            known = measure_network(identity, weights, module, data, is_int8=is_int8, threads=threads)
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, document({"kind": "parlay measurement", "rules": RULES, **asdict(known)}))
        found[identity] = known
    told(len(rows), len(rows))
    return found


def network_inputs(images: Tensor, data: Dataset) -> np.ndarray:
    """uint8 images as the network takes them: float32, normalised as in training."""
    means, deviations = (moment[:, None, None].numpy() for moment in data.moments)
    return (images.cpu().numpy().astype(np.float32) - means) / deviations


def calibration_images(data: Dataset) -> np.ndarray:
    """The training images that ranges of int8 activations are taken from, as the network takes them."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(data.train_images), generator=generator)[:CALIBRATION]
    return network_inputs(data.train_images[chosen], data)


def accuracy_of(content: bytes, images: Tensor, labels: Tensor, data: Dataset, *, threads: int | None = None) -> float:
    """Share of images that an exported file gets right, run by onnxruntime."""
    session = session_of(content, threads=threads)
    right = 0
    for some, theirs in zip(images.split(2000), labels.split(2000), strict=True):
        logits = logits_of(session, network_inputs(some, data))
        right += int((logits.argmax(1) == theirs.cpu().numpy()).sum())
    return right / len(labels)


def _export(module: nn.Module, data: Dataset, *, is_int8: bool) -> ExportedFiles:
    plain = reordered(
        export_float(module, tuple(data.train_images.shape[1:])), network_inputs(data.train_images[:1], data)
    )
    if not is_int8:
        return ExportedFiles(plain=plain, int8=None)
    check_int8(plain)
    images = calibration_images(data)
    return ExportedFiles(plain=plain, int8=reordered(quantised(plain, images), images[:1]))


def measure_network(
    identity: str, weights: str, module: nn.Module, data: Dataset, *, is_int8: bool, threads: int | None
) -> MeasuredTrial:
    """Export a network in evaluation mode, and measure the files.

    Args:
        identity, weights: what the measurement is called, and the checksum of the weights.
        module: the network, on the CPU.
        data: with its validation images set aside.
        is_int8: whether int8 files are made too.
        threads: CPU threads of onnxruntime.
    """
    files = _export(module, data, is_int8=is_int8)
    some = network_inputs(data.test_images[:100], data)
    with torch.inference_mode():
        ours = module(torch.from_numpy(some)).numpy()
    theirs = logits_of(session_of(files.plain, threads=threads), some)[: len(ours)]
    facts: dict[str, Any] = {
        "trial": identity,
        "weights": weights,
        "accuracy": accuracy_of(files.plain, data.test_images, data.test_labels, data, threads=threads),
        "float_difference": float(np.abs(ours - theirs).max() / max(float(np.abs(ours).max()), 1e-12)),
        "file_bytes": len(files.plain),
    }
    if files.int8 is not None:
        live = live_bytes(files.int8, some[:1])
        test, held = (data.test_images, data.test_labels), (data.validation_images, data.validation_labels)
        facts |= {
            "int8_accuracy": accuracy_of(files.int8, *test, data, threads=threads),
            "int8_validation": accuracy_of(files.int8, *held, data, threads=threads),
            "int8_file_bytes": len(files.int8),
            "stored_bytes": stored_bytes(files.int8),
            "live_bytes": live.in_place,
            "live_apart_bytes": live.apart,
        }
    return MeasuredTrial(**facts)


def _kept(path: Path, identity: str, weights: str, is_int8: bool) -> MeasuredTrial | None:
    try:
        facts = json.loads(path.read_bytes())
        if (facts.pop("schema_version"), facts.pop("kind"), facts.pop("rules")) != (
            SCHEMA_VERSION,
            "parlay measurement",
            RULES,
        ):
            return None
        found = MeasuredTrial(**facts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    is_same = (found.trial, found.weights, found.int8_accuracy is not None) == (identity, weights, is_int8)
    return found if is_same else None


def sha256(content: bytes) -> str:
    """Checksum of a file's content."""
    return hashlib.sha256(content).hexdigest()
