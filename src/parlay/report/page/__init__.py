"""One self-contained page on studies: ``gather`` collects what it says, ``render`` makes the HTML, ``write_page`` both.

``questions`` says what a group of trials answers, ``relations`` has the coefficients, ``verdict`` puts them into
words, ``curves``, ``fits`` and ``provenance`` add the rest; nothing of these knows about HTML. ``sections`` and
``markup`` write the parts that need no script, ``page.html``, ``page.css`` and the ``.js`` files the parts that do.
"""

from parlay.report.page.gather import Page, gather
from parlay.report.page.render import render
from parlay.report.page.write import WrittenPage, write_page

__all__ = ["Page", "WrittenPage", "gather", "render", "write_page"]
