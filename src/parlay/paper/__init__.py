"""The paper's tables as data, what recomputes each, and the errata.

Liao et al. (2017), "Finding the Secret of CNN Parameter Layout under Strict Size Constraint", ACM Multimedia.
``printed`` holds what is printed, ``recompute`` works everything out again by exact means, ``errata`` lists where the
two are known to part, and ``check_tables`` compares all three.

>>> from parlay.paper import ERRATA
>>> next(erratum.note for erratum in ERRATA if erratum.finding.printed == "36-43-58")
'39-43-58 is meant, the one solution not printed'

"""

from parlay.paper.check_tables import Deviation, PaperCheck, TableCheck, check
from parlay.paper.errata import ERRATA, FACTS, Erratum, Fact
from parlay.paper.printed import PANELS, PrintedPanel, PrintedRow, read_rows
from parlay.paper.recompute import Enumerations, Finding, panel_findings

__all__ = [
    "ERRATA",
    "FACTS",
    "PANELS",
    "Deviation",
    "Enumerations",
    "Erratum",
    "Fact",
    "Finding",
    "PrintedPanel",
    "PaperCheck",
    "PrintedRow",
    "TableCheck",
    "check",
    "panel_findings",
    "read_rows",
]
