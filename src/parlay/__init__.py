"""parlay: exact parameter layouts for convolutional networks under a strict size budget.

>>> import parlay
>>> result = parlay.solve(parlay.plain(depth=4), kernels=4288)
>>> result.best.layout, round(result.best.energy, 4)
((35, 36, 37, 43), 173.0358)
"""

import importlib
from typing import TYPE_CHECKING, Any

from parlay.energy import SCORES, Score, get_score
from parlay.errors import CertificateError, InputError, MissingExtraError, ParlayError, StudyError
from parlay.families import Family, plain, resnet
from parlay.layout import Layout, Order, WidthGroup, WidthSpace, format_layout, parse_layout
from parlay.problem import Constraint, Nearest, Problem, Proof, Result, Solution, Status
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from parlay.graph import trace
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
    "trace",
]

__version__ = "0.1.0"


LAZY = {"load": "parlay.retrofit.files", "trace": "parlay.graph"}
"""Public name -> where it is, for names that need torch; all others that are not here yet are the solver's."""


def __getattr__(name: str) -> Any:
    """Names that are imported when first used: torch, and numpy for the solver, take longer to load than all else."""
    if name in __all__:
        return getattr(importlib.import_module(LAZY.get(name, "parlay.solver")), name)
    raise AttributeError(f"module 'parlay' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Every public name, whether it was imported yet or not."""
    return sorted({*globals(), *__all__})
