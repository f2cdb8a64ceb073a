"""What others may get carries no folder of the user's: tables, documents, pages, cards, exported networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parlay.cli.main import run
from parlay.study import Reader

torch = pytest.importorskip("torch")

HOME = "somebody"
OURS = {"study.sqlite", "rebuild.py"}
"""Files that have to find a model or a data set again on this machine."""

MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10, notes=""):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.head(self.second(self.first(x).relu()).relu().mean((2, 3)))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a model's file, a data set and a file of weights, named from outside by its whole path."""
    place = tmp_path / HOME
    (place / "one").mkdir(parents=True)
    (place / "net.py").write_text(MODEL)
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    np.savez(place / "one" / "mine.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    entries = [{"group": name, "layers": 1, "prior": 1.0, "weight": 1.5} for name in ("a", "b")]
    weights = {"schema_version": 1, "kind": "parlay weights", "prior": "energy-layer", "weights": entries}
    (place / "w.json").write_text(json.dumps(weights))
    return place


def carrying(folder: Path) -> list[str]:
    """Files below a folder in which the user's stands."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in OURS]
    assert files
    return [path.name for path in files if HOME.encode() in path.read_bytes()]


def test_studies_and_pages(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Data, model and study named by whole paths: trials.csv, export and page have their last names."""
    study, out = home / "study", home / "out"
    out.mkdir()
    plan = ["--model", f"{home}/net.py:Net", "--data", f"{home}/one/mine.npz", "--layouts", "original,4-4"]
    assert run(["study", "run", str(study), *plan, "--steps", "2", "--precision", "fp32", "--threads", "1"]) == 0
    capsys.readouterr()
    assert run(["study", "export", str(study), "--json"]) == 0
    (out / "all.json").write_text(capsys.readouterr().out)
    assert run(["report", str(study), "--out", str(out / "page.html")]) == 0
    assert carrying(study) == carrying(out) == []
    assert {trial["data"] for trial in json.loads((out / "all.json").read_text())["trials"]} == {"mine"}


def test_retrofits_and_fronts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model, an argument and a file of weights named by whole paths: nothing that is written has the folder."""
    score = ["--score", f"calibrated:{home}/w.json"]
    words = [f"{home}/net.py:Net", "--model-arg", f"notes={home}/notes.txt", "--input", "1x8x8", "--flash", "700"]
    assert run(["retrofit", *words, *score, "--out", str(home / "new")]) == 0
    assert run(["pareto", "--depth", "2", "--kernels", "300", "--levels", "2", *score, "--out", str(home / "f")]) == 0
    assert carrying(home / "new") == carrying(home / "f") == []
    facts = json.loads((home / "new" / "layout.json").read_text())
    assert (facts["spec"], facts["model_kwargs"]["notes"]) == ("net.py:Net", "notes.txt")
    assert facts["score"] == "calibrated:w.json"


def test_two_of_one_name_are_told_apart(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By content: data sets by their SHA-256 in every trial, files of weights by theirs in the front's question."""
    other = home / "two" / "mine.npz"
    other.parent.mkdir()
    with np.load(home / "one" / "mine.npz") as arrays:
        np.savez(other, **{**arrays, "x_test": 255 - arrays["x_test"]})
    for data in (home / "one" / "mine.npz", other):
        plan = ["--layouts", "4-4", "--data", str(data), "--steps", "2", "--precision", "fp32"]
        assert run(["study", "new", str(home / "study"), *plan]) == 0
    with Reader(home / "study") as study:
        trials = [(row.data_name, row.trial.data) for row in study.rows()]
    assert [name for name, _ in trials] == ["mine", "mine"] and len(set(trials)) == 2

    def front(weights: Path) -> int:
        score = f"calibrated:{weights}"
        size = ["--depth", "2", "--kernels", "300", "--levels", "2"]
        return run(["pareto", *size, "--score", score, "--out", str(home / "f")])

    moved = home / "two" / "w.json"
    moved.write_text((home / "w.json").read_text())
    assert front(home / "w.json") == front(moved) == 0
    moved.write_text(moved.read_text().replace("1.5", "2.5"))
    capsys.readouterr()
    assert front(moved) == 2
    assert "one of the same question" in capsys.readouterr().err


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What every training fails with."""

    def failing(message: str) -> None:
        def fail(*_: object) -> None:
            raise OSError(message)

        monkeypatch.setattr("parlay.study.work.train_trial", fail)

    return failing


def test_errors_of_trials(home: Path, written: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    """An error that names a file is kept with the file's name alone."""
    written(f"no room in {home}/study/x.bin")
    options = ["--layouts", "4-4", "--data", "digits", "--steps", "2", "--precision", "fp32", "--threads", "1"]
    assert run(["study", "run", str(home / "study"), *options]) == 1
    assert run(["report", str(home / "study"), "--out", str(home / "study" / "page.html")]) == 0
    assert carrying(home / "study") == []
    assert "no room in x.bin" in (home / "study" / "trials.csv").read_text()
