"""Red means one thing wherever a person looks: a layout that the score in question chose as one of its best."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RED = re.compile(r"#c0392b|#b3361e|\btab:red\b|['\"\[ ](?:bold )?red['\"\]]")
"""The red of pictures and of pages, and what matplotlib and rich call by that name."""
DEFINED = {"src/parlay/report/figure.py", "src/parlay/report/page/page.css"}


def test_red_is_defined_once_for_pictures_and_once_for_pages():
    """Whatever draws takes the red from there, by name; a terminal's red is that of the table of trials alone."""
    found = {
        str(path.relative_to(ROOT))
        for folder in ("src", "docs", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".css", ".js", ".html") and RED.search(path.read_text("utf-8"))
    }
    assert found == DEFINED | {"src/parlay/report/tables.py"}
    tables = (ROOT / "src/parlay/report/tables.py").read_text("utf-8")
    assert len(RED.findall(tables)) == 1 and 'style = "red" if kind == "top"' in tables


def test_on_a_page_only_marks_of_the_best_by_score_are_red():
    """The variable of the red is used by the marks, ranges and key of the best by score, and by nothing else."""
    style = (ROOT / "src/parlay/report/page/page.css").read_text("utf-8")
    users = {line.split("{")[0].strip() for line in style.splitlines() if "var(--chosen)" in line}
    assert users == {".key.top", ".point.top", ".point.top.misfit", ".range.top"}


def test_only_layouts_that_a_score_chose_are_drawn_in_red():
    """Pictures of layouts take the red by its name; one of memory, say, does not."""
    sources = ((path, path.read_text("utf-8")) for path in (ROOT / "src").rglob("*.py"))
    users = {path.name for path, text in sources if re.search(r"\bRED\b", text)}
    assert users == {"figure.py", "scatter.py", "draw.py"}
