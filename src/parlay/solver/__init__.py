"""Exact solving: the best layouts of a problem, all of them, how many there are, and some drawn at random.

``solve`` poses the question to one of two solvers and has the answer certified; ``progress`` is what both report.
``chain/`` solves a chain with one size, ``general/`` any other graph; ``ranking`` orders ties, ``explain`` says why an
answer is empty and what holds the best one back, ``pareto`` asks level by level. ``space/`` counts, samples and lists
all layouts. ``proof/`` checks answers and imports none of the others.
"""

from parlay.solver.explain import Conflict, Reach, Wider, conflict, reachable
from parlay.solver.pareto import ParetoPoint, pareto, pareto_levels
from parlay.solver.progress import Progress, StopSolvingError
from parlay.solver.proof.certify import Certificate, certify
from parlay.solver.solve import solve
from parlay.solver.space.counting import count_layouts
from parlay.solver.space.drawing import Drawer, make_sampler
from parlay.solver.space.listing import list_layouts, stream_layouts
from parlay.solver.space.sampling import Sampler, sample_layouts

__all__ = [
    "Certificate",
    "Conflict",
    "Drawer",
    "ParetoPoint",
    "Progress",
    "Reach",
    "Wider",
    "Sampler",
    "StopSolvingError",
    "certify",
    "conflict",
    "count_layouts",
    "list_layouts",
    "make_sampler",
    "pareto",
    "pareto_levels",
    "reachable",
    "sample_layouts",
    "solve",
    "stream_layouts",
]
