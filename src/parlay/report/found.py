"""What a search found, for people and programs: its trainings, the last comparison, the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parlay.documents import document
from parlay.evidence.controls import OWN, PICK, Control, verdict
from parlay.evidence.search import Gain, Turn
from parlay.layout import format_layout
from parlay.report.search import FILE, WEIGHTS, Searched

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["controls_table", "expected_lines", "proposals_table", "round_line", "search_document", "search_summary"]


def round_line(turn: Turn, *, trials: int) -> str:
    """One line on a round: how many are trained, and the best so far by validation accuracy."""
    failed = f", {len(turn.failed)} failed" if turn.failed else ""
    done = len(turn.values) + len(turn.failed)
    if not turn.values:
        return f"round {turn.number}: {done} of {trials} layouts trained{failed}"
    layout, value = max(turn.values.items(), key=lambda item: item[1])
    best = f"best on the validation images {format_layout(layout)}, {100 * value:.2f} %"
    return f"round {turn.number}: {done} of {trials} layouts trained{failed}; {best}"


def search_summary(found: Searched) -> str:
    """One line on what this call did."""
    did = found.outcome
    failed = f", {did.failed} failed" if did.failed else ""
    return f"{did.planned} trials: {did.reused} from before, {did.trained} trained now{failed}"


def proposals_table(found: Searched) -> Table:
    """One line a layout that the search trained, in order."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("round", justify="right")
    table.add_column("layout", no_wrap=True)
    table.add_column("validation %", justify="right", no_wrap=True)
    table.add_column("proposed by")
    table.add_column("candidate from")
    for number, turn in enumerate(found.found.record.rounds, start=1):
        for proposal in turn.proposals:
            value = found.found.values.get(proposal.layout)
            shown = "failed" if value is None else f"{100 * value:.2f}"
            style = "bold" if proposal.layout == found.found.recommended else ""
            cells = (str(number), format_layout(proposal.layout), shown, proposal.reason, proposal.source)
            table.add_row(*cells, style=style)
    return table


def controls_table(found: Searched) -> Table:
    """One line a layout of the last comparison: its test accuracy, and the recommended one less it."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("last comparison")
    table.add_column("layout", no_wrap=True)
    for column in ("test %", "sd", "seeds", "recommended less it", "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for control in found.controls:
        table.add_row(", ".join(control.roles), format_layout(control.layout), *_cells(control))
    return table


def expected_lines(found: Searched) -> list[str]:
    """What the model expects of the recommended layout, before the test images had a say."""
    result = found.found
    trained = "trained in the search" if result.was_trained else "never trained in the search"
    lines = [f"recommended: {format_layout(result.recommended)} ({result.source}; {trained})"]
    for key, role, other in (("own", OWN, found.plan.query.own), ("pick", PICK, result.record.start.pick)):
        gain = result.gains.get(key)
        if gain is not None and other != result.recommended:
            lines.append(f"expected on the validation images, by the model, over {role}: {_points(gain)}")
    held = result.calibration.held_out if result.calibration is not None else None
    if held is not None:
        lines.append(
            f"pairs held out, agreeing less disagreeing: {held.calibrated:.2f} by the weights learnt,"
            f" {held.prior:.2f} by {found.plan.query.prior} (difference {held.low:+.2f} to {held.high:+.2f})"
        )
    return lines


def search_document(found: Searched) -> str:
    """All of it as one JSON document; accuracies are shares, 0 to 1."""
    result, plan, did = found.found, found.plan, found.outcome
    return document(
        {
            "study": str(found.folder),
            "search_json": str(found.folder / FILE),
            "weights_json": None if result.calibration is None else str(found.folder / WEIGHTS),
            "question": plan.question(),
            "planned": did.planned,
            "reused": did.reused,
            "trained": did.trained,
            "failed": found.failed,
            "candidates": len(result.record.candidates),
            "rounds": [
                [
                    {**proposal.content(), "validation_accuracy": result.values.get(proposal.layout)}
                    for proposal in turn.proposals
                ]
                for turn in result.record.rounds
            ],
            "recommended": {
                "layout": list(result.recommended),
                "source": result.source,
                "trained": result.was_trained,
                "expected_gain": {key: _gain(gain) for key, gain in result.gains.items()},
            },
            "controls": [_control(control) for control in found.controls],
            "calibration": None if result.calibration is None else result.calibration.content(),
            "verdict": verdict(found.controls),
        }
    )


def _cells(control: Control) -> tuple[str, ...]:
    mean, spread, found = control.mean, control.spread, control.compared
    less = "" if found is None else f"{100 * found.mean:+.2f}"
    ends = ""
    if found is not None:
        both = found.low, found.high
        ends = "-" if both[0] is None or both[1] is None else f"{100 * both[0]:+.2f} to {100 * both[1]:+.2f}"
    return (
        "failed" if mean is None else f"{100 * mean:.2f}",
        "" if spread is None else f"{100 * spread:.2f}",
        str(len(control.accuracies)),
        less,
        ends,
    )


def _points(gain: Gain) -> str:
    return f"{100 * gain.mean:+.2f} points [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"


def _gain(gain: Gain) -> dict[str, Any]:
    return {"mean": gain.mean, "interval": [gain.low, gain.high]}


def _control(control: Control) -> dict[str, Any]:
    found = control.compared
    return {
        "roles": list(control.roles),
        "layout": list(control.layout),
        "test_accuracy": {str(seed): value for seed, value in control.accuracies.items()},
        "mean": control.mean,
        "sd": control.spread,
        "recommended_less_it": None
        if found is None
        else {"mean": found.mean, "interval": [found.low, found.high], "seeds": found.seeds},
    }
