"""Trials as text: one folder a panel with ``trials.csv`` and the commands that made it, kept where code is kept.

A folder of results holds no checkpoint, no data and no curve; it is enough to draw every figure again and to go on with
a study on another machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from parlay.documents import write_atomically
from parlay.paper.experiments import EXPERIMENTS, Experiment
from parlay.study import Row, csv_text
from parlay.study.reading import read_csv
from parlay.study.row import COMPLETE
from parlay.study.trials_csv import TABLE

__all__ = ["belongs", "read_results", "write_results"]


def belongs(row: Row, experiment: Experiment) -> bool:
    """Whether a trial is a point of a panel: its network, its data, one of its layouts, and complete."""
    trial = row.trial
    return (
        row.status == COMPLETE
        and row.data_name == experiment.data
        and trial.network == experiment.family
        and trial.layout in experiment.members
    )


def read_results(folder: Path) -> list[Row]:
    """Every trial of a folder of results, each once; none where there is no folder.

    Raises:
        InputError: for a table that cannot be read.
    """
    found: dict[str, Row] = {}
    for path in sorted(folder.glob(f"*/{TABLE}")):
        for row in read_csv(path).rows:
            found.setdefault(row.trial.identity, row)
    return list(found.values())


def write_results(folder: Path, rows: Iterable[Row], panels: Sequence[str] | None = None) -> dict[str, int]:
    """Add complete trials to the folders of the panels they are points of; each file is written whole or not at all.

    Trials that a folder has stay, the host's name goes; why a layout was chosen is what the panel says today.

    Args:
        folder: of the results; made where it is not there.
        rows: trials of any kind; what belongs to no panel is left out.
        panels: names of the panels to write; every one without it.

    Returns:
        Panel -> number of trials in its folder, of those that have any.

    Raises:
        InputError: when a file cannot be read or written.
    """
    rows = list(rows)
    written: dict[str, int] = {}
    for name in EXPERIMENTS if panels is None else panels:
        experiment = EXPERIMENTS[name]
        place = folder / name
        kept: dict[str, Row] = {}
        if (place / TABLE).is_file():
            kept = {row.trial.identity: row for row in read_csv(place / TABLE).rows}
        for row in rows:
            if row.trial.identity not in kept and belongs(row, experiment):
                kept[row.trial.identity] = replace(row, host=None, traceback=None)
        reasons = {choice.layout: choice.kinds for choice in experiment.choices}
        kept = {key: replace(row, kinds=reasons[row.trial.layout]) for key, row in kept.items()}
        if not kept:
            continue
        place.mkdir(parents=True, exist_ok=True)
        order = sorted(kept.values(), key=lambda r: (r.trial.protocol, r.trial.seed, -r.log_energy, r.trial.layout))
        for path, text in ((place / TABLE, csv_text(order)), (place / "README.md", _readme(experiment, order))):
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text)
        written[name] = len(order)
    return written


def _readme(experiment: Experiment, rows: Sequence[Row]) -> str:
    """What the folder holds, and the commands that make it again."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.trial.protocol, []).append(row)
    lines = [
        f"# {experiment.figure}, panel {experiment.name}: {experiment.title}",
        "",
        f"{experiment.family.title}, {experiment.kernels:,} kernels, {experiment.data}. Every line of `trials.csv` is"
        " one training run; its columns are those of `parlay study export`.",
        "",
        "| trained how | layouts | runs | seconds a run | on | a command whose trials include these |",
        "|---|---:|---:|---:|---|---|",
    ]
    for some in groups.values():
        layouts = {row.trial.layout for row in some}
        seconds = sorted(row.seconds for row in some if row.seconds is not None)
        middle = f"{seconds[len(seconds) // 2]:,.0f}" if seconds else "?"
        where = sorted({_hardware(row) for row in some})
        lines.append(
            f"| {some[0].trial.training} | {len(layouts)} | {len(some)} | {middle} | {'; '.join(where)} |"
            f" `{_command(experiment, some)}` |"
        )
    notes = sorted({row.versions["note"] for row in rows if "note" in row.versions})
    return "\n".join([*lines, *(f"\n{note}" for note in notes), ""])


def _command(experiment: Experiment, rows: Sequence[Row]) -> str:
    """What trains these layouts with these seeds; all layouts of the panel where some of them are not its first."""
    trial = rows[0].trial
    layouts = {row.trial.layout for row in rows}
    seeds = sorted({row.trial.seed for row in rows})
    recipe = "paper" if trial.recipe.name.startswith("paper-") else trial.recipe.name
    count = next(
        (n for n in range(len(layouts), len(experiment.choices)) if layouts <= _first(experiment, n)),
        len(experiment.choices),
    )
    parts = ["parlay paper run", f"--panel {experiment.name}", f"--recipe {recipe}", f"--steps {trial.steps}"]
    if trial.precision != "fp32":
        parts.append(f"--precision {trial.precision}")
    if count != len(experiment.pick()):
        parts.append(f"--layouts {count}")
    if seeds != list(range(experiment.seeds)):
        whole = seeds == list(range(len(seeds)))
        parts += [f"--n-seeds {len(seeds)}"] if whole else [f"--seed {seed}" for seed in seeds]
    return " ".join([*parts, "--study runs/paper --results results"])


def _first(experiment: Experiment, count: int) -> set[tuple[int, ...]]:
    return {choice.layout for choice in experiment.choices[:count]}


def _hardware(row: Row) -> str:
    """Device, threads and versions, as far as they are known."""
    known = row.versions
    parts = [
        known.get("cpu", "") if row.device in (None, "cpu") else row.device,
        f"{row.threads} threads" if row.threads and row.threads > 1 else "1 thread" if row.threads else "",
        f"torch {known['torch']}" if "torch" in known else "",
    ]
    return ", ".join(part for part in parts if part) or "not recorded"
