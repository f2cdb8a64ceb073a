"""Files for engines of devices beside predicted RAM, for three untrained networks of ``examples/mlperf_tiny.py``.

``python benchmarks/device_files.py`` prints the table of docs/fit.md; engines that are not installed are told instead.
Images are random, and labels the networks' own answers in floats, so "agrees" is the share of images on which a file
chooses the class that the floats choose.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from parlay.compare.devices import write_device_files
from parlay.graph import trace
from parlay.graph.specs import load_model

MODELS = Path(__file__).resolve().parent.parent / "examples" / "mlperf_tiny.py"
NETWORKS = {"resnet8": (3, 32, 32), "ds_cnn": (1, 49, 10), "mobilenet_v1": (3, 96, 96)}
IMAGES = 50


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Random images in the place of a data set, of any shape."""

    test_images: Tensor
    test_labels: Tensor
    moments: tuple[Tensor, Tensor]


def normalised(images: Tensor) -> Tensor:
    """Grey levels 0 to 255, evenly distributed, as numbers of mean 0 and deviation 1."""
    return (images.float() - 127.5) / 73.9


def table(name: str, shape: tuple[int, ...]) -> None:
    """Print one network's rows."""
    torch.manual_seed(0)
    module = load_model(f"{MODELS}:{name}", {})
    draw = torch.randint(0, 256, (3 * IMAGES, *shape), dtype=torch.uint8)
    with torch.no_grad():
        module.train()
        for _ in range(10):  # running moments of batch norms
            module(normalised(draw[:IMAGES]))
        module.eval()
        graph = trace(module, torch.zeros(1, *shape))
        test = draw[2 * IMAGES :]
        labels = module(normalised(test)).argmax(1)
    moments = (torch.full(shape[:1], 127.5), torch.full(shape[:1], 73.9))
    data = Drawn(test_images=test, test_labels=labels, moments=moments)
    with tempfile.TemporaryDirectory() as folder:
        calibration = normalised(draw[IMAGES : 2 * IMAGES]).numpy()
        written, missing = write_device_files(module, data, calibration, Path(folder))
    predicted = graph.peak_activation_bytes()(graph.layout)
    for found in written:
        arena = "–" if found.arena_bytes is None else f"{found.arena_bytes:,}"
        agrees = f"{100 * found.accuracy:.0f} %"
        print(f"| {name} | {found.name} | {found.file_bytes:,} | {predicted:,} | {arena} | {agrees} |", flush=True)
    for other in missing:
        print(f"{other.file} ({other.name}) not written: {other.reason}", file=sys.stderr)


if __name__ == "__main__":
    print("| network | engine | file, bytes | predicted RAM | planned arena | agrees |\n|---|---|---:|---:|---:|---:|")
    for name in sys.argv[1:] or NETWORKS:
        table(name, NETWORKS[name])
