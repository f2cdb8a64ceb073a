"""Where a page's trials come from: a study, or the trials.csv of one that is kept as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parlay.errors import InputError, StudyError
from parlay.report.page.curves import thin
from parlay.study import Reader, Row
from parlay.study.reading import rows_from_csv
from parlay.study.store import FILE

__all__ = ["Source", "find_sources"]

TABLE = "trials.csv"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A folder with trials.

    Attributes:
        folder: where.
        rows: every trial; of a table only the complete ones of the paper's families.
        is_study: whether a study lies there, which can be gone on with and knows learning curves; a table does not.
        left_out: lines of a table that are failed trials or trials of other models.
    """

    folder: Path
    rows: tuple[Row, ...]
    is_study: bool = True
    left_out: int = 0

    def curves(self, points: int) -> dict[str, list[float]]:
        """Identity of a trial -> its learning curve of at most so many points; none of a table.

        Args:
            points: windows over which losses are averaged.
        """
        if not self.is_study:
            return {}
        with Reader(self.folder) as reader:
            return {identity: thin(losses, points) for identity, losses in reader.curves() if losses}


def find_sources(folders: Iterable[Path]) -> list[Source]:
    """What the folders hold, each once: a study, else a trials.csv, else the studies and tables of the folders inside.

    Args:
        folders: as the user named them.

    Raises:
        InputError: for a file instead of a folder, or a table that cannot be read.
        StudyError: when there is neither, or no trial in it.
    """
    found = dict.fromkeys(place for folder in folders for place in _places(folder))
    return [_read(place) for place in found]


def _places(folder: Path) -> Iterator[Path]:
    """The folder itself, or those inside it that hold a study or a table, where it has neither."""
    if folder.is_file():
        raise InputError("study", given=str(folder), allowed="a folder", remedy=f"the file's own is {folder.parent}")
    inside: Sequence[Path] = ()
    if not (folder / FILE).exists() and not (folder / TABLE).is_file():
        inside = sorted({path.parent for name in (FILE, TABLE) for path in folder.glob(f"*/{name}")})
    yield from inside or (folder,)


def _read(folder: Path) -> Source:
    table = folder / TABLE
    if (folder / FILE).exists() or not table.is_file():
        with Reader(folder) as reader:
            rows = reader.rows()
        if not rows:
            raise StudyError(f"study {folder} holds no trial; 'parlay study new' plans some")
        return Source(folder=folder, rows=tuple(rows))
    try:
        text = table.read_text(encoding="utf-8")
        rows = rows_from_csv(text)
    except (InputError, UnicodeDecodeError) as error:
        raise InputError("study", given=str(table), allowed="a trials.csv of parlay's", remedy=str(error)) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError("study", given=str(table), allowed="a file that can be read", remedy=reason) from None
    left_out = sum(1 for line in csv.reader(io.StringIO(text)) if line) - 1 - len(rows)
    if not rows:
        raise StudyError(
            f"{table} holds no complete trial of the paper's families; those of other models need the study itself"
        )
    return Source(folder=folder, rows=tuple(rows), is_study=False, left_out=left_out)
