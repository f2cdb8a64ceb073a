"""Trained networks as columns of numbers: read from a table, checked once, grouped by size."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parlay.errors import InputError, near_miss
from parlay.layout import Layout, WidthGroup, WidthSpace, format_layout
from parlay.network import ConvolutionShape, Network

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
        widths: (n, groups), integers of at least 1.
        accuracy: (n, runs), in the unit of the source (see ``unit``); NaN where a run is missing, never all of a row.
        params: (n,), parameters.
        macs: (n,), multiply-adds for one image.
        peak_memory: (n,), most activation memory, or None where it is not known.
        size: (n,), what is held equal when networks are compared; the parameters where nothing else is given.
        size_name: what ``size`` counts.
        unit: unit of ``accuracy``, in words; no number is converted.
        left_out: networks of the source that have no run at all, and are not here.
        chosen: networks of the source that a score or somebody chose, and that are not here because they cannot judge a
            score; None where there are none.
        missing: trials of the source that are not complete, and count for nothing.
        score: name of the score by which the best layouts of the source were chosen; None where none was.
        one_size: whether all count as one size, whatever ``size`` says.
        structure: their width groups with how many layers each sets and what leads from one to another; None where
            nothing is known but the columns.
        convolutions: every convolution in the order of the forward pass; none where they are not known.
    """

    name: str
    group_names: tuple[str, ...]
    widths: IntArray
    accuracy: FloatArray
    params: IntArray
    macs: IntArray
    peak_memory: IntArray | None = None
    size: IntArray | None = None
    size_name: str = "params"
    unit: str = "as given"
    left_out: int = 0
    chosen: Population | None = None
    missing: int = 0
    score: str | None = None
    one_size: bool = False
    structure: WidthSpace | None = None
    convolutions: tuple[ConvolutionShape, ...] = ()

    def __post_init__(self) -> None:
        import numpy as np

        n, groups = self.widths.shape
        columns = [self.params, self.macs, self.sizes] + ([] if self.peak_memory is None else [self.peak_memory])
        if not len(self.space) == len(self.group_names) == groups:
            given = f"{len(self.space)} width groups and {len(self.group_names)} names for {groups} widths"
            raise InputError("population", given=given, allowed="one of each for every width")
        if self.accuracy.ndim != 2 or any(len(column) != n for column in (self.accuracy, *columns)):
            raise InputError("population", given="columns of different lengths", allowed="one row a network")
        if n and (self.widths.min() < 1 or self.params.min() < 1 or self.sizes.min() < 1):
            raise InputError("population", given="a width or size below 1", allowed="integers of at least 1")
        if np.isnan(self.accuracy).all(axis=1).any() or np.isinf(self.accuracy).any():
            raise InputError("accuracy", given="a network without a finite one", allowed="at least one run a network")

    def __len__(self) -> int:
        return len(self.params)

    @property
    def space(self) -> WidthSpace:
        """The structure, or bare width groups where it is not known."""
        return self.structure or WidthSpace(groups=tuple(WidthGroup(name=name) for name in self.group_names))

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


SAME_NETWORK = 0.1
"""Tables count biases, norms or the classifier or leave them out, a few per cent of the parameters; a width in the
place of another makes more of a difference, in one row or another.
"""


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
    >>> population = population_from(networks, name="four", group_names=("a", "b"))
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
    size_name: str = "params",
    unit: str = "as given",
    structure: WidthSpace | None = None,
    convolutions: tuple[ConvolutionShape, ...] = (),
    chosen: Population | None = None,
    missing: int = 0,
    score: str | None = None,
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
        widths=np.array([one.widths for one in ones], dtype=np.int64).reshape(len(kept), len(group_names)),
        accuracy=np.array(accuracy, dtype=np.float64).reshape(len(kept), most),
        params=np.array([one.params for one in ones], dtype=np.int64),
        macs=np.array([one.macs for one in ones], dtype=np.int64),
        peak_memory=None if None in peaks else np.array(peaks, dtype=np.int64),
        structure=structure,
        convolutions=convolutions,
        size=None if None in sizes else np.array(sizes, dtype=np.int64),
        size_name=size_name,
        unit=unit,
        left_out=len(runs) - len(kept),
        chosen=chosen,
        missing=missing,
        score=score,
        one_size=one_size,
    )


