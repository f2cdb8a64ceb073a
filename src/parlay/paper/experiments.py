"""The panels of the paper's figures as experiments: which layouts of which network on which data; and ours beside them.

No layout is typed in: learned ones come from the solver, sampled ones from the paper's tables as corrected by
``corrected``, the free-order ones from the sampler with a fixed seed, the matched pairs from a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, cached_property

from parlay.energy import SCORES
from parlay.errors import InputError, unknown
from parlay.families import Family, plain, resnet
from parlay.layout import Layout, Order
from parlay.paper.pairs import MatchedPair, matched_pairs
from parlay.paper.printed import read_rows
from parlay.paper.recompute import repairs
from parlay.problem import Status
from parlay.study import Kind

__all__ = ["EXPERIMENTS", "PanelLayout", "Experiment", "Role", "corrected", "get_experiment", "learned"]

LEARNED = 6
SAMPLED_FREE = 24
SAMPLE_SEED = 0
LEAST_WIDTH = 8
TOP, GIVEN = frozenset({Kind.TOP}), frozenset({Kind.GIVEN})
SIZES = {"cifar10": 10, "cifar100": 100}


class Role(StrEnum):
    """What a point stands for in the figure."""

    SAMPLED = "sampled"
    LEARNED = "learned"
    OTHER = "other optima"
    EXTRA = "not in the paper"


@dataclass(frozen=True, kw_only=True)
class PanelLayout:
    """A layout of a panel.

    Attributes:
        layout: channels per width group.
        role: blue (sampled), red (learned) or neither; the paper's claims are not judged by what is not in it.
        note: what the figure writes beside it; often nothing.
        kinds: why a study trains it; what was drawn, by us or by the paper, is a sample.
    """

    layout: Layout
    role: Role
    note: str = ""
    kinds: frozenset[Kind] = frozenset({Kind.SAMPLE})


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One panel.

    Attributes:
        name: as the command line calls it, such as ``3a``.
        figure: which figure it stands in.
        title: what it shows, in words.
        data: ``cifar10`` or ``cifar100``.
        family: the network but for its widths.
        kernels: the size, in the paper's unit.
        choose: works its layouts out, those to train first before the others.
        first: how many of them a run trains unless it is told otherwise; None: all.
        seeds: runs of each layout unless told otherwise.
    """

    name: str
    figure: str
    title: str
    data: str
    family: Family
    kernels: int
    choose: Callable[[], tuple[PanelLayout, ...]]
    first: int | None = None
    seeds: int = 1

    @cached_property
    def choices(self) -> tuple[PanelLayout, ...]:
        """The layouts, each once, those to train first before the others; what is in two lists has the kinds of both.

        >>> [choice.layout for choice in get_experiment("3b").choices[:2]], len(get_experiment("3b").choices)
        ([(35, 36, 37, 43), (33, 35, 37, 47)], 38)
        """
        found: dict[Layout, PanelLayout] = {}
        for choice in self.choose():
            first = found.setdefault(choice.layout, choice)
            found[choice.layout] = replace(first, kinds=first.kinds | choice.kinds)
        return tuple(found.values())

    @cached_property
    def members(self) -> frozenset[Layout]:
        """The layouts, for telling whether one is among them."""
        return frozenset(choice.layout for choice in self.choices)

    def pick(self, count: int | None = None, *, extremes: int | None = None) -> tuple[PanelLayout, ...]:
        """What a run is to train.

        Args:
            count: the first so many layouts; those that ``first`` says without one.
            extremes: instead, so many at the two ends of the energies, half of them (rounded up) at the upper end;
                of those that claims are judged by, not of those that the paper leaves out.

        Raises:
            InputError: for both, or a number below 1.

        >>> [choice.layout for choice in get_experiment("3a").pick(extremes=2)]
        [(36, 38, 74), (8, 8, 525)]
        """
        if count is not None and extremes is not None:
            raise InputError("layouts", given="--layouts and --extremes", allowed="one of the two")
        for what, number in (("--layouts", count), ("--extremes", extremes)):
            if number is not None and number < 1:
                raise InputError(what, given=number, allowed="an integer of at least 1")
        if extremes is None:
            return self.choices[: self.first if count is None else count]
        judged = [choice for choice in self.choices if choice.role is not Role.EXTRA]
        ranked = sorted(judged, key=lambda choice: -self.family.energy(choice.layout))
        upper = -(-extremes // 2)
        lower = min(extremes // 2, max(0, len(ranked) - upper))
        return (*ranked[:upper], *ranked[len(ranked) - lower :])


@cache
def learned(depth: int, kernels: int) -> tuple[Layout, ...]:
    """The six best strictly increasing plain layouts (Eq. 4), proven; Table 5 prints those of four layers.

    >>> learned(4, 4288)[-1]
    (28, 29, 32, 77)
    """
    return _best(plain(depth=depth), kernels, LEARNED)


@cache
def corrected(table: str, budget: int) -> tuple[Layout, ...]:
    """The layouts that a table means: a misprint is the one layout of the right size one width away, repeats go.

    >>> corrected("table1-three-conv", 4288)[-1], len(corrected("table1-four-conv", 4288))
    ((39, 43, 58), 32)
    """
    meant: dict[Layout, None] = {}
    for row in read_rows():
        if row.table == table and row.budget == budget:
            fits = row.network.kernels(row.layout) == budget
            for layout in (row.layout,) if fits else repairs(row):
                meant[layout] = None
    return tuple(meant)


def get_experiment(name: str) -> Experiment:
    """The panel of that name.

    Raises:
        InputError: when there is none, with the nearest name.
    """
    if name not in EXPERIMENTS:
        raise unknown("panel", name, EXPERIMENTS)
    return EXPERIMENTS[name]


def _best(
    family: Family, kernels: int, count: int, *, order: Order = Order.INCREASING, score: str | None = None
) -> tuple[Layout, ...]:
    from parlay.solver import solve

    result = solve(family.problem(kernels=kernels, order=order, score=score), top_k=count)
    assert result.status is Status.OPTIMAL
    return tuple(solution.layout for solution in result.solutions)


def _spread(family: Family, layouts: Sequence[Layout]) -> list[Layout]:
    """All of them, ordered so that every beginning of the list covers the energies as evenly as it can.

    Lowest energy first, then again and again the one whose energy is farthest from all before it.
    """
    import math

    energy = {layout: math.exp(family.energy(layout)) for layout in layouts}
    left = sorted(layouts, key=lambda layout: (energy[layout], layout))
    order = [left.pop(0)] if left else []
    while left:
        distance = [min(abs(energy[layout] - energy[taken]) for taken in order) for layout in left]
        order.append(left.pop(distance.index(max(distance))))
    return order


def _printed(
    family: Family, table: str, kernels: int, *, narrow: bool = False
) -> Callable[[], tuple[PanelLayout, ...]]:
    """The six best, then the paper's list and, where asked for, the strict layouts that it leaves out (n_1 < 8)."""

    def choose() -> tuple[PanelLayout, ...]:
        from parlay.solver import list_layouts

        best = learned(len(family.group_names), kernels)
        red = tuple(PanelLayout(layout=layout, role=Role.LEARNED, kinds=TOP) for layout in best)
        blue = _spread(family, corrected(table, kernels))
        every = list_layouts(family.problem(kernels=kernels)) if narrow else []
        extra = [solution.layout for solution in every if solution.layout[0] < LEAST_WIDTH]
        return (
            *red,
            *(PanelLayout(layout=layout, role=Role.SAMPLED) for layout in blue),
            *(PanelLayout(layout=layout, role=Role.EXTRA, kinds=GIVEN) for layout in extra),
        )

    return choose


def _residual(family: Family) -> Callable[[], tuple[PanelLayout, ...]]:
    def choose() -> tuple[PanelLayout, ...]:
        return tuple(
            PanelLayout(layout=layout, role=Role.SAMPLED) for layout in _spread(family, corrected("table4", 51_248))
        )

    return choose


def _free(family: Family, kernels: int) -> Callable[[], tuple[PanelLayout, ...]]:
    """The optimum of every score, in free order and increasing, then 24 layouts drawn uniformly in free order."""

    def choose() -> tuple[PanelLayout, ...]:
        from parlay.solver import Sampler

        optima: dict[Layout, list[str]] = {}
        for order in (Order.FREE, Order.INCREASING):
            for score in SCORES:
                [layout] = _best(family, kernels, 1, order=order, score=score)
                optima.setdefault(layout, []).append(f"{score}, {order}")
        [energy] = _best(family, kernels, 1, order=Order.FREE)
        sampler = Sampler(family.problem(kernels=kernels, order=Order.FREE, min_width=LEAST_WIDTH))
        drawn = sampler.draw(SAMPLED_FREE, seed=SAMPLE_SEED)
        return (
            *(
                PanelLayout(
                    layout=layout,
                    role=Role.LEARNED if layout == energy else Role.OTHER,
                    note=_shortened(notes),
                    kinds=TOP,
                )
                for layout, notes in optima.items()
            ),
            *(PanelLayout(layout=layout, role=Role.SAMPLED) for layout in drawn),
        )

    return choose


def _shortened(notes: Sequence[str]) -> str:
    """What a layout is the optimum of; energy-group and energy-layer are one score where each group is one layer."""
    names = [note.replace("energy-group", "energy") for note in notes if not note.startswith("energy-layer")]
    return "; ".join(names or notes)


def _pairs() -> tuple[PanelLayout, ...]:
    """Both layouts of each pair; of each sort of pairs the cheap ones first, for a run that is cut short."""
    family = plain(depth=4)

    def cost(pair: MatchedPair) -> tuple[str, int]:
        return pair.differs, family.macs(pair.high) + family.macs(pair.low)

    ordered = sorted(matched_pairs(), key=cost)
    return tuple(
        PanelLayout(layout=layout, role=Role.SAMPLED, kinds=GIVEN)
        for pair in ordered
        for layout in (pair.high, pair.low)
    )


def _panels() -> tuple[Experiment, ...]:
    found: list[Experiment] = []
    words: dict[int | str, str] = {3: "three layers", 4: "four layers", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
    for figure, kernels, table in (("3", 4288, "table1"), ("4", 66_304, "table2")):
        for letter, (data, depth) in zip(
            "abcd", ((data, depth) for data in SIZES for depth in (3, 4)), strict=True
        ):  # rows CIFAR-10 and CIFAR-100, columns three and four layers
            family = plain(depth=depth, classes=SIZES[data])
            name = f"{table}-{'three' if depth == 3 else 'four'}-conv"
            found.append(
                Experiment(
                    name=figure + letter,
                    figure=f"Figure {figure}",
                    title=f"{words[depth]}, {words[data]}",
                    data=data,
                    family=family,
                    kernels=kernels,
                    choose=_printed(family, name, kernels, narrow=(depth, kernels) == (3, 4288)),
                    # Ten minutes a run at this size: the six best and eight spread over the energies come first.
                    first=14 if figure == "4" else None,
                )
            )
    for letter, data in zip("ab", SIZES, strict=True):
        family = resnet(depth=32, classes=SIZES[data])
        found.append(
            Experiment(
                name=f"5{letter}",
                figure="Figure 5",
                title=f"ResNet-32, {words[data]}",
                data=data,
                family=family,
                kernels=51_248,
                choose=_residual(family),
            )
        )
    found += [
        Experiment(
            name=f"free{depth}",
            figure="Free order",
            title=f"{words[depth]} in free order, CIFAR-10",
            data="cifar10",
            family=plain(depth=depth),
            kernels=4288,
            choose=_free(plain(depth=depth), 4288),
        )
        for depth in (3, 4)
    ]
    found.append(
        Experiment(
            name="pairs",
            figure="Matched pairs",
            title="four layers in free order, matched pairs, CIFAR-10",
            data="cifar10",
            family=plain(depth=4),
            kernels=4288,
            choose=_pairs,
            seeds=3,
        )
    )
    return tuple(found)


EXPERIMENTS: dict[str, Experiment] = {panel.name: panel for panel in _panels()}
"""Every panel by name, the paper's in its order, then ours."""
