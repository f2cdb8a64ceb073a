"""How ``make docs`` makes the site: Sphinx reads docs/*.md (MyST), the docstrings, and the command line itself.

Nothing on a built page comes from elsewhere: the theme's fonts are the system's, its scripts are copied, and no
extension here fetches anything.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from parlay import __version__

ROOT = Path(__file__).resolve().parent.parent

project = "parlay"
author = "The parlay developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["README.md"]

myst_heading_anchors = 3
highlight_language = "text"
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

# Docstrings say code in one pair of backquotes or two.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
# Two classes may share a name that an annotation says without its module (study.Row, paper.Row).
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"parlay {__version__}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}

ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "site/changelog.md",
    "CONTRIBUTING.md": "site/contributing.md",
    "benchmarks/RESULTS.md": "site/results.md",
    "benchmarks/RETROFITS.md": "site/retrofits.md",
    "benchmarks/PRUNING.md": "site/pruning.md",
    "benchmarks/TRAINING.md": "site/training-speed.md",
}
"""Files outside docs/ that pages link to, and the pages of the site that show them."""

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def link_within_the_site(_app: Any, docname: str, source: list[str]) -> None:
    """Sends links to files outside docs/ to the pages that show them; a file without a page becomes its name."""
    folder = posixpath.dirname(docname)

    def moved(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link["target"]))
        if path.startswith("docs/"):
            return link[0]
        page = ELSEWHERE.get(path)
        if page is None or not (ROOT / "docs" / page).is_file():
            return f"{link['text']} (`{path}`)" if link["text"] != path else f"`{path}`"
        return f"[{link['text']}]({posixpath.relpath(page, folder or '.')}{link['anchor'] or ''})"

    source[0] = LINK.sub(moved, source[0])


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry."""
    app.connect("source-read", link_within_the_site)
    return {"parallel_read_safe": True}
