"""The rules, by kind of operator; importing this package fills the table ``parlay.graph.call.RULES``."""

from parlay.graph.rules import layers, pointwise, shapes

__all__ = ["layers", "pointwise", "shapes"]
