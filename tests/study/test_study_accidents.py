"""What goes wrong around trainings and studies, each met without losing anything and with a line that says what."""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from parlay.cli.main import run
from parlay.data import Dataset, load
from parlay.errors import DivergedError, InputError, StudyError
from parlay.families import plain
from parlay.study import DataSource, Kind, Reader, Store, make_plan, run_study
from parlay.study import work as work_module
from parlay.study.trial_network import ModelNetwork
from parlay.study.workspace import Beat, Workspace
from parlay.train import get_recipe
from parlay.train.checkpoint import Checkpoints, Snapshot
from parlay.train.loop import train
from study_checks import small_plan


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command complains with."""
    code = run([str(argument) for argument in arguments])
    line = capsys.readouterr().err
    assert code == 2 and len(line.splitlines()) == 1, line
    return line


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def test_checkpoints_are_kept_after_all_before_were_damaged(tmp_path: Path):
    """A training that begins anew keeps its snapshots, though damaged ones of later steps lie beside them."""
    checkpoints = Checkpoints(folder=tmp_path / "kept")
    for step in (800, 900):
        checkpoints.write(Snapshot(step=step, tensors={"a": torch.tensor([step])}, run="r"))
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(b"damaged")
    assert checkpoints.read("r") is None
    for step in (10, 20, 30):
        checkpoints.write(Snapshot(step=step, tensors={"a": torch.tensor([step])}, run="r"))
        found = checkpoints.read("r")
        assert found is not None and found.step == step
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "step-0000000020.checkpoint",
        "step-0000000030.checkpoint",
    ]


def test_a_rate_without_bounds_is_divergence(digits: Dataset):
    """A factor so large that the rate is no number any more ends the run as diverged, in one line."""
    settings = {"schedule": "steps", "milestones": "0.2,0.4", "factor": "1e300"}
    recipe = get_recipe("digits").with_settings(settings)
    family = plain(2, in_channels=1, image=8)
    with pytest.raises(DivergedError, match="the loss is nan"):
        train(family.build((2, 2), seed=0), digits, recipe, seed=0, steps=4)


@pytest.mark.parametrize(
    ("shape", "what"),
    [({"in_channels": 3}, "in-channels"), ({"image": 9}, "image side"), ({"classes": 9}, "classes")],
)
def test_a_network_that_does_not_fit_the_data_is_refused(shape: dict[str, int], what: str, digits: Dataset):
    """Channels, image side and classes must be those of the data."""
    family = plain(2, **{"in_channels": 1, "image": 8, "classes": 10, **shape})
    layouts = {(3, 3): frozenset({Kind.GIVEN})}
    [planned] = make_plan(family, layouts, data=digits.fingerprint, recipe=get_recipe("digits"))
    with pytest.raises(InputError, match=f"{what} of the network: got .*that of digits"):
        work_module.check_fits(planned.trial, digits, device="cpu")


@pytest.mark.parametrize("part", ["test", "validation"])
def test_labels_that_judge_nothing_are_refused(part: str):
    """Where no image has a class present there is no accuracy: said before training, not as a number that is none."""
    images = torch.zeros((6, 1, 4, 4), dtype=torch.uint8)
    labels = torch.tensor([[1, -1], [-1, 1]] * 3, dtype=torch.int8)
    nothing = {f"{part}_labels": torch.tensor([[0, -1]] * 6, dtype=torch.int8)}
    parts = {f"{name}_images": images for name in ("train", "test", "validation")}
    held = {f"{name}_labels": labels for name in ("train", "test", "validation")}
    data = Dataset(name="toy", classes=2, flips=False, multi_label=True, **{**parts, **held, **nothing})
    family = plain(2, in_channels=1, image=4, classes=2)
    with pytest.raises(InputError, match=f"{part} images: got none with a class present"):
        train(family.build((2, 2), seed=0), data, get_recipe("digits"), seed=0, steps=1)


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
@pytest.mark.parametrize("device", ["gpu", "cuda:77"])
def test_a_device_that_is_not_there_is_refused_before_any_trial(
    device: str, workers: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Not every trial of a study fails one by one: none begins."""
    assert run(["study", "new", str(tmp_path), "--layouts", "4-4", "--data", "digits", "--precision", "fp32"]) == 0
    assert "device: got" in complaint(capsys, "study", "run", tmp_path, "--device", device, *workers)
    with Reader(tmp_path) as study:
        assert [(row.status, row.attempts) for row in study.rows()] == [("planned", 0)]


