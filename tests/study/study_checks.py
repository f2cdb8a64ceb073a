"""What several tests of studies share: a plan of small networks, and everything of a study that must not change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parlay.data import Dataset
from parlay.families import plain
from parlay.layout import Layout
from parlay.study import Kind, Planned, Reader, make_plan
from parlay.train import get_recipe

Results = dict[str, tuple[Any, ...]]


def small_plan(
    data: Dataset, layouts: Sequence[Layout], *, steps: int, seeds: Sequence[int] = (0,), validation: int = 96
) -> list[Planned]:
    """Networks of two layers on the digits, with a validation split."""
    return list(
        make_plan(
            plain(2, in_channels=1, image=8),
            {layout: frozenset({Kind.GIVEN}) for layout in layouts},
            data=data.fingerprint,
            recipe=get_recipe("digits"),
            steps=steps,
            seeds=seeds,
            validation=validation,
        )
    )


def results(folder: Path) -> Results:
    """Everything of a study that must not depend on where, when and in how many pieces its trials ran."""
    with Reader(folder) as reader:
        curves = dict(reader.curves())
        return {
            row.trial.identity: (
                row.status,
                row.accuracy,
                row.loss,
                row.validation_accuracy,
                row.validation_loss,
                row.train_loss,
                row.trial.config,
                curves.get(row.trial.identity),
            )
            for row in reader.rows()
        }
