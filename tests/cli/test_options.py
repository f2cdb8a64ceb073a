"""Options as frozen records: what click reads, what a command gets; answers in words, the same for Python users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path

import click
import pytest

from parlay import plain, solve
from parlay.cli.main import run
from parlay.cli.options import argument, given, option, record, takes
from parlay.solver import conflict

OPTIONS = Path(import_module("parlay.cli.options").__file__ or "").parent


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A record inside another."""

    steps: int = option("--steps", type=int, default=3)
    names: tuple[str, ...] = option("--name", multiple=True)


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A record with an argument and a record."""

    place: str = argument()
    inner: Inner = field(metadata=record(Inner))


def called(*arguments: str) -> tuple[Outer, int, list[str]]:
    """What a command gets for a command line, and which options of the record are named there."""
    got: list[tuple[Outer, int, list[str]]] = []

    @click.command()
    @takes(asked=Outer)
    @click.option("--seed", type=int, default=0)
    def command(asked: Outer, seed: int) -> None:
        got.append((asked, seed, given(Outer)))

    command(list(arguments), standalone_mode=False)
    return got[0]


def test_a_command_gets_its_record_made_once() -> None:
    """Fields of a record and of the record inside it are parameters; what the command line leaves out has defaults."""
    asked, seed, named = called("here", "--name", "a", "--name", "b", "--seed", "5")
    assert asked == Outer(place="here", inner=Inner(steps=3, names=("a", "b")))
    assert (seed, named) == (5, ["PLACE", "--name"])
    assert called("there")[2] == ["PLACE"]


def records() -> Iterator[type]:
    """Every record that commands share."""
    for path in sorted(OPTIONS.glob("[a-z]*.py")):
        module = import_module(f"parlay.cli.options.{path.stem}")
        yield from (
            one for name, one in vars(module).items() if name.endswith("Options") and one.__module__ == module.__name__
        )


def test_records_are_frozen() -> None:
    """Nothing takes a value out of a record, or puts one in."""
    found = list(records())
    assert len(found) > 10
    for kind in found:
        assert is_dataclass(kind)
        one = object.__new__(kind)
        with pytest.raises(FrozenInstanceError):
            setattr(one, fields(kind)[0].name, None)


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        ("--max-macs 4000000 --kernels 4288", {"kernels": 4288, "max_macs": 4_000_000}),
        ("--kernels 4288 --multiple-of 8", {"kernels": 4288, "multiple_of": 8}),
        ("--max-kernels 300 --order free --max-width 40", {"max_kernels": 300, "order": "free", "max_width": 40}),
    ],
)
def test_python_users_read_what_the_command_prints(
    arguments: str, question: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """result.summary() ends what parlay solve prints, but for the seconds."""
    run(["solve", "--depth", "4", *arguments.split()])
    printed = capsys.readouterr().out.splitlines()
    summary = solve(plain(depth=4).problem(**question)).summary().splitlines()  # type: ignore[arg-type]
    place = next(place for place, line in enumerate(printed) if line.startswith(summary[0].split()[0]))
    assert [line.split(" s", 1)[-1] for line in printed[place:]] == [line.split(" s", 1)[-1] for line in summary]


def test_a_conflict_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """conflict(problem).summary() is what parlay solve prints below an infeasible answer."""
    run("solve --depth 3 --kernels 400 --max-macs 390000".split())
    printed = capsys.readouterr().out
    found = conflict(plain(depth=3).problem(kernels=400, max_macs=390_000))
    assert found.summary().splitlines()[0] in printed
    assert "cannot be kept together: kernels = 400; macs <= 390000; order increasing" in printed
