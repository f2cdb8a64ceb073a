"""Everything that the page says, apart from how it is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from parlay import __version__
from parlay.calibrated import CalibratedScore, read_weights
from parlay.documents import finite
from parlay.errors import InputError
from parlay.evidence.measured import Measured, measure
from parlay.evidence.outcome import LEAST_LAYOUTS
from parlay.report.page.curves import points_for, windows
from parlay.report.page.fits import Fit, read_fit
from parlay.report.page.outlook import Outlook, outlook_of
from parlay.report.page.provenance import Provenance, provenance_of
from parlay.report.page.questions import log_path_energy
from parlay.report.page.relations import Relations, relations_of
from parlay.report.page.trial_sources import curves_of, find_sources
from parlay.report.page.verdict import Verdict, judge
from parlay.study import COLUMNS, Row, table_row
from parlay.study.fields import SHARE, Field
from parlay.study.row import COSTS

__all__ = ["Page", "Question", "gather"]

FIELDS = sorted(
    (item for item in COLUMNS.values() if item.is_on_page),
    key=lambda item: (
        item.name != "layout",
        not item.is_measured,
        item not in COSTS,
        item.name != "validation_accuracy",
    ),
)
"""What the page knows of each trial: its layout, what was measured (validation first: it chooses), what it costs, and
the rest."""

WEIGHTS = "weights.json"
"""Where the page looks for the weights that ``parlay calibrate --out`` wrote."""

LARGEST_PLAIN = 11.0
"""Logarithm above which an energy is shown as its logarithm."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A group of trials with what they say.

    Attributes:
        measured: the trials.
        relations: their coefficients.
        verdict: the same in words.
        curves: identity of a trial -> its thinned learning curve; two studies may have the same trial.
        outlook: the most accurate layout, and what goes on.
        fit: the fit whose arms its trials are; it has a verdict of its own: a handful of layouts chosen by scores says
            nothing about scores.
    """

    measured: Measured
    relations: Relations
    verdict: Verdict
    curves: Mapping[str, list[float]]
    outlook: Outlook
    fit: Fit | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that a page shows.

    Attributes:
        title: its heading.
        made: when, in UTC, ISO 8601.
        version: of parlay.
        command: what makes it again.
        judged: every group of trials, in the order of the studies.
        points: of each curve, at most.
        weights: name of a study -> the calibrated score that lay beside it.
        provenance: one a study.
        fits: what ``parlay fit`` found in studies of its own.
    """

    title: str
    made: str
    version: str
    command: str
    judged: tuple[Question, ...]
    points: int
    weights: Mapping[str, CalibratedScore]
    provenance: tuple[Provenance, ...]
    fits: tuple[Fit, ...] = ()

    @property
    def questions(self) -> list[Question]:
        """The groups whose verdict is about a score."""
        return [judged for judged in self.judged if judged.fit is None]

    @property
    def rows(self) -> list[tuple[int, Row]]:
        """Every trial with the number of its group."""
        return [(place, row) for place, judged in enumerate(self.judged) for row in judged.measured.rows]

    def data(self) -> dict[str, Any]:
        """What the page's script draws, as JSON values: ``panels``, ``trials`` column by column, and ``columns``: name,
        heading in the table (empty for none) and format of each.
        """
        trials = [_trial(place, row, self.judged[place].curves) for place, row in self.rows]
        return {
            "panels": [_panel(judged, self.points) for judged in self.judged],
            "columns": [[item.name, item.heading, _format(item)] for item in FIELDS],
            "trials": {key: [trial[key] for trial in trials] for key in trials[0]},
            "weights": [
                {"study": study, "groups": [vars(weight) for weight in score.weights]}
                for study, score in self.weights.items()
            ],
        }


