"""A study from plan to report: run what is left, then the table, the figure and the correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from parlay.documents import document
from parlay.evidence import Relation, relate
from parlay.extras import Needs
from parlay.problem import Problem
from parlay.report.scatter import save_scatter, scatter_data
from parlay.report.tables import relation_table, trials_table
from parlay.study import Outcome, Planned, Row, Store, Trial, Watcher, run_study, table_row

if TYPE_CHECKING:
    from rich.table import Table

    from parlay.data import Dataset

__all__ = ["Conducted", "alike", "conduct"]


@dataclass(frozen=True, kw_only=True)
class Conducted:
    """What a study holds after a call.

    Attributes:
        folder: where it is.
        outcome: what this call did.
        rows: the trials that answer the question asked now; the folder may hold others.
        relation: correlations over these rows.
    """

    folder: Path
    outcome: Outcome
    rows: tuple[Row, ...]
    relation: Relation

    def summary(self) -> str:
        """One line on what this call did."""
        did = self.outcome
        failed = f", {did.failed} failed" if did.failed else ""
        return f"{did.planned} trials: {did.reused} from before, {did.trained} trained now{failed}"

    def document(self) -> str:
        """One JSON document; ``accuracy`` is a share, 0 to 1."""
        did = self.outcome
        return document(
            {
                "study": str(self.folder),
                "trials_csv": str(self.folder / "trials.csv"),
                "scatter_png": str(self.folder / "scatter.png"),
                "planned": did.planned,
                "reused": did.reused,
                "trained": did.trained,
                "failed": did.failed,
                "correlations": self.relation.document(),
                "trials": [table_row(row) for row in self.rows],
            }
        )

    def tables(self) -> list[Table]:
        """Trials and correlations, for a terminal."""
        return [trials_table(self.rows), relation_table(self.relation)]


def conduct(
    folder: Path, plan: Sequence[Planned], data: Dataset, *, problem: Problem | None, watcher: Watcher | None = None
) -> Conducted:
    """Train what the plan has and the study has not, and write trials.csv and scatter.png into its folder.

    trials.csv has every trial of the folder; scatter.png and the correlations only those that answer the question asked
    now: trained the same way, and of the same size within the same fences.

    Raises:
        StudyError: when the folder is in use, or holds something else.
        InputError: when a file cannot be written.
    """
    first = plan[0].trial
    kept: list[Row] = []

    def report(rows: list[Row]) -> None:
        kept[:] = [row for row in rows if alike(row.trial, first, problem)]
        save_scatter(scatter_data(kept), folder / "scatter.png")

    with Needs("the figure", extra="train"):  # better missed before hours of training than after
        import_module("matplotlib")
    with Store(folder, family=first.family, data=data.fingerprint, data_name=data.name) as store:
        outcome = run_study(store, plan, data, watcher=watcher, after=report)
    return Conducted(folder=folder, outcome=outcome, rows=tuple(kept), relation=relate(kept))


def alike(trial: Trial, other: Trial, problem: Problem | None) -> bool:
    """Whether a trial was trained like another and, where a problem is given, answers it."""
    trained = trial.recipe.numbers() == other.recipe.numbers() and trial.steps == other.steps
    return trained and (problem is None or not problem.violations(trial.layout))