def test_a_model_file_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A relative name stands for the file that it named when the study was planned, however it is spelt."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make(num_classes):\n"
        "    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, num_classes)]\n"
        "    return nn.Sequential(*layers)\n"
    )
    (tmp_path / "elsewhere").mkdir()
    options = ("--layouts", "original", "--data", "digits", "--steps", "2", "--precision", "fp32")
    monkeypatch.chdir(tmp_path)
    assert run(["study", "new", "study", "--model", "net.py:make", *options]) == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert run(["study", "new", "../study", "--model", "../net.py:make", *options]) == 0
    assert "nothing added" in capsys.readouterr().out
    assert run(["study", "run", "../study", "--threads", "1"]) == 0
    with Reader("../study") as study:
        [row] = study.rows()
    network = cast(ModelNetwork, row.trial.network)
    assert (row.status, network.title, network.spec) == ("complete", "net.py:make", "net.py:make")
    assert network.folder == str(tmp_path)
    capsys.readouterr()
    moved = tmp_path / "moved" / "net.py"
    moved.parent.mkdir()
    (tmp_path / "net.py").rename(moved)
    assert run(["study", "new", "../study", "--n-seeds", "2"]) == 0
    assert "1 trial planned" in capsys.readouterr().out
    assert run(["study", "run", "../study", "--threads", "1"]) == 1
    with Reader("../study") as study:
        errors = [row.error or "" for row in study.rows()]
    assert "--model FOLDER/net.py:make" in errors[1] and str(tmp_path) not in errors[1]
    assert run(["study", "new", "../study", "--model", str(moved) + ":make", *options]) == 0
    assert "nothing added" in capsys.readouterr().out
    assert run(["study", "run", "../study", "--threads", "1"]) == 0
    with Reader("../study") as study:
        assert [row.status for row in study.rows()] == ["complete", "complete"]
    assert str(tmp_path) not in (tmp_path / "study" / "trials.csv").read_text()


def test_other_code_of_the_same_structure_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A changed activation is the same network, and a line says that the code is another; nothing is said before."""
    code = (
        "from torch import nn\n\n\ndef make(num_classes):\n"
        "    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, num_classes)]\n"
        "    return nn.Sequential(*layers)\n"
    )
    path, folder = tmp_path / "net.py", tmp_path / "study"
    path.write_text(code)
    plan = ["study", "new", str(folder), "--model", f"{path}:make", "--layouts", "original", "--data", "digits"]
    assert run([*plan, "--steps", "2", "--precision", "fp32"]) == 0
    assert "note" not in capsys.readouterr().err
    path.write_text(code.replace("ReLU", "Tanh"))
    assert run(["study", "new", str(folder), "--n-seeds", "2"]) == 0
    said = "note: the code of net.py:make is no longer the one that 2 trials were planned with"
    assert said in capsys.readouterr().err
    assert run(["study", "run", str(folder), "--threads", "1"]) == 0
    assert capsys.readouterr().err.count(said) == 1


def test_a_model_of_an_earlier_parlay_goes_on_under_its_old_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Identities that hold a whole path stay as they were: read, shown by the file's name, planned again as known."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make(num_classes):\n"
        "    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, num_classes)]\n"
        "    return nn.Sequential(*layers)\n"
    )
    spec = f"{tmp_path / 'net.py'}:make"
    now = ModelNetwork.traced(spec, in_channels=1, image=8, classes=10)
    old = replace(now, known_as=spec, code="")
    data = load("digits")
    plan = make_plan(
        old, {now.today: frozenset({Kind.ORIGINAL})}, data=data.fingerprint, recipe=get_recipe("digits"), steps=2
    )
    with Store(tmp_path / "study") as store:
        store.add(plan, data_name="digits")
        store.remember_source(data.fingerprint, DataSource(name="digits", spec="digits"))
    with closing(sqlite3.connect(tmp_path / "study" / "study.sqlite")) as file, file:
        file.execute("UPDATE trials SET model_folder = NULL")  # as a file of that time is widened
    assert plan[0].trial.config["network"]["model"] == spec
    with Reader(tmp_path / "study") as study:
        [row] = study.rows()
    network = cast(ModelNetwork, row.trial.network)
    assert (network.title, network.folder, row.trial.identity) == ("net.py:make", str(tmp_path), plan[0].trial.identity)
    options = ["--layouts", "original", "--data", "digits", "--steps", "2", "--precision", "fp32"]
    assert run(["study", "new", str(tmp_path / "study"), "--model", spec, *options]) == 0
    assert "nothing added" in capsys.readouterr().out
    assert run(["study", "run", str(tmp_path / "study"), "--threads", "1"]) == 0
    assert str(tmp_path) not in (tmp_path / "study" / "trials.csv").read_text()


def test_arguments_of_a_model_are_called_by_no_other_commands_name(capsys: pytest.CaptureFixture[str]):
    """--model-arg is complained about without naming trace's option."""
    line = complaint(
        capsys, "train", "original", "--data", "digits", "--model", "torchvision/alexnet", "--model-arg", "x"
    )
    assert "model argument: got 'x'; allowed: key=value" in line and "kwargs" not in line


