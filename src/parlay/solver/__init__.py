"""Exact solving: the best layouts of a problem, all of them, how many there are, and some drawn at random.

``front`` poses the question, ``chain`` brings it into integers, ``relaxation`` guesses where to look, ``grid`` and
``bounds`` exclude widths, ``labels`` enumerates what is left, ``ranking`` orders ties, ``nearest`` explains an empty
answer; ``counting``, ``sampling`` and ``listing`` treat the whole space; ``certify`` shares none of these.
"""

from parlay.solver.certify import Certificate, certify
from parlay.solver.counting import count_layouts
from parlay.solver.front import Progress, StopSolvingError, solve
from parlay.solver.listing import list_layouts, stream_layouts
from parlay.solver.sampling import Sampler, sample_layouts

__all__ = [
    "Certificate",
    "Progress",
    "Sampler",
    "StopSolvingError",
    "certify",
    "count_layouts",
    "list_layouts",
    "sample_layouts",
    "solve",
    "stream_layouts",
]
