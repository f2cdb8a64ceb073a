"""Layouts that a search chooses among: optima of the score, of weights it may have instead, and uniform samples."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from parlay.energy import Score, get_score
from parlay.errors import InputError
from parlay.evidence.calibrate import weighted_scores
from parlay.evidence.designs import Pool
from parlay.evidence.posterior import Posterior
from parlay.layout import Layout
from parlay.problem import Problem
from parlay.resources import PeakResource
from parlay.study.selection import no_answer

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ENERGY", "Candidate", "Source", "Start", "begin", "optima", "pool_of"]

ENERGY = "energy-layer"
"""The energy whose own pick is a control."""

NEAR = 64
SAMPLES = 256
"""Uniform samples; all layouts where there are no more."""
DRAWN = 24
"""Weights drawn from what is believed beforehand, whose optima are candidates."""
EACH = 2
"""Layouts taken for each of them."""
SECONDS = 20.0
"""For one solve."""
BUDGET = 30.0
"""Seconds for the optima of drawn weights together: on spaces that are slow to solve there are fewer of them."""
TRIES = 4000
"""Samples of one constraint that are tried against the others."""


class Source(StrEnum):
    """How a layout came to be a candidate."""

    PICK = "the score's own pick"
    OWN = "given"
    ENERGY = "the energy's own pick"
    NEAR = "near the score's best"
    SAMPLE = "uniform sample"
    WEIGHTS = "best of weights drawn"
    CALIBRATED = "near the calibrated best"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A layout that may be trained.

    Attributes:
        layout: its widths, all at least 2.
        source: where it comes from.
    """

    layout: Layout
    source: Source

    def content(self) -> list[Any]:
        """As JSON values."""
        return [list(self.layout), str(self.source)]

    @staticmethod
    def read(content: Sequence[Any]) -> Candidate:
        """The candidate that ``content`` was taken from."""
        return Candidate(layout=tuple(content[0]), source=Source(content[1]))


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a search knows before any training.

    Attributes:
        pick: the score's best layout, by exact solve.
        energy: that of the energy.
        random: one uniform sample; None where none could be drawn.
        candidates: layouts to choose among, the score's pick first.
        whole: whether they are all layouts that there are, so that no solve can bring another.
    """

    pick: Layout
    energy: Layout
    random: Layout | None
    candidates: tuple[Candidate, ...]
    whole: bool = False

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "pick": list(self.pick),
            "energy": list(self.energy),
            "random": None if self.random is None else list(self.random),
            "candidates": [candidate.content() for candidate in self.candidates],
            "whole": self.whole,
        }

    @staticmethod
    def read(content: Mapping[str, Any]) -> Start:
        """The start that ``content`` was taken from."""
        return Start(
            pick=tuple(content["pick"]),
            energy=tuple(content["energy"]),
            random=None if content["random"] is None else tuple(content["random"]),
            candidates=tuple(map(Candidate.read, content["candidates"])),
            whole=content["whole"],
        )


def begin(problem: Problem, *, prior: str, own: Layout | None = None, seed: int = 0) -> Start:
    """The layouts that a search chooses among before any is trained.

    They are the best of the score by exact solve, uniform samples of the space, the best for weights drawn around the
    score's, the energy's best and the user's own. A width of 1, of which the energy says nothing, is left out.

    Args:
        problem: the space and what limits it.
        prior: name of the score.
        own: the user's layout.
        seed: of samples and draws.

    Raises:
        InputError: when no layout keeps the limits, or only one does.

    >>> from parlay.families import plain
    >>> start = begin(plain(3).problem(kernels=500, score="energy-layer"), prior="energy-layer")
    >>> start.pick, len(start.candidates), start.random in {one.layout for one in start.candidates}
    ((12, 16, 17), 7, True)
    """
    import numpy as np

    pick, *near = _solved(problem, get_score(prior), NEAR, strict=True)
    [energy] = _solved(problem, get_score(ENERGY), 1, strict=True)
    samples, whole = _uniform(problem, SAMPLES, seed)
    random = samples[0] if samples else None
    found = merged(
        [Candidate(layout=pick, source=Source.PICK)],
        [] if own is None else [Candidate(layout=own, source=Source.OWN)],
        [Candidate(layout=energy, source=Source.ENERGY)],
        [Candidate(layout=layout, source=Source.NEAR) for layout in near],
        [Candidate(layout=layout, source=Source.SAMPLE) for layout in samples],
    )
    if min(pick) < 2 or len(found) < 2:
        raise InputError(
            "layouts to search",
            given=f"{len(found)} with widths of at least 2",
            allowed="at least two",
            remedy="ask for another size, or fewer fences",
        )
    if not whole:
        known = pool_of(found, problem, prior).learn(np.zeros((1, 0), dtype=np.int64), np.zeros((1, 0)))
        found = merged(found, optima(problem, prior, known, np.random.default_rng([seed, 1]), DRAWN))
    return Start(pick=pick, energy=energy, random=random, candidates=tuple(found), whole=whole)


def pool_of(candidates: Sequence[Candidate], problem: Problem, prior: str) -> Pool:
    """The candidates as the score and its weights see them."""
    import numpy as np

    widths = np.array([candidate.layout for candidate in candidates], dtype=np.int64)
    return Pool.of(widths, space=problem.space, score=get_score(prior))


def optima(
    problem: Problem, prior: str, known: Posterior, rng: np.random.Generator, count: int, *, mean: int = 0
) -> list[Candidate]:
    """The best layouts for weights drawn from a posterior, and those for its mean, all by exact solve.

    Args:
        problem: the space and what limits it.
        prior: name of the score that the weights start from.
        known: the posterior.
        rng: of the draws.
        count: how many weights to draw.
        mean: layouts to take for the mean, its best first; they come first.
    """
    found: list[Candidate] = []
    if mean:
        [middle] = weighted_scores(known.scale, known.extra, space=problem.space, prior=prior)
        found += [Candidate(layout=one, source=Source.CALIBRATED) for one in _solved(problem, middle, mean)]
    draws = known.draw(rng, count)
    ends = time.monotonic() + BUDGET
    for score in weighted_scores(draws.scale[0], draws.extra[0], space=problem.space, prior=prior):
        if time.monotonic() > ends:
            break
        found += [Candidate(layout=one, source=Source.WEIGHTS) for one in _solved(problem, score, EACH)]
    return merged(found)


def merged(*portions: Iterable[Candidate]) -> list[Candidate]:
    """Every layout once, where it was met first, and none with a width of 1."""
    found: dict[Layout, Candidate] = {}
    for portion in portions:
        for candidate in portion:
            if min(candidate.layout) > 1:
                found.setdefault(candidate.layout, candidate)
    return list(found.values())


def _solved(problem: Problem, score: Score, count: int, *, strict: bool = False) -> list[Layout]:
    """The best layouts of a score within the problem's limits.

    Raises:
        InputError: when there are none and ``strict`` says that there must be.
    """
    from parlay.solver import solve

    result = solve(replace(problem, score=score), top_k=count, time_limit=SECONDS)
    if strict and not result.solutions:
        raise no_answer(result)
    return [solution.layout for solution in result.solutions]


def _uniform(problem: Problem, count: int, seed: int) -> tuple[list[Layout], bool]:
    """Layouts drawn at random, each as likely as every other, and whether these are all that there are.

    None where the space cannot be numbered. Under several constraints one is sampled, that of fewest layouts, and what
    breaks another is thrown away.
    """
    from parlay.solver import Sampler

    samplers: list[Sampler] = []
    for constraint in problem.constraints:
        if isinstance(constraint.resource, PeakResource):
            continue
        try:
            samplers.append(Sampler(replace(problem, constraints=(constraint,))))
        except InputError:  # no chain, or too many layouts to number
            continue
    if not samplers:
        return [], False
    sampler = min(samplers, key=lambda one: one.total)
    most = count if len(problem.constraints) == 1 else TRIES
    drawn = sampler.draw(min(most, sampler.total), seed=seed)
    kept = [layout for layout in drawn if not problem.violations(layout)]
    return kept[:count], len(drawn) == sampler.total and len(kept) <= count
