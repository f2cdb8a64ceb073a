"""The closed loop: propose layouts, train them, learn the weights of the score, solve with them, propose again.

The loop is pure: what a training says comes from a function, what must outlast a kill goes to another. A layout is
judged by the number that this function returns, in a study its validation accuracy, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parlay.energy import SCORES
from parlay.errors import InputError, StudyError
from parlay.evidence.calibrate import LEAST, Calibration, calibrate
from parlay.evidence.candidates import Candidate, Start, begin, merged, optima, pool_of
from parlay.evidence.designs import Loop, find_policy
from parlay.evidence.fitting import Sample
from parlay.evidence.scores import RECOMMENDED
from parlay.layout import Layout, format_layout
from parlay.problem import Problem

__all__ = ["Found", "Gain", "Proposal", "Query", "Record", "Round", "Turn", "search"]

NEAR_CALIBRATED = 8
"""Best layouts of the calibrated score that become candidates after every round."""
DRAWN = 8
"""Weights drawn after every round whose best layouts become candidates."""
LEAST_GAIN = 3
"""Trainings below which nothing is said about gains: the scale of accuracy is not known."""
MOST = 10_000

Train = Callable[[Sequence[Layout]], Mapping[Layout, float]]
"""Trains layouts and returns what each is judged by, higher is better; one that failed is left out."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a search is asked; with what the trainings say, it decides every proposal.

    Attributes:
        problem: the space and its limits, with the score to start from.
        policy: how the next layouts are chosen, one of ``parlay.evidence.designs.POLICIES``.
        trials: layouts to train.
        batch: layouts proposed at a time; they rest on the same trainings.
        seed: of every choice.
        own: the layout that the user has; it is trained early, so that the gain over it is known.
    """

    problem: Problem
    policy: str = "thompson"
    trials: int = 16
    batch: int = 1
    seed: int = 0
    own: Layout | None = None

    def __post_init__(self) -> None:
        find_policy(self.policy)
        if self.prior not in SCORES:
            raise InputError(
                "score to start from", given=self.prior, allowed=", ".join(SCORES), remedy=f"try --score {RECOMMENDED}"
            )
        for what, value, low in (("n-trials", self.trials, LEAST), ("batch", self.batch, 1)):
            if type(value) is not int or not low <= value <= MOST:
                raise InputError(what, given=value, allowed=f"an integer from {low} to {MOST}")
        if self.own is not None:
            self._check(self.own)

    @property
    def prior(self) -> str:
        """Name of the score to start from."""
        return self.problem.score.name

    def _check(self, own: Layout) -> None:
        """Refuse a layout of another size; fences may be broken by it, they are for what is searched."""
        groups = len(self.problem.space)
        broken = [f"{len(own)} widths for {groups} groups"] if len(own) != groups else []
        if not broken:
            amounts = [(constraint, constraint.resource(own)) for constraint in self.problem.constraints]
            broken = [f"{c.resource.name} is {amount}, not {c}" for c, amount in amounts if not c.allows(amount)]
        if not broken and min(own) < 2:
            broken = ["a width of 1, of which the energy says nothing"]
        if broken:
            raise InputError(
                "layout to compare with",
                given=format_layout(own),
                allowed="a layout within the limits asked for",
                remedy=f"{'; '.join(broken)}; without a size, --layout sets it",
            )


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A layout to train, why it is proposed, and how it came to be a candidate."""

    layout: Layout
    reason: str
    source: str

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return {"layout": list(self.layout), "reason": self.reason, "source": self.source}


