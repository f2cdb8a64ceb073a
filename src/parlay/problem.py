"""The frozen question and the frozen answer.

A ``Problem`` is a width space, a score and constraints on exact resources (Eq. 4 in general form); a ``Result`` is
what a solver could establish about it. Neither knows how solving is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from parlay.documents import finite, html_table
from parlay.energy import EnergyGroup, Score, Terms, energy_facts, energy_of, log_energy
from parlay.errors import InputError
from parlay.layout import Layout, WidthSpace, format_layout
from parlay.resources import PeakResource, Resource

__all__ = [
    "Binding",
    "Constraint",
    "Dual",
    "End",
    "Nearest",
    "Problem",
    "Proof",
    "Result",
    "Solution",
    "Split",
    "Status",
]


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """minimum <= resource(layout) <= maximum, in integers; either bound may be absent.

    >>> weights = Resource.of("weights", 1, linear={0: 27})
    >>> print(Constraint.equal(weights, 270)), print(Constraint.at_most(weights, 300))
    weights = 270
    weights <= 300
    (None, None)
    """

    resource: Resource | PeakResource
    minimum: int | None = None
    maximum: int | None = None

    def __post_init__(self) -> None:
        for what, value in (("smallest", self.minimum), ("largest", self.maximum)):
            if value is not None and (type(value) is not int or value < 0):
                raise InputError(f"{what} {self.resource.name}", given=repr(value), allowed="an integer of at least 0")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise InputError(
                f"range of {self.resource.name}", given=f"{self.minimum}..{self.maximum}", allowed="an ascending range"
            )

    @classmethod
    def equal(cls, resource: Resource | PeakResource, amount: int) -> Constraint:
        """Exactly this amount."""
        return cls(resource=resource, minimum=amount, maximum=amount)

    @classmethod
    def at_most(cls, resource: Resource | PeakResource, amount: int) -> Constraint:
        """This amount or less."""
        return cls(resource=resource, maximum=amount)

    def __str__(self) -> str:
        if self.minimum == self.maximum:
            return f"{self.resource.name} = {self.maximum}"
        lower = "" if self.minimum is None else f"{self.minimum} <= "
        upper = "" if self.maximum is None else f" <= {self.maximum}"
        return f"{lower}{self.resource.name}{upper}"

    def allows(self, amount: int) -> bool:
        """Whether an amount satisfies the constraint."""
        return (self.minimum is None or amount >= self.minimum) and (self.maximum is None or amount <= self.maximum)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Which layouts of the space that satisfy every constraint score highest?

    Solutions are ranked by exact score, highest first; equal scores by their widths, smaller first width first.
    Layouts of score -inf (for the energies: a width of 1) count and rank last.
    """

    space: WidthSpace
    score: Score
    constraints: tuple[Constraint, ...]

    def __post_init__(self) -> None:
        for constraint in self.constraints:
            resource = constraint.resource
            points = resource.points if isinstance(resource, PeakResource) else (resource,)
            if any(point.groups != len(self.space) for point in points):
                raise InputError(
                    f"constraint on {resource.name}",
                    given=f"{points[0].groups} widths",
                    allowed=f"the {len(self.space)} groups of the space",
                )

    @cached_property
    def terms(self) -> Terms:
        """The score's terms in this space."""
        return self.score.terms(self.space)

    def score_value(self, layout: Layout) -> float:
        """The score of a layout; -inf is legal."""
        return self.terms(layout)

    def solution(self, layout: Layout, score_value: float | None = None) -> Solution:
        """A layout with its score, computed unless it is given, and its energy.

        >>> from parlay import plain
        >>> found = plain(depth=2).problem(kernels=27, score="path-energy").solution((3, 6))
        >>> round(found.score_value, 4), round(found.energy, 4)
        (0.4207, 1.9684)
        """
        value = self.score_value(layout) if score_value is None else score_value
        energy = value if isinstance(self.score, EnergyGroup) else log_energy(self.space, layout)
        return Solution(layout=layout, score_value=value, log_energy=energy)

    def violations(self, layout: Layout) -> list[str]:
        """Every fence or constraint the layout breaks, in words."""
        broken = self.space.violation(layout)
        if broken is not None:
            return [broken]
        amounts = ((constraint, constraint.resource(layout)) for constraint in self.constraints)
        return [f"{c.resource.name} is {amount}, not {c}" for c, amount in amounts if not c.allows(amount)]


