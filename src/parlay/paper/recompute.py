"""Works the paper's numbers out again: sizes by the exact polynomial, energies by Eq. 3, optima by the solver.

Nothing here knows what is expected; a finding is whatever the printed tables and the recomputation disagree on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from math import exp

from parlay.families import Family, plain, resnet
from parlay.layout import Layout, Order, format_layout
from parlay.paper.enumerate import nondecreasing_layouts
from parlay.paper.printed import PrintedPanel, PrintedRow, panel_rows
from parlay.problem import Result, Solution
from parlay.solver import list_layouts, solve

__all__ = ["Enumerations", "Finding", "claim_findings", "compare_decimals", "panel_findings", "repairs"]

LEARNED = 6
"""Layouts that Table 5 lists for each size."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place where print and recomputation part.

    Attributes:
        where: title of the panel, or section of the text.
        kind: what is wrong: budget, repeat, equal-neighbours, decreasing, energy, truncated, layers, number, rank
            or claim.
        printed: what the paper says.
        recomputed: what comes out.
    """

    where: str
    kind: str
    printed: str
    recomputed: str


@dataclass(frozen=True, kw_only=True)
class Enumerations:
    """Complete lists and proven optima of the paper's problems, each worked out once, when first asked for."""

    _lists: dict[tuple[Family, int, Order], tuple[Solution, ...]] = field(
        default_factory=dict[tuple[Family, int, Order], tuple[Solution, ...]]
    )
    _results: dict[tuple[int, int], Result] = field(default_factory=dict[tuple[int, int], Result])
    _agreements: dict[tuple[Family, int], bool] = field(default_factory=dict[tuple[Family, int], bool])

    def weak(self, family: Family, budget: int) -> tuple[Solution, ...]:
        """Every layout with n_i <= n_{i+1} of exactly ``budget`` kernels, best first; widths of 1 included."""
        key = (family, budget, Order.NONDECREASING)
        if key not in self._lists:
            problem = family.problem(kernels=budget, order=Order.NONDECREASING)
            layouts = nondecreasing_layouts(family.kernels, budget)
            solutions = [problem.solution(layout) for layout in layouts]
            self._lists[key] = tuple(sorted(solutions, key=lambda s: (-s.log_energy, s.layout)))
        return self._lists[key]

    def strict(self, family: Family, budget: int) -> tuple[Solution, ...]:
        """Those with n_i < n_{i+1}, as Eq. 3 demands."""
        key = (family, budget, Order.INCREASING)
        if key not in self._lists:
            self._lists[key] = tuple(s for s in self.weak(family, budget) if _rises(s.layout))
        return self._lists[key]

    def solver_agrees(self, family: Family, budget: int) -> bool:
        """Whether the solver lists the same layouts as the division does."""
        key = (family, budget)
        if key not in self._agreements:
            listed = list_layouts(family.problem(kernels=budget, order=Order.NONDECREASING))
            self._agreements[key] = [s.layout for s in listed] == [s.layout for s in self.weak(family, budget)]
        return self._agreements[key]

    def best(self, depth: int, budget: int) -> Result:
        """The six best strictly increasing plain layouts, proven (Eq. 4): by the solver, not by enumeration."""
        key = (depth, budget)
        if key not in self._results:
            self._results[key] = solve(plain(depth=depth).problem(kernels=budget), top_k=LEARNED)
        return self._results[key]

    def plain_counts(self, depth: int, budget: int) -> tuple[int, int]:
        """Number of strictly and of weakly increasing plain layouts."""
        family = plain(depth=depth)
        return len(self.strict(family, budget)), len(self.weak(family, budget))

    def resnet_counts(self, budget: int) -> tuple[int, int]:
        """The same for ResNet-32."""
        family = resnet(depth=32)
        return len(self.strict(family, budget)), len(self.weak(family, budget))


