"""Every layout of a problem, best first."""

from __future__ import annotations

from parlay.errors import InputError
from parlay.problem import Problem, Solution
from parlay.solver.chain import compile_chain
from parlay.solver.labels import LabelLimitError, Lattice, push_labels
from parlay.solver.ranking import ranked

__all__ = ["list_layouts"]


def list_layouts(problem: Problem, *, limit: int = 1_000_000) -> list[Solution]:
    """All layouts of the problem, energy 0 included, in the stated order.

    Raises:
        InputError: when there are more than ``limit``, or too many partial layouts to hold.

    >>> from parlay import plain
    >>> len(list_layouts(plain(depth=4).problem(kernels=4288)))
    558
    """
    chain = compile_chain(problem)
    too_many = InputError(
        "list of all layouts",
        given="more than fit",
        allowed=f"at most {limit} layouts",
        remedy="narrow the widths with --min-width, --max-width, --multiple-of or --max-step",
    )
    try:
        lattice = Lattice.whole(chain)
        if lattice is None:
            return []
        outcome = push_labels(lattice, k=None)
    except (LabelLimitError, MemoryError):
        raise too_many from None
    if len(outcome.layouts) > limit:
        raise too_many
    return ranked(problem, outcome.layouts)
