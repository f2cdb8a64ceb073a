"""Errors in the code of a user's model: its file and line, and no blame on the input."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlay.cli.main import run

CODE = """
from torch import nn

class Made(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, undefined, 3)

class Run(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return self.absent(self.first(x))

class Reshaped(Run):
    def forward(self, x):
        return self.first(x).view(7, 7777)
"""
CASES = {
    "Made": ("factory of", "7 self.first = nn.Conv2d(3, undefined, 3)", "the model's own code raised it"),
    "Run": ("forward of Run", "15 return self.absent(self.first(x))", "the model's own code raised it"),
    "Reshaped": ("input 3x8x8 of Reshaped", "19 return self.first(x).view(7, 7777)", "forward accepts"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_models_own_error_is_shown_where_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with file, line and code; only what an input can bring about is laid to the input."""
    monkeypatch.chdir(tmp_path)
    Path(f"faulty_{name.lower()}.py").write_text(CODE)
    assert run(["trace", f"faulty_{name.lower()}.py:{name}", "--input", "3x8x8"]) == 2
    complaint = capsys.readouterr().err
    what, line, remedy = CASES[name]
    assert complaint.startswith(f"parlay: {what}") and len(complaint.splitlines()) == 1
    assert f"faulty_{name.lower()}.py:{line}" in complaint and remedy in complaint
    assert ("--input" in complaint) is (name == "Reshaped")


@pytest.mark.parametrize(
    ("code", "said"), [("def make(:", "1 def make(:"), ("\nimport absent_module", "2 import absent_module")]
)
def test_a_file_that_does_not_run(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line at fault, not a list of the forms of names."""
    monkeypatch.chdir(tmp_path)
    name = f"broken_{len(code)}"
    Path(f"{name}.py").write_text(code)
    assert run(["trace", f"{name}.py:make", "--input", "3x8x8"]) == 2
    complaint = capsys.readouterr().err
    assert f"{name}.py:{said}" in complaint and "allowed: a file that Python can run" in complaint
    assert "torchvision" not in complaint


def test_arguments_that_a_factory_does_not_take_are_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that does not reach the model's code is laid to the arguments."""
    monkeypatch.chdir(tmp_path)
    Path("called.py").write_text(CODE)
    assert run("trace called.py:Run --input 3x8x8 --model-arg wdith=3".split()) == 2
    assert "check the arguments given to it" in capsys.readouterr().err
