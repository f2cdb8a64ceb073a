"""What a comparison found: every arm with its costs and accuracies, the verdict, and the files of the winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parlay.compare.arm import ORIGINAL, UNIFORM, Arm
from parlay.compare.arm_plan import ArmPlan
from parlay.compare.arm_verdict import ArmVerdict, Standing, judge
from parlay.compare.measure_trials import MeasuredTrial
from parlay.documents import document, write_atomically
from parlay.evidence.compared import Comparison, compare_runs
from parlay.evidence.paired import Difference, spread
from parlay.graph import WidthGraph
from parlay.retrofit import Latency, Limits, compare_latency
from parlay.study import ModelNetwork, Planned, Row

__all__ = ["ArmResult", "CompareResult", "conclude", "write_result"]


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm, measured. Accuracies are shares of images, one a seed, in the order of the result's seeds.

    Attributes:
        arm: names and layout.
        amounts: predicted params, macs, peak_activation_bytes, flash_bytes.
        trials: identities.
        accuracy: of the float files on the test images.
        int8_accuracy: of the int8 files on the test images; empty without int8.
        validation: of what ships (int8 files, else the network in floats) on the validation images.
        measured: of the first seed: sizes of files and bytes of live tensors, which no seed changes (the graph's text
            in a file may differ by a few bytes).
        latency: beside the original, on this host; None for the original itself.
        exceeds: what of the real file and its run is over a stated limit, in words; empty where nothing is.
    """

    arm: Arm
    amounts: Mapping[str, int]
    trials: Sequence[str]
    accuracy: Sequence[float]
    int8_accuracy: Sequence[float]
    validation: Sequence[float]
    measured: MeasuredTrial
    latency: Latency | None
    exceeds: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the layout keeps every limit as predicted, and its file and run the stated ones."""
        return self.arm.fits and not self.exceeds

    @property
    def shipped(self) -> Sequence[float]:
        """Test accuracy of what ships."""
        return self.int8_accuracy or self.accuracy


@dataclass(frozen=True, kw_only=True)
class CompareResult:
    """The end of a comparison.

    Attributes:
        plan: what was compared and how.
        spec, data_name: model and data in words.
        arms: in the order of the plan.
        verdict: what comes of it.
        seeds: those that every arm was trained with.
        files: of the winner, once they are written.
        winner_facts: what was re-measured on these files.
        caveats: what should be known about the trainings, a sentence each.
        failures: how many trainings failed, why, and what that leaves out; empty where none did.
        given: the user's own layouts compared with the first of them, by what ships; None where there are not two.
    """

    plan: ArmPlan
    spec: str
    data_name: str
    arms: tuple[ArmResult, ...]
    verdict: ArmVerdict
    seeds: tuple[int, ...]
    files: tuple[Path, ...] = ()
    winner_facts: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    failures: str = ""
    given: Comparison | None = None

    @property
    def sentence(self) -> str:
        """The verdict, labelled where it is a first answer only, and with what failed."""
        quick = f"quick, a first answer only ({self.plan.steps:,} steps): " if self.plan.is_quick else ""
        given = "" if self.given is None else f"of the layouts given, {self.given.sentence}"
        parts = [f"{quick}{self.verdict.sentence}", given, self.misfits, self.failures]
        return "; ".join(part for part in parts if part)

    @property
    def misfits(self) -> str:
        """Which arms were predicted to fit and whose file or run does not, in one sentence; empty where all do."""
        over = [found for found in self.arms if found.arm.fits and found.exceeds]
        if not over:
            return ""
        each = "; ".join(f"{found.arm.name}: {', '.join(found.exceeds)}" for found in over)
        if not any(found.fits for found in self.arms):
            return f"no arm's file and run fit the device, the winner's included ({each})"
        return f"left out, since file or run do not fit ({each})"

    def winner(self) -> ArmResult:
        """The arm to ship."""
        return next(found for found in self.arms if found.arm.name == self.verdict.winner)

    def to_json(self) -> dict[str, Any]:
        """Everything in JSON values."""
        verdict = self.verdict
        return {
            "kind": f"parlay {self.plan.command} result",
            "spec": self.spec,
            "data": self.data_name,
            "verdict": self.sentence,
            "caveats": list(self.caveats),
            "failures": self.failures,
            "quick": self.plan.is_quick,
            "better": verdict.is_better,
            "reference": verdict.reference,
            "chosen_on_validation": verdict.chosen,
            "winner": verdict.winner,
            "constraints": list(self.plan.constraints),
            "dtype": self.plan.dtype,
            "steps": self.plan.steps,
            "precision": self.plan.precision,
            "seeds": list(self.seeds),
            "validation_images": self.plan.question["validation images"],
            "arms": [self._arm(found) for found in self.arms],
            "given": None if self.given is None else self.given.to_json(),
            **self.plan.facts,
            "files": [f"{path.parent.name}/{path.name}" for path in self.files],
            "winner_files": dict(self.winner_facts),
        }

    def _arm(self, found: ArmResult) -> dict[str, Any]:
        verdict, name = self.verdict, found.arm.name
        latency = found.latency
        return {
            **found.arm.to_json(),
            "fits": found.fits,
            "predicted_to_fit": found.arm.fits,
            "exceeds": list(found.exceeds),
            "name": name,
            **found.amounts,
            "trials": list(found.trials),
            "accuracy": _spread(found.accuracy),
            "int8_accuracy": _spread(found.int8_accuracy) if found.int8_accuracy else None,
            "validation_accuracy": _spread(found.validation),
            "file_bytes": found.measured.file_bytes,
            "int8_file_bytes": found.measured.int8_file_bytes,
            "stored_bytes": found.measured.stored_bytes,
            "live_bytes": found.measured.live_bytes,
            "live_apart_bytes": found.measured.live_apart_bytes,
            "float_difference": found.measured.float_difference,
            "latency_ms": None if latency is None else latency.new,
            "latency_quartiles_ms": None if latency is None else list(latency.new_spread),
            "original_latency_ms": None if latency is None else latency.old,
            "latency_ratio": None if latency is None else latency.ratio,
            "host": None if latency is None else latency.host,
            "difference_to_original": _compared(verdict.to_original.get(name)),
            "difference_to_reference": _compared(verdict.differences.get(name)),
            "validation_difference": _compared(verdict.on_validation.get(name)),
        }


def conclude(
    plan: ArmPlan,
    network: ModelNetwork,
    graph: WidthGraph,
    trials: Sequence[Planned],
    rows: Mapping[str, Row],
    measured: Mapping[str, MeasuredTrial],
    *,
    data_name: str,
    test_images: int,
) -> CompareResult:
    """Gather every arm's trials, time the networks on this host, and judge."""
    original = graph.build(graph.layout, seed=0)
    inputs = graph.example.sized(1)
    found: list[ArmResult] = []
    for arm in plan.arms:
        identities = [planned.trial.identity for planned in trials if plan.arm_of(planned.trial) is arm]
        each = [measured[identity] for identity in identities]
        is_int8 = each[0].int8_accuracy is not None
        validation = [one.int8_validation if is_int8 else rows[one.trial].validation_accuracy for one in each]
        found.append(
            ArmResult(
                arm=arm,
                amounts=graph.amounts(arm.layout, plan.dtype),
                trials=identities,
                accuracy=[one.accuracy for one in each],
                int8_accuracy=[one.int8_accuracy for one in each if one.int8_accuracy is not None],
                validation=[value for value in validation if value is not None],
                measured=each[0],
                latency=compare_latency(original, graph.build(arm.layout, seed=0), inputs),
                exceeds=exceeded(Limits(**plan.question["limits"]), graph, each[0]),
            )
        )
    is_any = any(one.fits for one in found)
    names = {name: arm.name for arm in plan.arms for name in arm.names}
    verdict = judge(
        [_standing(one, fits=one.fits if is_any else one.arm.fits) for one in found],
        original=names.get(ORIGINAL),
        uniform=names.get(UNIFORM),
        validation_images=plan.question["validation images"],
        test_images=test_images,
    )
    seeds = tuple(dict.fromkeys(planned.trial.seed for planned in trials))
    return CompareResult(
        plan=plan,
        spec=network.spec,
        data_name=data_name,
        arms=tuple(found),
        verdict=verdict,
        seeds=seeds,
        given=_between(plan, found, seeds, test_images=test_images),
    )


