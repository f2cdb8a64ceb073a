"""Layouts to choose among, as a score and its weights see them; which of them to train next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.energy import Score, Terms
from parlay.errors import InputError
from parlay.evidence.posterior import Posterior, posterior, prior_only
from parlay.evidence.table import Population
from parlay.layout import WidthGroup, WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = [
    "POLICIES",
    "Loop",
    "Pool",
    "Recommendation",
    "find_policy",
    "log_log",
    "next_designs",
    "population_space",
    "prior_values",
    "reach_of",
    "space_of",
]

CONFIDENCE = 1.0
"""Standard deviations above the mean at which ``ucb`` looks."""

LOOKS = 48
"""Draws by which ``ucb`` and ``learn`` see the posterior."""


def log_log(widths: IntArray) -> FloatArray:
    """ln ln n; a width of 1 is taken for 1.5, since no model is fitted to minus infinity."""
    import numpy as np

    return np.log(np.log(np.maximum(widths, 1.5)))


def space_of(group_names: Sequence[str], layers: Sequence[int]) -> WidthSpace:
    """A space of these groups, about whose connections nothing is known."""
    groups = zip(group_names, layers, strict=True)
    return WidthSpace(groups=tuple(WidthGroup(name=name, multiplicity=count) for name, count in groups))


def population_space(population: Population) -> WidthSpace:
    """The groups of a population, with their connections where it knows them."""
    if population.structure is not None:
        return population.structure.space
    return space_of(population.group_names, population.layers)


def prior_values(score: Score, space: WidthSpace, widths: IntArray) -> FloatArray:
    """The score of every row of widths, (n,).

    Raises:
        InputError: when the score says nothing in this space, or is infinite.
    """
    import numpy as np

    terms: Terms = score.terms(space)
    total = np.zeros(len(widths))
    for g, parts in enumerate(terms.groups):
        for term in parts:
            total += term.values(widths[:, g])
    for (g, h), parts in terms.pairs.items():
        for term in parts:
            total += term.values(widths[:, g], widths[:, h])
    if not np.isfinite(total).all():
        raise InputError("networks", given="one of score minus infinity", allowed="widths of at least 2")
    if len(total) > 1 and np.ptp(total) < 1e-12:
        raise InputError(
            "score to start from", given=score.name, allowed="one that differs between the networks; try energy-layer"
        )
    return total


def reach_of(space: WidthSpace, features: FloatArray, prior: FloatArray) -> FloatArray:
    """r_g of ``posterior``, (g,): the root of the layers of every group, in units of the score.

    A unit of the score is taken for as much as a unit of energy-layer times the ratio of their standard deviations
    over these networks, so that a score that counts a layer half is not let go twice as far.

    Args:
        space: the groups.
        features: ln ln n less its mean, (n, g).
        prior: the score less its mean, (n,).
    """
    import numpy as np

    layers = np.array([group.multiplicity for group in space.groups], dtype=np.float64)
    energy = float((features @ layers).std())
    return np.sqrt(layers) * (float(prior.std()) / energy if energy > 0 else 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Layouts of one size to choose among.

    Attributes:
        features: ln ln n of every layout and group, less its mean, (K, g).
        prior: the score before calibration, less its mean, (K,).
        reach: by how much every weight may stray, in the score's units, (g,); see ``reach_of``.
        spread: standard deviation of ``prior``.
    """

    features: FloatArray
    prior: FloatArray
    reach: FloatArray
    spread: float

    @staticmethod
    def of(widths: IntArray, *, space: WidthSpace, score: Score) -> Pool:
        """The pool of these layouts, (K, g).

        Raises:
            InputError: for fewer than two layouts, or a score that cannot tell them apart.
        """
        if len(widths) < 2:
            raise InputError("layouts", given=len(widths), allowed="at least two to choose among")
        values, features = prior_values(score, space, widths), log_log(widths)
        features -= features.mean(axis=0)
        values -= values.mean()
        return Pool(
            features=features,
            prior=values,
            reach=reach_of(space, features, values),
            spread=float(values.std()),
        )

    def __len__(self) -> int:
        return len(self.prior)

    def learn(self, seen: IntArray, accuracy: FloatArray) -> Posterior:
        """The posterior after these layouts, (R, t), and their accuracies, (R, t)."""
        sets, count = seen.shape
        if count < 3:
            return prior_only(sets, reach=self.reach, spread=self.spread)
        features, prior = self.features[seen], self.prior[seen]
        return posterior(
            features - features.mean(axis=1, keepdims=True),
            prior - prior.mean(axis=1, keepdims=True),
            accuracy - accuracy.mean(axis=1, keepdims=True),
            reach=self.reach,
            spread=self.spread,
            freedom=count - 1,
        )

    def expected(self, found: Posterior) -> FloatArray:
        """Expected accuracy of every layout less the mean over all, (R, K)."""
        return found.scale[:, None] * self.prior + found.extra @ self.features.T

    def imagined(self, found: Posterior, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """The same as it may be: (R, S, K), with the variances of one run, (R, S)."""
        draws = found.draw(rng, count)
        return draws.scale[..., None] * self.prior + draws.extra @ self.features.T, draws.noise

    def gain(self, found: Posterior, index: int, other: int, *, seed: int = 0) -> tuple[float, float, float]:
        """What one layout should gain over another: the expected value and its 95 % interval."""
        import numpy as np

        values = self.expected(found)[0]
        draws = found.draw(np.random.default_rng([seed]), 2000)
        away = self.prior[index] - self.prior[other], self.features[index] - self.features[other]
        gains = draws.scale[0] * away[0] + draws.extra[0] @ away[1]
        low, high = np.quantile(gains, (0.025, 0.975))
        return float(values[index] - values[other]), float(low), float(high)


Policy = Callable[["Pool", Posterior, "IntArray", "np.random.Generator"], "FloatArray"]
"""How much every layout is worth training next, (R, K), after those seen, (R, t)."""


def _thompson(pool: Pool, found: Posterior, _seen: IntArray, rng: np.random.Generator) -> FloatArray:
    """One draw from the posterior: the layout that is best if the draw is true."""
    return pool.imagined(found, rng, 1)[0][:, 0]


def _upper_confidence(pool: Pool, found: Posterior, _seen: IntArray, rng: np.random.Generator) -> FloatArray:
    """Mean and one standard deviation."""
    values, _ = pool.imagined(found, rng, LOOKS)
    return values.mean(axis=1) + CONFIDENCE * values.std(axis=1)


def _learn(pool: Pool, found: Posterior, seen: IntArray, rng: np.random.Generator) -> FloatArray:
    """Variance that one run of the layout takes away from the comparisons among the layouts that may be best."""
    import numpy as np

    values, noise = pool.imagined(found, rng, LOOKS)  # R, S, K
    away = values - values.mean(axis=1, keepdims=True)
    contenders = np.take_along_axis(away, np.repeat(values.argmax(axis=2)[:, None, :], LOOKS, axis=1), axis=2)
    contenders -= contenders.mean(axis=2, keepdims=True)  # R, S, S: only differences between them matter
    known = np.stack([one[:, rows].mean(axis=1) for one, rows in zip(away, seen, strict=True)])
    news = away - known[..., None]  # an accuracy says something only beside those known
    shared = np.einsum("rsk,rsj->rkj", news, contenders) / LOOKS
    spoiled = news.var(axis=1) + noise.mean(axis=1)[:, None] * (1 + 1 / seen.shape[1])
    return (shared**2).mean(axis=2) / spoiled


POLICIES: dict[str, Policy] = {"thompson": _thompson, "ucb": _upper_confidence, "learn": _learn}
"""How the next layout is chosen, by name."""


def next_designs(pool: Pool, policy: str, known: Posterior, taken: IntArray, rng: np.random.Generator) -> IntArray:
    """The next layout to train of R searches at once, (R,): the score's best first, then the policy's.

    Args:
        pool: the layouts.
        policy: one of ``POLICIES``.
        known: the posterior after what was trained.
        taken: places in the pool of those trained or being trained, (R, t).
        rng: of the draws.
    """
    import numpy as np

    if not taken.shape[1]:
        return np.full(len(taken), int(pool.prior.argmax()))
    worth = find_policy(policy)(pool, known, taken, rng)
    np.put_along_axis(worth, taken, -np.inf, axis=1)
    return worth.argmax(axis=1)


def find_policy(name: str) -> Policy:
    """The policy of that name.

    Raises:
        InputError: when there is none.
    """
    if name not in POLICIES:
        raise InputError("policy", given=repr(name), allowed=", ".join(POLICIES))
    return POLICIES[name]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What a search recommends.

    Attributes:
        index: the layout's place in the pool.
        gain: expected accuracy above the score's own pick.
        low, high: 95 % interval of that.
    """

    index: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A search over a pool, ask and tell, with no state of its own: what was observed is given each time.

    Attributes:
        pool: the layouts.
        policy: one of ``POLICIES``.
        seed: of every choice.

    >>> import numpy as np
    >>> from parlay.energy import get_score
    >>> widths = np.array([(a, 60 - a) for a in range(10, 51)])
    >>> pool = Pool.of(widths, space=space_of(("a", "b"), (1, 1)), score=get_score("energy-layer"))
    >>> loop = Loop(pool=pool, seed=1)
    >>> first = loop.propose({})[0]
    >>> tuple(widths[first].tolist())
    (30, 30)
    >>> observed = {k: 90 + 0.02 * widths[k, 0] for k in (first, *loop.propose({first: 90.0}, count=11))}
    >>> loop.recommend(observed).gain >= 0
    True
    """

    pool: Pool
    policy: str = "thompson"
    seed: int = 0

    def propose(self, observed: Mapping[int, float], *, count: int = 1, first: Sequence[int] = ()) -> list[int]:
        """The next layouts to train, best first, as places in the pool; fewer when few are left.

        Args:
            observed: place in the pool -> accuracy, of those trained so far.
            count: how many; all of one call rest on the same observations.
            first: places to train before the policy chooses.
        """
        import numpy as np

        seen, accuracy = _columns(observed)
        known = self.pool.learn(seen, accuracy)
        for _ in range(min(count, len(self.pool) - len(observed))):
            rng = np.random.default_rng([self.seed, seen.shape[1]])
            due = [place for place in first if place not in seen[0]]
            following = np.array(due[:1]) if due else next_designs(self.pool, self.policy, known, seen, rng)
            seen = np.concatenate([seen, following[:, None]], axis=1)
        return [int(place) for place in seen[0, len(observed) :]]

    def recommend(self, observed: Mapping[int, float]) -> Recommendation:
        """The layout of highest expected accuracy, trained or not, and what it should gain over the score's pick."""
        found = self.pool.learn(*_columns(observed))
        best, first = int(self.pool.expected(found)[0].argmax()), int(self.pool.prior.argmax())
        gain, low, high = self.pool.gain(found, best, first, seed=self.seed)
        return Recommendation(index=best, gain=gain, low=low, high=high)

    def learned(self, observed: Mapping[int, float]) -> Posterior:
        """What is known after these accuracies, as a posterior of one data set."""
        return self.pool.learn(*_columns(observed))


def _columns(observed: Mapping[int, float]) -> tuple[IntArray, FloatArray]:
    """Places and accuracies as one data set: (1, t) each."""
    import numpy as np

    return np.array([list(observed)], dtype=np.int64), np.array([list(observed.values())], dtype=np.float64)
