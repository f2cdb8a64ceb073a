"""What trials say: how far a quantity that is known before training goes with accuracy."""

from parlay.evidence.correlation import Correlation, correlate, partial_correlate
from parlay.evidence.relation import Relation, relate

__all__ = ["Correlation", "Relation", "correlate", "partial_correlate", "relate"]
