"""Studies with known numbers for the tests of the page: written into the store as they would end, nothing trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parlay.families import Family, plain
from parlay.layout import Layout
from parlay.study import Kind, Row, Store, make_plan
from parlay.train import get_recipe

LAYOUTS: tuple[Layout, ...] = (
    (10, 14, 25),
    (8, 12, 33),
    (7, 17, 22),
    (6, 13, 32),
    (5, 11, 40),
    (4, 8, 58),
    (3, 7, 68),
    (2, 3, 164),
)
"""Of exactly 500 kernels, energy falling."""

VERSIONS = {"parlay": "0.1.0", "torch": "2.9.1", "python": "3.11.7", "cpu": "Test Processor", "system": "Linux"}


def rising(row: Row) -> float:
    """An accuracy that grows with energy, and with the seed a little, so that seeds can be told apart."""
    return 0.6 + 0.01 * math.exp(max(row.log_energy, 0)) + 0.002 * row.trial.seed


def make_study(
    folder: Path,
    layouts: Sequence[Layout] = LAYOUTS,
    *,
    accuracy: Callable[[Row], float] = rising,
    family: Family | None = None,
    seeds: Sequence[int] = (0, 1),
    steps: int = 8,
    data_name: str = "toy",
    failed: dict[Layout, str] | None = None,
    planned: Sequence[Layout] = (),
) -> Path:
    """A study in which every layout is trained with every seed, but for those that failed or are to come.

    Args:
        folder: where; returned.
        layouts: the first is one of the best by score.
        accuracy: of a row.
        family: of the layouts.
        seeds: of each.
        steps: of each; the learning curve has as many points.
        data_name: what the data is called.
        failed: layout -> error of its trials.
        planned: layouts whose trials have not run.
    """
    errors = failed or {}
    chosen = {layout: frozenset({Kind.TOP if place == 0 else Kind.GIVEN}) for place, layout in enumerate(layouts)}
    plan = make_plan(
        family or plain(3, in_channels=1, image=8),
        chosen,
        data="a" * 64,
        recipe=get_recipe("digits"),
        seeds=seeds,
        steps=steps,
    )
    with Store(folder) as store:
        store.add(plan, data_name=data_name)
        for item in plan:
            row = Row(trial=item.trial, kinds=item.kinds, data_name=data_name)
            layout = item.trial.layout
            ended: dict[str, Any] = {"versions": VERSIONS, "attempts": 1, "finished": "2026-01-02T03:04:05+00:00"}
            if layout in errors:
                store.write(Row(**{**vars_of(row), **ended, "status": "failed", "error": errors[layout]}))
            elif layout not in planned:
                ended |= {"status": "complete", "accuracy": accuracy(row), "loss": 1.0, "train_loss": 0.5}
                ended |= {"seconds": 2.0, "threads": 1, "device": "cpu"}
                losses = [2.0 * 0.7**step for step in range(steps)]
                store.write(Row(**{**vars_of(row), **ended}), losses)
    return folder


def vars_of(row: Row) -> dict[str, Any]:
    """What a row is made of."""
    return {"trial": row.trial, "kinds": row.kinds, "data_name": row.data_name}
