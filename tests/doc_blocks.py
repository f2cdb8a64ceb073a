"""Fenced blocks of README.md and docs/*.md, read as what a reader would do with them, and done.

A page is done from top to bottom in one folder, in which ``examples`` and ``results`` of the checkout lie. ``python``
blocks are executed in one namespace, and what their comments at the beginning of a line show must be printed. In
``console``, ``bash``, ``sh`` and ``shell`` blocks, and in blocks of no language that begin with a command, every
command is run by bash, each by itself (``cd`` does not last); of ``make`` it is asked only what it would do. Where a
block shows ``$`` prompts, what follows a command is its output, and must come out but for times and dots.

A line above a block says what else is to happen with it:

- ``<!-- not run: reason -->``: nothing, but its parlay commands and their options have to exist;
- ``<!-- slow: reason -->``, ``<!-- ray: reason -->``: it is done in the tests marked so;
- ``<!-- file: NAME -->``: it is written to that file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parlay.graph.call import RULES

ROOT = Path(__file__).resolve().parent.parent
SHELLS = ("console", "bash", "sh", "shell")
PROGRAMS = r"(?:parlay|make|python|pip|ray)"
MARK = r"<!-- (?P<mark>not run|slow|ray|file): (?P<about>[^\n]*?) -->\n+"
FENCE = re.compile(rf"^(?:{MARK})?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
BEGINS_WITH_A_COMMAND = re.compile(rf"^(?:\w*\$ +)?(?:[A-Z_]+=\S+ +)*{PROGRAMS} ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        kind: ``shell``, ``python`` or ``text``.
        mark: ``not run``, ``slow``, ``ray``, ``file`` or empty; ``about`` is what the mark says.
        line: of the page on which the block begins.
    """

    kind: str
    text: str
    line: int
    mark: str = ""
    about: str = ""


@dataclass
class Shown:
    """A command of a block and the output shown after it."""

    command: str
    output: list[str] = field(default_factory=list)


def read_blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    blocks = []
    for found in FENCE.finditer(text):
        language, content = found["language"], found["text"]
        kind = language if language == "python" else "text"
        if language in SHELLS or (language == "" and BEGINS_WITH_A_COMMAND.search(content)):
            kind = "shell"
        line = text.count("\n", 0, found.start()) + 1
        blocks.append(Block(kind=kind, text=content, line=line, mark=found["mark"] or "", about=found["about"] or ""))
    return blocks


def shown_commands(text: str) -> list[Shown]:
    """The commands of a block, with the output shown; without prompts every line is a command."""
    lines = re.sub(r"[ \t]*\\\n\s*", " ", text).splitlines()
    if not any(line.startswith("$ ") for line in lines):
        return [Shown(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    shown: list[Shown] = []
    for line in lines:
        if line.startswith("$ "):
            shown.append(Shown(line[2:].strip()))
        elif shown:
            shown[-1].output.append(line)
    return shown


def settled(line: str) -> str:
    """A line of output without what differs from run to run: times and the width of columns."""
    line = re.sub(r"\b\d+(\.\d+)?(e-?\d+)? ?(ms|s|seconds)\b", "TIME", line)
    line = re.sub(r'("runtime": )[\d.e-]+', r"\1TIME", line)
    return " ".join(line.split())


def do_page(page: Path, folder: Path, *, marks: tuple[str, ...] = ()) -> int:
    """Does what a page says, in a folder.

    Args:
        page: the Markdown file.
        folder: an empty folder to do it in; it has to be the working directory.
        marks: of ``slow`` and ``ray``, those whose blocks are done too.

    Returns:
        How many blocks were done.
    """
    for name in ("examples", "results"):
        (folder / name).symlink_to(ROOT / name)
    programs = folder.parent / f"{folder.name}-bin"
    programs.mkdir()
    for name, arguments in {"python": "", "parlay": "-m parlay "}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments}"$@"\n', encoding="utf-8")
        program.chmod(0o755)
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), plain.get("PATH", "")])
    namespace: dict[str, Any] = {"__name__": "page"}
    done = 0
    for block in read_blocks(page.read_text(encoding="utf-8")):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.mark == "file":
            (folder / block.about).write_text(block.text, encoding="utf-8")
            continue
        if block.mark not in ("", *marks) or block.kind == "text":
            continue
        if block.kind == "python":
            _execute(block, page, namespace, where)
        else:
            for shown in shown_commands(block.text):
                _run(shown, folder, {**plain, "PATH": path}, where)
        done += 1
    return done


@contextlib.contextmanager
def own_rules() -> Iterator[None]:
    """Rules that a page adds to the tracer are gone afterwards: other tests trace without them."""
    before = dict(RULES)
    try:
        yield
    finally:
        RULES.clear()
        RULES.update(before)


def _execute(block: Block, page: Path, namespace: dict[str, Any], where: str) -> None:
    source = "\n" * block.line + block.text  # so that a traceback gives the page's line
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        exec(compile(source, str(page), "exec"), namespace)
    printed = stream.getvalue().splitlines()
    expected = [line.removeprefix("# ") for line in block.text.splitlines() if line.startswith("# ")]
    assert [line for line in expected if line not in printed] == [], f"{where} prints {printed}"


def _run(shown: Shown, folder: Path, environment: dict[str, str], where: str) -> None:
    words = shlex.split(shown.command, comments=True)
    command, place = ["bash", "-c", shown.command], folder
    if words[0] == "make":
        command, place = ["make", "-n", *words[1:]], ROOT
    outcome = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    report = f"{where}: {shown.command}\n{outcome.stdout[-2000:]}{outcome.stderr[-2000:]}"
    assert outcome.returncode in ((0, 1) if shown.output else (0,)), report
    if words[0] == "make":
        return
    printed = {settled(line) for line in (outcome.stdout + outcome.stderr).splitlines()}
    expected = [settled(line) for line in shown.output if line.strip(" .…")]
    assert [line for line in expected if line not in printed] == [], report
