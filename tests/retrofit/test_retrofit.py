"""Retrofit: limits as people write them, answers that equal enumeration, files that come back as they were."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import parlay
from parlay.cli.main import run
from parlay.errors import CertificateError, InputError
from parlay.graph import WidthGraph, count_params, trace
from parlay.retrofit import (
    Limits,
    compare_latency,
    parse_bytes,
    parse_limit,
    parse_range,
    retrofit,
    retrofit_or_conflict,
    write_files,
)
from parlay.retrofit.files import Origin

IMAGE = torch.zeros(1, 3, 8, 8)
ORIGIN = Origin(spec="nets.py:Residual", kwargs={}, inputs=[[3, 8, 8]])


class Residual(nn.Module):
    """A residual network with four free widths, one of them in pairs."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.inner = nn.Conv2d(width, 8, 3, padding=1, groups=2)
        self.back = nn.Conv2d(8, width, 1)
        self.down = nn.Conv2d(width, 10, 3, stride=2, padding=1)
        self.hidden = nn.Linear(10, 7)
        self.head = nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.back(torch.relu(self.inner(x)))
        return self.head(torch.relu(self.hidden(torch.relu(self.down(x)).mean((2, 3)))))


@pytest.fixture(scope="module")
def graph() -> WidthGraph:
    return trace(Residual(), IMAGE)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("256KiB", 262144), ("64 kB", 64000), ("1.5MiB", 1572864), ("4096", 4096), ("4096B", 4096), ("1_000", 1000)],
)
def test_bytes(text: str, amount: int) -> None:
    """Decimal and binary units, exactly."""
    assert parse_bytes(text) == amount


def test_limits_are_exact_integers() -> None:
    """Ratios of today's amount are rounded down; 0.1 means a tenth, not its float."""
    assert parse_limit("0.7x", today=10, what="max-macs") == 7
    assert parse_limit("1.0x", today=10**15 + 1, what="max-macs") == 10**15 + 1
    assert parse_range("0.333x:10", today=10, what="params-range") == (4, 10)


@pytest.mark.parametrize(
    ("function", "text", "words"),
    [
        (lambda t: parse_bytes(t, "flash"), "256KiBs", "'KiBs' is no unit of memory"),
        (lambda t: parse_bytes(t, "flash"), "-4KiB", "flash: got '-4KiB'"),
        (lambda t: parse_bytes(t, "flash"), "0", "from 1"),
        (lambda t: parse_limit(t, today=9, what="max-macs"), "-0.5x", "max-macs: got '-0.5x'"),
        (lambda t: parse_limit(t, today=9, what="max-macs"), "1.5", "a positive integer, or a ratio"),
        (lambda t: parse_limit(t, today=9, what="max-macs"), "0.01x", "from 1"),
        (lambda t: parse_range(t, today=9, what="params-range"), "5", "two amounts joined by a colon"),
        (lambda t: parse_range(t, today=9, what="params-range"), "9:5", "9 is above 5"),
    ],
)
def test_amounts_that_are_none(function: Any, text: str, words: str) -> None:
    """One line each."""
    with pytest.raises(InputError, match=words):
        function(text)


def enumerated(graph: WidthGraph, found: Any) -> list[tuple[float, tuple[int, ...]]]:
    """Every layout of the problem's space that keeps its constraints, by plain enumeration, best first."""
    choices = [
        [w for w in range(g.minimum, (g.maximum or 0) + 1) if w % g.multiple_of == 0]
        for g in found.problem.space.groups
    ]
    layouts = [layout for layout in itertools.product(*choices) if not found.problem.violations(layout)]
    return sorted(((found.problem.score_value(layout), layout) for layout in layouts), reverse=True)


