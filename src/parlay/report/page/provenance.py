"""How trials were run: versions, hardware, recipe, data, and the commands that do it again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parlay.documents import portable
from parlay.evidence.measured import Measured
from parlay.evidence.outcome import LEAST_LAYOUTS
from parlay.study import Row
from parlay.study.reading import Trials
from parlay.study.status import duration

__all__ = ["Provenance", "provenance_of"]

MACHINE = {"parlay": "parlay", "torch": "torch", "python": "Python", "system": "System", "cpu": "Processor"}
"""What a trial keeps of the program and the machine -> how the page calls it."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How the trials of one study were run.

    Attributes:
        study: its name.
        facts: what and how, in order.
        recipes: name of a recipe -> its numbers.
        commands: what resumes the study, or judges what is kept of it.
    """

    study: str
    facts: tuple[tuple[str, str], ...]
    recipes: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    commands: tuple[str, ...]


def provenance_of(study: str, source: Trials, groups: Sequence[Measured]) -> Provenance:
    """How the trials of a study were run; values that trials differ in are all there, with the number of trials.

    Args:
        study: its name.
        source: where they come from; a study can be resumed, a trials.csv alone can be judged.
        groups: its trials.
    """
    folder = source.path.parent
    rows = [row for group in groups for row in group.rows]
    ended = [row for row in rows if row.has_ended]
    statuses = Counter(row.status for row in rows)
    facts = [("Trials", ", ".join(f"{count:,} {status}" for status, count in statuses.most_common()))]
    left_out = "; ".join(f"{count:,} {why}" for why, count in source.left_out.items())
    facts.append(("Left out", left_out and f"lines of the table: {left_out}"))
    facts.append(("Networks", _each(row.trial.network.title for row in rows)))
    facts.append(("Data", _each(f"{row.data_name} (SHA-256 {row.trial.data[:12]}…)" for row in rows)))
    facts.append(("Training", _each(group.training for group in groups for _ in group.rows)))
    facts.append(("Seeds", ", ".join(map(str, sorted({row.trial.seed for row in rows})))))
    facts += [(label, _each(row.versions.get(name, "") for row in ended)) for name, label in MACHINE.items()]
    facts.append(("Device", _each(_device(row) for row in ended)))
    seconds = [row.seconds for row in ended if row.seconds is not None]
    if seconds:
        facts.append(
            ("Training time", f"{duration(sum(seconds))} in all, {duration(sum(seconds) / len(seconds))} each")
        )
    moments = sorted(row.finished for row in ended if row.finished)
    if moments:
        shown = [_moment(moment) for moment in dict.fromkeys((moments[0], moments[-1]))]
        facts.append(("Finished", f"{' to '.join(shown)} UTC"))
    recipes = {row.trial.recipe.name: row.trial.recipe for row in rows}
    return Provenance(
        study=study,
        facts=tuple((name, value) for name, value in facts if value),
        recipes=tuple(
            (name, tuple((key, _plain(value)) for key, value in recipe.numbers().items()))
            for name, recipe in recipes.items()
        ),
        commands=tuple(shlex.join(["parlay", *words.split(), portable(folder)]) for words in _commands(source, groups)),
    )


def _commands(source: Trials, groups: Sequence[Measured]) -> tuple[str, ...]:
    """What resumes a study, or judges a table; too few layouts to rank are compared."""
    few = any(len(group.layouts) > 1 and len(group.judging) < LEAST_LAYOUTS for group in groups)
    return (
        *(("study compare",) if few else ()),
        *(("study run", "study export") if source.is_study else ("evaluate",)),
    )


def _device(row: Row) -> str:
    threads = "" if row.threads is None else f", {row.threads} thread{'' if row.threads == 1 else 's'}"
    return f"{row.device}{threads}" if row.device else ""


def _each(values: Iterable[str]) -> str:
    """Different values; how often each, where there are several."""
    counts = Counter(value for value in values if value)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({count:,})" for value, count in counts.most_common())


def _moment(text: str) -> str:
    """A moment to the minute.

    >>> _moment("2026-11-25T02:15:46+00:00")
    '2026-11-25 02:15'
    """
    return text[:16].replace("T", " ")


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
