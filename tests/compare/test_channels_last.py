"""The exported .tflite file put in order: fewer operators, the same outputs, an arena as predicted."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("litert_torch", reason="needs the extra litert")
pytest.importorskip("ai_edge_quantizer", reason="needs the extra litert")

from torch import nn  # noqa: E402

from parlay.compare import device_exports  # noqa: E402
from parlay.device.predict import predicted_file  # noqa: E402
from parlay.device.tflite import parse_tflite  # noqa: E402
from parlay.device.tflm import HOST, arena_of  # noqa: E402
from parlay.graph import trace  # noqa: E402

pytestmark = pytest.mark.slow


class Odd(nn.Module):
    """An odd pad that "same" padding makes up, beside a shortcut; a stride of two with a pixel all around."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.down, self.short = nn.Conv2d(8, 12, 3, stride=2), nn.Conv2d(8, 12, 1, stride=2)
        self.last = nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.head = nn.Linear(16, 300)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.down(nn.functional.pad(x, (0, 1, 0, 1))) + self.short(x))
        return self.head(torch.relu(self.last(x)).mean((2, 3)))


def outputs(content: bytes, images: list[np.ndarray]) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        turned = image if tuple(given["shape"]) == image.shape else image.transpose(0, 2, 3, 1)
        interpreter.set_tensor(given["index"], turned)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(found["index"]).copy())
    return answers


@pytest.mark.filterwarnings("ignore")
def test_a_file_in_order_gives_the_same_and_takes_what_was_predicted(monkeypatch):
    """Before and after, 100 images have identical outputs; no transposition is left; the arena is the predicted one."""
    torch.manual_seed(0)
    network = Odd().eval()
    graph = trace(network, torch.zeros(1, 3, 16, 16))
    images = [torch.randn(1, 3, 16, 16) for _ in range(2)]
    raw: list[bytes] = []
    tidied = device_exports.tidied
    monkeypatch.setattr(device_exports, "tidied", lambda content: (raw.append(content), tidied(content))[1])
    program = torch.export.export(network, (images[0],)).module(check_guards=False)
    content = device_exports.LiteRT().export(device_exports.fold_pads(program), images).content

    kinds = [operator.kind for operator in parse_tflite(content, "it").operators]
    assert kinds == ["CONV_2D", "CONV_2D", "CONV_2D", "ADD", "PAD", "CONV_2D", "MEAN", "FULLY_CONNECTED"]
    assert arena_of(parse_tflite(content, "it"), HOST).used == predicted_file(graph).arena(graph.layout, HOST).used
    draw = np.random.default_rng(0)
    given = [draw.integers(-128, 128, (1, 3, 16, 16)).astype(np.int8) for _ in range(100)]
    for before, after in zip(outputs(raw[0], given), outputs(content, given), strict=True):
        np.testing.assert_array_equal(before, after)
