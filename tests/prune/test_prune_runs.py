"""``parlay prune`` as users meet it: one study to the end, gone on with, refused, and its files read back."""

# ruff: noqa: E402

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from safetensors.torch import load_file, save_file

import parlay
from parlay.cli.main import run
from parlay.compare import judge
from parlay.compare.arm_verdict import Standing
from parlay.data import load
from parlay.families import plain
from parlay.graph.specs import load_model
from parlay.study.plan import Trial
from parlay.train.loop import train
from parlay.train.recipe import get_recipe
from parlay.train.weights import STARTS, read_weights

pytestmark = pytest.mark.xdist_group("prune")  # one worker trains what all tests here look at
MODEL = """
from pathlib import Path
from torch import nn
from safetensors.torch import load_file

def fresh(num_classes=10, width=8):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, num_classes),
    )

def trained(num_classes=10):
    model = fresh(num_classes)
    model.load_state_dict(load_file(Path(__file__).with_name("trained.safetensors")))
    return model
"""
OPTIONS = ("--data", "digits", "--steps", "10", "--n-seeds", "2", "--precision", "fp32", "--threads", "1")
LIMITS = ("--max-params", "0.6x")


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
    """A file with a network that is trained a little."""
    folder = tmp_path_factory.mktemp("model")
    path = folder / "pruned_net.py"
    path.write_text(MODEL)
    torch.manual_seed(0)
    model = load_model(f"{path}:fresh")
    train(model, load("digits").with_validation(89), get_recipe("digits"), seed=0, steps=150)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "trained.safetensors"
    )
    return f"{path}:trained"


