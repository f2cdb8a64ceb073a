"""What is chosen by a few timed steps, and what a training takes at the least."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from parlay.data import Dataset
from parlay.data.dataset import from_arrays
from parlay.errors import InputError
from parlay.families import plain
from parlay.train import Recipe, footprint, timing
from parlay.train.footprint import check_memory, memory_of
from parlay.train.timing import time_steps

RECIPE = Recipe(name="test", steps=4, batch=8, lr=0.01, crop=1, flip=False)


THREADS = [1]
"""What torch was told, one after another; torch itself stays at one, since several wait long on a busy machine."""


class Slow(nn.Module):
    """Takes so many seconds an image batch, by precision and by threads."""

    def __init__(self, *, fp32: float = 0.0, bf16: float = 0.0, shared: float = 0.0) -> None:
        super().__init__()
        self.head = nn.Linear(64, 2)
        self.seconds = {torch.float32: fp32, torch.bfloat16: bf16}
        self.shared = shared
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        logits = self.head(images.flatten(1))
        time.sleep(self.seconds[logits.dtype] + (self.shared if THREADS[-1] > 1 else 0))
        return logits


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Sixteen images of 8x8 pixels."""
    images, labels = np.arange(16 * 64).reshape(16, 8, 8, 1).astype(np.uint8), np.arange(16) % 2
    content = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    return from_arrays("tiny", content, flips=False)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch):
    """A machine with bf16 instructions and two cores."""

    def told(threads: int) -> int:
        THREADS.append(threads)
        return THREADS[-2]

    monkeypatch.setattr(timing, "set_threads", told)
    monkeypatch.setattr(timing, "precisions_of", lambda name, device: ("fp32", "bf16") if name == "auto" else (name,))
    monkeypatch.setattr(timing, "available_cores", lambda: 2)


@pytest.mark.parametrize(
    ("fp32", "bf16", "expected"), [(0.06, 0.02, "bf16"), (0.03, 0.06, "fp32"), (0.05, 0.05, "fp32")]
)
def test_auto_takes_what_this_network_is_faster_in(both: None, data: Dataset, fp32: float, bf16: float, expected: str):
    """The network at hand is timed, on its own batches; bf16 has to be clearly faster."""
    model = Slow(fp32=fp32, bf16=bf16)
    pace = time_steps(model, data, RECIPE, threads=1)
    assert (pace.precision, pace.threads, set(model.batches)) == (expected, 1, {8})
    assert pace.seconds >= {"fp32": fp32, "bf16": bf16}[expected]


def test_short_steps_are_fp32_on_one_thread(both: None, data: Dataset):
    """Where there is nothing to gain nothing is chosen by chance."""
    pace = time_steps(Slow(fp32=0.001), data, RECIPE)
    assert (pace.precision, pace.threads) == ("fp32", 1)


@pytest.mark.parametrize(("shared", "expected"), [(0.05, 1), (0.0, 1), (-0.05, 2)])
def test_threads_have_to_prove_faster(both: None, data: Dataset, shared: float, expected: int):
    """More threads that are slower, or as fast, are not taken; a stated number is kept; torch's own is put back."""
    model, before = Slow(fp32=0.06, shared=shared), THREADS[-1]
    assert time_steps(model, data, RECIPE, precision="fp32").threads == expected
    assert time_steps(model, data, RECIPE, precision="fp32", threads=1).threads == 1
    assert THREADS[-1] == before


def test_the_time_of_timing_is_bounded(both: None, data: Dataset, monkeypatch: pytest.MonkeyPatch):
    """Where steps are long no further round begins: a step of each choice has to do."""
    monkeypatch.setattr(timing, "SECONDS", 0.05)
    model = Slow(fp32=0.06, bf16=0.06)
    time_steps(model, data, RECIPE, threads=1)
    assert len(model.batches) == 3


def test_a_network_that_diverges_is_timed_all_the_same(both: None, data: Dataset):
    """That a loss is no number is for the training to say."""
    assert time_steps(Slow(fp32=0.001), data, replace(RECIPE, lr=1e38)).precision == "fp32"


def test_what_no_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch):
    """Weights, gradients, momentum and live activations: refused where a device has less, else told."""
    network, layout = plain(3, image=8), (20_000, 20_000, 20_000)
    params, live = network.params(layout), network.peak_activation_bytes()(layout)
    options = {"batch": 100, "recipe": RECIPE, "device": "cpu"}
    monkeypatch.setattr(footprint, "memory_of", lambda device: 80 * 10**9)
    with pytest.raises(InputError, match=r"at least 86.9 GB for 7,\d+,\d+,\d+ parameters .* the 80.0 GB there are"):
        check_memory(network, layout, precision="fp32", **options)
    monkeypatch.setattr(footprint, "memory_of", lambda device: None)
    assert check_memory(network, layout, precision="fp32", **options) == 12 * params + 400 * live
    assert check_memory(network, layout, precision="bf16", **options) == 12 * params + 200 * live
    options["recipe"] = replace(RECIPE, momentum=0.0, nesterov=False)
    assert check_memory(network, layout, precision="fp32", **options) == 8 * params + 400 * live


def test_the_memory_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """The lower of the machine's memory and a container's limit; 'max' is no limit."""
    whole = memory_of("cpu")
    (tmp_path / "limit").write_text("1000000\n")
    (tmp_path / "none").write_text("max\n")
    for names, expected in ((("none", "missing"), whole), (("none", "limit"), 1_000_000)):
        monkeypatch.setattr(footprint, "LIMIT_FILES", [str(tmp_path / name) for name in names])
        found = memory_of("cpu")
        assert found == expected or (expected == whole and found is not None and found >= whole)
