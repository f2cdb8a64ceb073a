"""Any PyTorch network: trace it into width groups and exact polynomials, and build it at another layout."""

from parlay.graph.call import Call, Memory, add_rule
from parlay.graph.modules import ModuleCosts
from parlay.graph.recount import (
    Recounted,
    count_macs,
    count_params,
    measure,
    measure_peak_activation_bytes,
)
from parlay.graph.space import TracedSpace
from parlay.graph.trace import trace
from parlay.graph.widthgraph import WidthGraph

__all__ = [
    "Call",
    "Recounted",
    "Memory",
    "ModuleCosts",
    "TracedSpace",
    "WidthGraph",
    "add_rule",
    "count_macs",
    "count_params",
    "measure",
    "measure_peak_activation_bytes",
    "trace",
]
