"""``parlay train``, ``parlay study run`` and ``parlay demo`` as users meet them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parlay import demo as demo_module
from parlay.cli.main import run
from parlay.families import plain


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """Forty colour images of 8x8 pixels in three classes."""
    draw = np.random.RandomState(0)
    arrays = {f"x_{part}": draw.randint(0, 256, (40, 8, 8, 3)).astype(np.uint8) for part in ("train", "test")}
    np.savez(tmp_path / "toy.npz", **arrays, **{f"y_{part}": np.arange(40) % 3 for part in ("train", "test")})
    return tmp_path / "toy.npz"


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """The one JSON document that a command prints on stdout."""
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command complains with."""
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 2 and captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err


def test_train_takes_channels_image_and_classes_from_the_data(data_file: Path, capsys: pytest.CaptureFixture[str]):
    """Kernels, weights, params and macs are those of a network that fits the data; same call, same result."""
    command = (
        "train",
        "4-5-6",
        "--data",
        data_file,
        "--steps",
        3,
        "--seed",
        5,
        "--precision",
        "fp32",
        "--threads",
        1,
        "--json",
    )
    first, second = answer(capsys, *command), answer(capsys, *command)
    family = plain(3, image=8, classes=3)
    layout = (4, 5, 6)
    assert first["schema_version"] == 1 and first["layout"] == [4, 5, 6]
    assert (first["kernels"], first["weights"]) == (family.kernels(layout), family.weights(layout))
    assert (first["params"], first["macs"]) == (family.params(layout), family.macs(layout))
    assert first["peak_activation_bytes"] == family.peak_activation_bytes()(layout)
    assert (first["in_channels"], first["image"], first["classes"]) == (3, 8, 3)
    assert (first["data"], first["recipe"]["name"], first["steps"], first["seed"]) == ("toy", "fast", 3, 5)
    assert 0 <= first["accuracy"] <= 1 and first["seconds"] > 0
    timed = {"seconds", "images_per_second"}
    assert {key: value for key, value in first.items() if key not in timed} == {
        key: value for key, value in second.items() if key not in timed
    }


def test_train_prints_for_people_and_knows_resnets(data_file: Path, capsys: pytest.CaptureFixture[str]):
    """Without --json two lines; --family resnet takes its depth."""
    command = ["train", "4-5-6-6", "--family", "resnet", "--depth", "8", "--data", str(data_file), "--steps", "2"]
    assert run(command) == 0
    out = capsys.readouterr().out
    assert "4-5-6-6, resnet of depth 8" in out and "test accuracy" in out and len(out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image", 32), "--image: got 32; allowed: 8, that of the data toy"),
        (("--classes", 10), "--classes: got 10; allowed: 3"),
        (("--in-channels", 1), "--in-channels: got 1; allowed: 3"),
        (("--steps", 0), "steps: got 0"),
        (("--seed", -1), "--seed: got -1"),
        (("--threads", 0), "threads: got 0"),
        (("--recipe", "slow"), "recipe: got 'slow'"),
        (("--depth", 4), "layout of plain of depth 4: got 3 widths for 4 groups"),
        (("--family", "resent"), "did you mean resnet?"),
    ],
)
def test_train_refuses_in_one_line(
    arguments: tuple[object, ...], message: str, data_file: Path, capsys: pytest.CaptureFixture[str]
):
    """What contradicts the data, or is out of range, is named with what is allowed."""
    assert message in complaint(capsys, "train", "4-5-6", "--data", data_file, *arguments)


def test_data_that_agrees_with_the_options_is_fine(data_file: Path, capsys: pytest.CaptureFixture[str]):
    """Stating what the data says anyway is no contradiction."""
    found = answer(capsys, "train", "4-5", "--data", data_file, "--steps", 1, "--image", 8, "--classes", 3, "--json")
    assert found["depth"] == 2


def test_bad_data_and_layouts_are_one_line(tmp_path: Path, data_file: Path, capsys: pytest.CaptureFixture[str]):
    """An unknown name, a missing file, a truncated one, a malformed layout."""
    data_file.write_bytes(data_file.read_bytes()[:500])
    for layout, data, message in (
        ("4-5", "digit", "did you mean digits?"),
        ("4-5", tmp_path / "no.npz", "no such file"),
        ("4-5", data_file, "undamaged"),
        ("4-x", "digits", "positive integers"),
    ):
        assert message in complaint(capsys, "train", layout, "--data", data)


