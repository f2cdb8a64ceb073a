"""The registry of scores: what ranks the layouts of a network before any of them is trained.

Higher predicts better, for every score. Some are sums of terms that ``parlay solve`` maximises exactly
(``objective``); the others only rank what they are given. ``score`` takes one layout, ``score_values`` whole tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from parlay.energy import RECOMMENDED, SCORES, Score
from parlay.errors import InputError, unknown
from parlay.layout import Layout, WidthSpace
from parlay.network import ConvolutionShape, Network
from parlay.resources import Resource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from parlay.data import Dataset
    from parlay.evidence.population import Population

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

__all__ = [
    "NEEDS",
    "Predictor",
    "applicable",
    "default_scores",
    "effectiveness",
    "needs_of",
    "predictors",
    "score",
    "score_values",
]

NEEDS = {
    "widths": "the layout",
    "layers": "how many layers every width sets",
    "connections": "which layers read and write which widths",
    "steps": "which outputs meet a nonlinearity, and what leads from one to the next",
    "convolutions": "kernel sizes, groups and resolutions of the convolutions",
    "params": "the number of parameters",
    "macs": "the number of multiply-adds",
    "peak memory": "the peak activation memory",
    "network": "a network that can be built, from one image to logits",
}
"""What a score may need, in words."""

LAST_STAGE_WEIGHT = 8.0
"""alpha of the last stage; 1 for the others (DeepMAD: (1, 1, 1, 1, 8) for five stages)."""


@dataclass(frozen=True, kw_only=True)
class LayoutColumns:
    """Layouts of one network as columns.

    Attributes:
        widths: (n, groups).
        space: width groups; how many layers each sets and what leads from one to another where that is known.
        is_bare: whether it is not.
        convolutions: every convolution in the order of the forward pass; none where they are not known.
        params, macs, peak_memory: (n,), or None where they are not known.
    """

    widths: IntArray
    space: WidthSpace
    is_bare: bool
    convolutions: tuple[ConvolutionShape, ...]
    params: IntArray | None
    macs: IntArray | None
    peak_memory: IntArray | None

    def lacks(self, need: str) -> bool:
        """Whether this is not known of them; a network is none of their business."""
        return {
            "layers": self.is_bare,
            "connections": not self.space.connections,
            "steps": not self.space.steps,
            "convolutions": not self.convolutions,
            "params": self.params is None,
            "macs": self.macs is None,
            "peak memory": self.peak_memory is None,
        }.get(need, False)


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A score in the registry.

    Attributes:
        name: how the command line calls it.
        needs: keys of ``NEEDS``.
        source: where it is defined.
        summary: what it is, in one line.
        objective: whether ``parlay solve --score`` can maximise it.
        values: the score of many layouts, (n,); None for scores of a built network.
    """

    name: str
    needs: tuple[str, ...]
    source: str
    summary: str
    objective: bool = False
    values: Callable[[LayoutColumns], FloatArray] | None = None

    @property
    def recommended(self) -> bool:
        """Whether this is the one to use where nothing else is known."""
        return self.name == RECOMMENDED


def _terms(rows: LayoutColumns, objective: Score) -> FloatArray:
    """A sum of terms at every row."""
    import numpy as np

    terms = objective.terms(rows.space)
    total = np.zeros(len(rows.widths))
    for g, parts in enumerate(terms.groups):
        for part in parts:
            total += part.values(rows.widths[:, g])
    for (g, h), pairs in terms.pairs.items():
        for pair in pairs:
            total += pair.values(rows.widths[:, g], rows.widths[:, h])
    return total


def _amount(rows: LayoutColumns, name: str) -> FloatArray:
    """A known amount as a score."""
    import numpy as np

    return np.asarray(getattr(rows, name), dtype=np.float64)


def _narrowest(rows: LayoutColumns) -> FloatArray:
    return rows.widths.min(axis=1).astype(float)


def _linear(resource: Resource, widths: IntArray) -> FloatArray:
    """A linear resource at every row, (n,)."""
    import numpy as np

    return (resource.constant + widths @ np.array(resource.linear)) / resource.divisor


def _trunk(convolutions: Iterable[ConvolutionShape]) -> list[ConvolutionShape]:
    """Convolutions whose resolution none after them exceeds: without the gates of squeeze-and-excitation."""
    kept: list[ConvolutionShape] = []
    largest = 0
    for conv in reversed(tuple(convolutions)):
        if conv.pixels >= largest:
            kept.append(conv)
            largest = conv.pixels
    return kept[::-1]