@dataclass(frozen=True, kw_only=True)
class Round:
    """What is trained at a time.

    Attributes:
        proposals: in the order in which they were proposed.
        added: candidates that what was trained before brought in.
    """

    proposals: tuple[Proposal, ...]
    added: tuple[Candidate, ...] = ()

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "proposals": [proposal.content() for proposal in self.proposals],
            "added": [candidate.content() for candidate in self.added],
        }

    @staticmethod
    def read(content: Mapping[str, Any]) -> Round:
        """The round that ``content`` was taken from."""
        proposals = (Proposal(**{**one, "layout": tuple(one["layout"])}) for one in content["proposals"])
        return Round(proposals=tuple(proposals), added=tuple(map(Candidate.read, content["added"])))


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a search has decided so far; with it, one that was killed goes on with the same proposals.

    Attributes:
        start: what it began with.
        rounds: all rounds so far, the last perhaps not trained to its end.
        last: candidates of the calibrated score after the last round; None before.
    """

    start: Start
    rounds: tuple[Round, ...] = ()
    last: tuple[Candidate, ...] | None = None

    @property
    def candidates(self) -> list[Candidate]:
        """Everything that may be chosen."""
        return merged(self.start.candidates, *(turn.added for turn in self.rounds), self.last or ())

    @property
    def proposed(self) -> list[Layout]:
        """Every layout proposed, in order."""
        return [proposal.layout for turn in self.rounds for proposal in turn.proposals]

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "start": self.start.content(),
            "rounds": [turn.content() for turn in self.rounds],
            "last": None if self.last is None else [candidate.content() for candidate in self.last],
        }

    @staticmethod
    def read(content: Mapping[str, Any]) -> Record:
        """The record that ``content`` was taken from.

        Raises:
            KeyError, TypeError, ValueError: for values that are no record's.
        """
        last = content["last"]
        return Record(
            start=Start.read(content["start"]),
            rounds=tuple(map(Round.read, content["rounds"])),
            last=None if last is None else tuple(map(Candidate.read, last)),
        )


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What is told after a round.

    Attributes:
        number: of the round, from 1.
        proposals: what was trained.
        values: what each layout so far is judged by.
        failed: layouts whose training failed.
    """

    number: int
    proposals: tuple[Proposal, ...]
    values: Mapping[Layout, float]
    failed: tuple[Layout, ...]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Expected gain of one layout over another, in the unit of accuracy, with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        record: everything it decided.
        values: what each trained layout is judged by.
        failed: layouts whose training failed.
        recommended: the layout of highest expected accuracy, trained or not.
        source: how it came to be a candidate.
        gains: over the score's own pick (``pick``) and the user's layout (``own``), by the model; empty where fewer
            than three trainings ended.
        calibration: the weights learnt; None where fewer than four ended.
    """

    record: Record
    values: Mapping[Layout, float]
    failed: tuple[Layout, ...]
    recommended: Layout
    source: str
    gains: Mapping[str, Gain]
    calibration: Calibration | None

    @property
    def was_trained(self) -> bool:
        """Whether the recommended layout is one of those trained."""
        return self.recommended in self.values


def search(
    query: Query,
    train: Train,
    *,
    record: Record | None = None,
    keep: Callable[[Record], None] = lambda _: None,
    told: Callable[[Turn], None] = lambda _: None,
) -> Found:
    """Run the loop to its end.

    Args:
        query: what is asked.
        train: trains layouts, several at a time; called again with those of a record, which a study has kept.
        record: what an earlier call that was killed decided.
        keep: called with the record before anything that it decides is trained.
        told: called after every round.

    Raises:
        InputError: when there is nothing to search.
        StudyError: when every training failed.

    >>> import math
    >>> from parlay.families import plain
    >>> query = Query(problem=plain(3).problem(kernels=4288, order="free", score="energy-layer"), trials=12, batch=4)
    >>> def train(layouts):  # a world in which only the last layer counts
    ...     return {layout: 0.8 + 0.02 * math.log(layout[-1]) for layout in layouts}
    >>> found = search(query, train)
    >>> found.recommended[-1] > found.record.start.pick[-1], len(found.values)
    (True, 12)
    """
    if record is None:
        record = Record(start=begin(query.problem, prior=query.prior, own=query.own, seed=query.seed))
        keep(record)
    values: dict[Layout, float] = {}
    failed: dict[Layout, None] = {}
    number = 0
    while True:
        if number == len(record.rounds):
            turn = _next(query, record, values, failed)
            if not turn.proposals:
                break
            record = replace(record, rounds=(*record.rounds, turn))
            keep(record)
        turn = record.rounds[number]
        number += 1
        results = train([proposal.layout for proposal in turn.proposals])
        for proposal in turn.proposals:  # in the order of proposals, not in that in which trainings ended
            if proposal.layout in results:
                values[proposal.layout] = results[proposal.layout]
            else:
                failed[proposal.layout] = None
        told(Turn(number=number, proposals=turn.proposals, values=dict(values), failed=tuple(failed)))
    if not values:
        raise StudyError("search: every training failed; 'parlay study status' of its folder says why")
    if record.last is None:
        record = replace(record, last=tuple(_learnt(query, record, values, failed, mean=1)))
        keep(record)
    return _conclude(query, record, values, tuple(failed))


def _next(query: Query, record: Record, values: Mapping[Layout, float], failed: Iterable[Layout]) -> Round:
    """The next round; one without proposals where enough were made, or no candidate is left."""
    left = min(query.batch, query.trials - len(record.proposed))
    if left <= 0 or record.last is not None:
        return Round(proposals=())
    known = {candidate.layout for candidate in record.candidates}
    learnt = _learnt(query, record, values, failed, mean=NEAR_CALIBRATED, drawn=DRAWN)
    added = tuple(candidate for candidate in learnt if candidate.layout not in known)
    candidates = _without([*record.candidates, *added], failed)
    loop, observed = _loop(query, candidates, values)
    places = {candidate.layout: place for place, candidate in enumerate(candidates)}
    first = {
        layout: reason
        for layout, reason in ((record.start.pick, f"best of {query.prior}"), (query.own, "your layout"))
        if layout is not None and layout not in values and layout in places
    }
    chosen = loop.propose(observed, count=left, first=[places[layout] for layout in first])
    proposals = tuple(
        Proposal(
            layout=candidates[place].layout,
            reason=first.get(candidates[place].layout, query.policy),
            source=str(candidates[place].source),
        )
        for place in chosen
    )
    return Round(proposals=proposals, added=added)


def _learnt(
    query: Query,
    record: Record,
    values: Mapping[Layout, float],
    failed: Iterable[Layout],
    *,
    mean: int,
    drawn: int = 0,
) -> list[Candidate]:
    """The best layouts by what the trainings say, by exact solve; none before there are four trainings, or where the
    candidates are all that there are.
    """
    import numpy as np

    if len(values) < LEAST or record.start.whole:
        return []
    loop, observed = _loop(query, _without(record.candidates, failed), values)
    rng = np.random.default_rng([query.seed, 2, len(values)])
    found = optima(query.problem, query.prior, loop.learned(observed), rng, drawn, mean=mean)
    return _without(found, failed)


def _conclude(query: Query, record: Record, values: Mapping[Layout, float], failed: tuple[Layout, ...]) -> Found:
    candidates = _without(record.candidates, failed)
    loop, observed = _loop(query, candidates, values)
    known = loop.learned(observed)
    best = int(loop.pool.expected(known)[0].argmax())
    gains: dict[str, Gain] = {}
    places = {candidate.layout: place for place, candidate in enumerate(candidates)}
    for name, layout in (("pick", record.start.pick), ("own", query.own)):
        if layout in places and len(values) >= LEAST_GAIN:
            mean, low, high = loop.pool.gain(known, best, places[layout], seed=query.seed)
            gains[name] = Gain(mean=mean, low=low, high=high)
    return Found(
        record=record,
        values=values,
        failed=failed,
        recommended=candidates[best].layout,
        source=str(candidates[best].source),
        gains=gains,
        calibration=_calibration(query, loop, values),
    )


def _calibration(query: Query, loop: Loop, values: Mapping[Layout, float]) -> Calibration | None:
    """The weights that the trainings speak for, those by which the recommendation was made."""
    import numpy as np

    if len(values) < LEAST:
        return None
    sample = Sample(
        widths=np.array(list(values), dtype=np.int64),
        accuracy=np.array(list(values.values())),
        sizes=np.zeros(len(values), dtype=np.int64),
    )
    try:
        return calibrate(sample, space=query.problem.space, prior=query.prior, seed=query.seed, pool=loop.pool)
    except InputError:  # layouts that the score cannot tell apart
        return None


def _loop(
    query: Query, candidates: Sequence[Candidate], values: Mapping[Layout, float]
) -> tuple[Loop, dict[int, float]]:
    """The search over these candidates, and what is known by their places."""
    pool = pool_of(candidates, query.problem, query.prior)
    places = {candidate.layout: place for place, candidate in enumerate(candidates)}
    observed = {places[layout]: value for layout, value in values.items()}
    return Loop(pool=pool, policy=query.policy, seed=query.seed), observed


def _without(candidates: Iterable[Candidate], failed: Iterable[Layout]) -> list[Candidate]:
    lost = set(failed)
    return [candidate for candidate in candidates if candidate.layout not in lost]