@pytest.mark.parametrize("missing", ["gone", "changed"])
def test_data_that_is_missing_does_not_stop_trials_on_other_data(missing: str, digits: Dataset, tmp_path: Path):
    """They run first; then the error is told, and the trials without data are still planned."""
    plan = small_plan(digits, [(2, 2), (2, 3)], steps=2)
    other: Any = SimpleNamespace(name="other", fingerprint="b" * 64)
    asked: list[str] = []

    def loader(fingerprint: str) -> Dataset:
        asked.append(fingerprint)
        if fingerprint == digits.fingerprint:
            return digits
        if missing == "gone":
            raise InputError("data file", given="other.npz", allowed="a file that is there")
        return SimpleNamespace(name="other", fingerprint="c" * 64)  # pyright: ignore[reportReturnType]

    with Store(tmp_path) as store:
        store.add(small_plan(other, [(2, 2), (2, 3)], steps=2), data_name="other")
        store.add(plan, data_name="digits")
        with pytest.raises((InputError, StudyError), match=r"other\.npz|has the content cccccccccccc"):
            run_study(store, None, loader)
        assert [row.status for row in store.rows()] == ["planned", "planned", "complete", "complete"]
    assert asked == ["b" * 64, digits.fingerprint], "each is loaded once"


DAMAGE = (
    "UPDATE trials SET figures = '{}'",
    "UPDATE trials SET figures = '[1]'",
    "UPDATE trials SET figures = json_set(figures, '$.macs', null)",
    "UPDATE trials SET versions = '[1]'",
    "UPDATE trials SET kinds = ''",
    "UPDATE trials SET losses = x'0011'",
)


@pytest.fixture(scope="module")
def conducted(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a study of one trial."""
    folder = tmp_path_factory.mktemp("conducted")
    with Store(folder) as store:
        run_study(store, small_plan(digits, [(2, 2)], steps=2), digits)
    return (folder / "study.sqlite").read_bytes()


@pytest.mark.parametrize("statement", DAMAGE)
def test_rows_that_are_damaged_are_told(
    statement: str, conducted: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Contents that no driver writes are one line that says so, whichever command reads them."""
    (tmp_path / "study.sqlite").write_bytes(conducted)
    connection = sqlite3.connect(tmp_path / "study.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()
    assert "is damaged" in complaint(capsys, "study", "export", tmp_path, "--curves", tmp_path / "curves.npz")
    if "losses" not in statement:
        for command in (("status",), ("export", "--json"), ("run",)):
            assert "is damaged" in complaint(capsys, "study", command[0], tmp_path, *command[1:])


def test_a_file_in_the_way_of_running_trials_is_told(digits: Dataset, tmp_path: Path):
    """What cannot be made is named."""
    with Store(tmp_path) as store:
        (tmp_path / "running").write_text("mine")
        with pytest.raises(InputError, match=r"running trials: got .*running; allowed: a folder that can be made"):
            run_study(store, small_plan(digits, [(2, 2)], steps=2), digits)
    assert (tmp_path / "running").read_text() == "mine"


def test_the_speed_of_a_batch_larger_than_the_data(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Twenty images are left of the digits and batches are of 64: at a step a second, 20 images a second."""
    beats: list[Beat] = []
    ticks = itertools.count(1.0)
    clock = SimpleNamespace(monotonic=lambda: next(ticks), time=time.time, perf_counter=time.perf_counter)
    monkeypatch.setattr(work_module, "time", clock)
    monkeypatch.setattr(Workspace, "write_beat", lambda _self, _identity, beat: beats.append(beat))
    with Store(tmp_path) as store:
        run_study(store, small_plan(digits, [(2, 2)], steps=8, validation=876), digits)
    assert [(beat.step, beat.images_per_second) for beat in beats] == [(step, 20.0) for step in range(2, 9)]


def test_who_may_only_read_sees_the_driver(tmp_path: Path):
    """status of a study that one may not write to names the process that runs it."""
    with Store(tmp_path) as store:
        (tmp_path / "study.lock").chmod(0o444)
        assert store.driver() == os.getpid()