def _entropy(rows: LayoutColumns) -> FloatArray:
    """Sum over stages of alpha ln(r^2 c) x the sum, over all layers from the input to its last, of ln(c k^2 / g)."""
    import numpy as np

    trunk = _trunk(rows.convolutions)
    total, sum_of_logs = np.zeros(len(rows.widths)), np.zeros(len(rows.widths))
    for place, conv in enumerate(trunk):
        sum_of_logs = sum_of_logs + np.log(_linear(conv.fan_in, rows.widths))
        is_last = place + 1 == len(trunk)
        if is_last or trunk[place + 1].pixels != conv.pixels:
            alpha = LAST_STAGE_WEIGHT if is_last else 1.0
            total += alpha * np.log(conv.pixels * _linear(conv.outputs, rows.widths)) * sum_of_logs
    return total


def _effectiveness(rows: LayoutColumns) -> FloatArray:
    import numpy as np

    trunk = _trunk(rows.convolutions)
    logs = [np.log(_linear(conv.fan_in, rows.widths)) for conv in trunk]
    return len(trunk) / np.exp(np.mean(logs, axis=0))


_OWN = (
    Predictor(
        name="params",
        needs=("params",),
        source="the size itself; says nothing at exactly one size",
        summary="all parameters of the network",
        values=partial(_amount, name="params"),
    ),
    Predictor(
        name="macs",
        needs=("macs",),
        source="the cost itself; convolutions and linear layers (docs/counting.md)",
        summary="multiply-adds for one image",
        values=partial(_amount, name="macs"),
    ),
    Predictor(
        name="peak-memory",
        needs=("peak memory",),
        source="the cost itself; bytes of int8 (docs/counting.md)",
        summary="most activation memory live at once",
        values=partial(_amount, name="peak_memory"),
    ),
    Predictor(
        name="min-width",
        needs=("widths",),
        source="parlay; the bottleneck alone",
        summary="the smallest width",
        values=_narrowest,
    ),
    Predictor(
        name="entropy",
        needs=("widths", "convolutions"),
        source="Shen et al. 2023 (DeepMAD), the paper's form, not its code's; without the penalty for uneven depths",
        summary="sum over stages of alpha ln(r^2 c) x sum over layers so far of ln(c_in k^2 / g)",
        values=_entropy,
    ),
    Predictor(
        name="grad-norm",
        needs=("network",),
        source="Abdelfattah et al. 2021",
        summary="sum over layers of the norm of the loss's gradient at initialisation",
    ),
    Predictor(
        name="synflow",
        needs=("network",),
        source="Tanaka et al. 2020; summed over the network by Abdelfattah et al. 2021",
        summary="sum over weights of |w dR/dw|, R the output of the network of absolute weights for ones",
    ),
    Predictor(
        name="naswot",
        needs=("network",),
        source="Mellor et al. 2021",
        summary="ln det of the matrix that counts ReLUs which two images switch alike",
    ),
)


def predictors() -> dict[str, Predictor]:
    """Every score by name: the objectives of ``parlay.energy`` first.

    >>> [name for name, one in predictors().items() if one.recommended]
    ['step-energy']
    """
    objectives = [
        Predictor(
            name=name,
            needs=one.needs,
            source=one.source,
            summary=one.summary,
            objective=True,
            values=partial(_terms, objective=one),
        )
        for name, one in SCORES.items()
    ]
    return {one.name: one for one in (*objectives, *_OWN)}


def get_predictor(name: str) -> Predictor:
    """The score of that name.

    Raises:
        InputError: when there is none, with the nearest name.
    """
    known = predictors()
    if name not in known:
        raise unknown("score", name, known, "see 'parlay scores'")
    return known[name]


def _rows_of(network: Network, layout: Layout) -> LayoutColumns:
    import numpy as np

    return LayoutColumns(
        widths=np.array([layout]),
        space=network.space,
        is_bare=False,
        convolutions=network.convolution_shapes,
        params=np.array([network.params(layout)]),
        macs=np.array([network.macs(layout)]),
        peak_memory=np.array([network.peak_activation_bytes()(layout)]),
    )


