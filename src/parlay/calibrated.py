"""A score with fitted weights, read from the file that ``parlay calibrate`` writes.

The weights stand for the multiplicities of the energy: sum over groups of a_g ln ln n_g, beside whatever other terms
the score it was fitted from has. It stays a sum of terms, so the solver maximises it exactly.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

from parlay.documents import SCHEMA_VERSION, portable
from parlay.energy import GroupTerm, LogLog, Score, Terms, get_score
from parlay.errors import InputError
from parlay.formal import FormalSum, lnln
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["CalibratedScore", "GroupWeight", "WeightedLogLog", "load", "read_weights"]

KIND = "parlay weights"
DIGITS = 6
"""Decimals of a weight that count; exact ties are decided on the weights as they are rounded."""


@final
@dataclass(frozen=True)
class WeightedLogLog(GroupTerm):
    """weight x ln ln n; -inf at n = 1 whatever the sign, so that a layer of one kernel never pays.

    >>> import numpy as np
    >>> term = WeightedLogLog(Fraction(-1, 2))
    >>> term.values(np.array([1, 3])).round(6).tolist(), term.upper(np.array([1]), np.array([9])).round(6).tolist()
    ([-inf, -0.047024], [0.183256])
    """

    weight: Fraction

    @property
    def count(self) -> float:
        """The weight as a float: what stands before ln ln n."""
        return float(self.weight)

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(widths > 1, self.count * np.log(np.log(widths)), -np.inf)

    def upper(self, low: IntArray, high: IntArray) -> FloatArray:
        import numpy as np

        return np.maximum(self.values(np.minimum(np.maximum(low, 2), high)), self.values(high))

    def slopes(self, width: float) -> tuple[float, float] | None:
        if self.weight <= 0:  # convex in ln n: no optimum to start from
            return None
        logarithm = math.log(max(width, 1.5))
        return self.count / logarithm, -self.count / logarithm**2

    def formal(self, width: int) -> FormalSum | None:
        return None if width == 1 else lnln(width, self.weight)


@dataclass(frozen=True, kw_only=True)
class GroupWeight:
    """The weight of one group.

    Attributes:
        group: its name where it was fitted.
        layers: how many layers the width sets there.
        prior: what the score before calibration puts before ln ln n.
        weight: what the calibrated one puts there.
        low, high: 95 % interval of that, where it is known.
    """

    group: str
    layers: int
    prior: float
    weight: float
    low: float | None
    high: float | None


@final
class CalibratedScore(Score):
    """The terms of a score, with other weights before ln ln n.

    >>> from parlay.layout import WidthGroup
    >>> known = {"layers": 1, "prior": 1.0, "low": None, "high": None}
    >>> weights = [GroupWeight(group=name, weight=weight, **known) for name, weight in (("a", 2.0), ("b", 0.5))]
    >>> score = CalibratedScore(name="mine", prior="energy-layer", weights=weights)
    >>> space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")))
    >>> round(score.terms(space)((8, 16)), 6) == round(2 * math.log(math.log(8)) + 0.5 * math.log(math.log(16)), 6)
    True
    """

    source = "parlay calibrate; Liao et al. 2017, Eq. 2-3, with a weight for every group"
    summary = "sum over width groups of a_g ln ln n, a_g fitted to trained networks"

    def __init__(self, *, name: str, prior: str, weights: Sequence[GroupWeight], warnings: Sequence[str] = ()) -> None:
        self.name = name
        self.prior = get_score(prior)
        self.weights = tuple(weights)
        self.warnings = tuple(warnings)

    @property
    def digest(self) -> str:
        """SHA-256 of what it computes: scores of two files of one name are told apart by it."""
        weights = [[weight.layers, weight.prior, weight.weight] for weight in self.weights]
        return hashlib.sha256(json.dumps([self.prior.name, weights]).encode()).hexdigest()

    def terms(self, space: WidthSpace) -> Terms:
        """The terms in a space of the same groups.

        Raises:
            InputError: when the space has other groups than those the weights were fitted for.
        """
        if len(space) != len(self.weights):
            raise self._mismatch(f"{len(self.weights)} groups", f"{len(space)} groups")
        before = self.prior.terms(space)
        groups: list[tuple[GroupTerm, ...]] = []
        for group, weight, terms in zip(space.groups, self.weights, before.groups, strict=True):
            if group.multiplicity != weight.layers:
                raise self._mismatch(
                    f"{weight.layers} layers in {weight.group}", f"{group.multiplicity} layers in {group.name}"
                )
            count = math.fsum(term.count for term in terms if isinstance(term, LogLog))
            added = WeightedLogLog(_exact(count + weight.weight - weight.prior))
            groups.append((*(term for term in terms if not isinstance(term, LogLog)), added))
        return Terms(groups=tuple(groups), pairs=before.pairs)

    def _mismatch(self, fitted: str, found: str) -> InputError:
        return InputError(
            f"score {self.name}",
            given=f"a network with {found}",
            allowed=f"one like those it was fitted to, with {fitted}",
            remedy="calibrate on trials of this network",
        )


def _exact(weight: float) -> Fraction:
    """The weight, rounded, as a ratio of integers."""
    return Fraction(round(weight * 10**DIGITS), 10**DIGITS)


def load(name: str) -> Score:
    """The score ``calibrated:FILE``, called by the file without the user's folders."""
    kind, _, file = name.partition(":")
    return read_weights(Path(file), name=f"{kind}:{portable(file)}")


