"""Which of these layouts? The trials of a study, compared two by two with the seeds at hand.

Images set aside for choices come first, then the test images, which chose nothing: one layout is better than another
when both say so (``parlay.evidence.paired``), Holm's correction over all that are compared at once.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parlay.errors import InputError, StudyError
from parlay.evidence.compared import Comparison, Runs, compare_runs
from parlay.evidence.measured import Measured, MeasuredLayout, measure
from parlay.evidence.paired import spread
from parlay.layout import Layout, format_layout, parse_layout
from parlay.study import Kind, ModelNetwork, Row
from parlay.study.reading import Trials

__all__ = ["LayoutComparison", "compare_layouts", "images_tested"]

KNOWN_TEST_IMAGES = {"cifar10": 10_000, "cifar100": 10_000, "digits": 901}
"""Test images of data sets that parlay brings, for trials that were kept before their number was."""
MOST_NAMED = 12
"""Layouts that a message lists."""

MOST_ADVISED = 100
"""Seeds beyond which no command is advised: who needs more is after a difference that hardly matters."""


@dataclass(frozen=True, kw_only=True)
class LayoutComparison:
    """Layouts of a study compared with one of them.

    Attributes:
        folder: of the study.
        measured: the trials that can be compared, all trained alike.
        layouts: what is compared, the reference first.
        comparison: of the others with the reference.
        chosen: why the reference is it, in words.
        notes: what else the study holds that is not compared, a sentence each.
        is_study: whether the study can be resumed, or is a trials.csv alone.
    """

    folder: Path
    measured: Measured
    layouts: tuple[MeasuredLayout, ...]
    comparison: Comparison
    chosen: str
    notes: tuple[str, ...]
    is_study: bool

    @property
    def command(self) -> str | None:
        """What adds about the seeds that would decide the nearest open pair; None where nothing, or nobody, would."""
        more = self.comparison.more_seeds
        seeds = 1 + max(row.trial.seed for one in self.layouts for row in one.rows)
        if more is None or not self.is_study or seeds + more > MOST_ADVISED:
            return None
        return f"parlay study run {shlex.quote(str(self.folder))} --n-seeds {seeds + more}"

    def summary(self) -> str:
        """What was compared, the verdict, what goes on, and what was left out, in lines."""
        first = self.measured.first
        counted = images_tested(self.measured.complete)
        images = "an unknown number of test images" if counted is None else f"{counted:,} test images"
        held = f"{first.trial.validation:,} validation and " if first.trial.validation else ""
        lines = [
            f"{first.trial.network.title} on {first.data_name}, {self.measured.training}; {held}{images}; compared with"
            f" {format_layout(self.comparison.reference)}, {self.chosen}",
            f"verdict: {self.comparison.sentence}",
            *([f"next: {self.command}"] if self.command else []),
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; accuracies and differences are shares, 0 to 1."""
        first = self.measured.first
        return {
            "study": str(self.folder),
            "network": first.trial.network.title,
            "data": first.data_name,
            "training": self.measured.training,
            "test_images": images_tested(self.measured.complete),
            "validation_images": first.trial.validation,
            "reference": list(self.comparison.reference),
            "reference_is": self.chosen,
            "layouts": [_facts(one) for one in self.layouts],
            "comparisons": [one.to_json() for one in self.comparison.others],
            "verdict": self.comparison.sentence,
            "next": self.command,
            "notes": list(self.notes),
        }


def compare_layouts(trials: Trials, names: Sequence[str] = ()) -> LayoutComparison:
    """Compare layouts of a study with the seeds that they have in common.

    Args:
        trials: of one study.
        names: the layouts, ``35-36-37-43`` or ``original``, the one that the others are compared with first; all
            layouts of the largest group of trials trained alike where empty, compared with the one that is best on
            validation images or, where none were set aside, with the first planned.

    Raises:
        InputError: for a layout that the study has no complete trial of, or that is named alone.
        StudyError: where no two layouts can be compared.
    """
    folder = trials.path.parent
    groups = [group for group in measure(trials.required(), any_size=True) if group.layouts]
    wanted = _named(names, groups, folder)
    if len(wanted) == 1:
        raise InputError("layouts", given=names[0], allowed="two or more, or none for all that the study has")
    found = [group for group in groups if len(group.layouts) > 1 and all(one in group.by_layout for one in wanted)]
    runs = f"parlay study run {shlex.quote(str(folder))}"
    if not found:
        what = "these layouts were never trained alike" if wanted else "it has no two layouts that were trained alike"
        raise StudyError(f"study {folder}: {what}; {runs} --layouts A,B trains both")
    group = max(found, key=lambda group: sum(len(one.rows) for one in _chosen(group, wanted)))
    reference, chosen = _reference(group, wanted)
    rivals = [one for one in _chosen(group, wanted) if one is not reference]
    notes = [*_left_out(group, groups), *_unpaired(reference, rivals)]
    rivals = [one for one in rivals if _common(reference, one)]
    if not rivals:
        raise StudyError(
            f"study {folder}: {format_layout(reference.layout)} has no seed in common with another layout;"
            f" {runs} --n-seeds 3 trains every layout with the same"
        )
    some = (reference, *rivals)
    comparison = compare_runs(
        test={one.layout: _runs(one, "accuracy") for one in some},
        test_images=images_tested(group.complete),
        validation={one.layout: _runs(one, "validation_accuracy") for one in some},
        validation_images=group.first.trial.validation or None,
    )
    return LayoutComparison(
        folder=folder,
        measured=group,
        layouts=some,
        comparison=comparison,
        chosen=chosen,
        notes=tuple(notes),
        is_study=trials.is_study,
    )


