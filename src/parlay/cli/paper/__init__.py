"""``parlay paper``: the paper's tables recomputed, its figures from our own trainings, its claims judged."""

from __future__ import annotations

from parlay.cli.group import CommandTable

__all__ = ["paper"]

paper = CommandTable(
    {"Commands": {name: f"parlay.cli.paper.{name}:{name}" for name in ("check", "run", "figures", "claims")}},
    name="paper",
    help="Liao et al. (2017): tables, figures and claims, made again.",
)
