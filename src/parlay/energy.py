"""Scores of a layout, in log form: sums of terms per group and per pair of adjacent groups.

The paper's energy (Eq. 2-3) is the product of ln n_i; its logarithm is the sum of ln ln n_i, which never
overflows. Every score here is such a sum, so one exact solver serves them all. A new score is one class and one line
in ``SCORES``.
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple, final

from parlay.documents import finite
from parlay.errors import InputError, unknown
from parlay.layout import ActivationStep, Layout, WidthSpace
from parlay.terms import (
    FixedMeanLogLog,
    FixedRegionsLogLog,
    GroupTerm,
    Harmonic,
    HarmonicFixed,
    HarmonicSelf,
    LogDistinct,
    LogLog,
    LogWidth,
    MeanLogLog,
    NotOne,
    PairTerm,
    RegionsLogLog,
    Terms,
)

__all__ = [
    "SCORES",
    "EnergyGroup",
    "EnergyLayer",
    "FixedMeanLogLog",
    "FixedRegionsLogLog",
    "GroupTerm",
    "Harmonic",
    "HarmonicFixed",
    "HarmonicSelf",
    "LogDistinct",
    "LogLog",
    "LogWidth",
    "MeanLogLog",
    "NotOne",
    "PairHarmonic",
    "RECOMMENDED",
    "PairTerm",
    "PathEnergy",
    "RegionsLogLog",
    "Score",
    "StepEnergy",
    "SumLog",
    "Terms",
    "energy_facts",
    "energy_of",
    "get_score",
    "log_energy",
]


class Score(ABC):
    """A rule that turns a width space into terms.

    Attributes:
        name: how the command line calls it.
        source: where it is defined.
        summary: what it is, in one line.
        needs: what it reads of a space: ``widths``, ``layers`` (how many a group has), ``connections``, ``steps``.
    """

    name: str
    source: str
    summary: str
    needs: tuple[str, ...] = ("widths",)

    @abstractmethod
    def terms(self, space: WidthSpace) -> Terms:
        """The score's terms in this space."""

    def worth(self, space: WidthSpace) -> str:
        """Which score it is, and where to read how far it can be trusted in this space: a sentence for every answer."""
        del space
        return f"score {self.name}: docs/evidence.md tells how well it ranks networks"


@final
class EnergyGroup(Score):
    """ln of Eq. 3: sum over groups of ln ln n_g, each group once.

    >>> import math
    >>> from parlay.layout import WidthGroup
    >>> space = WidthSpace(groups=tuple(WidthGroup(name=f"conv{i}") for i in range(1, 5)))
    >>> round(math.exp(EnergyGroup().terms(space)((35, 36, 37, 43))), 4)
    173.0358
    """

    name = "energy-group"
    source = "Liao et al. 2017, Eq. 2-3; a unit of equal layers counts once, as in its section 3.3 and Table 4"
    summary = "sum over width groups of ln ln n"

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((LogLog(1),) for _ in space.groups), pairs={})


@final
class EnergyLayer(Score):
    """ln of Eq. 3 with one factor per weight layer: sum over groups of m_g ln ln n_g."""

    name = "energy-layer"
    source = "Liao et al. 2017, Eq. 2-3, taken over every layer instead of every unit"
    summary = "sum over weight layers of ln ln n"
    needs = ("widths", "layers")

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((LogLog(group.multiplicity),) for group in space.groups), pairs={})


@final
class SumLog(Score):
    """Sum over weight layers of ln n, m_g ln n_g over groups: the logarithm of the product of all widths.

    >>> import math
    >>> from parlay.layout import WidthGroup
    >>> space = WidthSpace(groups=(WidthGroup(name="a", multiplicity=2), WidthGroup(name="b")))
    >>> round(math.exp(SumLog().terms(space)((3, 5))))
    45
    """

    name = "sum-log"
    source = "the energy of Liao et al. 2017, Eq. 2-3, with one logarithm less"
    summary = "sum over weight layers of ln n"
    needs = ("widths", "layers")

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((LogWidth(group.multiplicity),) for group in space.groups), pairs={})


@final
class PairHarmonic(Score):
    """Sum over weight layers of ln(n_in n_out / (n_in + n_out)): a bottleneck lowers both layers it joins.

    >>> import math
    >>> from parlay.layout import Connection, WidthGroup
    >>> space = WidthSpace(
    ...     groups=(WidthGroup(name="a"), WidthGroup(name="b")),
    ...     connections=(Connection(fixed_inputs=3, target=0), Connection(source=0, target=1)),
    ... )
    >>> round(PairHarmonic().terms(space)((6, 6)), 6) == round(math.log(2) + math.log(3), 6)
    True
    """

    name = "pair-harmonic"
    source = "parlay; half the harmonic mean of the two widths a layer joins, in logs (docs/scores.md)"
    summary = "sum over weight layers of ln(n_in n_out / (n_in + n_out))"
    needs = ("widths", "connections")

    def terms(self, space: WidthSpace) -> Terms:
        groups: list[list[GroupTerm]] = [[] for _ in space.groups]
        pairs: dict[tuple[int, int], tuple[PairTerm, ...]] = {}
        for link in space.connections:
            if link.source is None and not link.fixed_inputs:
                continue  # it joins more than two widths
            if link.source is None:
                groups[link.target].append(HarmonicFixed(link.fixed_inputs, link.count))
            elif link.source == link.target:
                groups[link.target].append(HarmonicSelf(link.count))
            else:
                key = (min(link.source, link.target), max(link.source, link.target))
                pairs[key] = (*pairs.get(key, ()), Harmonic(link.count))
        return Terms(groups=tuple(tuple(terms) for terms in groups), pairs=pairs)


