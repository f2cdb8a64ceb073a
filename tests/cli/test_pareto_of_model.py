"""`parlay pareto --model`: levels of any amount of a traced model, each what retrofit answers under that limit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from parlay.cli.main import run
from parlay.layout import Layout

torch = pytest.importorskip("torch")

from parlay.graph import WidthGraph, trace  # noqa: E402
from parlay.graph.specs import load_model  # noqa: E402
from parlay.problem import Constraint, Problem  # noqa: E402
from parlay.retrofit import Limits, retrofit, retrofit_problem  # noqa: E402

MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=5, wide=8):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 1), nn.Conv2d(6, wide, 3, padding=1)
        self.head = nn.Linear(wide, num_classes)

    def forward(self, x):
        return self.head(self.second(self.first(x).relu()).relu().mean((2, 3)))
"""
LEVELLED = {
    "macs": ("max_macs", "0.6x"),
    "peak-memory": ("max_peak_memory", "0.7x"),
    "params": ("max_params", "0.6x"),
    "flash": ("flash", "400"),
    "ram": ("ram", "512"),
}
"""What is levelled -> the limit that a level stands for, and one in between."""


@pytest.fixture
def net(tmp_path: Path) -> str:
    """A model in a file, with two widths: 6 and 8."""
    (tmp_path / "net.py").write_text(MODEL)
    return f"{tmp_path}/net.py:Net"