@pytest.fixture(scope="module")
def pruned(spec: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A study to the end, distilled."""
    folder = tmp_path_factory.mktemp("prune") / "study"
    return folder, answer("prune", spec, *OPTIONS, *LIMITS, "--distill", "--study", folder)


def test_the_end_of_a_pruning(pruned: tuple[Path, dict[str, Any]]) -> None:
    """Before, right after and after training on, float and int8, for every arm; proven widths; one verdict."""
    folder, found = pruned
    assert [arm["name"] for arm in found["arms"]] == ["importance", "uniform", "random channels", "from scratch"]
    importance, uniform, drawn, scratch = found["arms"]
    assert found["status"] == "OPTIMAL" and found["gap"] == 0
    assert importance["layout"] == drawn["layout"] == scratch["layout"] == [len(k) for k in found["kept_channels"]]
    assert set(found["right_after"]) == {"importance", "uniform", "random channels"}
    assert found["before"]["accuracy"] > 0.5
    for arm in found["arms"]:
        assert len(arm["accuracy"]["values"]) == len(arm["int8_accuracy"]["values"]) == 2
        assert arm["params"] <= 0.6 * 1104 and (arm["difference_to_reference"] is None) == (arm is uniform)
    assert found["reference"] == "uniform" and "uniform" in found["verdict"] and "\n" not in found["verdict"]
    assert found["reference"] == found["winner"] or found["better"]
    names = {path.name for path in (folder / "winner").iterdir()}
    assert {
        "model.onnx",
        "model.int8.onnx",
        "weights.safetensors",
        "rebuild.py",
        "layout.json",
        "MODEL_CARD.md",
    } <= names


def test_arms_begin_with_the_kept_weights(pruned: tuple[Path, dict[str, Any]], spec: str) -> None:
    """The plan names the weights by their checksum; they are the trained network's, at the kept channels."""
    folder, found = pruned
    plan = json.loads((folder / "prune.json").read_text())
    assert plan["kind"] == "parlay prune" and plan["facts"]["kept_channels"] == found["kept_channels"]
    start = plan["arms"][0]["start"]
    read = read_weights(folder / "starts" / f"{start[:24]}.safetensors", run=STARTS)
    assert read is not None and read[1] == start
    whole = load_file(Path(spec.rpartition(":")[0]).with_name("trained.safetensors"))
    first, second = found["kept_channels"]
    assert torch.equal(read[0]["8.weight"], whole["8.weight"][:, second])
    assert torch.allclose(read[0]["3.weight"], whole["3.weight"][second][:, first])
    lengths = read[0]["0.weight"].flatten(1).norm(dim=1)
    assert torch.allclose(lengths, torch.full_like(lengths, 2**0.5))
    assert [arm.get("start", "") == "" for arm in plan["arms"]] == [False, False, False, True]


def test_the_same_command_trains_nothing_again(
    pruned: tuple[Path, dict[str, Any]], spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answer, from what is kept."""
    folder, found = pruned
    monkeypatch.setattr("parlay.study.runner.perform", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("parlay.prune.run_prune.measure_importance", lambda *_: pytest.fail("measured again"))
    again = answer("prune", spec, *OPTIONS, *LIMITS, "--distill", "--study", folder)
    assert [arm["accuracy"] for arm in again["arms"]] == [arm["accuracy"] for arm in found["arms"]]
    assert again["verdict"] == found["verdict"]


def test_the_winner_is_rebuilt(pruned: tuple[Path, dict[str, Any]], spec: str) -> None:
    """layout.json and weights give the network that was measured."""
    folder, found = pruned
    from importlib import util

    path = Path(spec.rpartition(":")[0])
    loaded = util.spec_from_file_location("pruned_net", path)
    assert loaded is not None and loaded.loader is not None
    module = util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    network = parlay.load(folder / "winner" / "layout.json", factory=module.trained)
    winner = next(arm for arm in found["arms"] if arm["name"] == found["winner"])
    assert sum(p.numel() for p in network.parameters()) == winner["params"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--max-params", "2x"), "budget: got limits that the network keeps as it is; allowed: at least one"),
        (("--max-params", "3"), "budget: got params <= 3"),
        (("--max-params", "0.6x", "--importance", "bn-scale"), "importance bn-scale of 3: got no batch norm"),
        (("--max-params", "0.6x", "--importance", "tailor"), "taylor"),
        (("--max-params", "0.6x", "--pin", "nothing"), "pin: got 'nothing'"),
        (("--max-params", "0.6x", "--weights", "none.safetensors"), "--weights: got none.safetensors"),
        (("--max-params", "0.6x", "--n-seeds", "1"), "two or more"),
        (("--max-params", "0.6x", "--val", "0"), "--val"),
    ],
)
def test_what_cannot_be_is_met_before_training(
    options: tuple[str, ...],
    words: str,
    spec: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, exit code 2, no training and no study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("parlay.compare.run_comparison.run_study", lambda *_, **__: pytest.fail("trained"))
    given = OPTIONS[:4] + OPTIONS[6:] if "--n-seeds" in options else OPTIONS
    assert words in complaint(capsys, "prune", spec, *given, *options, "--study", tmp_path / "study")
    assert not (tmp_path / "study" / "study.sqlite").exists()


def test_weights_of_another_shape_and_untrained_models_are_refused(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both in a line that names what is wrong; the right file makes the untrained one trained."""
    fresh, folder = spec.replace(":trained", ":fresh"), tmp_path / "study"
    line = complaint(capsys, "prune", fresh, *OPTIONS, *LIMITS, "--study", folder)
    assert "validation images right, where chance is" in line and "--weights" in line
    weights = Path(spec.rpartition(":")[0]).with_name("trained.safetensors")
    wide = (*OPTIONS, *LIMITS, "--model-arg", "width=9", "--weights", weights, "--study", folder)
    line = complaint(capsys, "prune", fresh, *wide)
    assert "--weights trained.safetensors: got 0.weight is 8x1x3x3, not 9x1x3x3" in line
    damaged = tmp_path / "half.safetensors"
    damaged.write_bytes(weights.read_bytes()[:300])
    line = complaint(capsys, "prune", fresh, *OPTIONS, *LIMITS, "--weights", damaged, "--study", folder)
    assert "a safetensors file that can be read" in line
    assert not folder.exists()


def test_another_question_is_refused_by_what_differs(
    pruned: tuple[Path, dict[str, Any]], spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other limits, no teacher, another importance: each is named, and nothing is changed."""
    folder, _ = pruned
    for options, words in (
        (("--max-params", "0.5x", "--distill"), "max-params was 0.6x, is 0.5x"),
        (LIMITS, "distilled was True, is False"),
        ((*LIMITS, "--distill", "--importance", "l2"), "importance was fisher, is l2"),
    ):
        assert words in complaint(capsys, "prune", spec, *OPTIONS, *options, "--study", folder)
    assert "was not made by parlay fit" in complaint(
        capsys, "fit", spec, *OPTIONS, "--flash", 900, "--max-macs", "none", "--study", folder
    )


@pytest.mark.slow
def test_channels_that_are_all_alike_are_told(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their group is named before anything is trained, and in the result."""
    other, plain_layer = tmp_path / "alike.py", "nn.Conv2d(width, 12, 3, padding=1), "
    text = Path(spec.rpartition(":")[0]).read_text()
    other.write_text(text.replace(plain_layer, f"{plain_layer}nn.BatchNorm2d(12), "))
    torch.manual_seed(0)
    model = load_model(f"{other}:fresh")
    train(model, load("digits").with_validation(89), get_recipe("digits"), seed=0, steps=150)
    with torch.no_grad():
        model[1].weight.fill_(1.0)  # type: ignore[index]
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, tmp_path / "trained.safetensors")
    arguments = (f"{other}:trained", *OPTIONS, *LIMITS, "--importance", "bn-scale", "--study", tmp_path / "study")
    found = answer("prune", *arguments)
    [said] = [caveat for caveat in found["caveats"] if "equally important" in caveat]
    assert said.startswith("all channels of 0 are equally important")


def test_a_lost_start_is_told_and_a_teacher_changes_what_is_learned() -> None:
    """Trials without either have the identities that they always had; a teacher is part of what is asked."""
    net = plain(3)
    trial = Trial(network=net, layout=(8, 8, 8), data="", recipe=get_recipe("fast"), steps=9, seed=0)
    assert "start" not in trial.config and "teacher" not in trial.config
    taught = Trial(**{**vars_of(trial), "teacher": "a" * 64})
    begun = Trial(**{**vars_of(trial), "start": "a" * 64})
    assert len({trial.identity, taught.identity, begun.identity}) == 3
    assert trial.protocol != begun.protocol  # weights of one's own are compared by no table of layouts
    data = load("digits").with_validation(89)
    small = plain(2, in_channels=1, image=8)
    losses = []
    for teacher in (None, small.build((8, 8), seed=1)):
        found = train(small.build((4, 4), seed=0), data, get_recipe("digits"), seed=0, steps=3, teacher=teacher)
        losses.append(found.losses)
    assert losses[0] != losses[1]


def vars_of(trial: Trial) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in trial.__dataclass_fields__}


def test_the_verdict_without_an_original_is_about_uniform() -> None:
    """The reference is uniform; the sentence says better than it, or no better."""

    def standing(name: str, *values: float) -> Standing:
        return Standing(name=name, fits=True, validation=values, test=values, amounts={"RAM": 1})

    level = standing("uniform", 0.80, 0.81, 0.79)
    good = standing("importance", 0.90, 0.91, 0.90)
    found = judge([good, level], original=None, uniform="uniform")
    assert found.sentence.startswith("importance is better by") and found.sentence.endswith(" than uniform")
    assert found.to_original == {}
    found = judge([standing("importance", 0.80, 0.80, 0.80), level], original=None, uniform="uniform")
    assert found.sentence.startswith("no better than uniform; importance, the best other on validation, differs by")
    assert (found.winner, found.reference) == ("uniform", "uniform")
