"""What trials say: how far a quantity that is known before training goes with accuracy."""

from parlay.evidence.evaluate import Evaluation, evaluate
from parlay.evidence.judged import Binning, JudgedPopulation, JudgedScore
from parlay.evidence.measured import Measured, MeasuredLayout, largest, measure, populations, read_study
from parlay.evidence.outcome import Outcome, decide, ranking
from parlay.evidence.paired import Difference, differences
from parlay.evidence.population import Population, TrainedLayout, bins, population_from, read_table
from parlay.evidence.relation import Relation, relate
from parlay.evidence.scores import score, score_values
from parlay.evidence.uncertainty import Correlation, correlate, partial_correlate

__all__ = [
    "Binning",
    "Correlation",
    "Difference",
    "Evaluation",
    "JudgedPopulation",
    "JudgedScore",
    "Measured",
    "MeasuredLayout",
    "Outcome",
    "Population",
    "Relation",
    "TrainedLayout",
    "bins",
    "correlate",
    "decide",
    "differences",
    "evaluate",
    "largest",
    "measure",
    "partial_correlate",
    "population_from",
    "populations",
    "ranking",
    "read_study",
    "read_table",
    "relate",
    "score",
    "score_values",
]