class Status(StrEnum):
    """What is known about the answer; the words are CP-SAT's."""

    OPTIMAL = "OPTIMAL"
    FEASIBLE = "FEASIBLE"
    INFEASIBLE = "INFEASIBLE"
    UNKNOWN = "UNKNOWN"

    @property
    def meaning(self) -> str:
        """The status in a sentence for users."""
        return {
            Status.OPTIMAL: "proven: no layout that satisfies the constraints is better",
            Status.FEASIBLE: "the best found so far; a better layout is not excluded, see the gap",
            Status.INFEASIBLE: "proven: no layout satisfies the constraints",
            Status.UNKNOWN: "neither a layout nor a proof that there is none was found within time and memory",
        }[self]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """One layout.

    Attributes:
        layout: the widths.
        score_value: the score that was maximised; the energies and path-energy are -inf where a width is 1.
        log_energy: ln of Eq. 3, whatever was maximised; -inf where a width is 1.
    """

    layout: Layout
    score_value: float
    log_energy: float

    @property
    def energy(self) -> float:
        """Eq. 3, the paper's energy; inf where a float cannot hold it."""
        return energy_of(self.log_energy)

    def to_json(self) -> dict[str, Any]:
        """As JSON values: what every document says of a layout first; null where JSON has no number.

        >>> Solution(layout=(1, 4), score_value=1.4, log_energy=float("-inf")).to_json()
        {'layout': [1, 4], 'energy': 0.0, 'log_energy': None, 'score_value': 1.4}
        """
        return {
            "layout": list(self.layout),
            **energy_facts(self.log_energy),
            "score_value": finite(self.score_value),
        }


@dataclass(frozen=True, kw_only=True)
class Dual:
    """Prices and a point that bound the score of every layout of a box; ``certify`` recomputes the bound.

    Score minus prices times excess bounds the score of every layout that keeps the constraints. Products of two groups
    are replaced by their tangents at ``centre`` in ln w, so that the bound is a maximum a group, over whole widths.

    Attributes:
        low, high: the box: smallest and largest width of every group.
        centre: one real width a group.
        upper, lower: (index of a constraint, point of a peak, price of one unit of its upper or lower limit).
        fences: (``order``, ``rise`` or ``fall``, first group, price) of fences between neighbours, in units of ln w.
        weight: factor of the score: 1, or 0 where a bound below 0 shows that nothing in the box keeps the constraints.
        exact: products that are not replaced by tangents; with them the maximum is found by eliminating groups.
        order: in which the groups of these products are eliminated.
        grid: widths a group that tables go over while another group is eliminated, at most, with chords between them,
            which bound what products leave from above; 0 for all widths.
    """

    low: Layout
    high: Layout
    centre: tuple[float, ...]
    upper: tuple[tuple[int, int, float], ...]
    lower: tuple[tuple[int, int, float], ...] = ()
    fences: tuple[tuple[str, int, float], ...] = ()
    weight: int = 1
    exact: tuple[tuple[int, int], ...] = ()
    order: tuple[int, ...] = ()
    grid: int = 0


@dataclass(frozen=True, kw_only=True)
class Split:
    """A box is cut in two: the widths of ``group`` up to ``width``, then those above.

    ``listed`` says that all layouts of the box from this score on were listed before.
    """

    group: int
    width: int
    listed: float | None = None


