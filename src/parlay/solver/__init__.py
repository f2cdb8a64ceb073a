"""Exact solving: ``solve`` a problem, ``list_layouts`` of a size, ``certify`` an answer.

``front`` poses the question, ``chain`` brings it into integers, ``bounds`` excludes widths, ``labels`` enumerates
what is left, ``ranking`` orders ties, ``nearest`` explains an empty answer; ``certify`` shares none of these.
"""

from parlay.solver.certify import Certificate, certify
from parlay.solver.front import Progress, solve
from parlay.solver.listing import list_layouts

__all__ = ["Certificate", "Progress", "certify", "list_layouts", "solve"]