def panel_findings(panel: PrintedPanel, rows: tuple[PrintedRow, ...], solved: Enumerations) -> Iterator[Finding]:
    """Everything one panel prints that does not come out again."""
    mine = panel_rows(panel, rows)

    def finding(kind: str, printed: object, recomputed: object) -> Finding:
        return Finding(where=panel.title, kind=kind, printed=str(printed), recomputed=str(recomputed))

    if len(mine) != panel.number:
        yield finding("number", f"{panel.number} layouts", f"{len(mine)} are listed")
    depths = sorted({len(row.layout) for row in mine})
    if panel.layers is not None and depths != [panel.layers]:
        yield finding(
            "layers", f"{panel.layers} convolutions", f"{', '.join(map(str, depths)) or 'no'} widths a layout"
        )
    for row in mine:
        name, kernels = format_layout(row.layout), row.network.kernels(row.layout)
        if kernels != row.budget:
            yield finding(
                "budget", name, f"{kernels} kernels, not {row.budget}; one width changed: {_names(repairs(row))}"
            )
        if any(a > b for a, b in pairwise(row.layout)):
            yield finding("decreasing", name, "some n_i > n_(i+1)")
        elif not _rises(row.layout):
            yield finding("equal-neighbours", name, "equal neighbours, which Eq. 3 excludes")
        if row.energy:
            energy = exp(row.network.energy(row.layout))
            kind = compare_decimals(row.energy, energy)
            if kind:
                yield finding(kind, f"{name}: {row.energy}", f"{energy:.4f}")
    for layout, times in Counter(row.layout for row in mine).items():
        if times > 1:
            yield finding("repeat", format_layout(layout), f"listed {times} times")
    if panel.learned:
        best = solved.best(4, panel.budget).solutions
        for rank, (row, solution) in enumerate(zip(mine, best, strict=False), start=1):
            if row.layout != solution.layout:
                yield finding(
                    "rank", f"{rank}. {format_layout(row.layout)}", f"{rank}. {format_layout(solution.layout)}"
                )


def claim_findings(rows: tuple[PrintedRow, ...], solved: Enumerations) -> Iterator[Finding]:
    """Two sentences of the text that numbers contradict."""
    sized = [row for row in rows if row.family == "plain" and _of_size(row, 4, 4288)]
    ranked = sorted(sized, key=lambda row: row.network.energy(row.layout))
    ends = [(row.network.macs(row.layout), format_layout(row.layout)) for row in ranked[:1] + ranked[-1:]]
    if ends and ends[0][0] != ends[-1][0]:
        yield Finding(
            where="section 1",
            kind="claim",
            printed="parameters are proportional to computation",
            recomputed="at 4288 kernels " + ", ".join(f"{name} takes {macs} multiply-adds" for macs, name in ends),
        )
    deep = solved.best(31, 66304)
    if deep.solutions:
        yield Finding(
            where="section 3.3",
            kind="claim",
            printed="NP-hard, and too slow when deep",
            recomputed=f"31 layers, 66304 kernels: {deep.status}, log-energy {deep.best.log_energy:.4f}",
        )


def compare_decimals(printed: str, value: float) -> str:
    """How a printed decimal relates to a value: "" (correctly rounded), "truncated" or "energy" (neither).

    >>> compare_decimals("1.24", 1.236), compare_decimals("1.23", 1.236), compare_decimals("1.26", 1.236)
    ('', 'truncated', 'energy')
    """
    decimal = Decimal(printed)
    exact, unit = Decimal(value), Decimal(1).scaleb(int(decimal.as_tuple().exponent))
    if decimal == exact.quantize(unit, ROUND_HALF_EVEN):
        return ""
    return "truncated" if decimal == exact.quantize(unit, ROUND_DOWN) else "energy"


def _rises(layout: tuple[int, ...]) -> bool:
    return all(a < b for a, b in pairwise(layout))


def repairs(row: PrintedRow) -> tuple[Layout, ...]:
    """The layouts of the stated size that differ from the row in one width and do not decrease."""
    found: list[Layout] = []
    for index in range(len(row.layout)):
        before, after = row.layout[:index], row.layout[index + 1 :]
        widths = range(before[-1] if before else 1, (after[0] if after else row.budget) + 1)

        def size(width: int, before: Layout = before, after: Layout = after) -> int:
            return row.network.kernels((*before, width, *after))

        place = bisect_left(widths, row.budget, key=size)  # the size grows with every width
        if place < len(widths) and size(widths[place]) == row.budget:
            found.append((*before, widths[place], *after))
    return tuple(found)


def _names(layouts: tuple[Layout, ...]) -> str:
    return ", ".join(map(format_layout, layouts)) or "none fits"


def _of_size(row: PrintedRow, depth: int, kernels: int) -> bool:
    return len(row.layout) == depth and row.network.kernels(row.layout) == kernels