@dataclass(frozen=True, kw_only=True)
class End:
    """Nothing more is known of a box than its last bound; or all its layouts from some score on were ``listed``."""

    listed: float | None = None


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a solver claims to have established; ``certify`` checks it against the result.

    Attributes:
        threshold: every layout that satisfies the constraints and scores at least this was generated (-inf: all were).
        bound: no layout scores more than this; the Lagrangian dual at ``multiplier``.
        multiplier: price of one unit of the constrained resource, in units of the score.
        labels: partial layouts kept while proving.
        method: name of the method.
        steps: a branch and bound that can be recomputed, depth first: the duals of a box, each of which excludes
            widths, then a split and the steps of either half, or an end.
    """

    threshold: float
    bound: float
    multiplier: float
    labels: int
    method: str
    steps: tuple[Dual | Split | End, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The amounts closest to the one asked for that some layout has; None where there is none or none was found.

    ``proven`` says whether nothing closer exists.
    """

    below: int | None = None
    above: int | None = None
    proven: bool = True

    def words(self, unit: str) -> str:
        """The amounts in a sentence.

        >>> Nearest(below=4272, above=4312).words("kernels")
        'nearest sizes that have a layout: 4,272 and 4,312 kernels'
        """
        known = [f"{amount:,}" for amount in (self.below, self.above) if amount is not None]
        if not known:
            found = "no other size has a layout within these fences"
            return found if self.proven else "no size nearby was found in time"
        certainty = "nearest sizes that have a layout" if self.proven else "sizes nearby that have a layout"
        return f"{certainty}: {' and '.join(known)} {unit}"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """How one constraint stands at a layout.

    Attributes:
        constraint: the constraint.
        amount: what the layout uses.
        slack: what is left to its upper limit; None where it has none.
        price: score that one more unit would be worth in the relaxation, 0 where the limit does not matter there.
        binds: whether it holds the layout back: nothing is left, it has a price, or no group can grow by a step.
    """

    constraint: Constraint
    amount: int
    slack: int | None
    price: float
    binds: bool

    def __str__(self) -> str:
        return f"{'binds' if self.binds else 'does not bind'}: {self.constraint} ({self.amount:,} used)"


