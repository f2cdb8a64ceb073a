"""The first thing that a page says: the most accurate layout of a group of trials, and the command that goes on."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass

from parlay.documents import portable
from parlay.evidence.measured import Measured, MeasuredLayout
from parlay.layout import Layout, format_layout
from parlay.report.page.fits import Fit
from parlay.study.reading import Trials

__all__ = ["Outlook", "outlook_of"]

SEEDS = 3
"""Runs of each layout below which there is no test between two (``parlay.evidence.paired``)."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Where a group of trials stands.

    Attributes:
        best: the most accurate layout; None where nothing was measured.
        name: what a fit calls it, and whether it fits; empty outside a fit.
        standing: how accurate it is, in a sentence.
        purpose: what the command is for, in a few words.
        command: the next one, as it is typed.
    """

    best: Layout | None
    name: str
    standing: str
    purpose: str
    command: str


def outlook_of(measured: Measured, source: Trials, fit: Fit | None = None) -> Outlook:
    """The most accurate layout, on validation images where every layout has them, and the command that goes on.

    Of the arms of a fit, those that fit the device come before those that do not.
    """
    layouts = measured.layouts
    is_validated = all(row.validation_accuracy is not None for one in layouts for row in one.rows)
    share = _validated if is_validated else _tested
    misfits = {} if fit is None else {arm.layout: not arm.fits for arm in fit.by_layout.values()}
    ranked = sorted(layouts, key=lambda one: (misfits.get(one.layout, False), -share(one)))
    purpose, words = _next(measured, ranked, source, is_fit=fit is not None)
    command = shlex.join(["parlay", *words])
    if not ranked:
        return Outlook(best=None, name="", standing="No trial has an accuracy yet.", purpose=purpose, command=command)
    first = ranked[0]
    runs = "1 run" if len(first.rows) == 1 else f"mean of {len(first.rows)} runs"
    images = "validation" if is_validated else "test"
    standing = f"{_percent(share(first))} of the {images} images right ({runs})"
    standing += f", {_percent(_tested(first))} of the test images" if is_validated else ""
    if len(ranked) > 1:
        standing += f"; next comes {format_layout(ranked[1].layout)} with {_percent(share(ranked[1]))}"
    arm = None if fit is None else fit.by_layout.get(format_layout(first.layout))
    return Outlook(
        best=first.layout,
        name="" if arm is None else arm.words,
        standing=f"{standing}.",
        purpose=purpose,
        command=command,
    )


def _next(
    measured: Measured, ranked: list[MeasuredLayout], source: Trials, *, is_fit: bool
) -> tuple[str, tuple[str, ...]]:
    """What is worth doing now, and the words of its command; a fit's seeds are part of its question, and stay."""
    folder = portable(source.path.parent)
    left = sum(not row.has_ended for row in measured.rows)
    if left and source.is_study:
        return f"Train what is left ({left:,} of {len(measured.rows):,} trials)", ("study", "run", folder)
    if not ranked:
        return "See why they failed", ("study", "status", folder)
    if source.is_study and not is_fit and (len(ranked) == 1 or min(len(one.rows) for one in ranked[:2]) < SEEDS):
        return "See how far chance carries: more seeds of each", ("study", "run", folder, "--n-seeds", str(SEEDS))
    if len(ranked) == 1:
        return "See what it says of the scores", ("evaluate", folder)
    first, second = (format_layout(one.layout) for one in ranked[:2])
    return f"See whether it is better than {second}", ("study", "compare", folder, second, first)


def _tested(one: MeasuredLayout) -> float:
    return one.accuracy


def _validated(one: MeasuredLayout) -> float:
    return math.fsum(row.validation_accuracy or 0.0 for row in one.rows) / len(one.rows)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