@final
class PathEnergy(Score):
    """The log-energy of a path from input to output, averaged over all paths, each layer as wide as it can pass on.

    Two arguments, no fitted number. A layer that joins a and b channels passes on no more than the narrower side lets
    through, so its width in Eq. 3 is the harmonic mean 2 a b / (a + b), which the narrower side rules: a bottleneck
    lowers the layer before it and the layer behind it. And a network with residual blocks is a collection of paths of
    many lengths (Veit et al. 2016), of which half go around each block: a layer counts by the share of the paths that
    need it, a layer of a chain 1, a layer of a block 1/2, and a narrow width inside a block is no bottleneck of the
    paths around it.

    >>> import math
    >>> from parlay.layout import Connection, WidthGroup
    >>> space = WidthSpace(
    ...     groups=(WidthGroup(name="a"), WidthGroup(name="b")),
    ...     connections=(Connection(fixed_inputs=3, target=0), Connection(source=0, target=1)),
    ... )
    >>> round(math.exp(PathEnergy().terms(space)((6, 6))), 6) == round(math.log(4) * math.log(6), 6)
    True
    """

    name = "path-energy"
    source = "parlay; Eq. 3 over the paths of Veit et al. 2016, with harmonic means as widths (docs/scores.md)"
    summary = "mean over paths of the sum over their layers of ln ln(2 n_in n_out / (n_in + n_out))"
    needs = ("widths", "connections")

    def terms(self, space: WidthSpace) -> Terms:
        if not space.connections:
            raise _needs_network(self)
        return _step_terms(
            space,
            [
                ActivationStep(
                    target=link.target,
                    source=link.source,
                    fixed_inputs=link.fixed_inputs if link.source is None else 0,
                    share=link.count * link.share,
                )
                for link in space.connections
            ],
        )

    def worth(self, space: WidthSpace) -> str:
        """Where linear layers stand in a row, that the score is wrong there."""
        linear = {group for step in space.steps for group in step.carriers}
        if not linear:
            return super().worth(space)
        some = "1 width" if len(linear) == 1 else f"{len(linear)} widths"
        return (
            f"score {self.name} is wrong here: {some} behind linear layers without an activation, which it counts like"
            f" those with one; {RECOMMENDED} does not (docs/scores.md)"
        )


@final
class StepEnergy(Score):
    """The energy of a path, counted step by step and averaged over all paths.

    The energy of Liao et al. (2017) is about feature maps as symbols, made by kernels. A linear layer of one pixel
    makes no new ones, and such layers in a row are one: what counts is the step from activations of width a to the next
    b kernels that cover several pixels or meet a nonlinearity.

    - Without linear layers in between it is ln ln of the harmonic mean of a and b, as in the path energy: what passes
      is bounded by both.
    - Where s linear channels carry the step (a linear bottleneck, a residual stream without activations), half of it
      is leaving, ln ln a / 2; half is arriving, ln ln(b phi(s / b)) / 2, the part of b kernels that can tell regions
      of s dimensions apart (``RegionsLogLog``); and ln(1 - 1/s) for what symbols that share s channels overlap
      (``LogDistinct``). With several carriers in a row, their mean.
    - A layer that reads several widths joined counts with its own in place of a.

    No number is fitted. Where every layer's output meets a nonlinearity it is the path energy.

    >>> import math
    >>> from parlay.layout import WidthGroup
    >>> groups = tuple(WidthGroup(name=name) for name in ("stream", "hidden", "next"))
    >>> step = ActivationStep(source=1, carriers=(0,), target=2)
    >>> space = WidthSpace(groups=groups, steps=(step,))
    >>> values = [StepEnergy().terms(space)((s, 16, 24)) for s in (12, 4)]
    >>> leaving, arriving = math.log(math.log(16)) / 2, [math.log(math.log(bits)) / 2 for bits in (24, 15.6)]
    >>> [round(value - leaving - one, 3) for value, one in zip(values, arriving, strict=True)]
    [-0.087, -0.288]
    >>> [round(math.log(1 - 1 / s), 3) for s in (12, 4)]
    [-0.087, -0.288]
    """

    name = "step-energy"
    source = "parlay; Eq. 3 over steps between layers that make symbols, shares as Veit et al. 2016 (docs/scores.md)"
    summary = "mean over paths of the sum over steps of ln ln of what passes"
    needs = ("widths", "steps")

    def terms(self, space: WidthSpace) -> Terms:
        if not space.steps:
            raise _needs_network(self)
        return _step_terms(space, space.steps)


