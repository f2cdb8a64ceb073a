"""``parlay fit`` as users meet it: one study to the end, gone on with, refused, and its files read back."""

# ruff: noqa: E402

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from benchmarks.fits import adopt, tables
from torch import nn

import parlay
from parlay.cli.main import run
from parlay.compare import run_comparison
from parlay.compare.devices import DeviceFile, Missing
from parlay.compare.liveness import live_bytes
from parlay.compare.measure_trials import network_inputs
from parlay.compare.quantise import check_int8, export_float, logits_of, quantised, session_of, stored_bytes
from parlay.data import load
from parlay.energy import RECOMMENDED
from parlay.errors import DivergedError, InputError
from parlay.graph import trace
from parlay.graph.specs import load_model
from parlay.report.page.fits import arm_cells
from parlay.study import work
from parlay.train.norms import lagging_norm
from parlay.train.weights import read_weights, save_weights

pytestmark = pytest.mark.xdist_group("fit")  # one worker trains what all tests here look at
MODEL = """
from torch import nn

def tiny(num_classes=10):
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 10, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, num_classes),
    )

def gelu(num_classes=10):
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.GELU(), pool, nn.Flatten(), nn.Linear(6, num_classes))
"""
OPTIONS = ("--data", "digits", "--steps", "12", "--n-seeds", "2", "--precision", "fp32", "--threads", "1")