CASES: dict[str, tuple[Limits, dict[str, Any]]] = {
    "default": (Limits(), {}),
    "same": (Limits(params="same"), {}),
    "range": (Limits(params_range="0.9x:0.95x", max_macs="none"), {}),
    "flash and ram": (Limits(flash="2KiB", ram="800", max_macs="none"), {"max_ratio": "1.7"}),
    "half the work": (Limits(max_macs="0.5x", dtype="float32"), {}),
    "multiples": (Limits(), {"multiple_of": 2, "top_k": 5}),
    "per group": (Limits(), {"score": "energy-group", "top_k": 3}),
    "steps": (Limits(), {"max_step": "1.5", "top_k": 2}),
    "order": (Limits(), {"order": "nondecreasing", "min_ratio": "0.4"}),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_equal_enumeration(graph: WidthGraph, name: str) -> None:
    """The same best layouts, proven; every limit kept by exact recount."""
    limits, options = CASES[name]
    found = retrofit(graph, limits, **options)
    expected = enumerated(graph, found)
    assert found.result.status.value == "OPTIMAL"
    top = [solution.score_value for solution in found.solutions()]
    assert top == pytest.approx([score for score, _ in expected[: len(top)]], abs=1e-12)
    assert len(top) == min(options.get("top_k", 1), len(expected))
    assert {solution.layout for solution in found.solutions()} <= {layout for _, layout in expected}
    assert found.gained in (None, pytest.approx(1.0))


def test_the_default_never_costs_more_than_today(graph: WidthGraph) -> None:
    """Parameters, multiply-adds and peak memory at most today's; the score at least today's."""
    found = retrofit(graph)
    before, after = found.amounts(graph.layout), found.amounts(found.layout)
    assert found.keeps_today
    assert found.result.best.score_value >= found.before
    for key in ("params", "macs", "peak_activation_bytes"):
        assert after[key] <= before[key]


def test_flash_and_ram_replace_the_defaults(graph: WidthGraph) -> None:
    """A device with more flash may grow the network; 'none' lifts a limit."""
    words = [str(c) for c in Limits(flash="64KiB", ram="16KiB", max_macs="none").constraints(graph)]
    assert words == ["peak_activation_bytes <= 16384", "flash <= 65536"]
    assert [c.resource.name for c in Limits(max_params="2x").constraints(graph)] == [
        "params",
        "macs",
        "peak_activation_bytes",
    ]
    with pytest.raises(InputError, match="at least one limit"):
        Limits(max_params="none", max_macs="none", max_peak_memory="none").constraints(graph)
    with pytest.raises(InputError, match="one of params, max-params, params-range"):
        Limits(params="same", max_params="1x")


def test_flash_follows_the_convention(graph: WidthGraph) -> None:
    """Weights one byte; a bias of four for every channel with a bias or a folded batch norm."""
    model = graph.model
    weights = sum(p.numel() for name, p in model.named_parameters() if name.endswith("weight") and p.dim() > 1)
    biases = 6 + 8 + 6 + 10 + 7 + 4  # the stem's batch norm folds into it
    assert graph.flash_bytes("int8")(graph.layout) == weights + 4 * biases
    assert graph.flash_bytes("float32")(graph.layout) == 4 * (weights + biases)


def test_impossible_limits_are_explained(graph: WidthGraph) -> None:
    """Which limits conflict, and what could be reached."""
    found, conflict = retrofit_or_conflict(graph, Limits(params="5000", max_macs="0.8x"))
    assert found.result.status.value == "INFEASIBLE"
    assert conflict is not None
    assert any("params" in part for part in conflict.parts)
    reach = {item.resource: item for item in conflict.reach}
    assert reach["params"].highest is not None
    assert reach["params"].highest < 5000


def test_fences_that_leave_nothing(graph: WidthGraph) -> None:
    """Ratios without a multiple, ratios that cross, steps below one, unknown scores."""
    for options, words in (
        ({"multiple_of": 64}, "allowed: a range that holds a multiple of 64"),
        ({"min_ratio": "2", "max_ratio": "1"}, "at most the max-ratio"),
        ({"min_ratio": "-1"}, "min-ratio: got '-1'"),
        ({"order": "sideways"}, "order: got 'sideways'"),
        ({"score": "energie-layer"}, "did you mean energy-layer?"),
    ):
        with pytest.raises(InputError, match=words.replace("?", r"\?")):
            retrofit(graph, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["resnet8", "ds_cnn"])
def test_tiny_networks_are_proven(name: str) -> None:
    """ResNet-8 and DS-CNN of MLPerf Tiny: OPTIMAL under the default limits; DS-CNN's own layout is the best."""
    from parlay.graph.specs import load_model

    examples = Path(__file__).resolve().parents[2] / "examples" / "mlperf_tiny.py"
    shape = {"resnet8": (3, 32, 32), "ds_cnn": (1, 49, 10)}[name]
    found = retrofit(trace(load_model(f"{examples}:{name}"), torch.zeros(1, *shape)))
    assert found.result.status.value == "OPTIMAL"
    assert (found.layout == found.graph.layout) == (name == "ds_cnn")
    assert found.result.best.score_value >= found.before


def test_files_come_back_as_they_were(graph: WidthGraph, tmp_path: Path) -> None:
    """layout.json and weights rebuild the very network; nothing is imported or overwritten unasked."""
    found = retrofit(graph, Limits(params="same"))
    written = write_files(found, tmp_path / "out", ORIGIN, keep_weights=True)
    facts = json.loads((tmp_path / "out" / "layout.json").read_text())
    assert facts["params"] == count_params(written.module) == count_params(graph.model)
    assert facts["layout"] == list(found.layout)
    loaded = parlay.load(tmp_path / "out" / "layout.json", factory=Residual)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(loaded.eval()(x), written.module.eval()(x))
    with pytest.raises(InputError, match=r"which holds layout\.json.*--overwrite"):
        write_files(found, tmp_path / "out", ORIGIN)
    write_files(found, tmp_path / "out", ORIGIN, overwrite=True)


def test_the_built_network_is_counted_before_anything_is_written(
    graph: WidthGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that is not what was predicted leaves no file behind."""
    found = retrofit(graph)
    other = graph.build(graph.layout)
    assert found.layout != graph.layout
    monkeypatch.setattr(WidthGraph, "build", lambda *_, **__: other)
    with pytest.raises(CertificateError, match=r"params of the built network is .* macs of"):
        write_files(found, tmp_path / "out", ORIGIN)
    assert list((tmp_path / "out").iterdir()) == []


def test_onnx_is_checked_against_torch(graph: WidthGraph, tmp_path: Path) -> None:
    """The exported file gives torch's outputs in onnxruntime, for a batch of one."""
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    written = write_files(retrofit(graph), tmp_path, ORIGIN)
    assert written.onnx_note == ""
    assert written.onnx_difference is not None
    assert written.onnx_difference < 1e-4
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    x = torch.randn(1, 3, 8, 8)
    [theirs] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert torch.allclose(written.module.eval()(x), torch.from_numpy(theirs), atol=1e-4)


def test_layout_files_of_others_are_refused(graph: WidthGraph, tmp_path: Path) -> None:
    """Another model, another version, another kind of file, broken files, no factory: one line each."""
    write_files(retrofit(graph), tmp_path, ORIGIN)
    path = tmp_path / "layout.json"
    facts = json.loads(path.read_text())

    def refused(words: str, factory: Any = Residual, **changes: Any) -> None:
        other = tmp_path / "other.json"
        other.write_text(json.dumps({**facts, **changes}))
        with pytest.raises(InputError, match=words):
            parlay.load(other, factory=factory)

    refused("runs no code that a file names", factory=None)
    refused("a Residual with other names or shapes", factory=lambda: Residual(8))
    refused(r"factory: got int", factory=lambda: 3)
    refused(r"factory: got 3", factory=3)
    refused("schema version 99", schema_version=99)
    refused("another kind of file", kind="study")
    refused("hashes missing or changed", hashes={})
    for key, value in (("layout", None), ("hashes", 3), ("groups", [{}]), ("inputs", "abc"), ("pins", None)):
        refused(f"{key} missing or changed", **{key: value})
    refused("positive sizes joined by x", inputs=[[3, -8, 8]])
    refused("at most 100000000 values", inputs=[[3, 100000, 100000]])
    refused("groups of other", groups=facts["groups"][:-1])
    with pytest.raises(InputError, match=r"layout file: got .*missing"):
        parlay.load(tmp_path / "missing.json", factory=Residual)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="which is no JSON"):
        parlay.load(tmp_path / "broken.json", factory=Residual)
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="a safetensors file"):
        parlay.load(path, factory=Residual)