def read_weights(path: Path, *, name: str | None = None) -> CalibratedScore:
    """Read the file that ``parlay calibrate`` writes.

    Args:
        path: the file.
        name: how the score is called; the file's name where None.

    Raises:
        InputError: when the file cannot be read or holds something else.
    """
    remedy = "write it with 'parlay calibrate STUDY --out weights.json'"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"{error.strerror}; {remedy}"
        raise InputError("weights", given=str(path), allowed="a file that can be read", remedy=reason) from None
    except (ValueError, RecursionError):
        raise InputError("weights", given=str(path), allowed="a JSON file of weights", remedy=remedy) from None
    if not isinstance(content, dict) or cast("dict[str, Any]", content).get("kind") != KIND:
        raise InputError("weights", given=str(path), allowed=f"a file with kind {KIND!r}", remedy=remedy)
    found = cast("dict[str, Any]", content)
    if found.get("schema_version") != SCHEMA_VERSION:
        version = found.get("schema_version")
        raise InputError(f"{path}: schema_version", given=version, allowed=str(SCHEMA_VERSION), remedy=remedy)
    entries: list[Any] = list(cast("Any", found.get("weights"))) if isinstance(found.get("weights"), list) else []
    if not entries:
        given = repr(found.get("weights"))[:40]
        raise InputError(f"{path}: weights", given=given, allowed="one entry a group", remedy=remedy)
    weights = [_weight(path, entry) for entry in entries]
    said: list[Any] = list(cast("Any", found.get("warnings"))) if isinstance(found.get("warnings"), list) else []
    prior = str(found.get("prior"))
    return CalibratedScore(name=name or path.name, prior=prior, weights=weights, warnings=[str(text) for text in said])


def _weight(path: Path, entry: Any) -> GroupWeight:
    values: dict[str, Any] = dict(cast("Any", entry)) if isinstance(entry, dict) else {}
    group, layers = values.get("group"), values.get("layers")
    prior, weight = _number(values.get("prior")), _number(values.get("weight"))
    if not isinstance(group, str) or type(layers) is not int or prior is None or weight is None:
        allowed = "group, layers, prior and weight, the last two finite numbers below a million"
        raise InputError(f"{path}: weights", given=repr(values)[:80], allowed=allowed)
    ends: list[Any] = list(cast("Any", values.get("interval"))) if isinstance(values.get("interval"), list) else []
    low, high = map(_number, ends) if len(ends) == 2 else (None, None)
    return GroupWeight(group=group, layers=layers, prior=prior, weight=weight, low=low, high=high)


def _number(value: Any) -> float | None:
    """The value as a float if it is a number that a weight may be."""
    fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6  # NaN is not below
    return float(value) if fine else None
