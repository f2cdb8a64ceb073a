"""An answer that says no says what would say yes: every value that is printed is asked again, and has a layout."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from parlay import plain
from parlay.cli.main import run
from parlay.solver import conflict
from parlay.solver.remedies import MILDER

NET = """
from torch import nn

def net(num_classes=10):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, num_classes),
    )
"""


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON document of a command."""
    code = run([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert captured.out, captured.err
    return code, json.loads(captured.out)


def changed(command: list[str], remedy: str) -> list[str]:
    """The command with a remedy's options in the place of its own."""
    pairs = [part.split(" ") for part in remedy.split(" with ")]
    result = list(command)
    for name, value in pairs:
        if name in result:
            result[result.index(name) + 1] = value
        else:
            result += [name, value]
    return result


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--ram", "1KiB"), {"--ram", "--min-ratio"}),
        (("--flash", "1KiB"), {"--flash", "--min-ratio"}),
        (("--flash", "4KiB", "--ram", "16KiB", "--multiple-of", "8", "--min-ratio", "0.9"), {"--flash", "--min-ratio"}),
        (("--max-macs", "0.1x"), {"--max-macs", "--min-ratio"}),
        (("--params-range", "9000:9100", "--max-ratio", "1.1"), {"--params-range"}),
        (("--params", "7000", "--max-macs", "0.2x"), {"--max-macs", "--params"}),
        (("--flash", "900", "--ram", "1KiB"), {"--min-ratio"}),
        (("--flash", "20", "--ram", "20"), {"--ram", "--flash"}),
    ],
)
def test_every_remedy_of_a_retrofit_has_a_layout(
    options: tuple[str, ...], expected: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The options at fault are named, each with a value; asked with that value there is an answer."""
    (tmp_path / "net.py").write_text(NET)
    command = ["retrofit", f"{tmp_path / 'net.py'}:net", "--input", "3x16x16", *options]
    code, found = asked(capsys, *command)
    assert (code, found["status"]) == (1, "INFEASIBLE")
    remedies = found["conflict"]["remedies"]
    assert {part.split(" ")[0] for remedy in remedies for part in remedy.split(" with ")} >= expected, remedies
    for remedy in remedies:
        code, again = asked(capsys, *changed(command, remedy))
        assert (code, bool(again["solutions"])) == (0, True), remedy


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--kernels", "400", "--max-macs", "390000"), {"--order", "--kernels", "--max-macs"}),
        (("--kernels", "400", "--multiple-of", "4", "--max-macs", "900000"), {"--multiple-of", "--kernels"}),
        (("--max-kernels", "100", "--min-params", "5000"), {"--max-kernels", "--min-params"}),
        (
            ("--max-kernels", "300", "--max-peak-memory", "4000", "--min-width", "8"),
            {"--max-peak-memory"},
        ),
        (
            ("--min-kernels", "300", "--max-macs", "9000000", "--max-width", "5"),
            {"--max-width"},
        ),
    ],
)
def test_every_remedy_of_solve_has_a_layout(
    options: tuple[str, ...], expected: set[str], capsys: pytest.CaptureFixture[str]
):
    """As of a retrofit, of sizes, limits and fences of a family."""
    command = ["solve", "--depth", "3", *options]
    code, found = asked(capsys, *command)
    assert (code, found["status"]) == (1, "INFEASIBLE")
    remedies = found["conflict"]["remedies"]
    assert {remedy.split(" ")[0] for remedy in remedies} >= expected, remedies
    for remedy in remedies:
        assert asked(capsys, *changed(command, remedy))[0] == 0, remedy


def test_the_line_that_people_read(capsys: pytest.CaptureFixture[str]):
    """One line after the conflict; options joined by "or"."""
    assert run(["solve", "--depth", "3", "--kernels", "400", "--max-macs", "390000"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "would do: --order free, or --kernels 411, or --max-macs 396488"


def test_flash_or_ram_lifts_the_limit_on_multiply_adds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Who says what the device has is not held to today's multiply-adds, unless that is said, too."""
    (tmp_path / "net.py").write_text(NET)
    command = ("retrofit", f"{tmp_path / 'net.py'}:net", "--input", "3x16x16")
    for options, names in (
        ((), {"params", "macs", "peak_activation_bytes"}),
        (("--flash", "16KiB"), {"flash", "peak_activation_bytes"}),
        (("--ram", "16KiB"), {"params", "peak_activation_bytes"}),
        (("--ram", "16KiB", "--max-macs", "1.0x"), {"params", "macs", "peak_activation_bytes"}),
    ):
        _, found = asked(capsys, *command, *options)
        assert {constraint.split(" ")[0] for constraint in found["constraints"]} == names


def test_unknown_is_exit_4_and_time_is_time_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Neither found nor excluded is told apart from excluded; the seconds shown hold tracing as well."""
    from parlay.graph import trace
    from parlay.problem import Result, Status

    (tmp_path / "net.py").write_text(NET)
    command = ("retrofit", f"{tmp_path / 'net.py'}:net", "--input", "3x16x16", "--params", "same")

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(0.2)
        return trace(*args, **options)

    monkeypatch.setattr("parlay.graph.trace", slow)
    _, found = asked(capsys, *command)
    assert found["runtime"] >= 0.2
    monkeypatch.setattr(
        "parlay.retrofit.solve_retrofit.solve",
        lambda problem, **options: Result(
            problem=problem, status=Status.UNKNOWN, solutions=(), top_k=1, runtime=0.0, bound=None
        ),
    )
    code, found = asked(capsys, *command)
    assert (code, found["status"], found["conflict"]) == (4, "UNKNOWN", None)


def test_milder_values_are_milder_one_after_the_other():
    """Bisection needs it: each value of a ladder allows what the one before it does; none is as strict as today's."""
    net = plain(depth=3)
    for name, value, size in (("min_width", 9, 27), ("multiple_of", 12, 400), ("order", "increasing", 400)):
        ladder = MILDER[name](value)
        texts = [text if name == "order" else int(text) for text in ladder]
        assert texts and value not in texts
        spaces = [net.problem(kernels=size, **{name: text}).space for text in texts]
        for stricter, milder in pairwise(spaces):
            for layout in ((9, 18, 27), (12, 24, 36), (4, 8, 12), (2, 4, 6)):
                assert stricter.violation(layout) is not None or milder.violation(layout) is None
    assert conflict(net.problem(kernels=400, max_macs=390_000)).remedies == ()


def test_ratios_are_read_as_the_options_take_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """0.5x is 0.5: what cannot be had is told with its remedies, however the fence was written."""
    (tmp_path / "net.py").write_text(NET)
    command = ["retrofit", tmp_path / "net.py:net", "--input", "3x8x8", "--max-params", "900"]
    for ratio in ("0.5", "0.5x"):
        code, found = asked(capsys, *command, "--min-ratio", ratio)
        assert code == 1 and "--min-ratio 0.3" in found["conflict"]["remedies"]
