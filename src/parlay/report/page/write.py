"""The page on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlay.documents import write_atomically
from parlay.errors import InputError
from parlay.report.page.gather import Page, gather
from parlay.report.page.questions import question
from parlay.report.page.render import GENERATOR, render

__all__ = ["WrittenPage", "write_page"]

HEAD = 4096
"""Bytes in which a page of ours says what it is."""


@dataclass(frozen=True, kw_only=True)
class WrittenPage:
    """A page that was written.

    Attributes:
        path: where.
        size: in bytes.
        page: what it says.
    """

    path: Path
    size: int
    page: Page

    def to_json(self) -> dict[str, Any]:
        """As JSON values: the verdicts and coefficients without the trials."""
        return {
            "report": str(self.path),
            "bytes": self.size,
            "title": self.page.title,
            "trials": len(self.page.rows),
            "most_accurate": [
                {
                    "study": judged.measured.study,
                    "panel": judged.measured.title,
                    "layout": judged.outlook.best,
                    "standing": judged.outlook.standing,
                    "next": judged.outlook.command,
                }
                for judged in self.page.judged
            ],
            "panels": [
                {
                    "study": judged.measured.study,
                    "panel": judged.measured.title,
                    "question": question(judged.measured),
                    "layouts": len(judged.measured.layouts),
                    "left_out": judged.measured.left_out,
                    "verdict": str(judged.verdict.outcome),
                    "toy": judged.verdict.is_toy,
                    "headline": judged.verdict.headline,
                    "reasons": list(judged.verdict.reasons),
                    "cautions": list(judged.verdict.cautions),
                    "correlations": [
                        {"between": line.label, **line.correlation.to_json()} for line in judged.relations.lines
                    ],
                }
                for judged in self.page.questions
            ],
            "fits": [{"study": fit.study, "verdict": fit.verdict} for fit in self.page.fits],
        }


def write_page(
    folders: Sequence[Path], path: Path, *, title: str | None = None, command: str = "", force: bool = False
) -> WrittenPage:
    """Write a page on studies, all of it or nothing.

    Args:
        folders: the studies'.
        path: of the page; an earlier page of ours there is replaced.
        title: its heading; networks and data without one.
        command: what makes it again.
        force: replace a file of any other kind too.

    Raises:
        InputError: when a file of another kind is there, or the place cannot be written.
        StudyError: when a study cannot be read.
    """
    _check(path, force)
    page = gather(folders, title=title, command=command)
    text = render(page)
    write_atomically(path, text)
    return WrittenPage(path=path, size=path.stat().st_size, page=page)


def _check(path: Path, force: bool) -> None:
    if path.is_dir():
        raise InputError(
            "report", given=str(path), allowed="the name of a file", remedy=f"such as {path / 'report.html'}"
        )
    if force or not path.exists():
        return
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if GENERATOR.encode() not in head:
        raise InputError(
            "report",
            given=str(path),
            allowed="a new name, or an earlier report",
            remedy="it holds something else; --force replaces it",
        )
