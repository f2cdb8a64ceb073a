"""The main job in small: solve a size, train layouts over its whole range of energies, and compare.

It runs on the digits that scikit-learn carries, so that it needs no download, in about a minute on two cores.
"""

from __future__ import annotations

from pathlib import Path

from parlay.problem import Problem
from parlay.report.scatter import scatter_into
from parlay.study import DataSource, Watcher, make_plan, select
from parlay.study.conduct import Conducted, conduct
from parlay.train.recipe import get_recipe

__all__ = ["run_demo"]

DEPTH = 3
KERNELS = 500
"""Thirteen layouts, well spread over energies from 3.9 to 19.6, of too few weights to solve the digits outright:
(35, 36, 37), five times the size, got 98.7 % in 200 steps, which leaves little room for differences."""

LAYOUTS = ("top:3", "all")
SEEDS = 3
STEPS = 150
"""A short training, for the same reason."""

THREADS = 1
"""Networks this small gain nothing from a second thread, and lose a lot when other processes keep the cores busy."""


def run_demo(folder: Path, *, seeds: int = SEEDS, watcher: Watcher | None = None) -> Conducted:
    """Solve, train, compare; what the folder already holds is reused.

    Args:
        folder: where study.sqlite, trials.csv and scatter.png go.
        seeds: runs of each layout.
        watcher: told how it goes.

    Raises:
        StudyError: when the folder holds a study of something else, or is in use.
        MissingExtraError: when the extra ``train`` is not installed.
    """
    from parlay.data import load
    from parlay.families import plain
    from parlay.train.loop import set_threads

    data = load("digits")
    family = plain(DEPTH, in_channels=data.in_channels, image=data.image, classes=data.classes)
    problem: Problem = family.problem(kernels=KERNELS)
    chosen = select(LAYOUTS, family=family, problem=problem).layouts
    plan = make_plan(
        family, chosen, data=data.fingerprint, recipe=get_recipe("digits"), steps=STEPS, seeds=range(seeds)
    )
    source = DataSource(name=data.name, spec="digits")
    before = set_threads(THREADS)
    try:
        return conduct(folder, plan, data, problem=problem, source=source, watcher=watcher, draw=scatter_into(folder))
    finally:
        set_threads(before)
