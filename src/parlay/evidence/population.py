"""Trained networks as columns of numbers: read from a table, checked once, grouped by size."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parlay.errors import InputError, near_miss
from parlay.network import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = ["TrainedLayout", "Population", "bins", "population_from", "read_table"]


@dataclass(frozen=True, kw_only=True)
class TrainedLayout:
    """One trained layout: what it is, what it costs, and one accuracy a run (NaN where a run is missing)."""

    widths: tuple[int, ...]
    accuracy: tuple[float, ...]
    params: int
    macs: int
    peak_memory: int | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Trained networks that differ in their widths only.

    Attributes:
        name: where they come from.
        group_names: name of every width group, (groups,).
        layers: how many convolutions every width sets, (groups,); from the traced network, never fitted.
        widths: (n, groups), integers of at least 1.
        accuracy: (n, runs), in the unit of the source (see ``unit``); NaN where a run is missing, never all of a row.
        params: (n,), parameters.
        macs: (n,), multiply-adds for one image.
        peak_memory: (n,), most activation memory, or None where it is not known.
        size: (n,), what is held equal when networks are compared; the parameters where nothing else is given.
        size_name: what ``size`` counts.
        unit: unit of ``accuracy``, in words; no number is converted.
        left_out: networks of the source that have no run at all, and are not here.
        chosen: networks of the source that a score chose, and that are not here because they cannot judge one.
        missing: trials of the source that are not complete, and count for nothing.
        one_size: whether all count as one size, whatever ``size`` says.
        network: what they are but for their widths, where it is known; which layers join which widths is presumed from
            ``layers`` where it is not.
    """

    name: str
    group_names: tuple[str, ...]
    layers: tuple[int, ...]
    widths: IntArray
    accuracy: FloatArray
    params: IntArray
    macs: IntArray
    peak_memory: IntArray | None = None
    size: IntArray | None = None
    size_name: str = "params"
    unit: str = "as given"
    left_out: int = 0
    chosen: int = 0
    missing: int = 0
    one_size: bool = False
    network: Network | None = None

    def __post_init__(self) -> None:
        import numpy as np

        n, groups = self.widths.shape
        columns = [self.params, self.macs, self.sizes] + ([] if self.peak_memory is None else [self.peak_memory])
        if not (len(self.layers) == len(self.group_names) == groups):
            given = f"{len(self.layers)} layer counts and {len(self.group_names)} names for {groups} widths"
            raise InputError("population", given=given, allowed="one of each for every width")
        if self.accuracy.ndim != 2 or any(len(column) != n for column in (self.accuracy, *columns)):
            raise InputError("population", given="columns of different lengths", allowed="one row a network")
        if any(count < 1 for count in self.layers):
            raise InputError("layers", given=list(self.layers), allowed="integers of at least 1")
        if n and (self.widths.min() < 1 or self.params.min() < 1 or self.sizes.min() < 1):
            raise InputError("population", given="a width or size below 1", allowed="integers of at least 1")
        if np.isnan(self.accuracy).all(axis=1).any() or np.isinf(self.accuracy).any():
            raise InputError("accuracy", given="a network without a finite one", allowed="at least one run a network")

    def __len__(self) -> int:
        return len(self.params)

    @property
    def sizes(self) -> IntArray:
        """What is held equal, (n,)."""
        return self.params if self.size is None else self.size

    @property
    def runs(self) -> int:
        """Columns of ``accuracy``: the most runs that a network has."""
        return self.accuracy.shape[1]

    @property
    def mean_accuracy(self) -> FloatArray:
        """Mean of the runs that are there, (n,)."""
        import numpy as np

        return np.nanmean(self.accuracy, axis=1)

    def take(self, rows: IntArray) -> Population:
        """The networks of these rows, in this order."""
        return replace(
            self,
            widths=self.widths[rows],
            accuracy=self.accuracy[rows],
            params=self.params[rows],
            macs=self.macs[rows],
            peak_memory=None if self.peak_memory is None else self.peak_memory[rows],
            size=None if self.size is None else self.size[rows],
        )


BIN_WIDTH = 0.01
"""In ln size, about 1 %: two networks of a table so near in size differ by less than a run strays for that reason."""


