"""Each claim judged by the trials there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parlay.evidence.outcome import Outcome, decide
from parlay.layout import Layout, format_layout
from parlay.paper.claims import Claim, claims
from parlay.paper.estimates import (
    Estimate,
    agreement,
    difference_of_groups,
    difference_of_two,
    mean_with_interval,
    near_energies,
    rank_correlation,
    rank_correlation_given_macs,
    share_beaten,
)
from parlay.paper.experiments import EXPERIMENTS, Role
from parlay.paper.pairs import matched_pairs
from parlay.paper.points import PanelPoint, PanelPoints, gather_panel
from parlay.study import Row

__all__ = ["JudgedClaim", "gather", "judge", "judge_all"]


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """A claim, our estimate, and the verdict.

    Attributes:
        claim: what is claimed.
        estimate: what our trials give.
        protocol: how they were trained; empty without any.
        left_out: layouts with runs that do not judge, because somebody chose them who knew their energy.
    """

    claim: Claim
    estimate: Estimate
    protocol: str = ""
    left_out: int = 0

    @property
    def verdict(self) -> Outcome:
        """By the rule of ``parlay.evidence.outcome``."""
        return decide(self.estimate.low, self.estimate.high, self.claim.threshold, above=self.claim.above)

    @property
    def reason(self) -> str:
        """What is missing where there is not enough data; else what should be known besides."""
        note = self.estimate.note
        if self.verdict is Outcome.OPEN and not note:
            note = f"the interval contains {self.claim.threshold:g}, the number that decides"
        left = f"{self.left_out} chosen layouts left out" if self.left_out else ""
        return "; ".join(part for part in (note, left) if part)

    def to_json(self) -> dict[str, Any]:
        """The judgement as JSON values."""
        claim, found = self.claim, self.estimate
        return {
            "claim": claim.name,
            "section": claim.section,
            "panel": claim.panel,
            "statement": claim.statement,
            "stated": claim.stated,
            "unit": claim.unit,
            "rule": claim.rule,
            "threshold": claim.threshold,
            "side": "above" if claim.above else "below",
            "estimate": found.value,
            "interval": None if found.low is None else [found.low, found.high],
            "level": 0.95,
            "n": found.n,
            "left_out": self.left_out,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "trained": self.protocol,
        }


def gather(rows: Iterable[Row], *, recipe: str | None = None, steps: int | None = None) -> dict[str, PanelPoints]:
    """The points of every panel from trials of any kind.

    Args:
        rows: trials.
        recipe, steps: only trials trained so.
    """
    rows = list(rows)
    return {name: gather_panel(panel, rows, recipe=recipe, steps=steps) for name, panel in EXPERIMENTS.items()}


def judge_all(panels: Mapping[str, PanelPoints], rows: Sequence[Row] = ()) -> tuple[JudgedClaim, ...]:
    """Every claim judged.

    Args:
        panels: the points of each panel (``gather``).
        rows: all trials, for what is no panel (VOC 2007).
    """
    return tuple(judge(claim, panels, rows) for claim in claims())


def judge(claim: Claim, panels: Mapping[str, PanelPoints], rows: Sequence[Row] = ()) -> JudgedClaim:
    """One claim judged."""
    if claim.panel == "voc":
        return JudgedClaim(claim=claim, estimate=_voc(claim, rows))
    panel = panels[claim.panel]
    if claim.layouts is not None:
        panel = panel.where_all_ran(claim.layouts)
    return JudgedClaim(
        claim=claim,
        estimate=RULES[claim.rule](claim, panel),
        protocol=panel.protocol,
        left_out=len(panel.points) - len(panel.judging) if claim.rule in TRENDS else 0,
    )


def _rises(_: Claim, panel: PanelPoints) -> Estimate:
    return rank_correlation(panel.judging)


def _given_macs(_: Claim, panel: PanelPoints) -> Estimate:
    return rank_correlation_given_macs(panel.judging)


def _ends(_: Claim, panel: PanelPoints) -> Estimate:
    family = panel.experiment.family
    printed = [choice.layout for choice in panel.experiment.choices if choice.role is not Role.EXTRA]
    return _two_layouts(panel, max(printed, key=family.energy), min(printed, key=family.energy))


def _two(claim: Claim, panel: PanelPoints) -> Estimate:
    assert claim.layouts is not None
    return _two_layouts(panel, *claim.layouts)


def _two_layouts(panel: PanelPoints, high: Layout, low: Layout) -> Estimate:
    if not panel.points:
        return Estimate(note="no runs yet")
    missing = [format_layout(layout) for layout in (high, low) if layout not in panel.by_layout]
    if missing:
        return Estimate(note=f"no run of {' and '.join(missing)}")
    printed = [point for point in panel.points if point.role is not Role.EXTRA]
    return difference_of_two(panel.by_layout[high], panel.by_layout[low], printed)


def _quarters(_: Claim, panel: PanelPoints) -> Estimate:
    if len(panel.points) < len(panel.experiment.choices):
        return Estimate(
            n=len(panel.points), note=f"{len(panel.points)} of {len(panel.experiment.choices)} layouts have a run"
        )
    return difference_of_groups(panel.points[-3:], panel.points[:3])


def _corner(_: Claim, panel: PanelPoints) -> Estimate:
    return share_beaten(panel.of(Role.LEARNED), panel.of(Role.SAMPLED))


def _gain(_: Claim, panel: PanelPoints) -> Estimate:
    return difference_of_groups(panel.of(Role.LEARNED), panel.of(Role.SAMPLED))


def _best(_: Claim, panel: PanelPoints) -> Estimate:
    red, blue = panel.of(Role.LEARNED), panel.of(Role.SAMPLED)
    if not red or not blue:
        return Estimate(note="no runs yet")
    first, second = (max(some, key=lambda point: point.accuracy) for some in (red, blue))
    return difference_of_two(first, second, panel.points)


def _near(_: Claim, panel: PanelPoints) -> Estimate:
    return near_energies(panel.judging)


def matched_differences(panel: PanelPoints, differs: str) -> list[float]:
    """Accuracy of the layout that has more minus that of the other, in points, of every pair with runs of both."""
    found = panel.by_layout
    return [
        found[pair.high].accuracy - found[pair.low].accuracy
        for pair in matched_pairs()
        if pair.differs == differs and pair.high in found and pair.low in found
    ]


def _matched(claim: Claim, panel: PanelPoints) -> Estimate:
    return mean_with_interval(matched_differences(panel, claim.differs))


def _agreement(_: Claim, panel: PanelPoints) -> Estimate:
    every = [panel, *panel.others] if panel.points else []
    trained = [(p, p.measured.first.trial) for p in every if p.measured]
    long = [p for p, trial in trained if trial.recipe.name.startswith("paper-") and trial.steps == PAPER_STEPS]
    short = [p for p, trial in trained if trial.recipe.name == "fast"]
    if not long or not short:
        return Estimate(note="no run yet under " + ("the paper's recipe" if short else "the two recipes"))
    return agreement(short[0].points, long[0].points)


RULES: dict[str, Callable[[Claim, PanelPoints], Estimate]] = {
    "rises": _rises,
    "given-macs": _given_macs,
    "ends": _ends,
    "quarters": _quarters,
    "corner": _corner,
    "gain": _gain,
    "best": _best,
    "near": _near,
    "two": _two,
    "matched": _matched,
    "agreement": _agreement,
}
"""Rule -> what works its number out; the head of ``parlay.paper.claims`` says each in words."""
PAPER_STEPS = 40_000
"""Of the paper's recipe for plain networks, which the claim on agreement is about."""
TRENDS = ("rises", "given-macs", "near")
"""Rules over the layouts that judge; the others compare layouts that were chosen with those that were not."""


def _voc(claim: Claim, rows: Sequence[Row]) -> Estimate:
    """The two layouts on VOC 2007; accuracy, or mean average precision where an image has several labels."""
    assert claim.layouts is not None
    protocols: dict[str, dict[Layout, list[float]]] = {}
    for row in rows:
        value = row.accuracy if row.mean_average_precision is None else row.mean_average_precision
        if row.data_name.startswith("voc2007") and row.trial.layout in claim.layouts and value is not None:
            runs = protocols.setdefault(row.trial.protocol, {layout: [] for layout in claim.layouts})
            runs[row.trial.layout].append(100 * value)
    whole = [runs for runs in protocols.values() if all(runs.values())]
    if not whole:
        return Estimate(note="no run on VOC 2007 (its images are not part of this repository)")
    most = max(whole, key=lambda runs: min(map(len, runs.values())))  # protocols are never mixed
    points = [
        PanelPoint(layout=layout, role=Role.OTHER, note="", log_energy=0.0, macs=0, accuracies=tuple(values))
        for layout, values in most.items()
    ]
    return difference_of_two(points[0], points[1], points)
