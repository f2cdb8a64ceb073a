"""A study's trials and learning curves, for other programs."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from parlay.documents import portable, write_atomically
from parlay.errors import InputError
from parlay.layout import format_layout
from parlay.study.store import Reader
from parlay.study.trials_csv import csv_text, table_row

__all__ = ["export_curves", "trials_json", "trials_text"]


def trials_text(folder: Path) -> str:
    """Every trial as a line of CSV, those that are only planned too; the columns are those of trials.csv.

    Raises:
        StudyError: when there is no study in the folder.
    """
    with Reader(folder) as reader:
        return csv_text(reader.rows())


def trials_json(folder: Path) -> dict[str, Any]:
    """The same as JSON values.

    Raises:
        StudyError: when there is no study in the folder.
    """
    with Reader(folder) as reader:
        rows = reader.rows()
    return {"study": portable(folder), "trials": [table_row(row) for row in rows]}


def export_curves(folder: Path, path: Path) -> None:
    """The loss of every step, in nats, of every complete trial.

    Args:
        folder: the study's.
        path: ``.csv``: columns trial, layout, seed, step (from 1), loss; ``.npz``: an array a trial under its identity.

    Raises:
        StudyError: when there is no study in the folder.
        InputError: for another ending, or a file that cannot be written.
    """
    if path.suffix not in (".csv", ".npz"):
        raise InputError("curves", given=path.name, allowed="a name that ends in .csv or .npz")
    with Reader(folder) as reader:
        trials = {row.trial.identity: row.trial for row in reader.rows()}
        if path.suffix == ".npz":
            import numpy as np

            binary = io.BytesIO()
            curves: dict[str, Any] = {key: np.array(losses, dtype=np.float32) for key, losses in reader.curves()}
            np.savez_compressed(binary, **curves)
            write_atomically(path, binary.getvalue())
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["trial", "layout", "seed", "step", "loss"])
        for identity, losses in reader.curves():
            trial = trials[identity]
            name = (identity, format_layout(trial.layout), trial.seed)
            writer.writerows((*name, step, loss) for step, loss in enumerate(losses, start=1))
    write_atomically(path, text.getvalue())