def _needs_network(score: Score) -> InputError:
    return InputError(
        "score",
        given=f"{score.name} for widths without their network",
        allowed="a family's layouts, or a traced model's",
        remedy="name the model, or take energy-group",
    )


class _Summand(NamedTuple):
    """A term but for how often it counts: the group or the two groups that it is of, its class and arguments."""

    place: tuple[int, ...]
    make: Callable[..., GroupTerm | PairTerm]
    given: tuple[tuple[str, int], ...] = ()


def _step_terms(space: WidthSpace, steps: Iterable[ActivationStep]) -> Terms:
    """The terms of steps, those of one kind added up; a width of 1 at an end of one has no energy."""
    weights: defaultdict[_Summand, Fraction] = defaultdict(Fraction)
    ends: set[int] = set()
    for step in steps:
        ends.update(end for end in (step.source, step.target) if end is not None)
        for part, weight in _parts(step):
            weights[part] += weight * step.share
    groups: list[list[GroupTerm]] = [[NotOne()] if g in ends else [] for g in range(len(space))]
    pairs: defaultdict[tuple[int, int], list[PairTerm]] = defaultdict(list)
    for part, weight in weights.items():
        term = part.make(**dict(part.given), count=weight)
        if isinstance(term, PairTerm):
            pairs[part.place[0], part.place[1]].append(term)
        else:
            groups[part.place[0]].append(term)
    return Terms(groups=tuple(map(tuple, groups)), pairs={key: tuple(terms) for key, terms in pairs.items()})


def _parts(step: ActivationStep) -> Iterator[tuple[_Summand, Fraction]]:
    """The terms of one step and how much of it they are; what no width changes is left out."""
    a, b = step.source, step.target
    if not step.carriers:
        if a is not None and b is not None and a != b:
            yield _Summand((min(a, b), max(a, b)), MeanLogLog), Fraction(1)
        elif b is not None and step.fixed_inputs:
            yield _Summand((b,), FixedMeanLogLog, (("inputs", step.fixed_inputs),)), Fraction(1)
        elif b is not None:
            yield _Summand((b,), LogLog), Fraction(1)
        elif a is not None:
            yield _Summand((a,), FixedMeanLogLog, (("inputs", step.fixed_outputs),)), Fraction(1)
        return
    half = Fraction(1, 2)
    leaving = b if a is None and not step.fixed_inputs else a
    if leaving is not None:
        yield _Summand((leaving,), LogLog), half
    for carrier in step.carriers:
        each = half / len(step.carriers)
        if b != carrier:
            yield _Summand((carrier,), LogDistinct), each * 2
        if b is None:
            yield _Summand((carrier,), FixedRegionsLogLog, (("outputs", step.fixed_outputs),)), each
        elif b == carrier:
            yield _Summand((b,), LogLog), each
        else:
            yield _Summand((min(b, carrier), max(b, carrier)), RegionsLogLog, (("is_reversed", b < carrier),)), each


SCORES: dict[str, Score] = {
    score.name: score for score in (EnergyGroup(), EnergyLayer(), SumLog(), PairHarmonic(), PathEnergy(), StepEnergy())
}
"""Every score by name, in the order in which they are listed."""


RECOMMENDED = "step-energy"
"""What is maximised for a network whose structure is known, and nothing else is asked for (docs/scores.md)."""

LOADERS = {"calibrated": "parlay.calibrated:load"}
"""Kind of a score that a file holds -> where it is read, for names such as ``calibrated:weights.json``."""


def get_score(name: str) -> Score:
    """The score of that name; ``calibrated:FILE`` is one with fitted weights.

    Raises:
        InputError: when there is none, with the nearest name.

    >>> get_score("energy-group").summary
    'sum over width groups of ln ln n'
    """
    kind, _, file = name.partition(":")
    if kind in LOADERS and file:
        module, function = LOADERS[kind].split(":")
        return getattr(importlib.import_module(module), function)(name)
    if name not in SCORES:
        raise unknown("score", name, [*SCORES, "calibrated:FILE"], "see 'parlay scores'")
    return SCORES[name]


def log_energy(space: WidthSpace, layout: Layout) -> float:
    """ln of Eq. 3 of a layout, each group once; -inf where a width is 1. What is called energy is this and no score.

    >>> from parlay.layout import WidthGroup
    >>> space = WidthSpace(groups=(WidthGroup(name="a", multiplicity=2), WidthGroup(name="b")))
    >>> log_energy(space, (5, 7)) == get_score("energy-group").terms(space)((5, 7))
    True
    """
    return get_score("energy-group").terms(space)(layout)


def energy_of(log_energy: float) -> float:
    """Eq. 3 itself, exp of its logarithm; inf where a float cannot hold it."""
    try:
        return math.exp(log_energy)
    except OverflowError:
        return math.inf


def energy_facts(log_energy: float) -> dict[str, float | None]:
    """Eq. 3 and its logarithm by JSON key; null where JSON has no number.

    >>> energy_facts(-math.inf)
    {'energy': 0.0, 'log_energy': None}
    """
    return {"energy": finite(energy_of(log_energy)), "log_energy": finite(log_energy)}
