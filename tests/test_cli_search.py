"""``parlay search`` as users meet it: to the end on the digits, stopped and gone on with, refused, reported."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from parlay.cli.main import run
from parlay.report import search as conducting
from parlay.study import Kind, Reader

ROOT = Path(__file__).resolve().parent.parent
SIZE = ("--depth", "3", "--kernels", "500", "--data", "digits")
QUICK = (
    *SIZE,
    "--steps",
    "3",
    "--threads",
    "1",
    "--n-trials",
    "4",
    "--control-seeds",
    "2",
    "--batch",
    "2",
    "--precision",
    "fp32",
)


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    """The one JSON document that a search prints on stdout."""
    found = run(["search", *(str(argument) for argument in arguments), "--json"])
    captured = capsys.readouterr()
    assert found == code, captured.err
    document = json.loads(captured.out)
    assert next(iter(document.items())) == ("schema_version", 1)
    return document


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a search complains with."""
    code = run(["search", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    assert code == 2 and captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err


def decided(document: dict[str, Any]) -> dict[str, Any]:
    """What a search found, without the folder and what this call did."""
    left = ("study", "search_json", "weights_json", "planned", "reused", "trained")
    return {key: value for key, value in document.items() if key not in left}


def test_a_search_on_the_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Four layouts are trained and chosen by validation images; fresh seeds compare the controls on the test images."""
    folder = tmp_path / "s"
    found = answer(capsys, folder, *QUICK, "--layout", "8-12-33")
    assert [len(turn) for turn in found["rounds"]] == [2, 2]
    first, second = found["rounds"][0]
    assert (first["reason"], second["reason"]) == ("best of path-energy", "your layout")
    assert second["layout"] == [8, 12, 33]
    with Reader(folder) as reader:
        rows = reader.rows()
    chosen = {row.trial.layout: row for row in rows if Kind.SEARCH in row.kinds}
    for proposal in (one for turn in found["rounds"] for one in turn):
        row = chosen[tuple(proposal["layout"])]
        assert proposal["validation_accuracy"] == row.validation_accuracy and row.trial.validation == 224
        assert row.trial.seed == 0
    for control in found["controls"]:
        assert list(control["test_accuracy"]) == ["1", "2"]
    roles = [role for control in found["controls"] for role in control["roles"]]
    assert sorted(roles) == ["energy's pick", "random", "recommended", "score's pick", "your layout"]
    assert "your layout" in found["verdict"]
    assert found["trained"] == found["planned"] == len(rows) and found["failed"] == 0
    assert (folder / "trials.csv").exists() and (folder / "scatter.png").exists()
    written = json.loads((folder / "weights.json").read_text())
    assert written["kind"] == "parlay weights" and written["networks"] == 4
    assert (
        run(["solve", *SIZE[:4], "--in-channels", "1", "--image", "8", "--score", f"calibrated:{folder}/weights.json"])
        == 0
    )
    capsys.readouterr()
    assert run(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    assert "weights-drawing" in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    again = answer(capsys, folder, *QUICK, "--layout", "8-12-33")
    assert (again["reused"], again["trained"]) == (len(rows), 0) and decided(again) == decided(found)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A search that ran to its end, and what it printed as JSON."""
    folder = tmp_path_factory.mktemp("undisturbed") / "s"
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lambda text, **_: printed.append(text))
        assert run(["search", str(folder), *QUICK, "--json"]) == 0
    return folder, printed


@pytest.mark.parametrize("stopped", [1, 2])
def test_a_stopped_search_goes_on_as_if_undisturbed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: tuple[Path, list[str]],
    stopped: int,
):
    """Ctrl-C in a round ends with 130 and one line; the same command ends where an undisturbed search does."""
    folder, [printed] = undisturbed
    calls = 0
    inner = conducting.run_study

    def interrupted(store: Any, plan: Any, *rest: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stopped:
            inner(store, plan[:1], *rest, **options)  # one trial of the round ends before
            raise KeyboardInterrupt
        return inner(store, plan, *rest, **options)

    monkeypatch.setattr(conducting, "run_study", interrupted)
    assert run(["search", str(tmp_path / "s"), *QUICK]) == 130
    captured = capsys.readouterr()
    assert captured.out == "" and "run the same command again to go on" in captured.err
    monkeypatch.undo()
    found = answer(capsys, tmp_path / "s", *QUICK)
    assert found["reused"] == 2 * stopped - 1
    assert decided(found) == decided(json.loads(printed))
    for name in ("search.json", "weights.json"):
        assert (tmp_path / "s" / name).read_text() == (folder / name).read_text()


def test_another_question_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """A folder keeps to its question: what differs is named, and another folder asked for; batch may be left out."""
    folder = tmp_path / "s"

    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(conducting, "run_study", stop)
    assert run(["search", str(folder), *QUICK]) == 130
    capsys.readouterr()
    said = complaint(capsys, folder, *QUICK, "--seed", "1", "--policy", "learn")
    assert "got policy learn, seed 1; allowed: policy thompson, seed 0, as it was begun; use another folder" in said
    assert "limits ['kernels = 600']" in complaint(capsys, folder, *QUICK, "--kernels", "600")
    assert "val 100" in complaint(capsys, folder, *QUICK, "--val", "100")
    assert run(["search", str(folder), *QUICK[:-4], *QUICK[-2:]]) == 130  # one worker, but the batch it was begun with
    capsys.readouterr()
    (folder / "search.json").write_text("[]")
    assert "is not the file of a search" in complaint(capsys, folder, *QUICK)


def test_a_search_takes_its_size_from_the_users_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Without a size the parameters of --layout are kept to the unit, and its widths set the depth."""

    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(conducting, "run_study", stop)
    folder = tmp_path / "s"
    assert run(["search", str(folder), "--layout", "16-16-24", "--order", "free", "--data", "digits"]) == 130
    question = json.loads((folder / "search.json").read_text())["question"]
    params = 9 * (16 + 16 * 16 + 16 * 24) + 2 * 56 + 24 * 10 + 10
    assert question["limits"] == [f"params = {params}"] and question["layout"] == [16, 16, 24]
    assert (question["val"], question["batch"]) == (224, 1)


def test_searches_that_cannot_be_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What is missing, what belongs to the other kind of search, what no search can do; and no folder is made."""
    folder = tmp_path / "s"
    for arguments, message in (
        ((), "Missing argument 'FOLDER'"),
        ((folder, "--study", folder, *SIZE), "one of the two"),
        ((folder, "--depth", 3, "--kernels", 500), "Missing option '--data'"),
        ((folder, *SIZE[:2], *SIZE[4:]), "size: got none"),
        ((folder, *SIZE, "--params", "params"), "a number of parameters, such as"),
        ((folder, *SIZE, "--n-trials", 2), "an integer from 4"),
        ((folder, *SIZE, "--policy", "best"), "thompson, ucb, learn"),
        ((folder, *SIZE, "--score", "calibrated:x"), "weights: got x"),
        ((folder, *SIZE, "--score", "ln"), "parlay scores"),
        ((folder, *SIZE, "--val", 0), "layouts are chosen by them"),
        ((folder, *SIZE, "--control-seeds", 0), "control-seeds: got 0"),
        ((folder, *SIZE, "--layout", "35-36-37"), "kernels is"),
        ((folder, *SIZE, "--kernels", 7), "a size that has layouts"),
        ((folder, *SIZE, "--model", "torchvision/resnet18"), "parlay calibrate"),
        ((folder, *SIZE, "--widths", "a,b"), "--widths: got without --replay"),
        (("--replay", "t.csv", "--workers", 2), "--workers: got with --replay"),
        ((folder, "--replay", "t.csv"), "FOLDER: got with --replay"),
    ):
        assert message in complaint(capsys, *arguments)
    assert not folder.exists()


def test_progress_shows_validation_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """While layouts are chosen only validation accuracy is seen; tables and a verdict stand at the end."""
    assert run(["search", str(tmp_path / "s"), *QUICK]) == 0
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if " seed 0: " in line]
    assert len(lines) == 4 and all("of the validation images" in line for line in lines)
    assert "round 2: 4 of 4 layouts trained; best on the validation images" in captured.err
    for words in ("best of path-energy", "last comparison", "recommended: ", "weights.json"):
        assert words in captured.out
    assert re.search(r"^(take|keep) ", captured.out, re.MULTILINE)


def test_the_documented_search_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The command of docs/search.md runs, with fewer steps and in one process, and ends as the page describes."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    [command] = re.findall(r"^\$ parlay (search .*)$", text, re.MULTILINE)
    command = re.sub(r"--steps \d+", "--steps 2", command).replace("--workers 2", "--threads 1")
    assert run([*shlex.split(command), "--precision", "fp32"]) == 0
    shown = capsys.readouterr().out
    for words in ("best of path-energy", "your layout", "thompson", "last comparison", "recommended:"):
        assert words in shown