@pytest.fixture
def graph(net: str) -> WidthGraph:
    """The same, traced."""
    return trace(load_model(net, {}), torch.zeros(1, 1, 8, 8))


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["pareto", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def best_of_all(problem: Problem) -> Layout:
    """By trying all layouts between half and twice 6 and 8."""
    layouts = [(a, b) for a in range(3, 13) for b in range(4, 17) if not problem.violations((a, b))]
    return max(layouts, key=problem.score_value)


@pytest.mark.parametrize("engine", ["live", "tflm"])
@pytest.mark.parametrize("against", LEVELLED)
def test_a_level_is_the_limit_of_that_name(graph: WidthGraph, against: str, engine: str) -> None:
    """The question without a level, and the level, are together what the limit alone makes of retrofit's defaults."""
    name, amount = LEVELLED[against]
    limits = Limits(levelled=against, engine=engine)
    whole = retrofit_problem(graph, Limits(**{name: amount}, engine=engine)).constraints
    [last] = [one for one in whole if one.resource == limits.level(graph)]
    level = Constraint.at_most(limits.level(graph), last.maximum or 0)
    without = retrofit_problem(graph, limits).constraints
    assert {str(one) for one in (*without, level)} == {str(one) for one in whole}
    assert len(without) == len(whole) - 1


def test_limits_that_are_given_stay() -> None:
    """Only defaults are lifted: a front may go up to a limit, and an exact size stays."""
    assert Limits(levelled="macs", max_macs="1.5x").max_macs == "1.5x"
    assert Limits(levelled="params", params="same") != Limits(levelled="params")
    assert Limits(levelled="params", params="same").max_params is None
    assert (Limits(levelled="flash").max_params, Limits(levelled="flash").max_macs) == ("none", "none")


@pytest.mark.parametrize("against", LEVELLED)
def test_every_point_is_the_best(net: str, graph: WidthGraph, against: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Brute force over all 130 layouts at every level, the least amount there is among them."""
    code, out, err = ask(capsys, "--model", net, "--input", "1x8x8", "--against", against, "--levels", "4", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    limits = Limits(levelled=against)
    problem, resource = retrofit_problem(graph, limits), limits.level(graph)
    assert (facts["score"], facts["spec"], facts["unit"]) == ("step-energy", "net.py:Net", resource.name)
    assert facts["worth"] == problem.score.worth(problem.space)
    points = facts["points"]
    assert len(points) == 4 and points[-1]["level"] == resource((3, 4))
    for point in points:
        under = Constraint.at_most(resource, point["level"])
        whole = Problem(space=problem.space, score=problem.score, constraints=(*problem.constraints, under))
        assert point["status"] == "OPTIMAL" and resource(tuple(point["layout"])) == point["amount"] <= point["level"]
        assert point["score_value"] == pytest.approx(problem.score_value(best_of_all(whole)), abs=1e-9)


def test_levels_as_ratios_and_bytes(net: str, graph: WidthGraph, capsys: pytest.CaptureFixture[str]) -> None:
    """A level is an amount with its unit or a ratio of today's, and its point is retrofit's answer to that limit."""
    words = ["--model", net, "--input", "1x8x8", "--min-ratio", "0.4", "--against", "flash", "--csv"]
    code, out, _ = ask(capsys, *words, "--level", "0.5x", "--level", "0.5KiB")
    today = graph.flash_bytes()(graph.layout)
    rows = [line.split(",") for line in out.splitlines()]
    assert code == 0 and [row[0] for row in rows[1:]] == ["512", str(today // 2)]
    found = [retrofit(graph, Limits(flash=row[0]), min_ratio="0.4").layout for row in rows[1:]]
    assert [row[-1] for row in rows[1:]] == ["-".join(map(str, layout)) for layout in found]


def test_the_data_say_what_a_network_sees(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --data the input is an image of it, and the classifier has its classes, as in a study."""
    front = ["--level", "1M", "--max-params", "none", "--json"]
    code, out, _ = ask(capsys, "--model", net, "--data", "digits", *front)
    assert code == 0
    same = ["--model", net, "--input", "1x8x8", "--model-arg", "num_classes=10", *front]
    assert json.loads(out) == json.loads(ask(capsys, *same)[1])
    family = ["--depth", "2", "--kernels", "300", "--levels", "2", "--json"]
    facts = json.loads(ask(capsys, *family, "--data", "digits")[1])
    assert (facts["in_channels"], facts["image"], facts["classes"]) == (1, 8, 10)


def test_a_front_goes_on_unless_the_model_changed(
    net: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command solves nothing again, from wherever the file is; another wiring is another question."""
    folder = tmp_path / "front"
    words = ["--input", "1x8x8", "--levels", "3", "--out", str(folder)]
    assert ask(capsys, "--model", net, *words)[0] == 0
    assert (folder / "pareto.csv").read_text().count("\n") == 4
    assert (folder / "pareto.png").read_bytes()[:4] == b"\x89PNG"
    assert str(tmp_path) not in (folder / "pareto.json").read_text()
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "net.py").write_text(MODEL)
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["parlay.solver.pareto"], "solve", None)
        code, out, _ = ask(capsys, "--model", f"{tmp_path}/moved/net.py:Net", *words)
    assert code == 0 and "score step-energy: docs/evidence.md" in out
    (tmp_path / "moved" / "net.py").write_text(MODEL.replace("self.first(x).relu()", "self.first(x)"))
    for other in (["--model", f"{tmp_path}/moved/net.py:Net"], ["--model", net, "--model-arg", "wide=9"]):
        code, _, err = ask(capsys, *other, *words)
        assert code == 2 and "one of the same question" in err


@pytest.mark.parametrize(("words", "match"), [
    ("--model NET", "got neither; allowed: one of the two, such as --input"),
    ("--model NET --input 1x8x8 --data digits", "got --input and --data"),
    ("--model NET --input 1x8x8 --kernels 30", "--kernels: got with --model"),
    ("--model NET --input 1x8x8 --min-macs 30", "--min-macs: got with --model"),
    ("--model NET --input 1x8x8 --depth 3", "--depth: got with --model"),
    ("--model NET --input 1x8x8 --against weights", "got weights; allowed: of a model, macs"),
    ("--model NET --input 1x8x8 --against params --params same --max-params 30", "got params and max-params"),
    ("--model NET --input 1x8x8 --against flash --level 2k", "level: got '2k'; allowed: 2 kB"),
    ("--model NET --input 1x8x8 --level 2KiB", "level: got '2KiB'; allowed: an integer"),
    ("--model NET --input 1x8x8 --ram 8", "got INFEASIBLE; allowed: a question that has a layout"),
    ("--model NET --input 1x8x8 --device nrf5284", "did you mean nrf52840"),
    ("--model NET --input 1x8x8 --pin tail", "pin: got 'tail'"),
    ("--depth 3 --kernels 400 --flash 30KiB", "--flash: got without --model"),
    ("--depth 3 --kernels 400 --pin a", "--pin: got without --model"),
    ("--depth 3 --kernels 400 --input 3x3x3", "--input: got without --model"),
    ("--depth 3 --kernels 400 --against ram", "got ram; allowed: of a family, macs"),
    ("--depth 3 --kernels 400 --max-macs 0.9x", "max-macs: got '0.9x'"),
    ("--depth 3 --kernels 400 --level 0.5x", "level: got '0.5x'"),
])  # fmt: skip
def test_what_cannot_be_asked(net: str, words: str, match: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2."""
    code, out, err = ask(capsys, *words.replace("NET", net).split())
    assert (code, out) == (2, "") and match in err and len(err.splitlines()) == 1
