"""One training run in words and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parlay.documents import document
from parlay.layout import format_layout
from parlay.study import Trial
from parlay.study.network import layout_costs, network_columns

if TYPE_CHECKING:
    from parlay.train.loop import History

__all__ = ["run_document", "run_text"]


def run_document(trial: Trial, history: History, data_name: str) -> str:
    """One JSON document: what was trained, on what, how, and the outcome. ``accuracy`` is a share, 0 to 1."""
    config: dict[str, Any] = trial.config
    return document(
        {
            "trial": trial.identity,
            **network_columns(trial.network),
            **layout_costs(trial.network, trial.layout),
            "data": data_name,
            "data_sha256": trial.data,
            "recipe": {"name": trial.recipe.name, **config["recipe"]},
            "steps": trial.steps,
            "seed": trial.seed,
            "accuracy": history.accuracy,
            "loss": history.loss,
            "train_loss": history.train_loss,
            "seconds": history.seconds,
            "threads": history.threads,
            "validation": trial.validation,
            "validation_accuracy": history.validation_accuracy,
            "validation_loss": history.validation_loss,
            "mean_average_precision": history.mean_average_precision,
            "precision": history.precision,
            "device": history.device,
            "images_per_second": history.images_per_second,
        }
    )


def run_text(trial: Trial, history: History, data_name: str) -> str:
    """Two lines for people."""
    layout = trial.layout
    costs = layout_costs(trial.network, layout)
    energy = "no number" if costs["energy"] is None else f"{costs['energy']:.2f}"
    weights = "" if costs["weights"] is None else f" {costs['weights']:,} weights,"
    held = "" if history.validation_accuracy is None else f", validation {100 * history.validation_accuracy:.2f} %"
    return (
        f"{format_layout(layout)}, {trial.network.title}: energy {energy},{weights}"
        f" {costs['params']:,} params, {costs['macs']:,} multiply-adds\n"
        f"{data_name}, {trial.steps:,} steps of recipe {trial.recipe.name}, seed {trial.seed}: test accuracy"
        f" {100 * history.accuracy:.2f} %{held}, test loss {history.loss:.3f}, {history.seconds:.1f} s"
    )
