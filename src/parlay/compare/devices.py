"""Files for engines of devices: which there are, what each needs, and how one is made beside the fit.

Each format is a row of ``FORMATS``. A file is made and measured in a process of its own: its packages print, load
kernels of their own, and may fail in ways that end a process; whatever happens there, the rest of the fit stays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from parlay.documents import without_folders
from parlay.errors import first_line
from parlay.extras import Needs
from parlay.graph.programs import quiet

with Needs("exporting networks", extra="train"):
    import torch
    from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FORMATS", "DeviceFile", "DeviceFormat", "Missing", "missing_packages", "write_device_files"]

SECONDS = 3600.0
"""Longest that one file may take, its measurement included."""
CHECKOUT = Path(__file__).resolve().parents[3]
"""Where ``make setup-device`` puts its environments, where parlay is run from its sources."""
REFERENCE_IMAGES = 500
"""Test images of a program whose operators run here only in Python, slowly."""


class ImageSet(Protocol):
    """What a file is measured on; a ``parlay.data.Dataset`` is such.

    Attributes:
        test_images: uint8 (N, C, H, W).
        test_labels: classes, int64 (N,).
        moments: mean and deviation of each channel, (C,) each, that images are normalised by.
    """

    @property
    def test_images(self) -> Tensor: ...
    @property
    def test_labels(self) -> Tensor: ...
    @property
    def moments(self) -> Any: ...  # a cached_property of the data set, which is no property to the type checker


@dataclass(frozen=True, kw_only=True)
class DeviceFormat:
    """One kind of file.

    Attributes:
        name: the engine, in words.
        file: name of the file in ``winner/``.
        extra: of parlay, that brings the packages.
        packages: top-level modules that have to be there.
        exporter: name of a class in ``parlay.compare.device_exports``.
        most_images: test images that its accuracy is measured on; None for all.
    """

    name: str
    file: str
    extra: str
    packages: tuple[str, ...]
    exporter: str
    most_images: int | None = None


FORMATS = (
    DeviceFormat(
        name="ExecuTorch, XNNPACK",
        file="model.int8.pte",
        extra="executorch",
        packages=("executorch", "torchao"),
        exporter="Xnnpack",
    ),
    DeviceFormat(
        name="ExecuTorch, Cortex-M",
        file="model.cortex-m.pte",
        extra="executorch",
        packages=("executorch", "torchao", "tosa_serializer"),
        exporter="CortexM",
        most_images=REFERENCE_IMAGES,
    ),
    DeviceFormat(
        name="LiteRT",
        file="model.int8.tflite",
        extra="litert",
        packages=("litert_torch", "ai_edge_quantizer", "ai_edge_litert", "tflite_micro"),
        exporter="LiteRT",
    ),
)


@dataclass(frozen=True, kw_only=True)
class DeviceFile:
    """One file, written and measured.

    Attributes:
        name: the engine.
        file: name of the file.
        file_bytes: its size.
        arena_bytes: of activations and scratch, as the engine's own planner lays them out; None where it shows none.
        arena: what that figure is, or why there is none.
        accuracy: share of test images that it gets right.
        images: how many test images.
        run_by: what ran it.
    """

    name: str
    file: str
    file_bytes: int
    arena_bytes: int | None
    arena: str
    accuracy: float
    images: int
    run_by: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A file that was not written, and why, in one line."""

    name: str
    file: str
    reason: str


def interpreter(kind: DeviceFormat) -> str | None:
    """The Python that can make a format's file: this one, else that of ``make setup-device`` beside parlay's sources.

    The engines' packages cannot share one environment, so each has its own there, named after its extra.

    >>> interpreter(DeviceFormat(name="", file="", extra="no-such", packages=("json",), exporter="")) == sys.executable
    True
    >>> interpreter(DeviceFormat(name="", file="", extra="no-such", packages=("no_such",), exporter="")) is None
    True
    """
    if not missing_packages(kind):
        return sys.executable
    place = CHECKOUT / f".venv-{kind.extra}"
    return str(place / "bin" / "python") if (place / ".installed").exists() else None


