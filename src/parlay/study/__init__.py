"""Studies: many networks trained the same way, one row kept for each from the moment it is planned.

``selection`` chooses layouts, ``trial_network`` says what they are layouts of, ``plan`` makes trials of them,
``store`` keeps them, ``runner`` runs what is left on one of the ``executors``, ``work`` is what a worker does,
``workspace`` where the two talk. ``row`` and ``fields`` say what is kept of a trial, ``trials_csv`` writes it as
text, ``reading`` reads either, ``conduct``, ``status`` and ``export`` are what is done with a study as a whole.
Nothing here loads torch until a trial runs or a model is traced.
"""

from parlay.study.executors import TrialExecutor, make_executor
from parlay.study.plan import Kind, Planned, Trial, make_plan, strongest
from parlay.study.row import Row
from parlay.study.runner import RunCounts, Settings, Watcher, run_study
from parlay.study.selection import select
from parlay.study.store import Added, DataSource, Reader, Store
from parlay.study.trial_network import ModelNetwork, TrialNetwork
from parlay.study.trials_csv import COLUMNS, csv_text, table_row

__all__ = [
    "COLUMNS",
    "Added",
    "DataSource",
    "Kind",
    "ModelNetwork",
    "TrialNetwork",
    "RunCounts",
    "Planned",
    "Reader",
    "Row",
    "Settings",
    "Store",
    "Trial",
    "TrialExecutor",
    "Watcher",
    "csv_text",
    "make_executor",
    "make_plan",
    "run_study",
    "select",
    "strongest",
    "table_row",
]