def answer(*arguments: object, code: int = 0) -> dict[str, Any]:
    """The one JSON document on stdout."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = run([*map(str, arguments), "--json"])
    assert found == code, err.getvalue()
    return json.loads(out.getvalue())


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The last line on stderr of a command that ends with 2."""
    assert run([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "fitted_net.py"
    path.write_text(MODEL)
    return f"{path}:tiny"


@pytest.fixture(scope="module")
def fitted(spec: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A study to the end, under a limit on flash that the original does not keep."""
    folder = tmp_path_factory.mktemp("fit") / "study"
    return folder, answer("fit", spec, *OPTIONS, "--flash", 1400, "--max-macs", "none", "--study", folder)


def test_a_fit_is_kept_as_text(fitted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """What is adopted has the result, every trial and a table, and neither paths nor the host's name."""
    folder, result = fitted
    adopt(folder, tmp_path / "tiny", "parlay fit ...")
    kept = json.loads((tmp_path / "tiny" / "fit-result.json").read_text())
    assert kept["arms"] == result["arms"]
    assert "winner/weights.safetensors" in kept["files"]
    trials = list(csv.DictReader(io.StringIO((tmp_path / "tiny" / "trials.csv").read_text())))
    assert len(trials) == len(result["arms"]) * 2
    assert {row["host"] for row in trials} == {""}
    [lines] = tables(tmp_path).values()
    assert lines[2].startswith("| 6-8-10 | original (does not fit)")
    assert lines[-1] == f"Verdict: {result['verdict']}."
    everything = "".join(path.read_text() for path in (tmp_path / "tiny").iterdir())
    assert str(folder.parent) not in everything.replace(result["spec"], "")


def test_no_file_of_a_fit_has_the_models_folder(fitted: tuple[Path, dict[str, Any]], spec: str, tmp_path: Path) -> None:
    """But for the study's own file and the script that builds the winner again, which have to find the model."""
    answer("report", fitted[0], "--out", tmp_path / "page.html")
    files = [path for folder in (fitted[0], tmp_path) for path in folder.rglob("*") if path.is_file()]
    theirs = str(Path(spec.rpartition(":")[0]).parent.parent).encode()
    found = {path.name for path in files if theirs in path.read_bytes()}
    assert len(files) > 20 and found == {"study.sqlite", "rebuild.py"}


def test_norms_that_lag_behind_a_short_training_are_told(fitted: tuple[Path, dict[str, Any]]) -> None:
    """Twelve steps are too few for a momentum of 0.1: the result says so, with what would do; 200 are enough."""
    [caveat] = fitted[1]["caveats"]
    assert "batch norm 1 (momentum 0.1) remember 10 of 12 steps" in caveat
    assert "take 0.83 or more" in caveat
    for steps, lags in ((99, True), (100, False), (200, False)):
        assert (lagging_norm(nn.Sequential(nn.BatchNorm2d(3)), steps) is not None) == lags
    assert lagging_norm(nn.Sequential(nn.BatchNorm2d(3, momentum=None), nn.Conv2d(3, 3, 1)), 5) is None


def test_the_end_of_a_fit(fitted: tuple[Path, dict[str, Any]]) -> None:
    """Every arm has costs, accuracies with spread in float and int8, and differences; the verdict is one line."""
    _, found = fitted
    assert next(iter(found)) == "schema_version" and "\n" not in found["verdict"]
    names = {name for arm in found["arms"] for name in arm["names"]}
    assert names == {"original", "energy-layer", "uniform", "random", RECOMMENDED}
    for arm in found["arms"]:
        assert len(arm["accuracy"]["values"]) == len(arm["int8_accuracy"]["values"]) == 2
        assert arm["latency_ms"] > 0 and arm["float_difference"] < 1e-4
        assert (arm["difference_to_original"] is None) == ("original" in arm["names"])
    assert not found["arms"][0]["fits"] and found["winner"] != found["arms"][0]["name"]


def test_what_does_not_fit_is_marked(fitted: tuple[Path, dict[str, Any]]) -> None:
    """Weights of 1,400 bytes do not make a file of 1,400 bytes: verdict, table and card say so of every arm."""
    folder, found = fitted
    others = [arm for arm in found["arms"] if arm["predicted_to_fit"]]
    assert others and not any(arm["fits"] for arm in found["arms"])
    for arm in others:
        assert arm["exceeds"] == [f"int8 file of {arm['int8_file_bytes']:,} bytes for 1,400"]
        assert arm_cells(arm)[0] == f"{arm['name']} (does not fit: {arm['exceeds'][0]})"
    assert "no arm's file and run fit the device, the winner's included" in found["verdict"]
    assert "**Does not fit: int8 file of" in (folder / "winner" / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_failed_trainings_are_in_the_verdict(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the original's three trainings diverges: its seed is left out of every arm, and the verdict says so."""
    real = work.train_trial

    def diverging(task: Any, *rest: Any) -> Any:
        if task.trial.seed == 1 and task.trial.layout == (6, 8, 10):
            raise DivergedError("training diverged at step 3 of 12 in bf16 at the rate 0.1: the loss is nan")
        return real(task, *rest)

    monkeypatch.setattr(work, "train_trial", diverging)
    options = [*OPTIONS]
    options[options.index("--n-seeds") + 1] = "3"
    found = answer("fit", spec, *options, "--study", tmp_path / "study")
    assert f"; 1 of {3 * len(found['arms'])} trainings failed (of original" in found["verdict"]
    assert found["verdict"].endswith("at the rate 0.1: the loss is nan): seed 1 left out of every arm")
    assert found["seeds"] == [0, 2]
    assert all(len(arm["trials"]) == len(arm["accuracy"]["values"]) == 2 for arm in found["arms"])
    assert "trainings failed" in (tmp_path / "study" / "winner" / "MODEL_CARD.md").read_text()


def test_flash_and_ram_agree_with_the_files(fitted: tuple[Path, dict[str, Any]]) -> None:
    """Predicted flash is what the int8 file stores, predicted RAM what lives in its run, both to the byte."""
    for arm in fitted[1]["arms"]:
        assert arm["stored_bytes"] == arm["flash_bytes"] < arm["int8_file_bytes"]
        assert arm["live_bytes"] == arm["peak_activation_bytes"] <= arm["live_apart_bytes"]


def test_the_plan_is_kept(fitted: tuple[Path, dict[str, Any]]) -> None:
    """fit.json has the arms that were trained, and every trained network's weights lie beside the study."""
    folder, found = fitted
    plan = json.loads((folder / "fit.json").read_text())
    assert [arm["layout"] for arm in plan["arms"]] == [arm["layout"] for arm in found["arms"]]
    trials = [trial for arm in found["arms"] for trial in arm["trials"]]
    assert {path.stem for path in (folder / "weights").iterdir()} == {trial[:24] for trial in trials}


def test_the_winner_comes_back(fitted: tuple[Path, dict[str, Any]], spec: str) -> None:
    """layout.json builds the network with its weights, and it gives the logits of the ONNX file beside it."""
    folder, found = fitted
    module = parlay.load(folder / "winner" / "layout.json", factory=lambda: load_model(spec, {"num_classes": 10}))
    data = load("digits").with_validation(89)
    images = network_inputs(data.test_images, data)
    with torch.inference_mode():
        ours = module.eval()(torch.from_numpy(images)).numpy()
    theirs = logits_of(session_of((folder / "winner" / "model.onnx").read_bytes()), images)
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()
    share = float((theirs.argmax(1) == data.test_labels.numpy()).mean())
    assert share == pytest.approx(found["winner_files"]["accuracy"])
    card = (folder / "winner" / "MODEL_CARD.md").read_text()
    assert found["verdict"][1:] in card and "normalised" in card
    assert "parlay.load" in (folder / "winner" / "rebuild.py").read_text()


def test_called_again_nothing_is_trained(
    fitted: tuple[Path, dict[str, Any]], spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command ends in the same verdict from what is kept."""
    folder, before = fitted
    monkeypatch.setattr("parlay.study.runner.perform", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("parlay.compare.measure_trials.measure_network", lambda *_, **__: pytest.fail("measured again"))
    again = answer("fit", spec, *OPTIONS, "--flash", "1.4kB", "--max-macs", "none", "--study", folder)
    assert again["verdict"] == before["verdict"] and again["winner_files"] == before["winner_files"]


def test_other_code_of_the_model_is_told(
    fitted: tuple[Path, dict[str, Any]], spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is another than the trainings had is said once on the way, and stands in the result and the card."""
    folder, place = tmp_path / "copy", tmp_path / Path(spec.partition(":")[0]).name
    shutil.copytree(fitted[0], folder)
    place.write_text(MODEL + "# widths as before\n")
    options = ["--flash", "1400", "--max-macs", "none", "--study", str(folder), "--json"]
    assert run(["fit", f"{place}:tiny", *OPTIONS, *options]) == 0
    out, err = capsys.readouterr()
    trials = 2 * len(fitted[1]["arms"])
    said = f"the code of {place.name}:tiny is no longer the one that {trials} trials were planned with"
    assert err.count(said) == 1 and said in json.loads(out)["caveats"][-1]
    assert f"- T{said[1:]}" in (folder / "winner" / "MODEL_CARD.md").read_text()


@pytest.fixture(scope="module")
def between(spec: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """A fit with two layouts of the user's own, one above the limit; its folder, its document and its command."""
    folder = tmp_path_factory.mktemp("given") / "study"
    seeds = [*OPTIONS[:4], "--n-seeds", "3", *OPTIONS[6:]]
    command = ["fit", spec, *seeds, "--flash", "1400", "--max-macs", "none", "--layouts", "3-4-5, 9-9-9"]
    return folder, answer(*command, "--study", folder), command


@pytest.mark.slow
def test_given_layouts_are_compared_with_each_other(
    between: tuple[Path, dict[str, Any], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """By what ships, on validation, then test, seed by seed: the numbers are those of the arms, and the verdict has it.

    Whoever asks again is shown the differences as `study compare` shows them.
    """
    folder, found, command = between
    arms = {arm["name"]: arm for arm in found["arms"]}
    small, large = arms["3-4-5"], arms["9-9-9"]
    assert (small["predicted_to_fit"], large["predicted_to_fit"]) == (True, False)
    given = found["given"]
    assert given["reference"] == [3, 4, 5] and [one["layout"] for one in given["comparisons"]] == [[9, 9, 9]]
    [one] = given["comparisons"]
    for on, key in (("validation", "validation_accuracy"), ("test", "int8_accuracy")):
        values = [b - a for a, b in zip(small[key]["values"], large[key]["values"], strict=True)]
        assert one[on]["mean"] == pytest.approx(sum(values) / 3) and one[on]["seeds"] == 3
        assert one[on]["p_holm"] == one[on]["p"] is not None
        assert one[on]["low"] < one[on]["mean"] < one[on]["high"] and "more_seeds" in one[on]
    assert f"; of the layouts given, {given['verdict']}" in found["verdict"] and "9-9-9" in given["verdict"]
    assert "of the layouts given" in (folder / "winner" / "MODEL_CARD.md").read_text()
    assert run([*command, "--study", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("minus 3-4-5"))
    assert lines[place + 1].split()[:2] == ["9-9-9", "validation"] and lines[place + 2].split()[0] == "test"


@pytest.mark.slow
def test_given_layouts_are_part_of_the_question(
    between: tuple[Path, dict[str, Any], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Others in the same folder are another question; what is no layout of the model is refused before anything."""
    folder, _, command = between
    line = complaint(capsys, *command[:-1], "3-4-5", "--study", folder)
    assert "layouts was [[3, 4, 5], [9, 9, 9]], is [[3, 4, 5]]" in line
    for text, words in (("3-4", "layout of"), ("best", "layout: got 'best'")):
        assert words in complaint(capsys, *command[:-1], text, "--study", folder / "new")


def test_device_files_are_files_of_the_winner(
    fitted: tuple[Path, dict[str, Any]], spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file for a device is listed with its checksum, in the card and on the page; one that fails costs nothing."""
    folder = tmp_path / "copy"
    shutil.copytree(fitted[0], folder)

    def written(module: nn.Module, data: Any, calibration: np.ndarray, place: Path, *, plan: bool) -> Any:
        assert calibration.shape[1:] == (1, 8, 8) and not module.training and plan
        (place / "model.x").write_bytes(b"engine")
        facts = {"file_bytes": 6, "arena_bytes": 512, "arena": "a plan", "accuracy": 0.5, "images": 4, "run_by": "hand"}
        missing = Missing(name="another", file="model.y", reason="no kernel")
        return [DeviceFile(name="an engine", file="model.x", **facts)], [missing]

    monkeypatch.setattr("parlay.compare.artefacts.write_device_files", written)
    found = answer("fit", spec, *OPTIONS, "--flash", 1400, "--max-macs", "none", "--study", folder)
    assert found["verdict"] == fitted[1]["verdict"]
    assert "winner/model.x" in found["files"]
    facts = found["winner_files"]
    assert facts["sha256"]["model.x"] == hashlib.sha256(b"engine").hexdigest()
    assert facts["device_files"][0]["arena_bytes"] == 512
    assert facts["device_files_missing"] == [{"name": "another", "file": "model.y", "reason": "no kernel"}]
    assert "| model.x | an engine | 6 | 512 |" in (folder / "winner" / "MODEL_CARD.md").read_text()
    page = tmp_path / "page.html"
    answer("report", folder, "--out", page)
    assert "model.x (an engine): 6 bytes, planned arena 512 bytes" in page.read_text()
    assert "model.y (another) not written: no kernel" in page.read_text()


@pytest.mark.slow
def test_lost_weights_are_trained_again(fitted: tuple[Path, dict[str, Any]], spec: str, tmp_path: Path) -> None:
    """A damaged file of weights costs one training, which gives the same bits."""
    folder = tmp_path / "copy"
    shutil.copytree(fitted[0], folder)
    path = min((folder / "weights").iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = answer("fit", spec, *OPTIONS, "--flash", 1400, "--max-macs", "none", "--study", folder)
    assert again["verdict"] == fitted[1]["verdict"] and path.read_bytes() == content


def test_another_question_is_refused(
    fitted: tuple[Path, dict[str, Any]], spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs is named, and another folder asked for; nothing is changed."""
    folder, _ = fitted
    line = complaint(capsys, "fit", spec, *OPTIONS, "--flash", "1.3kB", "--max-macs", "none", "--study", folder)
    assert "flash was 1400, is 1.3kB" in line and line.endswith("use another folder")
    line = complaint(capsys, "fit", spec, *OPTIONS, "--seed", 3, "--study", folder)
    assert "--n-seeds and --seed" in line


def test_other_studies_are_refused(tmp_path: Path, spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A study that fit did not make is left alone."""
    answer("study", "new", tmp_path, "--layouts", "4-6", "--data", "digits", "--steps", 2)
    line = complaint(capsys, "fit", spec, *OPTIONS, "--study", tmp_path)
    assert "was not made by parlay fit" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--flash", "256KiBs"), "'KiBs' is no unit of memory"),
        (("--flash", "200", "--max-macs", "none"), "budget: got"),
        (("--n-seeds", "1"), "seeds: got 1; allowed: two or more"),
        (("--val", "0"), "--val: got 0"),
        (("--steps", "0"), "--steps: got 0; allowed: 1 or more"),
    ],
)
def test_wrong_budgets_are_met_before_training(
    options: tuple[str, ...],
    words: str,
    spec: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, exit code 2, and no training and no study."""
    monkeypatch.setattr(run_comparison, "run_study", lambda *_, **__: pytest.fail("trained"))
    given = [option for option in OPTIONS if "--n-seeds" not in options or option not in ("--n-seeds", "2")]
    assert words in complaint(capsys, "fit", spec, *given, *options, "--study", tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_operators_without_int8_are_met_before_training(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A GELU is refused by name under int8, with the way out."""
    line = complaint(capsys, "fit", spec.replace(":tiny", ":gelu"), *OPTIONS, "--study", tmp_path / "study")
    assert "operators" in line and ("Erf" in line or "Gelu" in line) and "--dtype float32" in line
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_arms_are_written_before_training_and_a_stop_loses_nothing(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fit.json is there when the first training begins; stopped while measuring, the next call only measures."""
    folder = tmp_path / "study"
    arguments = ("fit", spec, *OPTIONS, "--quick", "--study", folder)
    real, seen = run_comparison.run_study, []

    def watched(*given: Any, **options: Any) -> Any:
        seen.append((folder / "fit.json").exists())
        return real(*given, **options)

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_comparison, "run_study", watched)
    with monkeypatch.context() as patch, contextlib.redirect_stderr(io.StringIO()):
        patch.setattr(run_comparison, "measure_trials", stopped)
        assert run([*map(str, arguments)]) == 130
    monkeypatch.setattr("parlay.study.runner.perform", lambda *_: pytest.fail("trained again"))
    found = answer(*arguments)
    assert seen == [True, True]
    assert found["quick"] and found["verdict"].startswith("quick, a first answer only (12 steps): ")


@pytest.mark.slow
def test_floats_need_no_int8(spec: str, tmp_path: Path) -> None:
    """Under --dtype float32 nothing is quantised, and an operator without int8 is no matter."""
    folder = tmp_path / "study"
    found = answer("fit", spec.replace(":tiny", ":gelu"), *OPTIONS, "--dtype", "float32", "--study", folder)
    assert all(arm["int8_accuracy"] is None and arm["stored_bytes"] is None for arm in found["arms"])
    assert not (folder / "winner" / "model.int8.onnx").exists()


def test_the_report_shows_the_fit(fitted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The page on the study has the verdict, every arm and the winner's files; without the file it has no such part."""
    folder, found = fitted
    page = tmp_path / "page.html"
    answer("report", folder, "--out", page)
    text = page.read_text()
    assert 'id="fit"' in text and found["verdict"][1:].replace("<", "&lt;") in text
    assert all(arm["name"] in text for arm in found["arms"])
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    (copied / "fit-result.json").write_text("{}")
    answer("report", copied, "--out", page)
    assert 'id="fit"' not in page.read_text()


def test_weights_come_back_or_not_at_all(tmp_path: Path) -> None:
    """A file gives its tensors to its run alone; damaged or of another run it gives nothing."""
    layer, path = nn.BatchNorm2d(3), tmp_path / "weights" / "one.safetensors"
    digest = save_weights(path, layer, run="a")
    found = read_weights(path, run="a")
    assert found is not None and found[1] == digest
    assert all(torch.equal(found[0][name], tensor) for name, tensor in layer.state_dict().items())
    assert read_weights(path, run="b") is None
    path.write_bytes(path.read_bytes()[:-4])
    assert read_weights(path, run="a") is None
    assert read_weights(tmp_path / "none", run="a") is None


class Residual(nn.Module):
    """Two convolutions beside a shortcut: three tensors meet at the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first = nn.Conv2d(8, 6, 3, padding=1, groups=2)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        return self.head(x.mean((2, 3)))


def test_a_residual_network_in_int8() -> None:
    """Per-channel int8 is close to the floats; flash and live bytes agree with the tracer, and by hand."""
    torch.manual_seed(0)
    module = Residual()
    graph = trace(module, torch.zeros(1, 3, 8, 8))
    plain = export_float(module, (3, 8, 8))
    check_int8(plain)
    images = np.random.default_rng(0).standard_normal((128, 3, 8, 8)).astype(np.float32)
    int8 = quantised(plain, images)
    floats, integers = (logits_of(session_of(content), images) for content in (plain, int8))
    assert np.abs(floats - integers).max() < 0.05 * np.abs(floats).max()
    assert stored_bytes(int8) == graph.flash_bytes()(graph.layout)
    live = live_bytes(int8, images[:1])
    assert live.in_place == graph.peak_activation_bytes()(graph.layout) == 64 * (8 + 6 + 8)
    assert live.apart == 64 * (8 + 8 + 8)  # the sum beside both of its terms


def test_a_network_that_cannot_be_exported() -> None:
    """One line says so."""

    class Deciding(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="cannot be exported to ONNX"):
        export_float(Deciding(), (1, 4, 4))
