"""trace on the command line: models by name, fixed keys, one line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parlay.cli.main import run

MODELS = """
import torch
from torch import nn


def small(width=6, act="relu"):
    layers = {"relu": nn.ReLU, "gelu": nn.GELU}
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), layers[act](), nn.Conv2d(width, 5, 1), nn.Flatten(), nn.Linear(320, 2)
    )


ready = small(7)
number = 3


class Spectrum(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.fft.fft2(self.conv(x)).real.mean((2, 3)))


def broken():
    raise RuntimeError("no luck\\ntoday")
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nets_of_mine.py"
    path.write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_trace_json(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    """The keys of the contract, and polynomials that give today's numbers."""
    code, out, err = ask(capsys, "trace", f"{models.name}:small", "--input", "3x8x8", "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert facts["layout"] == [6, 5]
    assert facts["groups"][0] == {"name": "0", "width": 6, "multiple_of": 1, "multiplicity": 1, "members": ["0"]}
    assert (facts["params"], facts["macs"]) == (845, 12928)
    assert facts["peak_activation_bytes"] == 64 * 11
    params = facts["polynomials"]["params"]
    assert params == {"constant": 2, "linear": [28, 129], "quadratic": [[0, 1, 1]], "divisor": 1}
    points = {point.pop("point"): point for point in facts["polynomials"]["peak_activation_bytes"]}
    assert points["2: conv2d"] == {"constant": 0, "linear": [64, 64], "quadratic": [], "divisor": 1}
    assert set(points) == {"0: conv2d", "2: conv2d", "4: linear"}


def test_trace_text(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    """A table of groups, then each polynomial on a line."""
    code, out, _ = ask(capsys, "trace", f"{models}:small", "--input", "3x8x8", "--model-arg", "width=9")
    assert code == 0
    assert "2 width groups" in out
    assert "params 944 = 2 + 28 w1 + 129 w2 + w1 w2" in out
    assert "peak activation memory 896 bytes (int8), the largest of 3; now at 2: conv2d: 64 w1 + 64 w2" in out


@pytest.mark.parametrize(
    "spec", ["nets_of_mine:small", "nets_of_mine.py:small", "./nets_of_mine.py:ready", "torchvision/squeezenet1_1"]
)
def test_models_by_name(capsys: pytest.CaptureFixture[str], models: Path, spec: str) -> None:
    """A module on the path or in this folder, a file, a module object, torchvision."""
    side = "3x32x32" if "/squeeze" in spec else "3x8x8"
    code, out, err = ask(capsys, "trace", spec, "--input", side, "--json")
    assert code == 0, err
    assert json.loads(out)["spec"] == spec


def test_pin(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    """A pinned layer keeps its width; the others are free."""
    _, out, _ = ask(capsys, "trace", f"{models}:small", "--input", "3x8x8", "--pin", "0", "--json")
    assert [group["name"] for group in json.loads(out)["groups"]] == ["2"]


MISTAKES = {
    ("torchvision/resnt18", "3x8x8"): "did you mean resnet18",
    ("torchvison/resnet18", "3x8x8"): "did you mean torchvision/resnet18?",
    ("resnet18", "3x8x8"): "allowed: torchvision/NAME",
    ("nets_of_mine.py:smal", "3x8x8"): "did you mean small?",
    ("nets_of_mine.py:broken", "3x8x8"): "RuntimeError: no luck at ",
    ("nets_of_mine.py:number", "3x8x8"): "number, a int; allowed: a function or class",
    ("missing.py:small", "3x8x8"): "allowed: a Python file that exists",
    ("no_such_module:small", "3x8x8"): "No module named 'no_such_module'",
    ("nets_of_mine.py:small", "3x8"): "allowed: what the model's forward accepts",
    ("nets_of_mine.py:small", "1x8x8"): "expected input[2, 1, 8, 8] to have 3 channels",
    ("nets_of_mine.py:small", "3x8x"): "allowed: positive sizes joined by x",
    ("nets_of_mine.py:small", "3x99999x99999"): "at most 100000000 values",
    ("nets_of_mine.py:small --model-arg width", "3x8x8"): "allowed: key=value",
    ("nets_of_mine.py:small --model-arg act=swish", "3x8x8"): "KeyError: 'swish'",
    ("nets_of_mine.py:small --pin 9", "3x8x8"): "pin: got '9'",
    ("nets_of_mine.py:small --dtype int4", "3x8x8"): "dtype: got 'int4'; allowed: int8",
    ("nets_of_mine.py:small --pin 0 --pin 2", "3x8x8"): "no width is free",
    ("nets_of_mine.py:Spectrum", "3x8x8"): "operator fft_fft2 at",
}


@pytest.mark.parametrize("spec", MISTAKES)
def test_mistakes_are_met_with_one_line(
    capsys: pytest.CaptureFixture[str], models: Path, spec: tuple[str, str]
) -> None:
    """What was given, what is allowed, and no traceback."""
    code, out, err = ask(capsys, "trace", *spec[0].split(), "--input", spec[1])
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert MISTAKES[spec] in err
