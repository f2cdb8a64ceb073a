"""An evaluation for the terminal: scores beside each other, their rivals, the verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from parlay.evidence.evaluate import Evaluation
from parlay.evidence.judged import JudgedPopulation, JudgedScore
from parlay.evidence.outcome import Outcome

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["evaluation_lines", "panel_tables"]

RANKING = (
    ("Spearman", "spearman"),
    ("95 %", "interval"),
    ("tau-b", "kendall"),
    ("Pearson", "pearson"),
    ("p", "p_value"),
    ("p Holm", "p_holm"),
)
BEYOND = (
    ("given params", "partial_params"),
    ("MACs", "partial_macs"),
    ("both", "partial_params_macs"),
    ("pairs", "concordance"),
    ("top 1", "gain_top1"),
    ("top 5", "gain_top5"),
)
"""Heading and number of every column; two tables, so that each fits a terminal of 80 columns."""


def panel_tables(panel: JudgedPopulation) -> list[Table]:
    """How scores rank, and what is left given the size and gained by picks.

    One line a score, highest coefficient first, then one training run and the ceiling.
    """
    return [_table(panel, "inside bins", RANKING), _table(panel, "beyond size", BEYOND)]


def _table(panel: JudgedPopulation, heading: str, columns: tuple[tuple[str, str], ...]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(heading, no_wrap=True)
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for score in sorted(panel.scores, key=lambda score: -_or_last(score["spearman"])):
        table.add_row(score.name, *(_cell(score, key) for _, key in columns))
    for name, numbers in (("one training run", panel.one_run), ("ceiling", panel.ceiling)):
        row = JudgedScore(name=name, numbers=numbers)
        table.add_row(name, *(_cell(row, key) for _, key in columns), style="dim")
    return table


def evaluation_lines(evaluation: Evaluation) -> list[str]:
    """What the columns are about, panel by panel."""
    lines: list[str] = []
    for panel in evaluation.panels:
        bins = "one bin" if panel.bins == 1 else f"{panel.bins} bins of {panel.least} or more"
        picks = "one bin" if panel.pick_bins == 1 else f"{panel.pick_bins} bins"
        runs = "one run each" if panel.runs == 1 else f"up to {panel.runs} runs each"
        lines.append(
            f"{panel.name}: {panel.in_bins:,} of {panel.networks:,} networks, {runs}, in {bins} by {panel.size_name};"
            f" {panel.pairs:,} pairs of exactly equal {panel.size_name}; gains over {picks}, accuracy {panel.unit};"
            f" intervals resample {panel.resampled}"
        )
        if panel.chosen:
            lines.append(f"{panel.name}: {panel.chosen} chosen by a score or by hand beside them do not judge")
        for outcome in Outcome:
            named = ", ".join(score.name for score in panel.scores if score.outcome is outcome)
            if named:
                lines.append(f"accuracy rises with the score: {outcome} for {named}")
    if evaluation.panels:
        lines += [
            f"{name}: left out, {networks} network{'' if networks == 1 else 's'} and no bin of one size that counts"
            for name, networks in evaluation.too_small
        ]
    return lines


def _cell(score: JudgedScore, key: str) -> str:
    if key == "interval":
        low, high = score.numbers.get("ci_low", math.nan), score.numbers.get("ci_high", math.nan)
        return "-" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
    value = score.numbers.get(key, math.nan)
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if key.startswith(("gain", "p_")) else f"{value:.2f}"


def _or_last(value: float) -> float:
    return -math.inf if math.isnan(value) else value
