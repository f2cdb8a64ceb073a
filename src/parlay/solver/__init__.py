"""Exact solving: the best layouts of a problem, all of them, how many there are, and some drawn at random.

``front`` poses the question. On a chain with one size ``chain`` brings it into integers, ``relaxation`` guesses where
to look, ``grid`` and ``bounds`` exclude widths, ``labels`` enumerates what is left. On any other graph ``general``
holds it, ``relax``, ``dual`` and ``eliminate`` bound it, ``moves`` and ``neighbours`` find layouts, ``boxes``,
``tables``, ``cuts`` and ``branch`` prove, ``answer`` says what is known. ``ranking`` orders ties, ``nearest`` and
``explain`` explain an empty answer, ``pareto`` asks level by level; ``counting``, ``sampling`` and ``listing`` treat
the whole space; ``certify`` and ``recompute`` share none of these.
"""

from parlay.solver.certify import Certificate, certify
from parlay.solver.counting import count_layouts
from parlay.solver.explain import Binding, Conflict, Reach, bindings, conflict, fences_reached, reachable
from parlay.solver.front import Progress, StopSolvingError, solve
from parlay.solver.listing import list_layouts, stream_layouts
from parlay.solver.pareto import ParetoPoint, pareto, pareto_levels
from parlay.solver.sampling import Sampler, sample_layouts

__all__ = [
    "Binding",
    "Certificate",
    "Conflict",
    "ParetoPoint",
    "Progress",
    "Reach",
    "Sampler",
    "StopSolvingError",
    "bindings",
    "certify",
    "conflict",
    "count_layouts",
    "fences_reached",
    "list_layouts",
    "pareto",
    "pareto_levels",
    "reachable",
    "sample_layouts",
    "solve",
    "stream_layouts",
]
