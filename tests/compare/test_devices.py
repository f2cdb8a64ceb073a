"""Files of a fit for engines of devices: what is told without their packages, and real exports where they are."""

# ruff: noqa: E402

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from torch import nn

from parlay.compare import devices
from parlay.compare.card import _devices as card_section
from parlay.compare.device_exports import EXPORTERS, fold_pads
from parlay.compare.devices import FORMATS, DeviceFormat, facts_of, write_device_files
from parlay.device.predict import predicted_file
from parlay.device.tflm import MICRO
from parlay.graph import trace
from parlay.report.page.fits import device_lines

ARENAS = {"Xnnpack": None, "CortexM": 1.25}
"""Exporter -> most times the predicted RAM that the engine plans for the network below; None where it shows no plan."""


class Padded(nn.Module):
    """Convolutions beside a shortcut, one of them behind a pad of its own, with a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(nn.functional.pad(x, (1, 1, 1, 1)))))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    module = Padded()
    with torch.no_grad():
        for _ in range(10):
            module(torch.randn(32, 3, 8, 8))
    return module.eval()


@pytest.fixture(scope="module")
def data(network: nn.Module) -> Any:
    """Test images whose labels are the network's own answers in floats."""
    images = torch.randint(0, 256, (60, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    moments = (torch.full((3,), 127.0), torch.full((3,), 74.0))
    with torch.no_grad():
        labels = network((images.float() - 127) / 74).argmax(1)
    return SimpleNamespace(test_images=images, test_labels=labels, moments=moments)


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1.72, 1.73, (40, 3, 8, 8)).astype(np.float32)


def test_the_table_of_formats() -> None:
    """Every row has its exporter and a file name of its own."""
    assert [kind.exporter for kind in FORMATS] == list(EXPORTERS)
    assert len({kind.file for kind in FORMATS}) == len(FORMATS)


def test_without_packages_one_line_says_what_to_install(
    network: nn.Module, data: Any, calibration: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is exported, and a file of an earlier fit does not stay behind."""
    monkeypatch.setattr(devices, "CHECKOUT", tmp_path)
    kind = replace(FORMATS[0], packages=("json", "no_such_engine"))
    monkeypatch.setattr(devices, "_handed_over", lambda *_: pytest.fail("exported"))
    (tmp_path / kind.file).write_bytes(b"old")
    written, [missing] = write_device_files(network, data, calibration, tmp_path, formats=[kind])
    assert missing.reason == "no_such_engine is not installed; 'make setup-device' in parlay's checkout does it"
    assert not written and not (tmp_path / kind.file).exists()


def test_the_environment_of_make_setup_device_is_found(
    network: nn.Module, data: Any, calibration: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format whose packages are not here is made by its extra's own Python, into which nothing of this one gets."""
    python = tmp_path / ".venv-executorch" / "bin" / "python"
    python.parent.mkdir(parents=True)
    facts = {
        "file_bytes": 3,
        "arena_bytes": None,
        "arena": "",
        "accuracy": 1.0,
        "images": 60,
        "run_by": "its own Python",
    }
    answer = f"""echo '{json.dumps(facts)}' > "$4/answer.json\""""
    python.write_text(f"""#!/bin/sh\necho "$PYTHONPATH" > '{tmp_path}/path'\n{answer}\n""")
    python.chmod(0o755)
    monkeypatch.setattr(devices, "CHECKOUT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", "of-this-one")
    kind = replace(FORMATS[0], packages=("no_such_engine",))
    written, [missing] = write_device_files(network, data, calibration, tmp_path, formats=[kind])
    assert not written and "make setup-device" in missing.reason  # begun and not finished
    (python.parents[1] / ".installed").touch()
    [one], missing = write_device_files(network, data, calibration, tmp_path, formats=[kind])
    assert (one.run_by, missing, (tmp_path / "path").read_text()) == ("its own Python", [], "\n")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no kernel')", "its process ended with 1 (ValueError: no kernel)"),
        ("import os; os.abort()", "its process ended with -6"),
    ],
)
def test_a_failing_export_is_told_in_one_line(
    code: str,
    reason: str,
    network: nn.Module,
    data: Any,
    calibration: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the other process does, even its end by a signal, is a reason and no exception."""
    monkeypatch.setattr(devices, "_handed_over", lambda *_: None)
    real = devices.subprocess.run
    monkeypatch.setattr(devices.subprocess, "run", lambda command, **options: real([command[0], "-c", code], **options))
    kind = DeviceFormat(name="an engine", file="model.x", extra="x", packages=("json",), exporter="X")
    written, [missing] = write_device_files(network, data, calibration, tmp_path, formats=[kind])
    assert not written and missing.reason.startswith(reason) and "\n" not in missing.reason


@pytest.mark.slow
def test_the_other_process_tells_its_own_errors(
    network: nn.Module, data: Any, calibration: np.ndarray, tmp_path: Path
) -> None:
    """Packages that are there only by name: the import that fails is the reason, and no file is left."""
    absent = [kind for kind in FORMATS if find_spec(kind.packages[0]) is None]
    if not absent:
        pytest.skip("every engine is installed")
    written, [missing] = write_device_files(
        network, data, calibration, tmp_path, formats=[replace(absent[0], packages=("json",))]
    )
    assert not written and missing.reason.startswith("ModuleNotFoundError: No module named")
    assert list(tmp_path.iterdir()) == []


def test_what_torch_cannot_export_is_told(data: Any, calibration: np.ndarray, tmp_path: Path) -> None:
    """A network that decides by its images costs its device files only."""

    class Deciding(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    kind = replace(FORMATS[0], packages=())
    written, [missing] = write_device_files(Deciding(), data, calibration, tmp_path, formats=[kind])
    assert not written and missing.reason.startswith("torch.export cannot follow it (")


def test_pads_fold_into_convolutions(network: nn.Module) -> None:
    """The same function without the pad; one with an odd pixel behind stays."""
    image = torch.randn(1, 3, 8, 8)
    program = torch.export.export(network, (image,)).module(check_guards=False)
    pad = torch.ops.aten.pad.default
    assert pad in {node.target for node in program.graph.nodes}
    folded = fold_pads(program)
    assert pad not in {node.target for node in folded.graph.nodes}
    assert torch.allclose(folded(image), network(image), atol=1e-6)
    odd = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, stride=2)).eval()
    kept = fold_pads(torch.export.export(odd, (image,)).module(check_guards=False))
    assert pad in {node.target for node in kept.graph.nodes}
    assert torch.equal(kept(image), odd(image))


def content_of(written: list[devices.DeviceFile], missing: list[devices.Missing]) -> dict[str, Any]:
    arms = [{"name": "original", "peak_activation_bytes": 9}, {"name": "uniform", "peak_activation_bytes": 49152}]
    return {"winner": "uniform", "arms": arms, "winner_files": facts_of(written, missing)}


def test_lines_and_card_set_planned_beside_predicted() -> None:
    """Size, arena, the winner's predicted RAM and accuracy stand in one line each; what is missing says why."""
    one = devices.DeviceFile(
        name="ExecuTorch, Cortex-M",
        file="model.cortex-m.pte",
        file_bytes=101080,
        arena_bytes=50768,
        arena="ExecuTorch's memory plan",
        accuracy=0.864,
        images=500,
        run_by="a reference",
    )
    other = devices.Missing(name="LiteRT", file="model.int8.tflite", reason="litert_torch is not installed")
    written, absent = device_lines(content_of([one, replace(one, arena_bytes=None)], [other]))[::2]
    assert written == (
        "model.cortex-m.pte (ExecuTorch, Cortex-M): 101,080 bytes, planned arena 50,768 bytes (predicted RAM 49,152),"
        " 86.40 % of 500 test images right, run by a reference"
    )
    assert absent == "model.int8.tflite (LiteRT) not written: litert_torch is not installed"
    card = "\n".join(card_section(facts_of([one], [other]), 49152))
    assert "| 101,080 | 50,768 | 49,152 | 86.40 % of 500 |" in card and "- ExecuTorch, Cortex-M: ExecuTorch's" in card
    assert card_section(facts_of([], [other]), 49152) == [] and device_lines(content_of([], [])) == ()
    assert json.loads(json.dumps(facts_of([one], [other])))["device_files"][0]["arena_bytes"] == 50768


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.exporter)
def test_a_real_export(
    kind: DeviceFormat, network: nn.Module, data: Any, calibration: np.ndarray, tmp_path: Path
) -> None:
    """The file is on disk, agrees with the floats, and its planner asks for what was predicted or a little more."""
    for package in kind.packages:
        pytest.importorskip(package, reason=f"needs the extra {kind.extra}")
    [found], missing = write_device_files(network, data, calibration, tmp_path, formats=[kind])
    assert not missing and found.file_bytes == (tmp_path / kind.file).stat().st_size > 2000
    assert found.accuracy > 0.9 and found.images == 60
    graph = trace(network, torch.zeros(1, 3, 8, 8))
    predicted = graph.peak_activation_bytes()(graph.layout)
    if kind.exporter == "LiteRT":  # the whole arena, which is predicted to the byte
        assert found.arena_bytes == predicted_file(graph).arena(graph.layout, MICRO).total
        return
    most = ARENAS[kind.exporter]
    if most is None:
        assert found.arena_bytes is None
    else:
        assert found.arena_bytes is not None and predicted <= found.arena_bytes <= most * predicted
