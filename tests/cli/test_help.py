"""What a terminal of 80 columns shows: help that is whole, choices that are seen, examples that can be typed."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Callable, Iterator

import click
import pytest
from rich.console import Console

from doc_blocks import ROOT
from parlay.cli.command import Command
from parlay.cli.fit import arm_tables
from parlay.cli.main import cli, run
from parlay.cli.options.kinds import Choice, OpenChoice
from parlay.energy import get_score
from parlay.errors import InputError
from parlay.evidence.scores import get_predictor
from parlay.families import plain
from parlay.report.page.fits import arm_cells

COLUMNS = 80


def commands(group: click.Group = cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command and group with the words that name it."""
    yield path, group
    for name in group.list_commands(click.Context(group)):
        child = group.get_command(click.Context(group), name)
        if isinstance(child, click.Group):
            yield from commands(child, f"{path} {name}".strip())
        elif child is not None:
            yield f"{path} {name}".strip(), child


ALL = dict(commands())
LEAVES = {path: one for path, one in ALL.items() if not isinstance(one, click.Group)}


def shown(path: str, capsys: pytest.CaptureFixture[str]) -> str:
    """--help of a command."""
    assert run([*path.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("path", ALL)
def test_help_fits_80_columns(path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer, no sentence is cut, and what an option takes is more than TEXT."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    text = shown(path, capsys)
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []
    assert "..." not in re.sub(r"\.\.\.[\],;]|, \.\.\.|ARGS\]\.\.\.|STUDY\.\.\.|A B \.\.\.", "", text)
    assert not re.search(r"--[a-z-]+ TEXT", text.replace("--title TEXT", ""))


@pytest.mark.parametrize("path", [path for path, one in ALL.items() if isinstance(one, click.Group)])
def test_groups_show_whole_short_texts(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command stands on one line with the whole first sentence of its help, under a heading."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    group = ALL[path]
    assert isinstance(group, click.Group)
    lines = shown(path, capsys).splitlines()
    for name in group.list_commands(click.Context(group)):
        child = group.get_command(click.Context(group), name)
        assert child is not None and child.help is not None
        sentence = child.help.splitlines()[0].removesuffix(".")
        assert [line for line in lines if line.split() == [name, *sentence.split()]], name


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_an_example_that_parses(path: str) -> None:
    """The example of --help begins with the command and gives only options and values that it takes."""
    command = LEAVES[path]
    assert isinstance(command, Command)
    example = (command.epilog or "").partition("Example:\n")[2].replace("\\\n", " ")
    words = shlex.split(example)
    start = ["parlay", *path.split()]
    assert words[: len(start)] == start
    context = command.make_context(path, words[len(start) :])
    assert context.params and not context.args


def test_options_stand_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """Options of a record stand under its heading, the command's own before them."""
    text = shown("solve", capsys)
    places = [
        text.index(f"\n{heading}:\n") for heading in ("Options", "Network", "Size, score, widths", "Further limits")
    ]
    assert places == sorted(places)
    assert (
        places[1]
        < text.index("  --depth")
        < places[2]
        < text.index("  --kernels ")
        < places[3]
        < text.index("  --max-macs")
    )


def options(kind: type[click.ParamType]) -> list[tuple[str, click.Option]]:
    """Every option of a kind, with its command."""
    return [
        (path, parameter)
        for path, command in LEAVES.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and isinstance(parameter.type, kind)
    ]


def misspelt(name: str) -> str:
    """A name with its last letters swapped, or doubled where they are alike."""
    return name[:-2] + name[-1] + name[-2] if name[-1] != name[-2] else name + name[-1]


@pytest.mark.parametrize(("path", "option"), [pytest.param(p, o, id=f"{p} {o.opts[0]}") for p, o in options(Choice)])
def test_a_misspelt_choice_is_told_the_nearest(path: str, option: click.Option) -> None:
    """Every option with choices names what was given, what is allowed, and what was meant."""
    assert isinstance(option.type, Choice)
    for choice in (name for name in option.type.choices if len(name) > 3):
        wrong = misspelt(choice)
        with pytest.raises(InputError) as refused:
            LEAVES[path].make_context(path, [option.opts[0], wrong], resilient_parsing=False)
        message = str(refused.value)
        assert repr(wrong) in message and ", ".join(option.type.choices) in message
        assert "did you mean " in message


def _data(name: str) -> object:
    from parlay.data import load

    return load(name)


def _device(name: str) -> object:
    from parlay.train.device import resolve_device

    return resolve_device(name)


def _layouts(name: str) -> object:
    from parlay.study import select

    return select([name], family=plain(depth=3), problem=None).layouts


READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "--score": (get_score, "pathenergy"),
    "--prior": (get_predictor, "energy-laier"),
    "--data": (_data, "digist"),
    "--device": (_device, "cudaa"),
    "--layouts": (_layouts, "tpo:3"),
}
"""Option whose choices are not all there are -> what reads its value, and a value that is misspelt."""
ADDRESSES = {"--ray"}
"""Options whose values are any address."""


def test_options_with_patterns_are_read_by_what_names_the_nearest() -> None:
    """Where a choice may be a pattern such as calibrated:FILE, whoever reads it says what was meant."""
    assert {option.opts[0] for _, option in options(OpenChoice)} == READERS.keys() | ADDRESSES
    for name, (read, wrong) in READERS.items():
        with pytest.raises(InputError, match="did you mean "):
            read(wrong)
        assert name in READERS


@pytest.mark.parametrize(
    ("words", "meant"),
    [("slove", "did you mean solve?"), ("study rnu", "did you mean run?"), ("frobnicate", "see 'parlay --help'")],
)
def test_a_misspelt_command_is_told_the_nearest(words: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As a misspelt option is."""
    assert run(words.split()) == 2
    complaint = capsys.readouterr().err
    assert meant in complaint and len(complaint.splitlines()) == 1


@pytest.mark.parametrize(("size", "kernels"), [("4288", 4288), ("4.288k", 4288), ("0.1M", 100_000)])
def test_sizes_with_letters(size: str, kernels: int) -> None:
    """A size is exact however it is written."""
    context = LEAVES["solve"].make_context("solve", ["--depth", "4", "--kernels", size, "--max-peak-memory", "64KiB"])
    assert (context.params["kernels"], context.params["max_peak_memory"]) == (kernels, 65_536)


def test_a_size_that_is_no_integer(capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names the option."""
    assert run("solve --depth 4 --kernels 4.2885k".split()) == 2
    assert capsys.readouterr().err.startswith("parlay: kernels: got '4.2885k'; allowed: an integer")


@pytest.mark.parametrize("fit", ["mobilenet", "plain4", "resnet8"])
def test_the_tables_of_a_fit_fit_80_columns(fit: str) -> None:
    """Every figure is whole; a name that is too long goes on below."""
    arms = json.loads((ROOT / "results" / "fit" / fit / "fit-result.json").read_text())["arms"]
    marked = [{**arm, "fits": False} for arm in arms]
    for shown in (arms, marked):
        page = io.StringIO()
        console = Console(file=page, width=COLUMNS)
        costs, quality = arm_tables(shown)
        for table in (costs, quality):
            console.print(table)
        text = page.getvalue()
        assert max(map(len, text.splitlines())) <= COLUMNS and "…" not in text
        for arm in shown:
            for cell in arm_cells(arm)[1:5] + arm_cells(arm)[6:]:
                assert cell in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The script that a shell evaluates comes from the command itself, as docs/start.md says."""
    monkeypatch.setenv("_PARLAY_COMPLETE", f"{shell}_source")
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 0
    assert "_PARLAY_COMPLETE" in capsys.readouterr().out
