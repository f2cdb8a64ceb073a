"""``parlay study``: many networks trained the same way, planned, run, watched and exported."""

from __future__ import annotations

from parlay.cli.group import CommandTable

__all__ = ["study"]

study = CommandTable(
    {
        "Commands": {
            "new": "parlay.cli.study.new:new",
            "run": "parlay.cli.study.run:run",
            "status": "parlay.cli.study.status:status",
            "compare": "parlay.cli.study.compare:compare",
            "export": "parlay.cli.study.export:export",
        }
    },
    name="study",
    help="Train many layouts, keep every result, go on where it stopped.\n\nFOLDER is the study's.",
)
