"""Where a page's trials come from: a study, or the trials.csv of one that is kept as text."""

from __future__ import annotations

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
    """

    folder: Path
    rows: tuple[Row, ...]
    is_study: bool = True

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
    """What the folders hold, each once: a study, else a trials.csv, else the trials.csv of every folder inside.

    Args:
        folders: as the user named them.

    Raises:
        InputError: for a table that cannot be read.
        StudyError: when there is neither, or no trial in it.
    """
    found = dict.fromkeys(place for folder in folders for place in _places(folder))
    return [_read(place) for place in found]


def _places(folder: Path) -> Iterator[Path]:
    """The folder itself, or those inside it that hold a table, where it has neither study nor table."""
    inside: Sequence[Path] = ()
    if not (folder / FILE).exists() and not (folder / TABLE).is_file():
        inside = sorted(path.parent for path in folder.glob(f"*/{TABLE}") if not (path.parent / FILE).exists())
    yield from inside or (folder,)


def _read(folder: Path) -> Source:
    table = folder / TABLE
    is_study = (folder / FILE).exists() or not table.is_file()
    if is_study:
        with Reader(folder) as reader:
            rows = reader.rows()
    else:
        try:
            rows = rows_from_csv(table.read_text(encoding="utf-8"))
        except (InputError, OSError, UnicodeDecodeError) as error:
            raise InputError("study", given=str(table), allowed="a trials.csv of parlay's", remedy=str(error)) from None
    if not rows:
        plans = "'parlay study new' plans some" if is_study else "only complete ones of the paper's families count"
        raise StudyError(f"study {folder} holds no trial; {plans}")
    return Source(folder=folder, rows=tuple(rows), is_study=is_study)