def gather(folders: Sequence[Path], *, title: str | None = None, command: str = "") -> Page:
    """Read studies, judge what they hold, and keep what a page needs.

    Args:
        folders: the studies' folders; a name said twice counts once. A folder that holds only the trials.csv of a
            study, or folders with one, is read too, as far as the paper's families go.
        title: heading of the page; networks and data without one.
        command: what makes the page again.

    Raises:
        InputError: without a folder, or for a trials.csv that cannot be read.
        StudyError: when a study is not there, cannot be read, or holds no trial.
    """
    if not folders:
        raise InputError("studies", given="none", allowed="at least one folder of a study")
    judged: list[Question] = []
    weights: dict[str, CalibratedScore] = {}
    provenance: list[Provenance] = []
    fits: list[Fit] = []
    sources = find_sources(folders)
    names = _names([source.path.parent for source in sources])
    points = points_for(sum(len(source.rows) for source in sources))
    for source, name in zip(sources, names, strict=True):
        fit = read_fit(source.path.parent, name)
        groups = measure(source.rows, study=name, any_size=fit is not None)
        curves = curves_of(source, points)
        for measured in groups:
            relations = relations_of(measured)
            judged.append(
                Question(
                    measured=measured,
                    relations=relations,
                    verdict=judge(measured, relations),
                    curves=curves,
                    outlook=outlook_of(measured, source, fit),
                    fit=fit,
                )
            )
        provenance.append(provenance_of(name, source, groups))
        with suppress(InputError):  # a weights.json that is not there, or is none of parlay's
            weights[name] = read_weights(source.path.parent / WEIGHTS)
        fits += [] if fit is None else [fit]
    return Page(
        title=title or _title(judged),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        command=command,
        judged=tuple(judged),
        points=points,
        weights=weights,
        provenance=tuple(provenance),
        fits=tuple(fits),
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with those above where two have the same."""
    return [_name(folder.resolve(), [one.resolve() for one in folders]) for folder in folders]


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """As many last parts of a path as tell it from the others."""
    for count in range(1, len(folder.parts)):
        tail = folder.parts[-count:]
        if sum(other.parts[-count:] == tail for other in folders) == 1:
            return str(Path(*tail))
    return folder.name


def _title(judged: Sequence[Question]) -> str:
    networks = dict.fromkeys(found.measured.first.trial.network.title for found in judged)
    data = dict.fromkeys(found.measured.first.data_name for found in judged)
    return f"Layouts compared: {', '.join(networks)} on {', '.join(data)}"


def _panel(judged: Question, points: int) -> dict[str, Any]:
    """A group of trials for the script; ``energy_is_log`` says that energies are drawn as logarithms."""
    measured = judged.measured
    logs = [row.log_energy for row in measured.rows]
    paths = [log_path_energy(row) for row in measured.rows]
    steps = measured.first.trial.steps
    return {
        "study": measured.study,
        "name": measured.title,
        "training": measured.training,
        "arms": {}
        if judged.fit is None
        else {
            layout: {"name": arm.name, "fits": arm.fits, "words": arm.words}
            for layout, arm in judged.fit.by_layout.items()
        },
        "groups": list(measured.first.trial.network.group_names),
        "energy_is_log": max(logs) > LARGEST_PLAIN
        or max((p for p in paths if p is not None), default=0) > LARGEST_PLAIN,
        "has_path_energy": all(path is not None for path in paths),
        "steps": [(start + end) / 2 for start, end in windows(steps, points)],
        "correlations": {}
        if len(measured.judging) < LEAST_LAYOUTS
        else {line.key: f"{line.method} {line.correlation}" for line in judged.relations.lines if line.key is not None},
    }


def _trial(place: int, row: Row, curves: Mapping[str, list[float]]) -> dict[str, Any]:
    """A trial for the script; shares 0 to 1, energies as natural logarithms (None for -inf or unknown)."""
    losses = curves.get(row.trial.identity)
    values = table_row(row)
    return {
        "panel": place,
        **{item.name: _shown(item, values[item.name]) for item in FIELDS},
        "log_path_energy": _short(finite(log_path_energy(row))),
        "curve": None if losses is None else [_short(finite(loss)) for loss in losses],
    }


def _format(item: Field) -> str:
    """How the script shows a field: as text, in per cent, or as a number with so many decimals."""
    if item.kind in (str, tuple):
        return "text"
    return "percent" if item.unit == SHARE else str(item.digits)


def _shown(item: Field, value: Any) -> Any:
    """A value as the script takes it: as text, or as a number that is short."""
    text = item.text(value)
    return _short(finite(text)) if isinstance(text, float) else text


def _short(value: float | None) -> float | None:
    """Six significant digits, so that the page stays small.

    >>> _short(0.123456789), _short(None)
    (0.123457, None)
    """
    return None if value is None or math.isnan(value) else float(f"{value:.6g}")