def write_result(folder: Path, result: CompareResult) -> None:
    """Write fit-result.json, which ``parlay report`` shows, or prune-result.json; whole or not at all."""
    write_atomically(folder / f"{result.plan.command}-result.json", document(result.to_json()))


def exceeded(limits: Limits, graph: WidthGraph, measured: MeasuredTrial) -> tuple[str, ...]:
    """What of a file and its run is over what was stated of flash and RAM, in words.

    A predicted amount is weights and activations alone; a file holds its graph and scales as well, and a run keeps what
    the order of its operators makes it keep.
    """
    most = {constraint.resource.name: constraint.maximum for constraint in limits.constraints(graph)}
    is_int8 = measured.int8_file_bytes is not None
    file = measured.int8_file_bytes if is_int8 else measured.file_bytes if limits.dtype == "float32" else None
    is_ram_stated = limits.ram is not None or limits.max_peak_memory is not None
    found = (
        (f"{'int8' if is_int8 else 'float'} file of", file, most.get("flash")),
        ("run of", measured.live_bytes, most.get("peak_activation_bytes") if is_ram_stated else None),
    )
    return tuple(
        f"{words} {amount:,} bytes for {limit:,}"
        for words, amount, limit in found
        if amount is not None and limit is not None and amount > limit
    )


def _between(plan: ArmPlan, arms: Sequence[ArmResult], seeds: Sequence[int], *, test_images: int) -> Comparison | None:
    """The user's own layouts compared with the first of them."""
    if len(plan.given) < 2:
        return None
    given = [next(one for one in arms if one.arm.layout == layout) for layout in plan.given]
    return compare_runs(
        test={one.arm.layout: dict(zip(seeds, one.shipped, strict=True)) for one in given},
        test_images=test_images,
        validation={one.arm.layout: dict(zip(seeds, one.validation, strict=True)) for one in given},
        validation_images=plan.question["validation images"],
    )


def _standing(found: ArmResult, *, fits: bool) -> Standing:
    costs = found.amounts
    return Standing(
        name=found.arm.name,
        fits=fits,
        validation=found.validation,
        test=found.shipped,
        amounts={"RAM": costs["peak_activation_bytes"], "flash": costs["flash_bytes"], "MACs": costs["macs"]},
    )


def _spread(values: Sequence[float]) -> dict[str, Any]:
    mean, deviation = spread(values)
    return {"mean": mean, "sd": deviation, "values": list(values)}


def _compared(found: Difference | None) -> dict[str, Any] | None:
    return None if found is None else found.to_json()
