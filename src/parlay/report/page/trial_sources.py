"""Where a page's trials come from: studies, or the trials.csv of studies that are kept as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from parlay.report.page.curves import thin
from parlay.study import Reader
from parlay.study.reading import Trials, read_trials
from parlay.study.schema import FILE, has_study
from parlay.study.trials_csv import TABLE

__all__ = ["curves_of", "find_sources"]


def find_sources(folders: Iterable[Path]) -> list[Trials]:
    """What the folders hold, each once: a study, else a trials.csv, else the studies and tables of the folders inside.

    Args:
        folders: as the user named them.

    Raises:
        InputError: for a folder with neither, a file instead of a folder, or a table that cannot be read.
        StudyError: for a study that cannot be read, or no trial in it.
    """
    found = dict.fromkeys(place for folder in folders for place in _places(folder))
    return [_read(place) for place in found]


def curves_of(source: Trials, points: int) -> dict[str, list[float]]:
    """Identity of a trial -> its learning curve of at most so many points; none of a table.

    Args:
        source: a study or a table.
        points: windows over which losses are averaged.
    """
    if not source.is_study:
        return {}
    with Reader(source.path.parent) as reader:
        return {identity: thin(losses, points) for identity, losses in reader.curves() if losses}


def _places(folder: Path) -> Iterator[Path]:
    """The folder itself, or those inside it that hold a study or a table, where it has neither."""
    inside: Sequence[Path] = ()
    if not has_study(folder) and not (folder / TABLE).is_file():
        inside = sorted({path.parent for name in (FILE, TABLE) for path in folder.glob(f"*/{name}")})
    yield from inside or (folder,)


def _read(folder: Path) -> Trials:
    source = read_trials(folder)
    source.required()
    return source