def read_table(
    path: Path | str,
    *,
    widths: Sequence[str],
    accuracy: Sequence[str],
    params: str | None = None,
    macs: str | None = None,
    peak_memory: str | None = None,
    network: Network | None = None,
) -> Population:
    """Read a table of trained networks, ``.csv`` or ``.csv.gz``, one row a network or a run.

    Args:
        path: the table; its first line names the columns.
        widths: columns with the widths, one a group.
        accuracy: columns with the accuracies, one a run; an empty cell or ``nan`` is a missing run. Any unit.
        params: column with the parameters; counted by the network where None.
        macs: column with the multiply-adds; likewise.
        peak_memory: column with the most activation memory; likewise, where there is a network.
        network: what the networks are but for their widths. Columns that are called as its groups are matched by name,
            any others by order.

    Raises:
        InputError: when the file cannot be read, a column is missing, a number is not what it should be, or the table
            is of another network.
    """
    path = Path(path)
    if not widths or not accuracy:
        raise InputError("columns", given="none", allowed="at least one width and one accuracy")
    if network is None and (params is None or macs is None):
        raise InputError("columns", given="no params or macs", allowed="both, or a network that counts them")
    names = list(widths)
    if network is not None:
        groups = [group.name for group in network.space.groups]
        if len(names) != len(groups):
            allowed = f"{len(groups)}, the groups of {network.title}: {', '.join(groups)}"
            raise InputError("widths", given=f"{len(names)} columns", allowed=allowed)
        names = groups if set(names) == set(groups) else names
    rows = iter(_rows(path))
    header = next(rows, None)
    if header is None:
        raise InputError("table", given=f"{path}, which is empty", allowed="a line of column names, then one a network")
    header_names = [name.strip() for name in header[1]]
    wanted = (*names, *accuracy, *(column for column in (params, macs, peak_memory) if column))
    places = {column: _place(column, header_names, path) for column in wanted}

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
        if len(cells) != len(header_names):
            where = f"{path.name}, line {line}"
            raise InputError(where, given=f"{len(cells)} cells", allowed=f"{len(header_names)}, one a column")
        layout = tuple(whole(cells, line, column, 1) for column in names)
        costs = {
            name: whole(cells, line, column, least)
            for name, column, least in (("params", params, 1), ("macs", macs, 0), ("peak_memory", peak_memory, 0))
            if column
        }
        if network is not None:
            costs = {**_counted(network, layout, costs.get("params"), f"{path.name}, line {line}"), **costs}
        accuracies = tuple(run(cells, line, column) for column in accuracy)
        networks.append(TrainedLayout(widths=layout, accuracy=accuracies, **costs))
    if not networks:
        raise InputError("table", given=f"{path}, which has no row", allowed="at least one network")
    return population_from(
        networks,
        name=path.name,
        group_names=names,
        unit=f"as in {', '.join(accuracy)}",
        structure=None if network is None else network.space,
        convolutions=() if network is None else network.convolution_shapes,
    )


def _counted(network: Network, layout: Layout, params: int | None, where: str) -> dict[str, int]:
    """What the network counts at a layout.

    Raises:
        InputError: for a layout it cannot be built at, or parameters far from those that the table has.
    """
    try:
        network.check(layout)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    counted = network.params(layout)
    if params is not None and abs(counted - params) > SAME_NETWORK * params:
        raise InputError(
            where,
            given=f"{params:,} parameters, where {network.title} has {counted:,} at {format_layout(layout)}",
            allowed="a table of this network",
            remedy="name --widths in the order of the groups that parlay trace lists",
        )
    return {
        "params": counted,
        "macs": network.macs(layout),
        "peak_memory": network.peak_activation_bytes()(layout),
    }


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Every line that is not empty, with its number; read at once, so that no refusal leaves the file open."""
    if not path.name.endswith((".csv", ".csv.gz")):
        raise InputError("table", given=str(path), allowed="a .csv or .csv.gz file, or a study's folder")
    try:
        opened = gzip.open if path.name.endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
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
