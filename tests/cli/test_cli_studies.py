"""``parlay study`` as users meet it: plan, run, watch, export, widen with other networks."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hang import HANG
from parlay.cli.main import run
from parlay.study import Store
from parlay.study.status import duration, gather
from parlay.study.workspace import Beat, Workspace

PLAN = ("--layouts", "4-6,5-5", "--data", "digits", "--steps", "4", "--n-seeds", "2")


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    """The one JSON document that a command prints on stdout."""
    found = run([*(str(argument) for argument in arguments), "--json"])
    captured = capsys.readouterr()
    assert found == code, captured.err
    document = json.loads(captured.out)
    assert next(iter(document.items())) == ("schema_version", 1)
    return document


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command complains with."""
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 2 and captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err


@pytest.fixture
def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A study of four planned trials."""
    folder = tmp_path / "study"
    found = answer(capsys, "study", "new", folder, *PLAN)
    assert (found["planned"], found["new"], found["known"]) == (4, 4, 0)
    return folder


def test_plan_then_run_then_export(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """new plans, run runs what is planned without being told again, status and export tell of it."""
    assert answer(capsys, "study", "status", planned)["planned"] == 4
    done = answer(capsys, "study", "run", planned, "--threads", 1)
    assert (done["planned"], done["trained"], done["failed"], done["others"]) == (4, 4, 0, 0)
    status = answer(capsys, "study", "status", planned)
    assert (status["complete"], status["planned"], status["driver"], status["seconds_left"]) == (4, 0, None, None)
    exported = answer(capsys, "study", "export", planned, "--curves", tmp_path / "curves.npz")
    assert [trial["status"] for trial in exported["trials"]] == ["complete"] * 4
    with np.load(tmp_path / "curves.npz") as curves:
        assert {len(curves[trial["trial"]]) for trial in exported["trials"]} == {4}
    assert run(["study", "export", str(planned), "--csv", str(tmp_path / "all.csv")]) == 0
    assert capsys.readouterr().out == ""
    assert run(["study", "export", str(planned), "--csv"]) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "all.csv").read_text() == text
    table = list(csv.DictReader(text.splitlines()))
    assert run(["study", "export", str(planned), "--curves", str(tmp_path / "curves.csv")]) == 0
    assert capsys.readouterr().out == ""
    assert {line["seed"] for line in table} == {"0", "1"} and {line["network"] for line in table} == {
        "plain of depth 2"
    }
    lines = list(csv.DictReader((tmp_path / "curves.csv").read_text().splitlines()))
    assert len(lines) == 16 and {line["step"] for line in lines} == {"1", "2", "3", "4"}
    assert run(["study", "export", str(planned)]) == 0
    assert capsys.readouterr().out == (planned / "trials.csv").read_text()


def test_the_same_plan_twice_adds_nothing_and_says_so(planned: Path, capsys: pytest.CaptureFixture[str]):
    """The second time no trial is new; a wider plan adds what is new only."""
    assert run(["study", "new", str(planned), *PLAN]) == 0
    assert "nothing added, all 4 trials are there" in capsys.readouterr().out
    found = answer(capsys, "study", "new", planned, "--layouts", "4-6,6-4", "--data", "digits", "--steps", 4)
    assert (found["planned"], found["new"], found["known"]) == (2, 1, 1)
    assert run(["study", "new", str(planned), *PLAN, "--val", "90", "--recipe-set", "lr=0.05"]) == 0
    assert "4 trials planned" in capsys.readouterr().out


def test_validation_recipe_and_precision_reach_the_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """--val, --recipe-set and --precision are in the table; validation accuracy is measured."""
    options = ("--val", 96, "--recipe-set", "lr=0.05", "--recipe-set", "crop=0", "--precision", "bf16", "--threads", 1)
    found = answer(
        capsys, "study", "run", tmp_path / "s", "--layouts", "4-6", "--data", "digits", "--steps", 3, *options
    )
    [trial] = found["trials"]
    assert (trial["validation"], trial["precision"], trial["recipe"]) == (96, "bf16", "digits[crop=0,lr=0.05]")
    assert 0 <= trial["validation_accuracy"] <= 1 and trial["validation_loss"] > 0
    assert "lr=0.05" in trial["recipe_numbers"].split()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_study_keeps_to_its_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str):
    """auto is what the study's trials have, whatever this machine is faster with, so that nothing is planned twice."""
    folder = tmp_path / "s"
    answer(capsys, "study", "new", folder, *PLAN, "--precision", precision)
    again = answer(capsys, "study", "new", folder, *PLAN)
    assert (again["new"], again["known"]) == (0, 4)