def test_latency_is_measured_in_turns() -> None:
    """Both modules run equally often, and keep their modes."""
    runs: list[str] = []

    class Counted(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: Tensor) -> Tensor:
            runs.append(self.name)
            return x

    old, new = Counted("old"), Counted("new")
    timed = compare_latency(old, new, [IMAGE], rounds=10)
    assert runs.count("old") == runs.count("new") == 13
    assert "".join(name[0] for name in runs[-4:]) in ("noon", "onno")
    assert timed.old_spread[0] <= timed.old <= timed.old_spread[1]
    assert old.training
    assert new.training


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import inspect

    path = tmp_path / "nets.py"
    path.write_text("import torch\nfrom torch import Tensor, nn\n\n\n" + inspect.getsource(Residual))
    monkeypatch.chdir(tmp_path)
    return path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_command_json(capsys: pytest.CaptureFixture[str], nets: Path) -> None:
    """The keys of the contract, with today's layout beside."""
    words = ["retrofit", f"{nets.name}:Residual", "--input", "3x8x8", "--params", "same", "--top-k", "3", "--json"]
    code, out, _ = ask(capsys, *words, "--score", "energy-layer")
    facts = json.loads(out)
    assert code == 0
    assert facts["status"] == "OPTIMAL"
    assert facts["gap"] == 0
    assert len(facts["solutions"]) == 3
    assert facts["today"]["layout"] == [6, 8, 10, 7]
    assert {s["params"] for s in facts["solutions"]} == {facts["today"]["params"]}
    assert all(s["macs"] <= facts["today"]["macs"] for s in facts["solutions"])
    for one in (facts["today"], facts["uniform"], *facts["solutions"]):
        widths = one["layout"]
        assert one["log_energy"] == pytest.approx(sum(math.log(math.log(width)) for width in widths))
        layers = zip(widths, facts["groups"], strict=True)
        score = sum(group["multiplicity"] * math.log(math.log(width)) for width, group in layers)
        assert one["score_value"] == pytest.approx(score) != one["log_energy"]
    assert [b["constraint"].split()[0] for b in facts["binding"]] == ["params", "macs", "peak_activation_bytes"]


