"""The order of operators in an exported file: of the lowest peak, and the same network."""

# ruff: noqa: E402

from __future__ import annotations

import random
from itertools import permutations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import numpy as np
import onnx
from torch import Tensor, nn

from parlay.compare import order
from parlay.compare.liveness import FileFlow, FileStep, live_bytes, peak_of
from parlay.compare.order import lowest_peak, reordered
from parlay.compare.quantise import export_float, logits_of, quantised, session_of

KINDS = ("Conv", "Add", "Relu", "MaxPool", "Concat")


def drawn(draw: random.Random, count: int) -> FileFlow:
    """A flow of so many operators, each reading one to three tensors made before it."""
    tensors, steps = ["image"], []
    for place in range(count):
        reads = draw.sample(tensors, min(len(tensors), draw.randint(1, 3)))
        made = f"t{place}"
        steps.append(FileStep(kind=draw.choice(KINDS), node=place, reads=frozenset(reads), writes=frozenset([made])))
        tensors.append(made)
    sizes = {name: draw.randint(1, 100) for name in tensors}
    read = {name for step in steps for name in step.reads}
    outputs = frozenset(name for name in tensors if name not in read)
    return FileFlow(steps=tuple(steps), sizes=sizes, given="image", outputs=outputs)


def is_possible(steps: list[FileStep], given: str) -> bool:
    """Whether every step comes after what it reads."""
    there = {given}
    for step in steps:
        if not step.reads <= there:
            return False
        there |= step.writes
    return True


@pytest.mark.parametrize("seed", range(30))
def test_the_order_is_the_best_of_all(seed: int):
    """No order of up to seven operators has a lower peak: all of them are tried."""
    draw = random.Random(seed)
    flow = drawn(draw, draw.randint(3, 7))
    found = [flow.steps[place] for place in lowest_peak(flow)]
    assert is_possible(found, flow.given)
    everything = (list(some) for some in permutations(flow.steps) if is_possible(list(some), flow.given))
    best = min(peak_of(flow, some, writes_over=True) for some in everything)
    assert peak_of(flow, found, writes_over=True) == best <= peak_of(flow, flow.steps, writes_over=True)


def test_thirty_operators_are_searched_to_the_end():
    """Residual blocks whose shortcut comes last: proven within the search's bounds, and lower than as written."""
    steps, sizes, before = [], {"image": 40}, "image"
    for block in range(7):
        short, first, second, total = (f"{name}{block}" for name in ("short", "first", "second", "sum"))
        # the shortcut is written last, as in most networks: then it is made beside what it is added to
        for kind, reads, made in (
            ("Conv", [before], first),
            ("Conv", [first], second),
            ("Conv", [before], short),
            ("Add", [short, second], total),
        ):
            steps.append(FileStep(kind=kind, node=len(steps), reads=frozenset(reads), writes=frozenset([made])))
        out = 60 + 20 * block  # wider from block to block
        sizes |= {short: out, first: 90, second: out, total: out}
        before = total
    flow = FileFlow(steps=tuple(steps), sizes=sizes, given="image", outputs=frozenset([before]))
    found = [flow.steps[place] for place in lowest_peak(flow)]
    assert peak_of(flow, found, writes_over=True) < peak_of(flow, flow.steps, writes_over=True)


def test_a_search_that_is_too_large_leaves_the_order(monkeypatch: pytest.MonkeyPatch):
    """Never worse than the exporter's: as it was."""
    flow = drawn(random.Random(1), 40)
    monkeypatch.setattr(order, "MOST_SETS", 50)
    assert lowest_peak(flow) == list(range(40))


class ShortcutFirst(nn.Module):
    """A residual block whose shortcut is written, and exported, before the branch."""

    def __init__(self) -> None:
        super().__init__()
        self.short = nn.Conv2d(3, 16, 1, stride=2)
        self.first, self.second = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        short = self.short(images)
        branch = self.second(torch.relu(self.first(images)))
        return self.head(torch.relu(branch + short).mean((2, 3)))


def test_a_file_in_another_order_is_the_same_network():
    """In floats and in int8: lower peak, same logits, a file that the checker of ONNX accepts."""
    torch.manual_seed(0)
    plain = export_float(ShortcutFirst(), (3, 16, 16))
    images = np.random.default_rng(0).standard_normal((60, 3, 16, 16)).astype(np.float32)
    for content in (plain, quantised(plain, images)):
        better = reordered(content, images[:1])
        onnx.checker.check_model(onnx.load_from_string(better))
        assert live_bytes(better, images[:1]).in_place < live_bytes(content, images[:1]).in_place
        assert np.array_equal(logits_of(session_of(better), images[:8]), logits_of(session_of(content), images[:8]))
        assert reordered(better, images[:1]) == better
