"""The plan of a comparison, written into a file before anything is trained, and held to ever after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parlay.compare.arm import KINDS, Arm
from parlay.documents import SCHEMA_VERSION, document, without_folders, write_atomically
from parlay.errors import StudyError
from parlay.layout import Layout, format_layout
from parlay.problem import Constraint
from parlay.study import Kind, ModelNetwork, Planned, Trial
from parlay.study.schema import has_study
from parlay.study.trial_network import file_and_factory
from parlay.train.recipe import Recipe

__all__ = ["ArmPlan", "plan_before", "read_plan", "trials_of", "write_plan"]


@dataclass(frozen=True, kw_only=True)
class ArmPlan:
    """What is compared and how, decided.

    Attributes:
        command: ``fit`` or ``prune``: it names the files.
        question: what was asked, in JSON values; a study answers one question only.
        arms: what is trained, in the order of tables.
        constraints: the limits in words.
        dtype: type of weights and activations on the device.
        steps: batches of each training.
        precision: of the trainings.
        is_quick: whether seeds and steps were cut for a first answer.
        teacher: SHA-256 of the weights of the network that all trainings are distilled from; empty without.
        facts: what else was found before the trainings, in JSON values.
    """

    command: str = "fit"
    question: Mapping[str, Any]
    arms: tuple[Arm, ...]
    constraints: tuple[str, ...]
    dtype: str
    steps: int
    precision: str
    is_quick: bool = False
    teacher: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every arm."""
        return tuple(self.question["seeds"])

    @property
    def given(self) -> tuple[Layout, ...]:
        """The user's own layouts, which are compared with each other besides; none in a plan of an earlier parlay."""
        return tuple(tuple(layout) for layout in self.question.get("layouts") or ())

    def arm_of(self, trial: Trial) -> Arm:
        """The arm that a trial is of."""
        return next(arm for arm in self.arms if (arm.layout, arm.start) == (trial.layout, trial.start))

    @property
    def kept(self) -> dict[str, Any]:
        """The plan but for its question, in JSON values."""
        return {
            "arms": [arm.to_json() for arm in self.arms],
            "constraints": list(self.constraints),
            "dtype": self.dtype,
            "steps": self.steps,
            "precision": self.precision,
            "quick": self.is_quick,
            **({"teacher": self.teacher} if self.teacher else {}),
            **({"facts": dict(self.facts)} if self.facts else {}),
        }


def write_plan(folder: Path, plan: ArmPlan) -> None:
    """Write fit.json or prune.json, whole or not at all."""
    kind = f"parlay {plan.command}"
    content = document({"kind": kind, "question": dict(plan.question), **plan.kept})
    write_atomically(folder / f"{plan.command}.json", content)


def read_plan(folder: Path, command: str) -> ArmPlan | None:
    """A command's plan of a folder; None where there is none.

    Raises:
        StudyError: for a file that is no plan, or of another version.
    """
    path = folder / f"{command}.json"
    try:
        content = json.loads(path.read_bytes())
        if content["kind"] != f"parlay {command}" or content["schema_version"] != SCHEMA_VERSION:
            raise ValueError
        return ArmPlan(
            command=command,
            question=content["question"],
            arms=tuple(Arm.read(arm) for arm in content["arms"]),
            constraints=tuple(content["constraints"]),
            dtype=content["dtype"],
            steps=content["steps"],
            precision=content["precision"],
            is_quick=content["quick"],
            teacher=content.get("teacher", ""),
            facts=content.get("facts", {}),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise StudyError(
            f"{path} is no plan of this version's parlay {command}, or damaged; use another folder"
        ) from None


def plan_before(
    folder: Path, command: str, question: Mapping[str, Any], limits: Sequence[Constraint]
) -> ArmPlan | None:
    """A folder's plan of the same question, to go on with; None where the folder has no study.

    Args:
        folder: of the study.
        command: ``fit`` or ``prune``.
        question: what is asked now.
        limits: its limits. Where they are the plan's, it does not matter how they were written: 64kb is 64KB.

    Raises:
        StudyError: for a folder that answers another question, naming everything that differs, or holds another study.
    """
    plan = read_plan(folder, command)
    if plan is not None:
        _refuse_others(plan, question, [str(limit) for limit in limits], folder)
    elif has_study(folder):
        raise StudyError(f"study {folder} was not made by parlay {command}; use another folder")
    return plan


def _refuse_others(plan: ArmPlan, question: Mapping[str, Any], constraints: Sequence[str], folder: Path) -> None:
    before, asked = dict(plan.question), json.loads(json.dumps(question))
    before["model"] = file_and_factory(before["model"])[1]  # an earlier parlay kept paths as they were typed
    before["network"] = {**before["network"], "arguments": without_folders(before["network"]["arguments"])}
    if tuple(constraints) == plan.constraints and asked["limits"]["dtype"] == plan.dtype:
        before["limits"] = asked["limits"]
    differing = [
        f"{name} was {_said(then)}, is {_said(now)}" for name, then, now in _pairs(before, asked) if then != now
    ]
    if differing:
        raise StudyError(f"study {folder} answers another question: {'; '.join(differing)}; use another folder")


def trials_of(plan: ArmPlan, network: ModelNetwork, recipe: Recipe) -> list[Planned]:
    """Every arm with the first seed, then with the second, and so on."""
    return [
        Planned(
            trial=Trial(
                network=network,
                layout=arm.layout,
                data=plan.question["data"],
                recipe=recipe,
                steps=plan.steps,
                seed=seed,
                validation=plan.question["validation images"],
                precision=plan.precision,
                start=arm.start,
                teacher=plan.teacher,
            ),
            kinds=frozenset(_kind(name, arm) for name in arm.names),
        )
        for seed in plan.seeds
        for arm in plan.arms
    ]


def _kind(name: str, arm: Arm) -> Kind:
    return KINDS.get(name, Kind.GIVEN if name == format_layout(arm.layout) else Kind.TOP)


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> Sequence[tuple[str, Any, Any]]:
    """What both say, name by name, one level down where it is a group of options."""
    found: list[tuple[str, Any, Any]] = []
    for name in dict.fromkeys([*first, *second]):
        before, now = first.get(name), second.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            found += [(inner.replace("_", "-"), a, b) for inner, a, b in _pairs(before, now)]
        else:
            found.append((name, before, now))
    return found


def _said(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value) if isinstance(value, list | dict) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
