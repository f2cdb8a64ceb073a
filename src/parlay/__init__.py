"""parlay: exact parameter layouts for convolutional networks under a strict size budget.

>>> import parlay
>>> result = parlay.solve(parlay.plain(depth=4), kernels=4288)
>>> result.best.layout, round(result.best.energy, 4)
((35, 36, 37, 43), 173.0358)
"""

from typing import TYPE_CHECKING, Any

from parlay.energy import SCORES, Score, get_score
from parlay.errors import CertificateError, InputError, MissingExtraError, ParlayError, StudyError
from parlay.families import Family, plain, resnet
from parlay.layout import Layout, Order, WidthGroup, WidthSpace, format_layout, parse_layout
from parlay.problem import Constraint, Nearest, Problem, Proof, Result, Solution, Status
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from parlay.retrofit.files import load
    from parlay.solver import (
        Certificate,
        Sampler,
        certify,
        count_layouts,
        list_layouts,
        sample_layouts,
        solve,
        stream_layouts,
    )

__all__ = [
    "SCORES",
    "Certificate",
    "CertificateError",
    "Constraint",
    "Family",
    "InputError",
    "Layout",
    "MissingExtraError",
    "Nearest",
    "Order",
    "ParlayError",
    "PeakResource",
    "Problem",
    "Proof",
    "Resource",
    "Result",
    "Sampler",
    "Score",
    "Solution",
    "Status",
    "StudyError",
    "WidthGroup",
    "WidthSpace",
    "certify",
    "count_layouts",
    "format_layout",
    "get_score",
    "list_layouts",
    "load",
    "parse_layout",
    "plain",
    "resnet",
    "sample_layouts",
    "solve",
    "stream_layouts",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The solver's names, imported when first used: numpy takes longer to load than all the rest."""
    if name == "load":  # needs torch
        import parlay.retrofit.files

        return parlay.retrofit.files.load
    if name in __all__:
        import parlay.solver

        return getattr(parlay.solver, name)
    raise AttributeError(f"module 'parlay' has no attribute {name!r}")
