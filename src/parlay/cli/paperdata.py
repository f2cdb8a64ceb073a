"""Where ``parlay paper`` takes images and trials from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from parlay.errors import InputError

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.study import DataSource, Row

__all__ = ["data_files", "rows_from", "rows_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

RESULTS = Path("results")


def rows_options(command: Command) -> Command:
    """Add the options that say which trials to look at."""
    for option in reversed(
        (
            click.option("--study", "studies", multiple=True, type=click.Path(path_type=Path), help="Repeatable."),
            click.option(
                "--results",
                multiple=True,
                type=click.Path(path_type=Path),
                help="Trials as text, as 'paper run' writes them; repeatable; default: results, without --study.",
            ),
            click.option("--recipe", help="Only trials of this recipe."),
            click.option("--steps", type=int, help="Only trials of so many steps."),
        )
    ):
        command = option(command)
    return command


def rows_from(studies: Sequence[Path], results: Sequence[Path]) -> list[Row]:
    """Every trial of some studies and folders of results, each once.

    Raises:
        InputError: for a folder that is named and not there.
        StudyError: for a study that cannot be read.
    """
    from parlay.paper.results import read_results
    from parlay.study import Reader

    found: dict[str, Row] = {}
    for folder in studies:
        with Reader(folder) as reader:
            for row in reader.rows():
                found.setdefault(row.trial.identity, row)
    for folder in results or ([] if studies else [RESULTS]):
        if results and not folder.is_dir():
            raise InputError("results", given=str(folder), allowed="a folder, as 'parlay paper run --results' fills it")
        for row in read_results(folder):
            found.setdefault(row.trial.identity, row)
    return list(found.values())


def data_files(
    panels: Sequence[str], data: str | None, data_dir: str, files: Sequence[str]
) -> tuple[Callable[[str], Dataset], dict[str, DataSource]]:
    """What reads each data set of some panels, and where it comes from.

    Raises:
        InputError: for panels of another data set than ``data``, or a file whose data set is not clear.
    """
    from parlay.extras import Needs
    from parlay.paper.panels import get_experiment
    from parlay.study import DataSource

    needed = list(dict.fromkeys(get_experiment(name).data for name in panels))
    if data is not None and needed != [data]:
        raise InputError("--data", given=data, allowed=f"{', '.join(needed)}, of panel {', '.join(panels)}")
    specs = {name: name for name in needed}
    for item in files:
        name, equals, path = item.partition("=")
        if not equals or name not in ("cifar10", "cifar100"):
            name, path = needed[0], item
            if len(needed) > 1:
                raise InputError(
                    "--data-file", given=item, allowed="cifar10=PATH or cifar100=PATH, since panels differ"
                )
        specs[name] = str(Path(path).expanduser().absolute())
    folder = str(Path(data_dir).expanduser().absolute())

    def load(name: str) -> Dataset:
        with Needs("reading image data", extra="train"):
            from parlay.data import load as read
        return read(specs[name], data_dir=data_dir)

    return load, {name: DataSource(name=name, spec=spec, folder=folder) for name, spec in specs.items()}
