"""README.md and docs/ are true: their commands run, their links lead somewhere, the site builds without a warning."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

import parlay
from doc_blocks import ROOT, do_page, own_rules, read_blocks, settled, shown_commands
from hang import HANG
from parlay.cli.main import cli

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results" / "README.md", *sorted(DOCS.rglob("*.md"))]
NOT_WRITTEN_YET: set[str] = set()
"""Files that pages link to and a long measurement writes."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_blocks_are_read():
    """Prompts part commands from output; a backslash joins lines; times and column widths do not count."""
    shown = shown_commands("$ parlay solve \\\n    --depth 4\nOPTIMAL in 0.02 s\n\n$ parlay scores\n")
    assert [(item.command, item.output) for item in shown] == [
        ("parlay solve --depth 4", ["OPTIMAL in 0.02 s", ""]),
        ("parlay scores", []),
    ]
    assert settled("OPTIMAL   in 0.02 s") == settled("OPTIMAL in 1.3 ms")
    assert settled("energy 173.0358") != settled("energy 173.0359")


def test_marks_and_kinds_are_read():
    """A mark belongs to the block right below it; blocks of no language are commands where they begin with one."""
    text = "<!-- slow: long -->\n```sh\nparlay demo\n```\n\n```\nA=1 parlay demo\n```\n```\na table\n```\n"
    text += "<!-- file: net.py -->\n```python\nx = 1\n```\n"
    assert [(b.kind, b.mark, b.about, b.line) for b in read_blocks(text)] == [
        ("shell", "slow", "long", 1),
        ("shell", "", "", 6),
        ("text", "", "", 9),
        ("python", "file", "net.py", 12),
    ]


def page_cases() -> Iterator[object]:
    """Every page that does something, once for the quick tests and once for each mark of its blocks."""
    for page in PAGES:
        blocks = [block for block in read_blocks(page.read_text("utf-8")) if block.kind != "text"]
        marks = {block.mark for block in blocks}
        if "" in marks:
            yield pytest.param(page, (), id=name_of(page))
        for mark in ("slow", "ray"):
            if mark in marks:
                kept = ("slow",) if mark == "slow" else ("slow", "ray")
                yield pytest.param(page, kept, id=f"{name_of(page)}-{mark}", marks=getattr(pytest.mark, mark))


@pytest.mark.parametrize(("page", "marks"), list(page_cases()))
def test_pages_do_what_they_say(page, marks, tmp_path, monkeypatch):
    """Every command and Python block of a page runs, in order, and prints what is shown."""
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with own_rules():
        assert do_page(page, folder, marks=marks) > 0


def refusal(words: list[str]) -> str | None:
    """Why the words after ``parlay`` are no command of it, with options that it has; None where they are."""
    command: click.Command = cli
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            child = command.get_command(click.Context(command), word.rstrip(",.;"))
            if child is None:
                return f"no command {word!r}"
            command = child
        elif word.startswith("--"):
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            if word.split("=")[0] not in known | {"--help", "--version"}:
                return f"no option {word}"
    return None


def named_commands(text: str) -> Iterator[str]:
    """Commands that a page names: in its running text, and in its blocks, whether they are run or not."""
    yield from re.findall(r"(?<!`)`((?:parlay|make|python) [^`\n]+)`(?!`)", FENCED.sub("", text))
    for block in read_blocks(text):
        if block.kind == "shell":
            joined = re.sub(r"[ \t]*\\\n\s*", " ", block.text)
            yield from re.findall(r"^(?:\w*\$ +|\s+)?((?:parlay|make) .*)$", joined, re.MULTILINE)


FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_named_exist(page):
    """Commands in running text and in blocks that are not run exist, with every option; scripts and targets too."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wrong = []
    for command in named_commands(page.read_text("utf-8")):
        program, *words = shlex.split(command, comments=True)
        if program == "parlay":
            if why := refusal(words):
                wrong.append(f"{command}: {why}")
        elif program == "make":
            wrong += [command for word in words if "=" not in word and word not in targets]
        elif words[0] == "-m" and words[1].startswith("benchmarks"):
            module = ROOT / words[1].replace(".", "/")
            if not (module.is_dir() or module.with_suffix(".py").is_file()):
                wrong.append(command)
        elif words[0].endswith(".py") and not (ROOT / words[0]).is_file():
            wrong.append(command)
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["solve", "--depth", "4"], None),
        (["study", "run", "DIR", "--ray"], None),
        (["solve", "--dept"], "no option --dept"),
        (["study", "walk"], "no command 'walk'"),
    ],
)
def test_commands_that_do_not_exist_are_told(words, why):
    """The check above finds wrong commands and options, and lets right ones pass."""
    assert refusal(words) == why


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    """Every link and picture of a page that is not on the web is a file of the repository."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", FENCED.sub("", page.read_text("utf-8")))
    files = [(page.parent / target).resolve() for target in targets if "://" not in target]
    lost = {str(file.relative_to(ROOT)) for file in files if not file.exists()}
    assert lost - NOT_WRITTEN_YET == set()


def test_the_reference_names_all_of_parlay():
    """docs/reference/python.md has every public name of the package, and no other."""
    text = (DOCS / "reference" / "python.md").read_text("utf-8")
    named = re.findall(r"^\.\. (?:auto\w+|py:data):: parlay\.(\w+)$", text, re.MULTILINE)
    assert sorted(named) == sorted(parlay.__all__)


def test_the_site_has_every_page_of_the_reference():
    """Every public package of parlay stands on a page of the reference, or its names do in the core's."""
    text = "".join(path.read_text("utf-8") for path in (DOCS / "reference").glob("*.md"))
    folders = {path.parent.name for path in (ROOT / "src" / "parlay").glob("*/__init__.py")}
    missing = {name for name in folders if f"automodule:: parlay.{name}\n" not in text}
    assert missing == {"cli", "solver"}  # the commands have a page of their own; solver's names are parlay's


class Loaded(HTMLParser):
    """Addresses of what a page loads by itself: scripts, styles, pictures, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        loads = tag in ("script", "img", "iframe", "source") or (
            tag == "link" and set((given.get("rel") or "").split()) & {"stylesheet", "icon", "preload", "preconnect"}
        )
        if loads:
            self.addresses += [value for name in ("src", "href") if (value := given.get(name))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it: a warning is an error."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", f"{folder}-doctrees"]
    built = subprocess.run([*command, str(DOCS), str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_site_builds_and_loads_nothing_from_elsewhere(site):
    """No page asks another host for a script, a style, a font or a picture; all commands are in the reference."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    elsewhere = []
    for page in pages:
        parser = Loaded()
        parser.feed(page.read_text("utf-8"))
        elsewhere += [f"{page.name}: {a}" for a in parser.addresses if re.match(r"(?:https?:)?//", a)]
    for style in site.rglob("*.css"):
        elsewhere += re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']*", style.read_text("utf-8"))
    assert elsewhere == []
    reference = (site / "reference" / "cli.html").read_text("utf-8")
    context = click.Context(cli)
    assert [name for name in cli.list_commands(context) if f'id="parlay-{name}"' not in reference] == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.xdist_group("site")
@pytest.mark.parametrize("name", ["index.html", "start.html", "reference/python.html"])
def test_pages_open_in_a_browser(site, name, tmp_path):
    """Headless Chromium shows a page of the built site with its pictures."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium on the path")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    shown = subprocess.run(
        [chromium, *flags, (site / name).as_uri()], capture_output=True, text=True, check=False, timeout=HANG
    )
    assert shown.returncode == 0, shown.stderr
    assert "<h1>" in shown.stdout
    assert 'href="/' not in shown.stdout