MOST_FENCES = 12
"""Fences that a summary names one by one; a network of many groups may stand on a hundred."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The frozen answer.

    Attributes:
        problem: the question.
        top_k: how many layouts were asked for.
        status: what is known; OPTIMAL refers to all the solutions listed.
        solutions: best first, at most ``top_k``; fewer when no more exist (OPTIMAL) or were found (FEASIBLE).
        bound: no layout has a score above this; None when nothing is known, -inf when there is no layout.
        runtime: seconds.
        proof: what OPTIMAL or INFEASIBLE, or the bound of a FEASIBLE answer on a general graph, rests on.
        nearest: for INFEASIBLE, the nearest amounts of the constrained resource that have a layout.
    """

    problem: Problem
    top_k: int
    status: Status
    solutions: tuple[Solution, ...]
    bound: float | None
    runtime: float
    proof: Proof | None = None
    nearest: Nearest | None = None

    @property
    def best(self) -> Solution:
        """The first solution.

        Raises:
            InputError: when there is none.
        """
        if not self.solutions:
            raise InputError(
                "result", given=self.status.value, allowed="one with solutions", remedy=self.status.meaning
            )
        return self.solutions[0]

    @property
    def gap(self) -> float | None:
        """bound minus the best score, absolute; None when either is unknown, 0 when both are -inf."""
        if self.bound is None or not self.solutions:
            return None
        best = self.solutions[0].score_value
        return 0.0 if self.bound == best else self.bound - best

    def bindings(self) -> tuple[Binding, ...]:
        """How every constraint stands at the best layout; none without a layout.

        >>> from parlay import plain, solve
        >>> result = solve(plain(depth=3).problem(max_params=20_000, max_macs=4_000_000))
        >>> [binding.binds for binding in result.bindings()]
        [True, False]
        """
        if not self.solutions:
            return ()
        problem, layout, prices = self.problem, self.best.layout, self._prices()
        grown = [
            (*layout[:g], width + group.multiple_of, *layout[g + 1 :])
            for g, (group, width) in enumerate(zip(problem.space.groups, layout, strict=True))
        ]
        grown = [bigger for bigger in grown if problem.space.violation(bigger) is None]
        found: list[Binding] = []
        for index, constraint in enumerate(problem.constraints):
            amount = constraint.resource(layout)
            slack = None if constraint.maximum is None else constraint.maximum - amount
            stuck = bool(grown) and all(not constraint.allows(constraint.resource(bigger)) for bigger in grown)
            price = prices.get(index, 0.0)
            binds = slack is not None and (slack == 0 or price > 0 or stuck)
            found.append(Binding(constraint=constraint, amount=amount, slack=slack, price=price, binds=binds))
        return tuple(found)

    def fences_reached(self) -> list[str]:
        """Where the best layout stands on a fence of the question, in words; none without a layout."""
        return self.problem.space.fences_reached(self.best.layout) if self.solutions else []

    def summary(self) -> str:
        """What is known, in lines: status, what binds, fences, what the score is worth, the nearest sizes instead.

        >>> from dataclasses import replace
        >>> from parlay import plain, solve
        >>> print(replace(solve(plain(depth=4).problem(kernels=4288, multiple_of=8)), runtime=0.02).summary())
        INFEASIBLE in 0.02 s: proven: no layout satisfies the constraints
        nearest sizes that have a layout: 4,272 and 4,312 kernels
        """
        gap = "" if self.gap is None else f", gap {self.gap:.3g} in the score"
        lines = [f"{self.status.value} in {self.runtime:.2f} s{gap}: {self.status.meaning}"]
        if len(self.problem.constraints) > 1:
            lines += map(str, self.bindings())
        some = len(self.solutions)
        if 0 < some < self.top_k and self.proof is not None:
            lines.append("this is the only one" if some == 1 else f"these {some} are all there are")
        fences = self.fences_reached()
        lines += [f"on a fence: {fence}" for fence in fences[:MOST_FENCES]]
        if len(fences) > MOST_FENCES:
            lines.append(f"on a fence: {len(fences) - MOST_FENCES} more")
        if self.nearest is not None:
            [unit, *_] = (constraint.resource.name for constraint in self.problem.constraints)
            lines.append(self.nearest.words(unit))
        if self.solutions:
            lines.append(self.problem.score.worth(self.problem.space))
        return "\n".join(lines)

    def __str__(self) -> str:
        """The layouts, best first, and what is known of them.

        >>> from dataclasses import replace
        >>> from parlay import plain, solve
        >>> print(replace(solve(plain(depth=4), kernels=4288), runtime=0.02))
        35-36-37-43  score value 5.153498
        OPTIMAL in 0.02 s, gap 0 in the score: proven: no layout that satisfies the constraints is better
        score energy-group: docs/evidence.md tells how well it ranks networks
        """
        layouts = [f"{format_layout(one.layout)}  score value {one.score_value:.6f}" for one in self.solutions]
        return "\n".join([*layouts, self.summary()])

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        rows = [(format_layout(one.layout), f"{one.energy:,.4f}", f"{one.score_value:.6f}") for one in self.solutions]
        return html_table(("layout", "energy", "score value"), rows, below=self.summary())

    def _prices(self) -> dict[int, float]:
        """Prices of the constraints, by place, at the root of the proof."""
        if self.proof is None:
            return {}
        if not self.proof.steps:
            return {0: self.proof.multiplier} if len(self.problem.constraints) == 1 else {}
        [dual, *_] = self.proof.steps
        prices: dict[int, float] = {}
        for sign, some in ((1, getattr(dual, "upper", ())), (-1, getattr(dual, "lower", ()))):
            for constraint, _, price in some:
                prices[constraint] = prices.get(constraint, 0.0) + sign * price
        return prices
