"""Models on the command line: several inputs, integers, parts, code beside the file, and names as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parlay.cli.main import run

BESIDE = """
from torch import nn


class Block(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3, 2, 1)

    def forward(self, x):
        from activations_beside import bent
        return bent(self.conv(x))
"""
MODELS = """
import torch
from torch import nn


def late(num_classes=10):
    from blocks_beside import Block
    return nn.Sequential(Block(3, 8), Block(8, 12), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, num_classes))


class Both(nn.Module):
    def __init__(self, words=20):
        super().__init__()
        self.image, self.words = nn.Conv2d(3, 8, 3), nn.Embedding(words, 6)
        self.mixed, self.head = nn.Linear(14, 10), nn.Linear(10, 3)

    def forward(self, x, t):
        return self.head(self.mixed(torch.cat([self.image(x).mean((2, 3)), self.words(t).mean(1)], 1)).relu())


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = late()
        self.head = nn.Linear(10, 4)

    def forward(self, x, targets=None):
        if self.training and targets is None:
            raise ValueError("targets should not be None")
        return self.head(self.backbone(x))


def half():
    return late().half()


class Named(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.parts = nn.ModuleDict({first: nn.Conv2d(3, 8, 3), second: nn.Conv2d(8, 12, 3)})
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        for part in self.parts.values():
            x = part(x).relu()
        return self.head(x.mean((2, 3)))


def key():
    return Named("one", "two")


def brackets():
    return Named("k[a]", "k[/b]")


class Heads(nn.Module):
    def __init__(self, num_classes=10, aux=True):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 12, 3)
        self.early, self.late = nn.Linear(8, num_classes), nn.Linear(12, num_classes)
        self.aux = aux

    def forward(self, x):
        x = self.a(x).relu()
        y = self.late(self.b(x).mean((2, 3)))
        return (y, self.early(x.mean((2, 3)))) if self.training and self.aux else y
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of models in a folder whose name looks like markup, seen from another folder."""
    folder = tmp_path / "nets[old]"
    folder.mkdir()
    (folder / "nets.py").write_text(MODELS)
    (folder / "blocks_beside.py").write_text(BESIDE)
    (folder / "activations_beside.py").write_text("def bent(x):\n    return x.relu()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("nets", "blocks_beside", "activations_beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder / "nets.py"


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_code_beside_a_model_is_found_whenever_it_is_imported(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A factory that imports when it is called, and a forward that does when it runs, work as in Python itself."""
    code, out, err = ask(capsys, "trace", f"{models}:late", "--input", "3x16x16", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["params"] == (27 + 1) * 8 + (72 + 1) * 12 + 13 * 10


def test_several_inputs_and_integers(models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An --input for every input of forward; tokens: are integers, in the files that retrofit writes as well."""
    words = [f"{models}:Both", "--input", "3x8x8", "--input", "tokens:7"]
    code, out, _ = ask(capsys, "trace", *words, "--json")
    assert code == 0
    assert [group["name"] for group in json.loads(out)["groups"]] == ["image", "mixed"]
    code, _, err = ask(capsys, "retrofit", *words, "--out", "new", "--json")
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "new" / "layout.json").read_text("utf-8"))["inputs"] == [[3, 8, 8], "tokens:7"]
    done = subprocess.run([sys.executable, "new/rebuild.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[1]) == (0, "parameters")


def test_a_part_of_a_model(models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A detector that wants targets is refused with the part to trace; that part is traced and rebuilt alone."""
    words = [f"{models}:Detector", "--input", "3x16x16"]
    code, _, err = ask(capsys, "trace", *words)
    assert (code, "--part backbone" in err) == (2, True)
    code, out, _ = ask(capsys, "retrofit", *words, "--part", "backbone", "--out", "new", "--json")
    facts = json.loads(out)
    assert (code, facts["spec"]) == (0, f"{models}:Detector#backbone")
    assert [group["name"] for group in facts["groups"]] == ["0.conv", "1.conv"]
    done = subprocess.run([sys.executable, "new/rebuild.py"], capture_output=True, text=True, check=False)
    assert done.stdout == f"{facts['solutions'][0]['params']} parameters\n"
    code, _, err = ask(capsys, "trace", *words, "--part", "backbon")
    assert (code, "did you mean backbone?" in err) == (2, True)


def test_inputs_are_of_the_type_of_the_model(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model in half precision is traced as it is."""
    code, out, _ = ask(capsys, "trace", f"{models}:half", "--input", "3x16x16", "--json")
    assert (code, json.loads(out)["layout"]) == (0, [8, 12])


@pytest.mark.parametrize("given", ["tokens:", "tokens:x", "words:7", "tokens:0"])
def test_inputs_that_are_none_are_refused(models: Path, capsys: pytest.CaptureFixture[str], given: str) -> None:
    """Before the model is loaded, with both forms that there are."""
    code, _, err = ask(capsys, "trace", f"{models}:Both", "--input", given)
    assert (code, "3x224x224, or tokens:20" in err, err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("command", ["trace", "retrofit", "score"])
def test_names_are_printed_as_they_are(models: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """No name of a module, a factory or a folder is read as markup or as an emoji."""
    for factory, names in (("key", ["parts.one", "parts.two"]), ("brackets", ["parts.k[a]", "parts.k[/b]"])):
        spec = f"{models}:{factory}"
        words = ["today", "--model", spec] if command == "score" else [spec]
        code, out, _ = ask(capsys, command, *words, "--input", "3x8x8")
        shown = [] if command == "score" else names
        shown = [*shown, spec] if command != "trace" else shown
        assert (code, [name for name in shown if name not in out]) == (0, [])


def test_heads_that_only_training_has_are_refused_before_it(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A network that returns a tuple while it trains is met when a study is planned; without the heads it trains."""
    words = ["study", "run", str(tmp_path / "s"), "--layouts", "original", "--data", "digits", "--steps", "2"]
    words += ["--precision", "fp32", "--threads", "1", "--model", f"{models}:Heads"]
    code, _, err = ask(capsys, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "in training mode: got tuple of 2" in err
    assert "--model-arg aux_logits=False" in err
    assert not (tmp_path / "s" / "study.sqlite").exists()
