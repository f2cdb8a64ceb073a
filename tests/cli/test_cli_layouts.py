"""describe, solve and scores on the command line: fixed keys, exit codes, one line for every mistake."""

import json
import re

import pytest

from parlay import plain
from parlay.cli.main import run
from parlay.cli.terminal import number
from parlay.documents import finite
from parlay.energy import SCORES, energy_of
from parlay.layout import parse_layout


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_describe_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The keys of the contract, with the paper's figures."""
    code, out, _ = ask(capsys, "describe", "35-36-37-43", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["schema_version"] == 1
    assert facts["layout"] == [35, 36, 37, 43]
    expected = {"kernels": 4288, "weights": 38592, "params": 39334, "macs": 4867486, "peak_activation_bytes": 38912}
    assert {key: facts[key] for key in expected} == expected
    assert facts["energy"] == pytest.approx(173.0358, abs=1e-4)
    assert facts["log_energy"] == pytest.approx(5.153498, abs=1e-6)


def test_describe_width_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Energy 0 has no logarithm: null."""
    _, out, _ = ask(capsys, "describe", "1-11-42-59", "--family", "resnet", "--json")
    facts = json.loads(out)
    assert (facts["energy"], facts["log_energy"], facts["kernels"]) == (0.0, None, 51248)


def test_describe_deep_energy_that_no_float_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand layers: the energy is null, its logarithm is not."""
    _, out, _ = ask(capsys, "describe", "-".join(["316"] * 1000), "--json")
    facts = json.loads(out)
    assert facts["energy"] is None
    assert facts["log_energy"] == pytest.approx(1750.0, abs=1)


def test_solve_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Table 5 by the documented command."""
    code, out, _ = ask(capsys, *"solve --family plain --depth 4 --kernels 4288 --top-k 6 --json".split())
    facts = json.loads(out)
    assert code == 0
    assert {"status", "bound", "gap", "runtime", "solutions", "schema_version"} <= set(facts)
    assert facts["status"] == "OPTIMAL"
    assert facts["gap"] == 0
    assert facts["solutions"][0]["layout"] == [35, 36, 37, 43]
    assert {"layout", "energy", "log_energy", "kernels", "weights", "params", "macs"} <= set(facts["solutions"][0])
    assert all(s["weights"] == 38592 for s in facts["solutions"])


EVERY_SCORE = pytest.mark.parametrize("score", [name for name in SCORES if name != "energy-layer"])


@EVERY_SCORE
@pytest.mark.parametrize("command", ["solve", "list", "sample"])
def test_energy_is_eq_3_whatever_is_maximised(capsys: pytest.CaptureFixture[str], command: str, score: str) -> None:
    """Energy and its logarithm are those of the family; the score that was maximised stands in a key of its own."""
    _, out, _ = ask(capsys, command, *f"--depth 3 --kernels 240 --order free --score {score} --json".split())
    facts = json.loads(out)
    family = plain(depth=3)
    wanted = family.problem(kernels=240, order="free", score=score)
    for one in facts["solutions" if command == "solve" else "layouts"]:
        layout = tuple(one["layout"])
        energy = family.energy(layout)
        assert (one["log_energy"], one["energy"]) == (pytest.approx(finite(energy)), pytest.approx(energy_of(energy)))
        assert one["score_value"] == pytest.approx(finite(wanted.score_value(layout)))


@EVERY_SCORE
def test_the_score_has_a_column_of_its_own(capsys: pytest.CaptureFixture[str], score: str) -> None:
    """Beside the energy, unless it is the energy."""
    _, out, _ = ask(capsys, *f"solve --depth 3 --kernels 4288 --order free --score {score}".split())
    _, header, line, status, *_ = out.splitlines()
    names, values = re.split(r"\s{2,}", header.strip()), re.split(r"\s{2,}", line.strip())
    shown = dict(zip(names, values, strict=True))
    family = plain(depth=3)
    layout = parse_layout(shown["layout"])
    assert shown["log energy"] == number(finite(family.energy(layout)))
    assert ("score value" in shown) == (score != "energy-group")
    if score != "energy-group":
        assert shown["score value"] == number(family.problem(kernels=4288, score=score).score_value(layout))
    assert "gap 0 in the score" in status


def test_solve_resnet_with_energy_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve ResNets; the last two have energy 0 and log_energy null."""
    _, out, _ = ask(capsys, *"solve --family resnet --depth 32 --kernels 51248 --top-k 20 --json".split())
    solutions = json.loads(out)["solutions"]
    assert len(solutions) == 12
    assert [(s["energy"], s["log_energy"]) for s in solutions[-2:]] == [(0.0, None), (0.0, None)]


def test_infeasible_exits_with_1_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """In JSON and in words."""
    arguments = "solve --depth 4 --kernels 4288 --multiple-of 8".split()
    code, out, _ = ask(capsys, *arguments, "--json")
    facts = json.loads(out)
    assert (code, facts["status"], facts["solutions"], facts["gap"]) == (1, "INFEASIBLE", [], None)
    assert facts["nearest"] == {"unit": "kernels", "below": 4272, "above": 4312, "proven": True}
    code, out, _ = ask(capsys, *arguments)
    assert code == 1
    assert "4,272 and 4,312 kernels" in out


def test_kernel_sizes_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    """A list of kernel sizes works with --weights; kernels are then null."""
    code, out, _ = ask(capsys, *"solve --depth 3 --kernel-size 5,3,1 --weights 5000 --json".split())
    facts = json.loads(out)
    a, b, c = facts["solutions"][0]["layout"]
    assert code == 0
    assert 75 * a + 9 * a * b + b * c == 5000
    assert facts["solutions"][0]["kernels"] is None


def test_fences_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer says when it stands on a fence."""
    _, out, _ = ask(capsys, *"solve --depth 4 --max-kernels 4288 --max-width 40 --order free --json".split())
    assert any("conv1 = 40, the largest width allowed" in text for text in json.loads(out)["fences"])


def test_scores_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The scores that the solver maximises, by their marks, and sources of all."""
    _, out, _ = ask(capsys, "scores", "--json")
    facts = json.loads(out)["scores"]
    assert [fact["name"] for fact in facts if fact["objective"]] == [
        "energy-group",
        "energy-layer",
        "sum-log",
        "pair-harmonic",
        "path-energy",
        "step-energy",
    ]
    assert [fact["name"] for fact in facts if fact["recommended"]] == ["step-energy"]
    assert all(fact["source"] for fact in facts)


def test_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json a table and the proof in words."""
    code, out, _ = ask(capsys, *"solve --depth 4 --kernels 4288 --top-k 2".split())
    assert code == 0
    assert "33-35-37-47" in out
    assert "OPTIMAL" in out
    assert ask(capsys, "describe", "35-36-37-43")[1].count("\n") >= 10
    assert "energy-layer" in ask(capsys, "scores")[1]


@pytest.mark.parametrize("arguments", [
    "solve --depth 4",
    "solve --kernels 4288",
    "solve --depth 0 --kernels 4288",
    "solve --depth 4 --kernels -5",
    "solve --depth 4 --kernels 99999999999999999999",
    "solve --depth 4 --kernels 4288 --weights 38592",
    "solve --depth 4 --kernels many",
    "solve --depth 4 --kernels 4288 --top-k 0",
    "solve --depth 4 --kernels 4288 --top-k 99999999",
    "solve --depth 4 --kernels 4288 --order upwards",
    "solve --depth 4 --kernels 4288 --max-step 0.9",
    "solve --depth 4 --kernels 4288 --max-step abc",
    "solve --depth 4 --kernels 4288 --min-width 9 --max-width 3",
    "solve --depth 4 --kernels 4288 --multiple-of 0",
    "solve --depth 4 --kernels 4288 --time-limit -1",
    "solve --depth 4 --kernels 4288 --score wrong",
    "solve --depth 4 --kernels 4288 --kernel-size 3,3",
    "solve --depth 4 --kernels 4288 --kernel-size 5,3,3,3",
    "solve --depth 4 --kernels 4288 --kernel-size x",
    "solve --depth 4 --kernels 4288 --in-channels 0",
    "solve --family resnet --depth 31 --kernels 51248",
    "solve --family vgg --depth 4 --kernels 4288",
    "describe 35-36-37-43 --family resnet --depth 33",
    "describe 35-36-37 --family resnet",
    "describe 35-36-x",
    "describe 35-36 --dtype int2",
    "describe 35-36 --image 1",
    "describe",
    "nothing",
    "solve --wrong-option",
])  # fmt: skip
def test_mistakes_get_one_line_and_exit_2(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, nothing on stdout, one line on stderr."""
    code, out, err = ask(capsys, *arguments.split())
    assert code == 2
    assert out == ""
    assert err.startswith("parlay: ")
    assert err.count("\n") == 1


def test_unexpected_errors_are_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug shows its type and asks for a report, exit 3; a library's out-of-memory error is called what it is."""
    from parlay.cli import describe

    for text, code, shown in (
        ("odd\nthing", 3, "unexpected RuntimeError: odd thing"),
        ("can't allocate memory", 2, "out of"),
    ):

        def fail(*_: object, message: str = text) -> None:
            raise RuntimeError(message)

        monkeypatch.setattr(describe, "parse_layout", fail)
        assert ask(capsys, "describe", "3-4")[0] == code
        _, out, err = ask(capsys, "describe", "3-4")
        assert out == ""
        assert shown in err
        assert err.count("\n") == 1