def test_without_torch_train_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Where torch is missing the extra is named."""
    for name in [name for name in sys.modules if name.startswith(("parlay.data", "parlay.nets", "parlay.train.loop"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install '.[train]'" in complaint(capsys, "train", "4-5", "--data", "digits")


def test_a_study_from_the_command_line(data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """top and spread combine; trials.csv and scatter.png are written; a second call with more reuses what is there."""
    folder = tmp_path / "deep" / "study"
    command = ["study", "run", "--study", folder, "--depth", 3, "--kernels", 500, "--data", data_file, "--steps", 2]
    first = answer(capsys, *command, "--layouts", "top:2", "--layouts", "spread:2", "--threads", 1, "--json")
    count = first["planned"]
    assert (first["reused"], first["trained"], first["failed"]) == (0, count, 0) and 3 <= count <= 4
    lines = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert len(lines) == count and {line["kernels"] for line in lines} == {"500"}
    assert [line["kind"] for line in lines].count("top") == 2
    assert {line["status"] for line in lines} == {"complete"}
    (folder / "scatter.png").unlink()
    again = answer(
        capsys, *command, "--layouts", "top:3", "--layouts", "spread:2", "--seeds", 1, "--threads", 1, "--json"
    )
    assert again["reused"] == count and again["trained"] == again["planned"] - count
    assert (folder / "scatter.png").read_bytes().startswith(b"\x89PNG")
    assert {trial["layout"][0] for trial in first["trials"]} <= {trial["layout"][0] for trial in again["trials"]}
    wider = answer(capsys, "study", "run", folder, "--layouts", "3-4", "--data", data_file, "--steps", 2, "--json")
    assert (wider["planned"], wider["trained"], wider["others"]) == (1, 1, again["planned"])
    assert [trial["depth"] for trial in wider["trials"]] == [2]


def test_a_trial_that_diverges_fails_alone(data_file: Path, tmp_path: Path, capsys):
    """The failure is kept with its reason, tried again as asked, and the exit code says so."""
    command = ["study", "run", "--study", str(tmp_path / "s"), "--layouts", "3-4,4-3", "--data", str(data_file)]
    assert run([*command, "--recipe-set", "lr=1e30", "--steps", "8", "--threads", "1", "--retries", "1", "--json"]) == 1
    trials = json.loads(capsys.readouterr().out)["trials"]
    assert [trial["status"] for trial in trials] == ["failed", "failed"]
    assert all("DivergedError: training diverged" in trial["error"] and trial["accuracy"] is None for trial in trials)
    assert {trial["attempts"] for trial in trials} == {2} and {trial["recipe"] for trial in trials} == {"fast[lr=1e30]"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layouts", "top:2", "--depth", 3), "one size for top, spread, sample and all"),
        (("--layouts", "best", "--depth", 3, "--kernels", 500), "allowed: top:K"),
        (("--layouts", "top:2", "--depth", 3, "--kernels", 7), "nearest"),
        (("--layouts", "top:2", "--kernels", 500), "--depth"),
        (("--layouts", "3-4", "--seeds", 0), "--n-seeds: got 0"),
        (("--layouts", "3-4", "--val", 40), "set aside"),
        (("--layouts", "3-4", "--recipe-set", "lr"), "field=value"),
        (("--layouts", "3-4", "--recipe-set", "rate=1"), "recipe field: got 'rate'"),
        (("--layouts", "3-4", "--precision", "fp8"), "precision: got 'fp8'"),
        (("--layouts", "3-4", "--workers", 0), "workers: got 0"),
        (("--layouts", "original", "--depth", 2), "only a model"),
        (("--layouts", "3-4", "--model-arg", "a=1"), "together with --model"),
        (("--layouts", "3-4", "--model", "x:y", "--depth", 3), "--depth: got with --model"),
        (("--layouts", "3-4", "--seeds", 2, "--seed", 5), "one of the two"),
        ((), "--layouts"),
    ],
)
def test_study_refuses_in_one_line(
    arguments: tuple[object, ...], message: str, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Bad choices, sizes and seeds are refused before a folder is made."""
    assert message in complaint(capsys, "study", "run", "--study", tmp_path / "s", "--data", data_file, *arguments)
    assert not (tmp_path / "s").exists()


def test_ctrl_c_says_how_to_go_on(
    data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Exit 130, and the line says that the same command goes on."""
    from parlay.study import work

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "train_trial", interrupted)
    assert run(["study", "run", "--study", str(tmp_path / "s"), "--layouts", "3-4", "--data", str(data_file)]) == 130
    said = capsys.readouterr().err
    assert "run the same command again to go on" in said.replace("\n", " ")
    assert said.count("\n") == 1


def test_the_demo_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """At least eight layouts of one size with the optimum among them; a rerun reuses all and says so."""
    monkeypatch.setattr(demo_module, "STEPS", 2)
    first = answer(capsys, "demo", "--out", tmp_path / "demo", "--seeds", 1, "--json")
    layouts = {tuple(trial["layout"]) for trial in first["trials"]}
    assert len(layouts) >= 8 and {trial["kernels"] for trial in first["trials"]} == {demo_module.KERNELS}
    assert [trial["kind"] for trial in first["trials"]].count("top") == 3
    assert first["correlations"]["energy_accuracy"]["n"] == len(layouts)
    assert run(["demo", "--out", str(tmp_path / "demo"), "--seeds", "1"]) == 0
    captured = capsys.readouterr()
    assert f"{len(layouts)} trials: {len(layouts)} from before, 0 trained now" in captured.err
    assert "energy and accuracy, Spearman" in captured.out and "scatter.png" in captured.out


@pytest.mark.slow
def test_the_demo_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The whole demo: energies that differ several times over, accuracies that are not saturated, a rising trend."""
    found = answer(capsys, "demo", "--out", tmp_path / "demo", "--json")
    energies = [trial["energy"] for trial in found["trials"]]
    accuracies = [trial["accuracy"] for trial in found["trials"]]
    assert max(energies) > 3 * min(energies)
    assert max(accuracies) < 0.99 and max(accuracies) - min(accuracies) > 0.03
    assert found["correlations"]["energy_accuracy"]["value"] > 0.5


def test_one_line_says_what_a_training_takes(capsys: pytest.CaptureFixture[str]):
    """Before it begins: parameters, least memory and, where steps were timed, about how long; all in one line."""
    assert run(["train", "4-6", "--data", "digits", "--steps", "2", "--precision", "fp32"]) == 0
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("4-6: 342 parameters, at least ") and "2 steps: about " in line
