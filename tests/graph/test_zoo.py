"""The zoo's harness: verdicts, resuming, the report, and that it finds a wrong prediction."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from parlay.graph import trace  # noqa: E402
from parlay.graph.specs import load_model  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def zoo(monkeypatch):
    """The modules of benchmarks/, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.zoo")


@pytest.fixture
def zoo_check(zoo):
    return importlib.import_module("benchmarks.zoo_check")


def row(model, verdict="exact", **more):
    circumstances = {"source": "0" * 12, "versions": "torch 1", "machine": "an abacus", "wall": 60.0, "detail": ""}
    return {"model": model, "verdict": verdict, **circumstances, **more}


def test_zoo_is_as_large_as_promised(zoo):
    """Every torchvision CNN, at least sixty of timm, all four examples, no transformer, nothing twice."""
    models = importlib.import_module("benchmarks.zoo_models")
    names = [entry.name for entry in zoo.entries()]
    assert len(names) == len(set(names))
    assert len(set(models.TIMM)) == len(models.TIMM) >= 60
    assert sum(name.startswith("examples/") for name in names) == 4
    makes = "alexnet vgg16 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 googlenet inception_v3 squeezenet1_0"
    makes += " mobilenet_v2 mobilenet_v3_small mnasnet1_0 shufflenet_v2_x1_0 efficientnet_b0 efficientnet_v2_s"
    makes += " regnet_y_128gf convnext_tiny"
    assert {f"torchvision/{name}" for name in makes.split()} <= set(names)
    assert not [
        name for name in names if name.startswith(("torchvision/vit", "torchvision/swin", "torchvision/maxvit"))
    ]


def test_timm_is_left_out_where_it_is_not_installed(zoo, monkeypatch, tmp_path, capsys):
    """Without timm its models are missing from the list, and a line says so."""
    real = importlib.util.find_spec  # torch asks it too, while it loads its parts
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "timm" else real(name, *rest))
    assert {entry.library for entry in zoo.entries()} == {"examples", "torchvision"}
    zoo.main(["--report", "--log", str(tmp_path / "log"), "--to", str(tmp_path / "zoo.md")])
    assert "timm is not installed: its models are left out" in capsys.readouterr().err


def test_names_match_by_pattern(zoo, tmp_path, capsys):
    """--only takes a pattern of the full name, or of the name in its library; one that matches nothing is refused."""
    assert zoo._matches("timm/resnet18", "resnet18") and zoo._matches("timm/resnet18", "timm/res*")
    assert not zoo._matches("torchvision/vgg11_bn", "vgg11")
    assert zoo._matches("examples/mlperf_tiny.py:ds_cnn", "ds_cnn")
    with pytest.raises(SystemExit):
        zoo.main(["--only", "no_such_model", "--log", str(tmp_path / "log")])
    assert "no model matches no_such_model" in capsys.readouterr().err


def test_a_second_call_goes_on(zoo, monkeypatch, tmp_path):
    """Models with a verdict are not looked at again unless asked; the last verdict counts."""
    looked = []
    monkeypatch.setattr(zoo, "run", lambda entry, limit, memory: looked.append(entry.name) or row(entry.name))
    log = tmp_path / "log"
    log.write_text(json.dumps(row("examples/mlperf_tiny.py:ds_cnn", "fails")) + "\n")
    arguments = ["--only", "examples/*", "--log", str(log), "--to", str(tmp_path / "zoo.md")]
    zoo.main(arguments)
    assert len(looked) == 3 and "examples/mlperf_tiny.py:ds_cnn" not in looked
    zoo.main(arguments)
    assert len(looked) == 3
    zoo.main([*arguments, "--redo"])
    assert len(looked) == 7
    assert {r["verdict"] for r in zoo.read(log)} == {"exact"}
    assert len(zoo.read(log)) == 4


def test_ctrl_c_stops_in_one_line(zoo, monkeypatch, tmp_path, capsys):
    """Ctrl-C ends with exit status 130, one line and no verdict on the model it met."""

    def interrupted(entry, limit, memory):
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo, "run", interrupted)
    with pytest.raises(SystemExit) as stopped:
        zoo.main(["--only", "examples/*", "--log", str(tmp_path / "log"), "--to", str(tmp_path / "zoo.md")])
    assert stopped.value.code == 130
    assert "stopped; the same command goes on" in capsys.readouterr().err
    assert zoo.read(tmp_path / "log") == []


