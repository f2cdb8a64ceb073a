"""Studies with known numbers for the tests of the page: written into the store as they would end, nothing trained."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parlay.families import Family, plain
from parlay.layout import Layout
from parlay.study import Kind, ModelNetwork, Planned, Row, Store, make_plan
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
    validation: Callable[[Row], float] | None = None,
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
        validation: accuracy of a row on 40 images that were set aside; none were without it.
    """
    errors = failed or {}
    chosen = {
        layout: frozenset({Kind.TOP, Kind.ALL} if place == 0 else {Kind.ALL}) for place, layout in enumerate(layouts)
    }
    plan = make_plan(
        family or plain(3, in_channels=1, image=8),
        chosen,
        data="a" * 64,
        recipe=get_recipe("digits"),
        seeds=seeds,
        steps=steps,
        validation=40 if validation else 0,
    )
    with Store(folder) as store:
        store.add(plan, data_name=data_name)
        for item in plan:
            begun = vars_of_planned(item, data_name)
            row = Row(**begun)
            layout = item.trial.layout
            ended: dict[str, Any] = {"versions": VERSIONS, "attempts": 1, "finished": "2026-01-02T03:04:05+00:00"}
            if layout in errors:
                store.write(Row(**{**begun, **ended, "status": "failed", "error": errors[layout]}))
            elif layout not in planned:
                ended |= {"status": "complete", "accuracy": accuracy(row), "loss": 1.0, "train_loss": 0.5}
                ended |= {"seconds": 2.0, "threads": 1, "device": "cpu"}
                ended |= {"validation_accuracy": validation(row)} if validation else {}
                losses = [2.0 * 0.7**step for step in range(steps)]
                store.write(Row(**{**begun, **ended}), losses)
    return folder


def make_model_study(folder: Path) -> Path:
    """A study of three layouts of a model outside the families, whose figures are kept and never traced again."""
    network = ModelNetwork(
        spec="made.up:model",
        kwargs="{}",
        in_channels=3,
        image=32,
        classes=4,
        group_names=("stem", "head"),
        multiples=(1, 1),
        today=(8, 8),
        structure="b" * 64,
    )
    layouts = {(8, 8): 2000, (6, 10): 2010, (10, 6): 1990}
    chosen = {layout: frozenset({Kind.ORIGINAL}) for layout in layouts}
    plan = make_plan(network, chosen, data="c" * 64, recipe=get_recipe("fast"), steps=4)
    with Store(folder) as store:
        for item in plan:
            layout = item.trial.layout
            energy = math.prod(map(math.log, layout))
            costs = {"layout": list(layout), "energy": energy, "log_energy": math.log(energy), "kernels": None}
            costs |= {"weights": None, "params": layouts[layout], "macs": 10_000, "peak_activation_bytes": 512}
            ended: dict[str, Any] = {"status": "complete", "accuracy": energy / 10, "mean_average_precision": 0.4}
            store.write(Row(**{**vars_of_planned(item, "voc"), **ended, "counted": costs}), [2.0, 1.5, 1.2, 1.0])
    return folder


def vars_of_planned(item: Planned, data_name: str) -> dict[str, Any]:
    """What a row of a planned trial is made of."""
    return {"trial": item.trial, "kinds": item.kinds, "data_name": data_name}


def make_fit(folder: Path, misfits: Sequence[Layout] = (LAYOUTS[0],)) -> Path:
    """A study of three arms as ``parlay fit`` leaves it: the model, a score's choice, a random layout.

    Args:
        folder: where; returned.
        misfits: layouts whose file is larger than the device's flash.
    """
    names = dict(zip(LAYOUTS[:3], ("original", "path-energy", "random"), strict=True))
    make_study(folder, LAYOUTS[:3], seeds=(0, 1, 2))
    arms = [
        {
            "name": name,
            "layout": list(layout),
            "how": {name: "as it is"},
            "fits": layout not in misfits,
            "predicted_to_fit": True,
            "exceeds": ["int8 file of 900 bytes for 800"] if layout in misfits else [],
            "params": 1000,
            "macs": 10_000,
            "flash_bytes": 1000,
            "peak_activation_bytes": 512,
            "int8_file_bytes": 900,
            "live_bytes": 512,
            "latency_ms": None,
            "latency_ratio": None,
            "accuracy": {"mean": 0.8, "sd": 0.01},
            "int8_accuracy": None,
            "difference_to_original": None,
        }
        for layout, name in names.items()
    ]
    content = {
        "schema_version": 1,
        "kind": "parlay fit result",
        "verdict": "no better: keep what you have",
        "arms": arms,
        "files": ["winner/model.onnx"],
        "spec": "net.py:net",
        "data": "toy",
        "constraints": ["flash <= 800"],
        "seeds": [0, 1, 2],
        "steps": 8,
        "validation_images": 100,
        "dtype": "int8",
        "winner": "original",
        "winner_files": {},
    }
    (folder / "fit-result.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
