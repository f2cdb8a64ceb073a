"""Studies: many layouts trained the same way, one row kept for each as it ends.

``selection`` chooses layouts, ``plan`` makes trials of them, ``store`` keeps what ended, ``runner`` does what is left,
``table`` writes trials.csv. Nothing here loads torch until a trial runs.
"""

from parlay.study.plan import Kind, Planned, Trial, make_plan, strongest
from parlay.study.runner import Outcome, Watcher, run_study
from parlay.study.selection import select
from parlay.study.store import Row, Store
from parlay.study.table import COLUMNS, csv_text, figures, table_row

__all__ = [
    "COLUMNS",
    "Kind",
    "Outcome",
    "Planned",
    "Row",
    "Store",
    "Trial",
    "Watcher",
    "csv_text",
    "figures",
    "make_plan",
    "run_study",
    "select",
    "strongest",
    "table_row",
]
