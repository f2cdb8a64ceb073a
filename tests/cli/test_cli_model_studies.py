"""``parlay study new --model``: layouts of one size of a traced model, best, spread or drawn."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from parlay import Status, get_score, solve
from parlay.retrofit import Limits
from parlay.retrofit.solve_retrofit import retrofit_problem
from parlay.study import ModelNetwork, Reader
from test_cli_studies import answer, complaint

CODE = """
from torch import nn

class Block(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden), nn.ReLU())
        self.project = nn.Conv2d(hidden, width, 1)

    def forward(self, images):
        return images + self.project(self.depthwise(self.expand(images)))

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())
        self.first, self.second = Block(6, 9), Block(6, 12)
        self.last = nn.Sequential(nn.Conv2d(6, 11, 1), nn.ReLU())
        self.head = nn.Linear(11, num_classes)

    def forward(self, images):
        return self.head(self.last(self.second(self.first(self.stem(images)))).mean((2, 3)))
"""


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """Options that name a small model and its training."""
    (tmp_path / "net.py").write_text(CODE)
    return ["--model", f"{tmp_path / 'net.py'}:Net", "--data", "digits", "--steps", "3", "--precision", "fp32"]


def network_of(model: list[str]) -> ModelNetwork:
    """The traced model."""
    return ModelNetwork.traced(model[1], in_channels=1, image=8, classes=10)


def planned(folder: Path) -> dict[tuple[int, ...], set[str]]:
    """Layout -> reasons, of a study."""
    with Reader(folder) as study:
        return {row.trial.layout: set(row.kinds) for row in study.rows()}


def test_layouts_of_todays_size_are_planned(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The best by two scores, a spread and a sample have today's parameters to the unit, and the fences of retrofit."""
    folder = tmp_path / "s"
    choices = ("top:2", "top:1@sum-log", "spread:3", "sample:5")
    answer(capsys, "study", "new", folder, *model, *(part for one in choices for part in ("--layouts", one)))
    network, found = network_of(model), planned(folder)
    today = network.today
    assert {network.params(layout) for layout in found} == {network.params(today)}
    assert all(-(-w // 2) <= one <= 2 * w for layout in found for one, w in zip(layout, today, strict=True))
    for choice, score, count in (("top:2", None, 2), ("top:1@sum-log", "sum-log", 1)):
        options: dict[str, Any] = {} if score is None else {"score": score}
        problem = retrofit_problem(network.graph(), Limits().of_one_size(), **options)
        best = solve(problem, top_k=count)
        assert best.status is Status.OPTIMAL, choice
        assert all("top" in found[one.layout] for one in best.solutions), choice
    assert sum("sample" in kinds for kinds in found.values()) == 5
    assert sum("spread" in kinds for kinds in found.values()) == 3
    assert "nothing added" in run_text(capsys, "study", "new", folder, *model, "--layouts", "sample:5")


def run_text(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command prints on stdout."""
    from parlay.cli.main import run

    assert run([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_limits_and_fences_are_kept(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Another size, multiply-adds, memory, multiples, ratios and a pinned group: every layout keeps all of them."""
    network, folder = network_of(model), tmp_path / "s"
    limits = ("--params-range", "0.97x:1.03x", "--max-macs", "1.1x", "--ram", "1KiB", "--multiple-of", "2")
    fences = ("--min-ratio", "0.4", "--max-ratio", "3", "--pin", "last")
    answer(capsys, "study", "new", folder, *model, *limits, *fences, "--layouts", "sample:6", "--layouts", "top:1")
    params, macs = network.params(network.today), network.macs(network.today)
    for layout in planned(folder):
        assert 0.97 * params <= network.params(layout) <= 1.03 * params
        assert network.macs(layout) <= 1.1 * macs
        assert network.peak_activation_bytes("int8")(layout) <= 1024
        assert layout[-1] == network.today[-1]
        assert all(width % 2 == 0 for width in layout[:-1])


def test_how_layouts_are_drawn_is_said(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The law of a sample, and from what a spread is taken, in a note each."""
    from parlay.cli.main import run

    assert run(["study", "new", str(tmp_path / "s"), *model, "--layouts", "sample:4", "--layouts", "spread:2"]) == 0
    notes = capsys.readouterr().err
    assert "note: sample:4: drawn evenly from a list of all" in notes


def test_fewer_layouts_than_asked_for_are_said(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Of a size with few layouts, best, spread and sample each say how many there were to take."""
    from parlay.cli.main import run

    folder, fences = tmp_path / "s", ("--max-ratio", "1.1", "--min-ratio", "0.9")
    for choice in ("top:500", "spread:500", "sample:500"):
        assert run(["study", "new", str(folder), *model, *fences, "--layouts", choice]) == 0
        some = len(planned(folder))
        words = "only 1 layout to take" if some == 1 else f"only {some} layouts to take"
        assert capsys.readouterr().err.strip().endswith(words), choice
    assert some < 500


def test_commands_of_a_folder_with_blanks_can_be_pasted(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """What study new, a wrong layout and study compare tell to run next goes on with this folder and this model."""
    folder, nets = tmp_path / "my study", tmp_path / "my nets"
    nets.mkdir()
    (nets / "net.py").write_text(CODE)
    mine = ["--model", f"{nets / 'net.py'}:Net", *model[2:]]
    said = run_text(capsys, "study", "new", folder, *mine, "--layouts", "original")
    assert shlex.split(said.strip().rpartition("; ")[2]) == ["parlay", "study", "run", str(folder)]
    line = complaint(capsys, "study", "new", folder, *mine, "--layouts", "6-6")
    traces = line.partition("parlay trace ")[2].partition(" lists")[0]
    assert shlex.split(traces) == [mine[1]]
    line = complaint(capsys, "study", "compare", folder)
    assert shlex.quote(str(folder)) in line


def test_all_of_a_small_space(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """``all`` lists a model's layouts where they are few, best first."""
    folder = tmp_path / "s"
    answer(capsys, "study", "new", folder, *model, "--max-ratio", "1.3", "--min-ratio", "0.8", "--layouts", "all")
    network = network_of(model)
    found = planned(folder)
    problem = retrofit_problem(network.graph(), Limits().of_one_size(), min_ratio="0.8", max_ratio="1.3")
    assert network.today in found and len(found) > 1
    assert next(iter(found)) == solve(problem).best.layout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layouts", "top:1", "--kernels", "400"), "--kernels: got with --model"),
        (("--layouts", "top:1@energy-laier"), "did you mean energy-layer"),
        (("--layouts", "top:1@pair-harmonic"), "pair-harmonic"),
        (("--layouts", "sample:3", "--pin", "nothing"), "a pattern of layers, such as stem.0"),
        (("--layouts", "sample:3", "--params", "1"), "proven: no layout satisfies the constraints"),
        (("--layouts", "6-9-12-12", "--params", "same"), "params is"),
        (("--layouts", "sample:3", "--params", "100", "--max-params", "100"), "one of params, max-params"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    arguments: tuple[str, ...], message: str, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A family's size, unknown scores, patterns of nothing, sizes without layouts: one line, and no study is made."""
    assert message in complaint(capsys, "study", "new", tmp_path / "s", *model, *arguments)
    assert not (tmp_path / "s").exists()


def test_limits_of_a_model_are_not_a_familys(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """--params without --model is refused, and the line names what a family takes."""
    line = complaint(
        capsys,
        "study",
        "new",
        tmp_path / "s",
        "--data",
        "digits",
        "--depth",
        3,
        "--layouts",
        "top:1",
        "--params",
        "same",
    )
    assert "--params: got without --model" in line and "--kernels" in line


def test_a_spread_goes_over_the_score(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """spread:3@sum-log has both ends of that score among all layouts of the size."""
    folder = tmp_path / "s"
    answer(capsys, "study", "new", folder, *model, "--layouts", "all")
    terms = get_score("sum-log").terms(network_of(model).space)
    values = sorted(map(terms, planned(folder)))
    answer(capsys, "study", "new", tmp_path / "t", *model, "--layouts", "spread:3@sum-log")
    spread = sorted(map(terms, planned(tmp_path / "t")))
    assert len(spread) == 3
    assert (spread[0], spread[-1]) == (values[0], values[-1])


def test_from_a_plan_to_fitted_weights(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Trained, such a study judges every score of the graph, shows it on a page, and gives weights that retrofit takes.

    The drawn layouts alone judge; the optima stand beside them, each with how many it beats.
    """
    folder, weights = tmp_path / "s", tmp_path / "weights.json"
    choices = ("sample:9", "top:1", "top:1@sum-log", "original")
    run_text(
        capsys,
        *("study", "run", folder, *model, "--threads", 1),
        *(part for one in choices for part in ("--layouts", one)),
    )
    found = answer(capsys, "evaluate", folder, "--resamples", 100)
    network = network_of(model)
    assert (found["networks"], found["scores_left_out"]) == (9, {})
    assert {"energy-layer", "path-energy", "entropy", "macs"} <= set(found["scores"])
    assert all("partial_macs" in score for score in found["scores"].values())
    best = solve(retrofit_problem(network.graph(), Limits().of_one_size(), score="sum-log")).best.layout
    assert found["scores"]["sum-log"]["optimum"]["layout"] == list(best)
    assert 0 <= found["scores"]["sum-log"]["optimum"]["beats"] <= 9
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "trials.csv").write_text((folder / "trials.csv").read_text())
    assert "of a model, which the study itself knows, or evaluate --model" in complaint(capsys, "evaluate", kept)
    again = answer(capsys, "evaluate", kept, "--resamples", 100, *model[:2])
    assert again["scores"] == found["scores"]
    code = tmp_path / "other.py"
    code.write_text(CODE.replace("Block(6, 12)", "Block(6, 13)"))
    assert "column trial" in complaint(capsys, "evaluate", kept, "--model", f"{code}:Net")
    fitted = answer(capsys, "calibrate", folder, "--out", weights)
    assert [one["group"] for one in fitted["weights"]] == list(network.group_names)
    spec = (network.place, "--input", "1x8x8", "--model-arg", "num_classes=10", "--params", "same")
    solved = answer(capsys, "retrofit", *spec, "--score", f"calibrated:{weights}")
    assert solved["status"] == "OPTIMAL" and solved["score"].startswith("calibrated:")
    assert network.params(tuple(solved["solutions"][0]["layout"])) == network.params(network.today)
    answer(capsys, "study", "new", folder, *model, "--layouts", f"top:1@calibrated:{weights}")
    problem = retrofit_problem(network.graph(), Limits().of_one_size(), score=f"calibrated:{weights}")
    assert "top" in planned(folder)[solve(problem).best.layout]
    page = tmp_path / "page.html"
    run_text(capsys, "report", folder, "--out", page)
    text = page.read_text()
    for name in ("energy-layer", "path-energy"):
        assert f"{name} and accuracy, given multiply-adds" in text