def missing_packages(kind: DeviceFormat) -> tuple[str, ...]:
    """Modules that a format needs and that are not installed; nothing is imported.

    >>> missing_packages(DeviceFormat(name="", file="", extra="", packages=("json", "no_such"), exporter=""))
    ('no_such',)
    """
    return tuple(name for name in kind.packages if find_spec(name) is None)


def write_device_files(
    module: nn.Module,
    data: ImageSet,
    calibration: np.ndarray,
    place: Path,
    *,
    formats: Sequence[DeviceFormat] = FORMATS,
    plan: bool = True,
) -> tuple[list[DeviceFile], list[Missing]]:
    """Write what can be written for engines of devices, and measure it as it lies on disk.

    Never raises for a format: what could not be written is told, and no file of its name is left behind.

    Args:
        module: the network, in evaluation mode.
        data: test images and the numbers that images are normalised by.
        calibration: images as the network takes them, float32 (N, C, H, W), for the ranges of activations.
        place: folder of the files.
        plan: whether a file may carry the plan of its arena.
        formats: which; those whose packages are missing are told, with what to install.
    """
    written: list[DeviceFile] = []
    missing: list[Missing] = []
    ready: list[DeviceFormat] = []
    for kind in formats:
        if interpreter(kind) is None:
            absent = missing_packages(kind)
            verb = "is" if len(absent) == 1 else "are"
            reason = f"{', '.join(absent)} {verb} not installed; 'make setup-device' in parlay's checkout does it"
            missing.append(Missing(name=kind.name, file=kind.file, reason=reason))
        else:
            ready.append(kind)
    if ready:
        with tempfile.TemporaryDirectory() as folder:
            problem = _handed_over(module, data, calibration, Path(folder))
            for kind in ready:
                facts = {"error": problem} if problem else _made(kind, Path(folder), place / kind.file, plan=plan)
                if "error" in facts:
                    reason = without_folders(facts["error"])
                    missing.append(Missing(name=kind.name, file=kind.file, reason=reason))
                else:
                    written.append(DeviceFile(name=kind.name, file=kind.file, **facts))
    for each in missing:
        (place / each.file).unlink(missing_ok=True)
    return written, missing


def facts_of(written: Sequence[DeviceFile], missing: Sequence[Missing]) -> dict[str, Any]:
    """Both in JSON values."""
    return {"device_files": [asdict(one) for one in written], "device_files_missing": [asdict(one) for one in missing]}


def _handed_over(module: nn.Module, data: ImageSet, calibration: np.ndarray, folder: Path) -> str | None:
    """Write what the other process reads: the program and the images. What torch cannot export is returned in words."""
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(module, (torch.from_numpy(calibration[:1]),))
            torch.export.save(program, folder / "program.pt2")
    except Exception as error:
        return f"torch.export cannot follow it ({first_line(error)})"
    means, deviations = (moment.cpu().numpy() for moment in data.moments)
    np.savez(
        folder / "images.npz",
        calibration=calibration,
        images=data.test_images.cpu().numpy(),
        labels=data.test_labels.cpu().numpy(),
        means=means,
        deviations=deviations,
    )
    return None


def _made(kind: DeviceFormat, folder: Path, path: Path, *, plan: bool) -> Mapping[str, Any]:
    """Facts of a file that another process made, or ``error``."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    most = "" if kind.most_images is None else str(kind.most_images)
    python = interpreter(kind)
    assert python is not None  # formats that nothing here can make were told before
    command = [python, "-m", "parlay.compare.device_exports", kind.exporter, str(folder), str(path), most]
    command += [] if plan else ["no-plan"]
    environment = dict(os.environ)
    if python == sys.executable:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    else:  # another environment has parlay of its own, and nothing of this one may get in before its packages
        environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return {"error": f"it took more than {SECONDS / 60:.0f} minutes"}
    try:
        return json.loads(answer.read_bytes())
    except (OSError, ValueError):
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        return {"error": f"its process ended with {done.returncode} ({lines[-1].strip()[:200]})"}
