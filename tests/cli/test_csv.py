"""--csv, the same table for every command that has rows, and --json, which stands alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from parlay.cli.main import run

COMMANDS = {
    "solve --depth 4 --kernels 4288 --top-k 3": "solutions",
    "list --depth 3 --kernels 400 --limit 4": "layouts",
    "sample --depth 3 --kernels 400 --n-samples 3 --seed 1": "layouts",
    "pareto --depth 3 --kernels 400 --levels 2": "points",
}
"""Command -> key of its rows in the JSON document."""
RESULTS = Path(__file__).resolve().parents[2] / "results"


def cell(value: object) -> str:
    """A JSON value as a table has it."""
    if value is None:
        return ""
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_has_the_rows_of_the_document(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a row under its JSON keys, nothing else on stdout; a layout is 3-4-5, what is null is empty."""
    assert run([*command.split(), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)[COMMANDS[command]]
    assert run([*command.split(), "--csv"]) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert rows and table == [{key: cell(value) for key, value in row.items()} for row in rows]


def test_the_differences_of_layouts_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """`study compare` has a line for each difference of its document, under the same names."""
    command = ["study", "compare", str(RESULTS / "3a"), "36-38-74", "8-8-525"]
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run([*command, "--csv"]) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    rows = [
        {"layout": one["layout"], "minus": found["reference"], "on": on, **one[on]}
        for one in found["comparisons"]
        for on in ("validation", "test")
        if one[on] is not None
    ]
    assert rows and table == [{key: cell(value) for key, value in row.items()} for row in rows]


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a layout stdout stays empty, stderr says why, and the exit code is 1."""
    for command in ("solve --depth 3 --kernels 400 --max-macs 200000", "list --depth 3 --kernels 400 --min-width 60"):
        assert run([*command.split(), "--csv"]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("both", [("--json", "--csv"), ("--csv", "--json")])
def test_one_of_the_two(command: str, both: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two forms at once are refused."""
    assert run([*command.split(), *both]) == 2
    assert "--json and --csv: one of the two" in capsys.readouterr().err
