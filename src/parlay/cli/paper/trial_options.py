"""Which trials ``parlay paper figures`` and ``claims`` look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from parlay.cli.options import option
from parlay.cli.options.kinds import Choice
from parlay.errors import InputError
from parlay.train.recipe import RECIPES

if TYPE_CHECKING:
    from parlay.study import Row

__all__ = ["TrialOptions"]

RESULTS = Path("results")


@dataclass(frozen=True, kw_only=True)
class TrialOptions:
    """Trials of studies, or kept as text."""

    heading: ClassVar[str] = "Trials"
    studies: tuple[Path, ...] = option("--study", multiple=True, type=click.Path(path_type=Path), help="Repeatable.")
    results: tuple[Path, ...] = option(
        "--results",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Trials as text, as 'paper run' writes them; repeatable; default: results, without --study.",
    )
    recipe: str | None = option("--recipe", type=Choice(RECIPES), help="Only trials of this recipe.")
    steps: int | None = option("--steps", type=int, help="Only trials of so many steps.")

    def read(self) -> list[Row]:
        """Every trial, each once, of any recipe.

        Raises:
            InputError: for a folder that is named and not there.
            StudyError: for a study that cannot be read.
        """
        from parlay.paper.results import read_results
        from parlay.study import Reader

        found: dict[str, Row] = {}
        for folder in self.studies:
            with Reader(folder) as reader:
                for row in reader.rows():
                    found.setdefault(row.trial.identity, row)
        for folder in self.results or ([] if self.studies else [RESULTS]):
            if self.results and not folder.is_dir():
                raise InputError(
                    "results", given=str(folder), allowed="a folder, as 'parlay paper run --results' fills it"
                )
            for row in read_results(folder):
                found.setdefault(row.trial.identity, row)
        return list(found.values())
