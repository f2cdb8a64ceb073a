"""The files of the winner: weights, ONNX in float and int8, what builds the network again, and a model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save

from parlay.compare.arm_plan import ArmPlan
from parlay.compare.card import CARD, model_card
from parlay.compare.devices import facts_of, write_device_files
from parlay.compare.measure_trials import MeasuredTrial, accuracy_of, calibration_images, export_trial, sha256, trained
from parlay.compare.result import CompareResult
from parlay.documents import document, write_atomically
from parlay.errors import CertificateError
from parlay.graph import WidthGraph, measure
from parlay.graph.specs import takes
from parlay.retrofit.files import Origin, network_facts, rebuild_script, unique_tensors
from parlay.study import ModelNetwork, Row

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["FOLDER", "write_artefacts"]

FOLDER = "winner"


def write_artefacts(
    result: CompareResult,
    plan: ArmPlan,
    network: ModelNetwork,
    graph: WidthGraph,
    rows: Mapping[str, Row],
    measured: Mapping[str, MeasuredTrial],
    data: Dataset,
    folder: Path,
) -> CompareResult:
    """Write the winner's files into ``winner/``: of the seed with the best validation accuracy.

    With int8, also the files for engines of devices (``parlay.compare.devices``) whose packages are installed; one that
    fails is told and costs nothing else.

    The files are made anew from the kept weights, and accuracy is measured once more on what was read back from disk.

    Returns:
        The result with the files' paths and what was measured on them.

    Raises:
        CertificateError: when the network's own count of parameters differs from the prediction, or the written files
            do not have the accuracy that was reported.
    """
    winner = result.winner()
    best = max(range(len(winner.trials)), key=lambda place: (winner.validation[place], -place))
    row = rows[winner.trials[best]]
    layout, identity = row.trial.layout, row.trial.identity
    module, _ = trained(row, folder)
    counted = measure(module, graph.example.sized(1), dtype=plan.dtype)
    predicted = graph.amounts(layout, plan.dtype)
    if counted.params != predicted["params"]:
        raise CertificateError(f"params of the built network is {counted.params}, not {predicted['params']}")
    files = export_trial(row, folder, data, is_int8=plan.dtype == "int8")
    weights = save({name: tensor.detach().contiguous().clone() for name, tensor in unique_tensors(module).items()})
    origin = _origin(network)
    facts = {
        **network_facts(graph, layout, origin, module, hashlib.sha256(weights).hexdigest()),
        **predicted,
        "dtype": plan.dtype,
        "before": graph.amounts(graph.layout, plan.dtype),
        "constraints": list(plan.constraints),
        "arm": winner.arm.to_json(),
        "trial": row.trial.config,
    }
    contents: dict[str, str | bytes] = {
        "weights.safetensors": weights,
        "model.onnx": files.plain,
        "rebuild.py": rebuild_script(origin),
        "layout.json": document(facts),
    }
    if files.int8 is not None:
        contents["model.int8.onnx"] = files.int8
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    for name, content in contents.items():
        write_atomically(place / name, content)
    found = _remeasured(place, files.int8 is not None, data)
    known = measured[identity]
    for key, value in (("accuracy", known.accuracy), ("int8_accuracy", known.int8_accuracy)):
        if value is not None and abs(found[key] - value) * len(data.test_labels) > 1:  # an image for a tie of floats
            raise CertificateError(f"{key} of the written file is {found[key]}, not {value}")
    written, missing = [], []
    if files.int8:
        images, is_planned = calibration_images(data), plan.question["limits"].get("plan", True)
        written, missing = write_device_files(module, data, images, place, plan=is_planned)
    names = (*contents, *(one.file for one in written))
    means, deviations = ([round(float(value), 4) for value in moment] for moment in data.moments)
    found |= {
        "trial": identity,
        "seed": row.trial.seed,
        "validation_accuracy": winner.validation[best],
        "counted": {
            "params": counted.params,
            "macs": counted.macs,
            "peak_activation_bytes": counted.peak_activation_bytes,
        },
        "input_means": means,
        "input_deviations": deviations,
        **facts_of(written, missing),
        "sha256": {name: sha256((place / name).read_bytes()) for name in names},
    }
    done = replace(result, files=tuple(place / name for name in (*names, CARD)), winner_facts=found)
    write_atomically(place / CARD, model_card(done, json.loads(network.kwargs)))
    return done


def _remeasured(place: Path, is_int8: bool, data: Dataset) -> dict[str, Any]:
    """Test accuracy of the files as they lie on disk."""
    plain, test = (place / "model.onnx").read_bytes(), (data.test_images, data.test_labels)
    found: dict[str, Any] = {"accuracy": accuracy_of(plain, *test, data), "file_bytes": len(plain)}
    if is_int8:
        int8 = (place / "model.int8.onnx").read_bytes()
        found |= {"int8_accuracy": accuracy_of(int8, *test, data), "int8_file_bytes": len(int8)}
    return found


def _origin(network: ModelNetwork) -> Origin:
    kwargs = json.loads(network.kwargs)
    if "num_classes" not in kwargs and takes(network.place, "num_classes"):
        kwargs["num_classes"] = network.classes
    return Origin(spec=network.place, kwargs=kwargs, inputs=[[network.in_channels, network.image, network.image]])
