"""Correlation coefficients with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parlay.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["Correlation", "correlate", "partial_correlate"]

RESAMPLES = 4_000
LEAST = 3


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """One coefficient.

    Attributes:
        method: ``spearman``, ``pearson`` or ``partial-spearman``.
        n: how many pairs it rests on.
        value: the coefficient, -1 to 1; None where it is not defined (a constant input, or fewer than 3 pairs).
        low, high: 95 % percentile bootstrap interval over the pairs; None where there is no value.
        p_value: share of random pairings, the real one counted in, with a coefficient at least as far from 0; None for
            the partial coefficient, whose pairings are not exchangeable.
    """

    method: str
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None

    def document(self) -> dict[str, Any]:
        """The coefficient as JSON values."""
        return {
            "method": self.method,
            "n": self.n,
            "value": self.value,
            "interval": None if self.low is None else [self.low, self.high],
            "level": 0.95,
            "p_value": self.p_value,
        }

    def __str__(self) -> str:
        if self.value is None:
            return f"not defined (n = {self.n})"
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        chance = "" if self.p_value is None else f", p = {self.p_value:.4f}"
        return f"{self.value:.2f}{interval} (n = {self.n}{chance})"


def correlate(xs: Sequence[float], ys: Sequence[float], *, method: str = "spearman", seed: int = 0) -> Correlation:
    """Spearman's or Pearson's coefficient of pairs, with a bootstrap interval and a permutation p-value.

    Pairs are resampled as wholes; ties get mean ranks, also within resamples. Below 20 pairs the interval is rough.

    Raises:
        InputError: for an unknown method, lists of different lengths, or numbers that are not finite.

    >>> found = correlate([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36])
    >>> found.value, found.p_value < 0.01
    (1.0, True)
    >>> print(correlate([1, 1, 1], [1, 2, 3]))
    not defined (n = 3)
    """
    if method not in ("spearman", "pearson"):
        raise InputError("method", given=repr(method), allowed="spearman, pearson")
    import numpy as np

    columns = _columns(xs, ys)
    prepare = _ranks if method == "spearman" else _same

    def coefficient(samples: FloatArray) -> FloatArray:  # variables, samples, pairs -> samples
        return _pearson(prepare(samples[0]), prepare(samples[1]))

    found = _estimate(method, columns, coefficient, seed)
    if found.value is None:
        return found
    draw = np.random.default_rng([seed, 1])
    as_far = 0
    for count in _portions(found.n):
        shuffled = draw.permuted(np.tile(columns[1], (count, 1)), axis=1)
        by_chance = np.abs(coefficient(np.stack([np.broadcast_to(columns[0], shuffled.shape), shuffled])))
        as_far += int((by_chance >= abs(found.value) - 1e-12).sum())
    return Correlation(
        method=method,
        n=found.n,
        value=found.value,
        low=found.low,
        high=found.high,
        p_value=(1 + as_far) / (1 + RESAMPLES),
    )


def partial_correlate(
    xs: Sequence[float], ys: Sequence[float], given: Sequence[float], *, seed: int = 0
) -> Correlation:
    """Rank correlation of x and y with what both share with a third quantity taken out.

    The first-order partial coefficient of the three Spearman coefficients: (xy - xz yz) / sqrt((1 - xz^2)(1 - yz^2)).

    Raises:
        InputError: for lists of different lengths, or numbers that are not finite.

    >>> partial_correlate([1, 2, 3, 4], [1, 3, 2, 4], [1, 2, 3, 4]).value is None
    True
    """

    def coefficient(samples: FloatArray) -> FloatArray:
        import numpy as np

        x, y, z = _ranks(samples)
        xy, xz, yz = _pearson(x, y), _pearson(x, z), _pearson(y, z)
        scale = (1 - xz**2) * (1 - yz**2)
        defined = scale > 1e-9
        return np.where(defined, (xy - xz * yz) / np.sqrt(np.where(defined, scale, 1.0)), np.nan)

    return _estimate("partial-spearman", _columns(xs, ys, given), coefficient, seed)


def _columns(*columns: Sequence[float]) -> FloatArray:
    """The inputs as one array: variables, pairs."""
    import numpy as np

    if len({len(column) for column in columns}) != 1:
        raise InputError("lists", given=" and ".join(str(len(c)) for c in columns), allowed="equal lengths")
    values = np.array(columns, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("numbers", given="some that are not finite", allowed="finite numbers")
    return values


def _estimate(
    method: str, columns: FloatArray, coefficient: Callable[[FloatArray], FloatArray], seed: int
) -> Correlation:
    """The coefficient and its percentile bootstrap interval; resamples in which it is not defined are left out."""
    import numpy as np

    n = columns.shape[1]
    value = float(coefficient(columns[:, None, :])[0]) if n >= LEAST else float("nan")
    if np.isnan(value):
        return Correlation(method=method, n=n, value=None)
    draw = np.random.default_rng([seed, 0])
    portions = [coefficient(columns[:, draw.integers(0, n, (count, n))]) for count in _portions(n)]
    resampled = np.concatenate(portions)
    resampled = resampled[~np.isnan(resampled)]
    low, high = (float(q) for q in np.quantile(resampled, (0.025, 0.975))) if len(resampled) else (None, None)
    return Correlation(method=method, n=n, value=value, low=low, high=high)


def _portions(n: int) -> Iterator[int]:
    """The resamples in portions of bounded memory."""
    size = max(1, 2_000_000 // n)
    for start in range(0, RESAMPLES, size):
        yield min(size, RESAMPLES - start)


def _ranks(samples: FloatArray) -> FloatArray:
    from scipy.stats import rankdata

    return rankdata(samples, axis=-1)


def _same(samples: FloatArray) -> FloatArray:
    return samples


def _pearson(xs: FloatArray, ys: FloatArray) -> FloatArray:
    """Pearson's coefficient along the last axis, nan where one of the two is constant."""
    import numpy as np

    dx = xs - xs.mean(-1, keepdims=True)
    dy = ys - ys.mean(-1, keepdims=True)
    constant = (np.ptp(xs, axis=-1) == 0) | (np.ptp(ys, axis=-1) == 0)
    scale = np.sqrt((dx**2).sum(-1) * (dy**2).sum(-1))
    scale = np.where(constant | (scale == 0), np.nan, scale)
    return np.clip((dx * dy).sum(-1) / scale, -1.0, 1.0)