def bins(population: Population, width: float | None = None, *, least: int = 1) -> list[IntArray]:
    """Rows of the networks of every size, smallest size first.

    Args:
        population: the networks.
        width: bins this wide in ln size, with borders at its multiples (0.01: about 1 %); 0 takes exactly equal sizes;
            None takes 0.01, and all networks of a population of one size.
        least: bins of fewer networks are left out.

    Raises:
        InputError: for a width or a number that makes no bins.

    >>> import numpy as np
    >>> sizes = {(8, 9): 1000, (7, 10): 1001, (9, 8): 1000, (16, 9): 2000}
    >>> networks = [TrainedLayout(widths=w, accuracy=(0.5,), params=size, macs=size) for w, size in sizes.items()]
    >>> population = population_from(networks, name="four", group_names=("a", "b"), layers=(1, 1))
    >>> [rows.tolist() for rows in bins(population, 0.01)], [rows.tolist() for rows in bins(population, 0, least=2)]
    ([[0, 1, 2], [3]], [[0, 2]])
    """
    import numpy as np

    if width is None and population.one_size:
        return [np.arange(len(population))] if len(population) >= least else []
    width = BIN_WIDTH if width is None else width
    if not (isinstance(width, int | float) and math.isfinite(width) and 0 <= width <= 1):
        raise InputError("bin", given=width, allowed="a width in ln size from 0 (equal sizes) to 1, such as 0.01")
    if least < 1:
        raise InputError("bin", given=f"at least {least} networks", allowed="at least 1")
    sizes = population.sizes
    keys = sizes if width == 0 else np.floor(np.log(sizes) / width).astype(np.int64)
    order = np.argsort(keys, kind="stable")
    borders = np.flatnonzero(np.diff(keys[order])) + 1
    return [rows for rows in np.split(order, borders) if len(rows) >= least]


def population_from(
    layouts: Iterable[TrainedLayout],
    *,
    name: str,
    group_names: Sequence[str],
    layers: Sequence[int],
    size_name: str = "params",
    unit: str = "as given",
    network: Network | None = None,
    chosen: int = 0,
    missing: int = 0,
    one_size: bool = False,
) -> Population:
    """Networks as one population; those of the same widths and costs become one network with all their runs.

    Runs keep their order; a network with fewer runs than others has NaN for the rest. Networks without any run are
    counted in ``left_out``. No network at all makes a population without one, whose other fields still say something.

    Raises:
        InputError: when no network has a run, or numbers of groups differ.
    """
    import numpy as np

    runs: dict[tuple[object, ...], list[float]] = {}
    first: dict[tuple[object, ...], TrainedLayout] = {}
    for one in layouts:
        if len(one.widths) != len(group_names):
            raise InputError("widths", given=len(one.widths), allowed=f"{len(group_names)}, one a group")
        key = (one.widths, one.params, one.macs, one.peak_memory, one.size)
        if key in first:  # another run of the same network: what is missing in between says nothing
            runs[key] += [value for value in one.accuracy if not math.isnan(value)]
        else:
            first[key], runs[key] = one, list(one.accuracy)
    kept = [key for key, values in runs.items() if not all(math.isnan(value) for value in values)]
    if runs and not kept:
        raise InputError(name, given="no network with an accuracy", allowed="at least one")
    most = max((len(runs[key]) for key in kept), default=0)
    accuracy = [runs[key] + [math.nan] * (most - len(runs[key])) for key in kept]
    ones = [first[key] for key in kept]
    peaks = [one.peak_memory for one in ones]
    sizes = [one.size for one in ones]
    return Population(
        name=name,
        group_names=tuple(group_names),
        layers=tuple(layers),
        widths=np.array([one.widths for one in ones], dtype=np.int64).reshape(len(kept), len(group_names)),
        accuracy=np.array(accuracy, dtype=np.float64).reshape(len(kept), most),
        params=np.array([one.params for one in ones], dtype=np.int64),
        macs=np.array([one.macs for one in ones], dtype=np.int64),
        peak_memory=None if None in peaks else np.array(peaks, dtype=np.int64),
        network=network,
        size=None if None in sizes else np.array(sizes, dtype=np.int64),
        size_name=size_name,
        unit=unit,
        left_out=len(runs) - len(kept),
        chosen=chosen,
        missing=missing,
        one_size=one_size,
    )