def test_command_text_and_files(capsys: pytest.CaptureFixture[str], nets: Path) -> None:
    """A table before and after, what binds, and files that build the network in a process of its own."""
    words = ["retrofit", f"{nets.name}:Residual", "--input", "3x8x8", "--out", "new", "--latency"]
    code, out, _ = ask(capsys, *words)
    assert code == 0
    assert "binds: " in out
    assert "interleaved runs; other hosts differ" in out
    for name in ("layout.json", "weights.safetensors", "rebuild.py"):
        assert Path("new", name).exists()
    done = subprocess.run([sys.executable, "new/rebuild.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    params = json.loads(Path("new/layout.json").read_text())["params"]
    assert done.stdout == f"{params} parameters\n"
    shutil.copy(nets, "new")  # to another machine: the folder with the model's file in it
    nets.rename("gone.py")
    done = subprocess.run([sys.executable, "new/rebuild.py"], capture_output=True, text=True, check=False)
    assert done.stdout == f"{params} parameters\n", done.stderr
    Path("gone.py").rename(nets)
    code, _, err = ask(capsys, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "--overwrite" in err


def test_rebuild_scripts_find_what_the_command_found(capsys: pytest.CaptureFixture[str], nets: Path) -> None:
    """A module in the working folder, a model that is an object, files that import their neighbours."""
    Path("sizes.py").write_text("WIDTH = 6\n")
    nets.write_text(
        "from __future__ import annotations\n"
        + nets.read_text()
        + "\n\nfrom sizes import WIDTH\nready = Residual(WIDTH)\n"
    )
    elsewhere = nets.parent / "elsewhere"
    elsewhere.mkdir()
    for number, spec in enumerate(("nets:Residual", "nets.py:ready")):
        out = f"new{number}"
        assert ask(capsys, "retrofit", spec, "--input", "3x8x8", "--out", out)[0] == 0
        script = Path(out, "rebuild.py").resolve()
        done = subprocess.run([sys.executable, str(script)], cwd=elsewhere, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_command_when_nothing_fits(capsys: pytest.CaptureFixture[str], nets: Path) -> None:
    """Exit code 1, the conflict in words, and nothing written."""
    words = ["retrofit", f"{nets.name}:Residual", "--input", "3x8x8", "--params", "99999", "--out", "new"]
    code, out, _ = ask(capsys, *words)
    assert code == 1
    assert "INFEASIBLE" in out
    assert "cannot be kept together: params = 99999" in out
    assert not Path("new").exists()


MISTAKES = {
    "--flash 256KiX": "'KiX' is no unit of memory",
    "--max-macs -1x": "max-macs: got '-1x'",
    "--params same --max-params 1x": "one of params, max-params, params-range",
    "--min-ratio 0": "min-ratio: got '0'",
    "--multiple-of 0": "multiple-of: got 0",
    "--dtype int3": "dtype: got 'int3'",
    "--score energy": "score: got 'energy'",
    "--top-k 0": "top-k: got 0",
    "--time-limit 0": "time limit: got 0.0",
    "--ram 1KiB --max-peak-memory 3parsec": "'parsec' is no unit of memory",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_met_with_one_line(capsys: pytest.CaptureFixture[str], nets: Path, words: str) -> None:
    """What was given, what is allowed, and no traceback."""
    code, out, err = ask(capsys, "retrofit", f"{nets.name}:Residual", "--input", "3x8x8", *words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert MISTAKES[words] in err
