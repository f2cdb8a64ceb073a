"""What trials say: how far a quantity that is known before training goes with accuracy."""

from parlay.evidence.correlation import Correlation, correlate, partial_correlate
from parlay.evidence.evaluate import Evaluation, evaluate
from parlay.evidence.panel import Binning, Judged, Panel
from parlay.evidence.relation import Relation, relate
from parlay.evidence.scores import score, score_values
from parlay.evidence.table import Population, TrainedLayout, bins, population_from, read_table
from parlay.evidence.trials import from_rows, read_study

__all__ = [
    "Binning",
    "Correlation",
    "Evaluation",
    "Judged",
    "Panel",
    "Population",
    "Relation",
    "TrainedLayout",
    "bins",
    "correlate",
    "evaluate",
    "from_rows",
    "partial_correlate",
    "population_from",
    "read_study",
    "read_table",
    "relate",
    "score",
    "score_values",
]