def images_tested(rows: Sequence[Row]) -> int | None:
    """How many test images the accuracies of these trials count, all on one data set; None where that is not known."""
    kept = [row.test_images for row in rows if row.test_images]
    return min(kept) if kept else KNOWN_TEST_IMAGES.get(rows[0].data_name)


def _named(names: Sequence[str], groups: Sequence[Measured], folder: Path) -> list[Layout]:
    """The layouts of these names, each once.

    Raises:
        InputError: for one that no group has.
    """
    there = dict.fromkeys(one.layout for group in groups for one in group.layouts)
    found: dict[Layout, None] = {}
    for name in names:
        layout = _today(groups) if name == Kind.ORIGINAL else parse_layout(name)
        if layout not in there:
            listed = [format_layout(one) for one in there]
            more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
            raise InputError(
                "layout",
                given=name,
                allowed=f"one with a complete trial in {folder}: {', '.join(listed[:MOST_NAMED]) or 'none yet'}{more}",
            )
        found[layout] = None
    return list(found)


def _today(groups: Sequence[Measured]) -> Layout | None:
    models = [network for group in groups if isinstance(network := group.first.trial.network, ModelNetwork)]
    return models[0].today if models else None


def _chosen(group: Measured, wanted: Sequence[Layout]) -> list[MeasuredLayout]:
    """The layouts named, or all of the group in the order planned."""
    order = wanted or list(dict.fromkeys(row.trial.layout for row in group.complete))
    return [group.by_layout[layout] for layout in order]


def _reference(group: Measured, wanted: Sequence[Layout]) -> tuple[MeasuredLayout, str]:
    some = _chosen(group, wanted)
    held = {one.layout: list(_runs(one, "validation_accuracy").values()) for one in some}
    if wanted or not all(held.values()):
        return some[0], "the first named" if wanted else "the first planned"
    return max(some, key=lambda one: math.fsum(held[one.layout]) / len(held[one.layout])), "the best on validation"


def _runs(one: MeasuredLayout, measure: str) -> Runs:
    return {row.trial.seed: value for row in one.rows if (value := getattr(row, measure)) is not None}


def _common(reference: MeasuredLayout, one: MeasuredLayout) -> int:
    """How many seeds both have on the test images."""
    return len(_runs(reference, "accuracy").keys() & _runs(one, "accuracy").keys())


def _left_out(group: Measured, groups: Sequence[Measured]) -> list[str]:
    """What is not compared, and why."""
    notes: list[str] = []
    left = len(group.rows) - len(group.complete)
    if left:
        notes.append(f"{left:,} of {len(group.rows):,} trials are not complete")
    others = sum(len(one.complete) for one in groups if one is not group)
    if others:
        notes.append(f"{others:,} trials were trained otherwise than {group.training}, and are not compared")
    return notes


def _unpaired(reference: MeasuredLayout, rivals: Sequence[MeasuredLayout]) -> list[str]:
    """Seeds that only one of two layouts has."""
    common = [_common(reference, one) for one in rivals]
    lone = [format_layout(one.layout) for one, number in zip(rivals, common, strict=True) if not number]
    notes = [f"no seed in common with {format_layout(reference.layout)}: {', '.join(lone)}"] if lone else []
    dropped = sum(len(one.rows) - number for one, number in zip(rivals, common, strict=True) if number)
    missing = sum(len(reference.rows) - number for number in common if number)
    if dropped or missing:
        notes.append("seeds that only one of two layouts has are left out of their comparison")
    return notes


def _facts(one: MeasuredLayout) -> dict[str, Any]:
    return {
        "layout": list(one.layout),
        "params": one.amount("params"),
        "macs": one.macs,
        "peak_activation_bytes": one.amount("peak_activation_bytes"),
        "seeds": [row.trial.seed for row in one.rows],
        "validation_accuracy": _accuracy(one, "validation_accuracy"),
        "accuracy": _accuracy(one, "accuracy"),
    }


def _accuracy(one: MeasuredLayout, measure: str) -> dict[str, Any] | None:
    values = list(_runs(one, measure).values())
    if not values:
        return None
    mean, deviation = spread(values)
    return {"mean": mean, "sd": deviation, "values": values}
