"""Several limits and Pareto fronts on the command line: tables, JSON, what binds, conflicts, going on after a stop."""

import json
import sys
from pathlib import Path

import pytest

from parlay import Status, plain, solve
from parlay.cli.main import run
from parlay.report.front import plot_pareto
from parlay.solver import ParetoPoint

FRONT = "pareto --depth 4 --kernels 4288 --level 3000000 --level 5000000".split()


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_solve_under_two_limits(capsys: pytest.CaptureFixture[str]) -> None:
    """The best layout of the size is too dear in multiply-adds; the answer is the best of the cheaper ones."""
    arguments = "solve --depth 4 --kernels 4288 --max-macs 4000000".split()
    code, out, _ = ask(capsys, *arguments, "--json")
    facts = json.loads(out)
    assert (code, facts["status"], facts["gap"]) == (0, "OPTIMAL", 0)
    everything = solve(plain(depth=4), kernels=4_288, top_k=1_000)
    cheaper = [s.layout for s in everything.solutions if plain(depth=4).macs(s.layout) <= 4_000_000]
    assert tuple(facts["solutions"][0]["layout"]) == cheaper[0]
    size, macs = facts["constraints"]
    assert (size["limit"], size["slack"], size["binds"]) == ("kernels = 4288", 0, True)
    assert macs["amount"] == facts["solutions"][0]["macs"]
    assert facts["conflict"] is None
    code, out, _ = ask(capsys, *arguments)
    assert "kernels = 4288, macs <= 4000000" in out
    assert "binds: kernels = 4288 (4,288 used)" in out


def test_peak_memory_counts_the_dtype(capsys: pytest.CaptureFixture[str]) -> None:
    """The same bytes hold fewer activations in float32."""
    widths = []
    for dtype in ("int8", "float32"):
        arguments = f"solve --depth 3 --max-params 20000 --max-peak-memory 60000 --dtype {dtype} --json"
        _, out, _ = ask(capsys, *arguments.split())
        [solution] = json.loads(out)["solutions"]
        assert plain(depth=3).peak_activation_bytes(dtype)(tuple(solution["layout"])) <= 60_000
        widths.append(solution["log_energy"])
    assert widths[0] > widths[1]


def test_conflicts_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; the limits to blame, and what each resource could be, in words and JSON."""
    arguments = "solve --depth 3 --kernels 400 --max-macs 200000 --order free --max-params 1000000".split()
    code, out, _ = ask(capsys, *arguments)
    assert code == 1
    assert "cannot be kept together: kernels = 400; macs <= 200000" in out
    assert "macs: 262,008 to" in out
    code, out, _ = ask(capsys, *arguments, "--json")
    clash = json.loads(out)["conflict"]
    assert code == 1
    assert clash["parts"] == ["kernels = 400", "macs <= 200000"]
    assert clash["irreducible"] is True


@pytest.mark.parametrize(("arguments", "match"), [
    ("solve --depth 3 --max-macs 0", "max-macs"),
    ("solve --depth 3 --params 9000 --max-params 9000", "one or the other"),
    ("solve --depth 3 --max-peak-memory 10000 --dtype int3", "dtype"),
    ("pareto --depth 3 --kernels 400 --levels 1", "levels"),
])  # fmt: skip
def test_bad_limits(capsys: pytest.CaptureFixture[str], arguments: str, match: str) -> None:
    """One line, exit code 2."""
    code, out, err = ask(capsys, *arguments.split())
    assert (code, out) == (2, "")
    assert match in err and len(err.splitlines()) == 1


def test_pareto_goes_on_where_it_stopped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop at the second level keeps the first; the same command solves the rest only, and writes table and plot."""
    module = sys.modules["parlay.solver.pareto"]
    folder = tmp_path / "front"
    solved: list[str] = []

    def stopping(problem, **options):
        solved.append(str(problem.constraints[-1]))
        if len(solved) == 2:
            raise KeyboardInterrupt
        return solve(problem, **options)

    monkeypatch.setattr(module, "solve", stopping)
    code, _, _ = ask(capsys, *FRONT, "--out", str(folder))
    assert code == 130
    kept = json.loads((folder / "pareto.json").read_text())
    assert [point["level"] for point in kept["points"]] == [5_000_000]
    code, out, _ = ask(capsys, *FRONT, "--out", str(folder), "--json")
    assert code == 0
    assert solved == ["macs <= 5000000", "macs <= 3000000", "macs <= 3000000"]
    points = json.loads(out)["points"]
    assert [point["layout"] for point in points] == [[35, 36, 37, 43], [22, 29, 32, 83]]
    assert (folder / "pareto.csv").read_text().count("\n") == 3
    assert (folder / "pareto.png").read_bytes()[:4] == b"\x89PNG"
    code, _, err = ask(capsys, *FRONT, "--level", "4000000", "--out", str(folder))
    assert code == 2
    assert "one of the same question" in err


def test_the_plot_shows_points_and_bounds() -> None:
    """One marker a point of positive energy, a bar up to the bound."""
    pytest.importorskip("matplotlib")
    some = ParetoPoint(level=10, status=Status.FEASIBLE, layout=(3, 4), score_value=1.0, amount=9, gap=0.25)
    none = ParetoPoint(level=5, status=Status.INFEASIBLE, layout=None, score_value=None, amount=None, gap=None)
    ax = plot_pareto([some, none], "macs")
    [line] = [line for line in ax.lines if line.get_marker() == "o"]
    assert line.get_xydata().tolist() == [[9.0, 1.0]]
    [bars] = ax.collections
    assert bars.get_segments()[0].tolist() == [[9.0, 1.0], [9.0, 1.25]]