def read_table(
    path: Path | str,
    *,
    widths: Sequence[str],
    accuracy: Sequence[str],
    params: str,
    macs: str,
    layers: Sequence[int] | None = None,
    peak_memory: str | None = None,
) -> Population:
    """Read a table of trained networks, ``.csv`` or ``.csv.gz``, one row a network or a run.

    Args:
        path: the table; its first line names the columns.
        widths: columns with the widths, one a group.
        accuracy: columns with the accuracies, one a run; an empty cell or ``nan`` is a missing run. Any unit.
        params: column with the parameters.
        macs: column with the multiply-adds.
        layers: how many convolutions every width sets; one each where None.
        peak_memory: column with the most activation memory.

    Raises:
        InputError: when the file cannot be read, a column is missing or a number is not what it should be.
    """
    path = Path(path)
    counts = tuple(layers) if layers is not None else (1,) * len(widths)
    if not widths or not accuracy:
        raise InputError("columns", given="none", allowed="at least one width and one accuracy")
    if len(counts) != len(widths):
        raise InputError("layers", given=f"{len(counts)} numbers", allowed=f"{len(widths)}, one a width")
    rows = _rows(path)
    header = next(rows, None)
    if header is None:
        raise InputError("table", given=f"{path}, which is empty", allowed="a line of column names, then one a network")
    names = [name.strip() for name in header[1]]
    wanted = (*widths, *accuracy, params, macs, *([peak_memory] if peak_memory else []))
    places = {column: _place(column, names, path) for column in wanted}

    def whole(cells: list[str], line: int, column: str, least: int) -> int:
        text = cells[places[column]].strip()
        number = _number(text)
        if number is None or number != math.floor(number) or not least <= number < 2**62:
            where = f"{path.name}, line {line}, column {column}"
            raise InputError(where, given=repr(text), allowed=f"a whole number of at least {least}")
        return int(text) if text.isdigit() else int(number)

    def run(cells: list[str], line: int, column: str) -> float:
        text = cells[places[column]].strip()
        number = math.nan if text.lower() in ("", "nan", "na") else _number(text)
        if number is None:
            where = f"{path.name}, line {line}, column {column}"
            raise InputError(where, given=repr(text), allowed="a finite number, or nothing where a run is missing")
        return number

    networks: list[TrainedLayout] = []
    for line, cells in rows:
        if len(cells) != len(names):
            where = f"{path.name}, line {line}"
            raise InputError(where, given=f"{len(cells)} cells", allowed=f"{len(names)}, one a column")
        networks.append(
            TrainedLayout(
                widths=tuple(whole(cells, line, column, 1) for column in widths),
                accuracy=tuple(run(cells, line, column) for column in accuracy),
                params=whole(cells, line, params, 1),
                macs=whole(cells, line, macs, 0),
                peak_memory=whole(cells, line, peak_memory, 0) if peak_memory else None,
            )
        )
    if not networks:
        raise InputError("table", given=f"{path}, which has no row", allowed="at least one network")
    return population_from(
        networks, name=path.name, group_names=widths, layers=counts, unit=f"as in {', '.join(accuracy)}"
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every line that is not empty, with its number."""
    if not path.name.endswith((".csv", ".csv.gz")):
        raise InputError("table", given=str(path), allowed="a .csv or .csv.gz file, or a study's folder")
    try:
        opened = gzip.open if path.name.endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            yield from ((reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError("table", given=str(path), allowed="a file that can be read", remedy=str(reason)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("table", given=str(path), allowed="comma-separated text in UTF-8", remedy=str(error)) from None


def _place(column: str, names: list[str], path: Path) -> int:
    if names.count(column) == 1:
        return names.index(column)
    if column in names:
        raise InputError("column", given=f"{column!r}, which {path.name} has twice", allowed="names that differ")
    remedy = near_miss(column, names)
    raise InputError("column", given=repr(column), allowed=f"those of {path.name}: {', '.join(names)}", remedy=remedy)


def _number(text: str) -> float | None:
    """The finite number that the text is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