def test_report_hides_nothing(zoo, tmp_path):
    """Every verdict is in the table, with what was found; models without one are named; old ones are counted."""
    log = tmp_path / "log"
    rows = [
        row("timm/a", groups=3, free=4, layers=5, seconds=1.25, note="kept: x", real="run"),
        row("timm/b", "refused", detail="operator fft: there is no rule | pin it"),
        row("torchvision/c", "crashed", detail="signal 9"),
    ]
    log.write_text("".join(json.dumps(r) + "\n" for r in rows))
    zoo.main(["--report", "--log", str(log), "--to", str(tmp_path / "zoo.md")])
    text = (tmp_path / "zoo.md").read_text("utf-8")
    assert "| timm/a | 3 | 4 of 5 | 1.2 | exact | kept: x |" in text
    assert "| timm/b |  |  |  | refused | operator fft: there is no rule / pin it |" in text
    assert "| torchvision/c |  |  |  | crashed | signal 9 |" in text
    assert "| timm | 2 | 1 |" in text
    assert "No verdict yet on" in text and "an abacus" in text
    assert "3 of the verdicts are of another version" in text


def test_a_process_that_ends_badly_is_a_verdict(zoo):
    """A crash, too much time and too little memory each have a verdict."""
    models = importlib.import_module("benchmarks.zoo_models")
    unknown = zoo.run(models.Entry(name="examples/no_such.py:net", shape="3x8x8"), 100, 8)
    assert (unknown["verdict"], unknown["detail"]) == ("crashed", "exit status 1: StopIteration")
    [entry] = [entry for entry in zoo.entries() if entry.name.endswith("resnet8")]
    assert zoo.run(entry, 0.01, 8)["verdict"] == "timed out"


def test_wrong_predictions_are_found(zoo_check):
    """A polynomial that is one off, of parameters, multiply-adds or memory, is a deviation at the first layout."""
    graph = trace(load_model(str(ROOT / "examples" / "mlperf_tiny.py:ds_cnn")), torch.zeros(1, 1, 49, 10))
    params = replace(graph.params, constant=graph.params.constant + 1)
    macs = replace(graph.macs, linear=(graph.macs.linear[0] + 1, *graph.macs.linear[1:]))
    points = tuple(replace(point, constant=point.constant + 1) for point in graph.activations.points)
    wrong = {
        "params": replace(graph, params=params),
        "macs": replace(graph, macs=macs),
        "peak activation bytes": replace(graph, activations=replace(graph.activations, points=points)),
    }
    for what, graph_with in wrong.items():
        with pytest.raises(zoo_check.DeviationError, match=f"{what} predicted"):
            zoo_check.compare_at_random_layouts(graph_with, 1)


def test_messages_lose_the_folders_of_the_machine(zoo_check):
    """A refusal is cut, and says no path of this machine."""
    said = zoo_check.shortened(f"at {ROOT}/examples/x.py:1 and /opt/lib/site-packages/timm/y.py:2 " + "z" * 200)
    assert said.startswith("at examples/x.py:1 and timm/y.py:2 zzz")
    assert len(said) == 160
    outcome = doctest.testmod(zoo_check)
    assert outcome.attempted == 1 and outcome.failed == 0


@pytest.mark.slow
def test_small_models_are_exact(zoo, tmp_path):
    """Two small models, each in its own process: exact at ten layouts, and one of them run for real."""
    log = tmp_path / "log"
    for name in ("examples/mlperf_tiny.py:resnet8", "torchvision/squeezenet1_1"):
        zoo.main(["--only", name, "--log", str(log), "--to", str(tmp_path / "zoo.md")])
    rows = zoo.read(log)
    assert [(r["verdict"], r["detail"], r["real"]) for r in rows] == [("exact", "", "run")] * 2
    assert [(r["groups"], r["free"], r["layers"]) for r in rows] == [(6, 9, 10), (25, 25, 26)]