def _missing(one: Predictor, network: Network) -> str | None:
    """The first thing that a score needs and the network lacks."""
    lacks = {
        "connections": not network.space.connections,
        "steps": not network.space.steps,
        "convolutions": not network.convolution_shapes,
        "network": network.input_shape is None,
    }
    return next((need for need in one.needs if lacks.get(need, False)), None)


def _refuse(one: Predictor, need: str) -> InputError:
    return InputError(
        f"score {one.name}",
        given=f"nothing that says {NEEDS[need]}" if need != "network" else "no network to look at",
        allowed=f"networks with {', '.join(NEEDS[each] for each in one.needs)}",
        remedy="name the model of a table with --model, or see 'parlay scores' for scores that need less",
    )


def applicable(network: Network) -> list[str]:
    """Names of the scores whose needs the network meets.

    >>> from parlay.families import plain
    >>> "entropy" in applicable(plain(3))
    True
    """
    return [name for name, one in predictors().items() if _missing(one, network) is None]


def score(
    name: str,
    network: Network,
    layout: Sequence[int],
    *,
    data: Dataset | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> float:
    """One score of one layout; higher predicts better.

    Args:
        name: a name of ``parlay scores``.
        network: a family, or a traced model.
        layout: its widths.
        data: images for the scores that look at some; a batch of noise without them.
        batch_size: images in that batch; 64 where nothing is said.
        seed: draws the network's weights and the batch, for scores of a built network.

    Raises:
        InputError: for an unknown name, a layout that does not fit, or something the score needs and the network lacks.

    >>> import math
    >>> from parlay.families import plain
    >>> layout = (35, 36, 37, 43)
    >>> score("min-width", plain(4), layout), round(math.exp(score("energy-layer", plain(4), layout)), 4)
    (35.0, 173.0358)
    """
    one, widths = get_predictor(name), network.check(layout)
    need = _missing(one, network)
    if need is not None:
        raise _refuse(one, need)
    if one.values is not None:
        return float(one.values(_rows_of(network, widths))[0])
    from parlay.evidence.networks import BATCH_SIZE, network_score

    return network_score(name, network, widths, data=data, batch_size=batch_size or BATCH_SIZE, seed=seed)


def default_scores(population: Population) -> tuple[str, ...]:
    """Every score that a table has what it needs for."""
    return tuple(name for name, need in needs_of(population).items() if need is None)


def needs_of(population: Population) -> dict[str, str | None]:
    """Every score of widths, with the first thing that it needs and the population lacks, in words."""
    rows = _table_rows(population)
    lacking = {
        name: next(filter(rows.lacks, one.needs), None) for name, one in predictors().items() if one.values is not None
    }
    return {name: None if need is None else NEEDS[need] for name, need in lacking.items()}


def _table_rows(population: Population) -> LayoutColumns:
    return LayoutColumns(
        widths=population.widths,
        space=population.space,
        is_bare=population.structure is None,
        convolutions=population.convolutions,
        params=population.params,
        macs=population.macs,
        peak_memory=population.peak_memory,
    )


def score_values(name: str, population: Population) -> FloatArray:
    """One score of every network of a table, (n,), higher predicts better; scores of built networks are not
    among them. -inf is legal (an energy with a width of 1).

    Args:
        name: a name of ``parlay scores``.
        population: the networks.

    Raises:
        InputError: for an unknown name, or something the score needs and is not there.
    """
    one = get_predictor(name)
    rows = _table_rows(population)
    need = next((need for need in one.needs if rows.lacks(need) or need == "network"), None)
    if need is not None or one.values is None:
        raise _refuse(one, need or "network")
    return one.values(rows)


def effectiveness(network: Network, layout: Sequence[int]) -> float:
    """DeepMAD's rho = L / (prod w_i)^(1/L), w_i = c_i k_i^2 / g_i: depth over the geometric mean of the fan-ins.

    Shen et al. (2023) keep it below a limit of 0.3 to 0.5, since entropy alone would make networks too deep to train.

    Raises:
        InputError: for a layout that does not fit, or when the convolutions are not known.

    >>> from parlay.families import plain
    >>> round(effectiveness(plain(2, in_channels=1), (4, 7)), 6)  # fan-ins 9 and 36
    0.111111
    """
    rows = _rows_of(network, network.check(layout))
    if rows.lacks("convolutions"):
        raise _refuse(get_predictor("entropy"), "convolutions")
    return float(_effectiveness(rows)[0])