def test_a_study_is_widened_with_a_traced_model(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A model's own widths and others are trained beside the families; the model's code is part of the identity."""
    code = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width=6):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3, EXTRA), nn.ReLU(), nn.Conv2d(width, 8, 3), nn.ReLU())
        self.head = nn.Linear(8, num_classes)

    def forward(self, images):
        return self.head(self.body(images).mean((2, 3)))
"""
    (tmp_path / "net.py").write_text(code.replace("EXTRA", "padding=1"))
    command = ("study", "run", planned, "--model", f"{tmp_path / 'net.py'}:Net", "--data", "digits", "--steps", 3)
    layouts = ("--layouts", "original,3-9", "--model-arg", "width=7", "--threads", 1)
    found = answer(capsys, *command, *layouts)
    trials = {tuple(trial["layout"]): trial for trial in found["trials"]}
    assert set(trials) == {(7, 8), (3, 9)}
    assert (trials[7, 8]["kind"], trials[3, 9]["kind"]) == ("original", "given")
    assert trials[7, 8]["params"] == 1 * 9 * 7 + 7 + 7 * 9 * 8 + 8 + 8 * 10 + 10
    assert trials[7, 8]["family"] is None and trials[7, 8]["network"].endswith("net.py:Net")
    assert all(0 <= trial["accuracy"] <= 1 for trial in trials.values())
    again = answer(capsys, *command, *layouts)
    assert (again["reused"], again["trained"]) == (2, 0)
    answer(capsys, "study", "new", planned, *command[3:], "--layouts", "4-4")
    (tmp_path / "net.py").write_text(code.replace("EXTRA", "padding=2"))
    from parlay.study import trial_network

    trial_network._graph.cache_clear()
    done = answer(capsys, "study", "run", planned, "--threads", 1, code=1)
    [failed] = [t for t in answer(capsys, "study", "export", planned)["trials"] if t["status"] == "failed"]
    assert done["failed"] == 1 and "is no longer the one that was planned" in failed["error"]


def test_models_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """An unknown model, outputs that are not the classes, widths that do not fit, and sizes without a family."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 7))"
    )
    spec = f"{tmp_path / 'net.py'}:net"
    for arguments, message in (
        (("--model", "torchvision/resnet19", "--layouts", "original"), "did you mean"),
        (("--model", spec, "--layouts", "original"), "got 1x7; allowed: 1x10"),
        (
            ("--model", "torchvision/squeezenet1_1", "--layouts", "4-5"),
            "model torchvision/squeezenet1_1 on images 1x8x8",
        ),
    ):
        assert message in complaint(capsys, "study", "new", tmp_path / "s", "--data", "digits", *arguments)
    assert not (tmp_path / "s").exists()


def test_commands_say_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """No folder, no study, no plan, data without layouts: one line each, and no folder is made."""
    folder = tmp_path / "s"
    for arguments, message in (
        (("run",), "FOLDER"),
        (("run", folder), "there is no study in"),
        (("run", folder, "--data", "digits"), "Missing option '--layouts'"),
        (("run", folder, "--layouts", "3-4"), "Missing option '--data'"),
        (("new", folder), "Missing option '--layouts'"),
        (("status", folder), "there is no study in"),
        (("export", folder), "there is no study in"),
    ):
        assert message in complaint(capsys, "study", *arguments)
    assert not folder.exists()


def test_curves_have_a_known_ending(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Another ending than .csv or .npz is refused."""
    assert ".csv or .npz" in complaint(capsys, "study", "export", planned, "--curves", tmp_path / "curves.txt")


def test_status_shows_what_runs_and_what_failed(
    planned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Running trials with step and images/s, failed ones with the reason, and an estimate of the time left."""
    monkeypatch.setenv("COLUMNS", "200")
    with Store(planned) as store:
        rows = store.rows()
        store.mark([row.trial.identity for row in rows[:2]], "running", started="2017-10-23T00:00:00+00:00")
        store.write(rows[2].__class__(**{**_fields(rows[2]), "status": "failed", "error": "ValueError: no luck"}))
        beat = Beat(step=1, steps=4, loss=2.0, images_per_second=500.0, time=time.time(), host="here", pid=7)
        Workspace(folder=planned).write_beat(rows[0].trial.identity, beat)
        found = gather(planned)
        document = found.to_json()
        assert run(["study", "status", str(planned)]) == 0
        shown = capsys.readouterr().out
    assert (document["running"], document["failed"], document["planned"], document["complete"]) == (2, 1, 1, 0)
    assert document["driver"] == os.getpid()
    assert document["running_trials"][0]["step"] == 1 and document["running_trials"][0]["images_per_second"] == 500.0
    assert document["running_trials"][1]["images_per_second"] is None
    # all of 3 trials of 4 steps of 64 images but one step, at 500 images/s, two at a time; costs differ a little
    assert found.seconds_left == pytest.approx(11 * 64 / 500 / 2, rel=0.1)
    assert "1/4" in shown and "no luck" in shown and "500" in shown and "here:7" in shown
    assert gather(planned).counts["running"] == 0


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def test_durations_are_said_as_people_do():
    """Two units at most, and no zero in the second place."""
    assert [duration(seconds) for seconds in (0, 59.6, 3600, 90_061)] == ["0 s", "1 min", "1 h", "1 d 1 h"]


def test_ctrl_c_of_two_workers_ends_with_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """SIGINT to the whole process group: exit 130, one line, checkpoints; the second call completes the trials."""
    folder = tmp_path / "s"
    plan = ("--layouts", "4-6,5-5", "--data", "digits", "--steps", "3000")
    command = [sys.executable, "-m", "parlay", "study", "run", str(folder), *plan, "--workers", "2", "--threads", "1"]
    driver = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + HANG
    while len(list(folder.glob("running/*/beat.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "in use by process" in complaint(capsys, "study", "run", folder)
    os.killpg(driver.pid, signal.SIGINT)
    out, err = driver.communicate(timeout=HANG)
    assert (driver.returncode, out) == (130, ""), err
    assert len(err.splitlines()) == 1 and "run the same command again to go on" in err
    assert len(list(folder.glob("running/*/*.checkpoint"))) == 2
    assert not (folder / "running" / "session").exists()
    assert answer(capsys, "study", "status", folder)["planned"] == 2


def test_seeds_alone_are_added_to_everything_and_compared(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """run --n-seeds 3 alone gives every layout three seeds; compare then tests, from the study or from its table."""
    done = answer(capsys, "study", "run", planned, "--n-seeds", 3, "--threads", 1)
    assert (done["planned"], done["trained"], done["reused"]) == (6, 6, 0)
    assert sorted({trial["seed"] for trial in done["trials"]}) == [0, 1, 2]
    again = answer(capsys, "study", "new", planned, "--seed", 7)
    assert (again["planned"], again["new"], again["known"]) == (2, 2, 0)
    found = answer(capsys, "study", "compare", planned, "5-5", "4-6")
    [pair] = found["comparisons"]
    assert (found["reference"], pair["layout"], pair["test"]["seeds"]) == ([5, 5], [4, 6], 3)
    assert found["test_images"] == 901 == pair["test"]["images"] and pair["validation"] is None
    assert pair["test"]["low"] < pair["test"]["mean"] < pair["test"]["high"]
    alone = tmp_path / "table"
    alone.mkdir()
    (alone / "trials.csv").write_text((planned / "trials.csv").read_text())
    assert answer(capsys, "study", "compare", alone, "5-5", "4-6")["comparisons"] == found["comparisons"]
    assert run(["study", "compare", str(planned)]) == 0
    out, _ = capsys.readouterr()
    assert "verdict: " in out and "minus 4-6" in out


def test_seeds_alone_need_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Seeds without a study are refused as before, with what is missing."""
    assert "--layouts" in complaint(capsys, "study", "run", tmp_path / "none", "--n-seeds", 3)
    assert "there is no study" in complaint(capsys, "study", "new", tmp_path / "none", "--n-seeds", 3)


def test_a_forgotten_option_is_asked_about(planned: Path, capsys: pytest.CaptureFixture[str]):
    """Trials of other steps, validation images or recipe are refused unless an option names them, or all of them."""
    again = ("study", "new", planned, "--layouts", "6-4", "--data", "digits")
    said = complaint(capsys, *again)
    assert "steps 4 there, 200 here" in said and "--steps 4 goes on" in said
    assert "--steps 200 or --as-new-protocol plans others" in said
    same = (*again, "--steps", 4)
    assert answer(capsys, *same)["new"] == 1
    assert "validation" not in complaint(capsys, *again, "--val", 200)
    assert answer(capsys, *same, "--val", 200)["new"] == 1
    assert answer(capsys, *same, "--recipe-set", "lr=0.3")["new"] == 1
    assert answer(capsys, *again, "--as-new-protocol")["new"] == 1
    assert answer(capsys, *again)["known"] == 1


def test_another_network_is_no_forgotten_option(planned: Path, capsys: pytest.CaptureFixture[str]):
    """Layouts of another depth are another question, whose steps need not be those of the first."""
    assert answer(capsys, "study", "new", planned, "--layouts", "4-5-6", "--data", "digits")["new"] == 1


def test_layouts_named_twice_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What several choices name is trained once, and said."""
    words = ["--layouts", "top:2", "--layouts", "spread:2", "--kernels", "60", "--depth", "2", "--data", "digits"]
    assert run(["study", "new", str(tmp_path / "s"), *words]) == 0
    assert "named by top and spread, and trained once: 3 layouts in all" in capsys.readouterr().err


def test_a_stopped_study_says_what_goes_on(planned: Path, capsys: pytest.CaptureFixture[str]):
    """status prints the command while something is left and nobody works on it; afterwards it does not."""
    command = f"parlay study run {planned}"
    assert answer(capsys, "study", "status", planned)["next"] == command
    assert run(["study", "run", str(planned), "--threads", "1"]) == 0
    capsys.readouterr()
    assert answer(capsys, "study", "status", planned)["next"] is None


def test_evaluate_counts_what_is_missing_and_points_to_the_comparison(
    planned: Path, capsys: pytest.CaptureFixture[str]
):
    """Trials that are not complete are counted; two layouts are too few to rank, but can be compared."""
    assert run(["study", "run", str(planned), "--threads", "1"]) == 0
    capsys.readouterr()
    assert answer(capsys, "study", "new", planned, "--n-seeds", 5)["new"] == 6
    found = answer(capsys, "evaluate", planned)
    assert (found["trials_missing"], found["next"]) == (6, f"parlay study compare {planned}")
    assert run(["evaluate", str(planned)]) == 0
    out = "".join(capsys.readouterr().out.split("\n"))
    assert out.count(" trials are not complete, and count for nothing") == 2 and "says which is better" in out


def test_validation_comes_first_where_images_were_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The table of a run shows validation before the test; without held out images there is one accuracy."""
    for name, more, wanted in (("plain", (), ["accuracy %"]), ("held", ("--val", "200"), ["validation %", "test %"])):
        assert run(["study", "run", str(tmp_path / name), *PLAN, *more, "--threads", "1"]) == 0
        head = capsys.readouterr().out.splitlines()[0]
        assert re.findall(r"\w+ %", head) == wanted
    assert run(["report", str(tmp_path / "held"), "--out", str(tmp_path / "page.html"), "--json"]) == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.index('["validation_accuracy","Validation"') < page.index('["accuracy","Accuracy"')
