"""Options of a front: a family or any model, what of it is kept, and the amount that is levelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from parlay.amounts import parse_bytes, parse_count, parse_limit
from parlay.calibrated import CalibratedScore
from parlay.cli.facts import question_words
from parlay.cli.options import given, option, record
from parlay.cli.options.model import (
    ModelLimitOptions,
    NamedDeviceOptions,
    factory_option,
    refuse_family_sizes,
    traced,
)
from parlay.cli.options.problem import FamilyOptions, LeastOptions, LimitOptions, ProblemOptions
from parlay.cli.options.training import DataOptions, NetworkOptions, facts_of
from parlay.errors import InputError
from parlay.layout import Layout
from parlay.network import AMOUNTS
from parlay.problem import Problem
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from parlay.graph import WidthGraph

__all__ = ["AGAINST", "FrontQuestion", "FrontOptions"]

OF_A_FAMILY = (*AMOUNTS, "weights")
OF_A_MODEL = (*AMOUNTS, "ram")
"""Amounts that can be levelled."""
AGAINST = (*AMOUNTS, "weights", "ram")
IN_BYTES = ("peak-memory", "flash", "ram")
OF_BOTH = ("--params", "--max-params", "--max-macs", "--max-peak-memory", "--dtype")
"""Limits that a family takes as well, in numbers."""


@dataclass(frozen=True, kw_only=True)
class FrontQuestion:
    """What the command line asks for.

    Attributes:
        title: the question in words.
        problem: the question without a level.
        resource: what is levelled.
        question: what a folder must agree with to be resumed, by JSON key.
        today: the model's own widths; None of a family.
    """

    title: str
    problem: Problem
    resource: Resource | PeakResource
    question: dict[str, Any]
    today: Layout | None = None

    def level(self, text: str) -> int:
        """A level in text: an amount, with its unit where it is memory, or a ratio of the model's own.

        Raises:
            InputError: for anything else.
        """
        if self.today is not None and text.strip().endswith("x"):
            return parse_limit(text, today=self.resource(self.today), what="level")
        return (parse_bytes if self.question["against"] in IN_BYTES else parse_count)(text, "level")


@dataclass(frozen=True, kw_only=True)
class FrontLimitOptions(ModelLimitOptions):
    """The same where nothing is trained."""

    device: NamedDeviceOptions = field(metadata=record(NamedDeviceOptions))


@dataclass(frozen=True, kw_only=True)
class FrontOptions:
    """Which network, and what of it is kept."""

    heading: ClassVar[str] = "Network"
    model: str | None = option(
        "--model", metavar="SPEC", help="A PyTorch model instead of a family, as in 'parlay trace'."
    )
    inputs: tuple[str, ...] = option(
        "--input", metavar="SHAPE", multiple=True, help="Shape of one image of the model, such as 3x32x32."
    )
    model_arg: tuple[str, ...] = factory_option()
    family: FamilyOptions = field(metadata=record(FamilyOptions))
    data: DataOptions = field(metadata=record(DataOptions))
    size: ProblemOptions = field(metadata=record(ProblemOptions))
    least: LeastOptions = field(metadata=record(LeastOptions))
    limits: FrontLimitOptions = field(metadata=record(FrontLimitOptions))

    def make(self, against: str, *, quiet: bool) -> FrontQuestion:
        """The question.

        Raises:
            InputError: for what cannot be asked of such a network.
        """
        allowed = OF_A_FAMILY if self.model is None else OF_A_MODEL
        if against not in allowed:
            which = "a family" if self.model is None else "a model"
            raise InputError("against", given=against, allowed=f"of {which}, {', '.join(allowed)}")
        return self._of_family(against) if self.model is None else self._of_model(self.model, against, quiet=quiet)

    def _of_family(self, against: str) -> FrontQuestion:
        named = [name for name, values in (("--input", self.inputs), ("--model-arg", self.model_arg)) if values]
        named += [name for name in given(FrontLimitOptions) if name not in OF_BOTH]
        if named:
            raise InputError(named[0], given="without --model", allowed="together with it")
        facts = facts_of(self.data.load()) if self.data.data else {}
        network = replace(self.family, **facts)
        family, device = network.make(), self.limits.device
        limits = LimitOptions(
            **vars(self.least),
            params=_read(parse_count, device.params, "params"),
            max_params=_read(parse_count, device.max_params, "max-params"),
            max_macs=_read(parse_count, device.max_macs, "max-macs"),
            max_peak_memory=_read(parse_bytes, device.max_peak_memory, "max-peak-memory"),
            dtype=device.dtype,
        )
        problem = self.size.make(family, limits)
        resource = family.weights if against == "weights" else family.resources(device.dtype)[AMOUNTS[against]]
        asked = {**vars(network), **vars(self.size), **vars(limits)}
        return _front(family.title, problem, resource, asked, against)

    def _of_model(self, spec: str, against: str, *, quiet: bool) -> FrontQuestion:
        refuse_family_sizes()
        for name in given(LeastOptions):
            raise InputError(name, given="with --model", allowed="a family's; of a model, --params-range")
        if bool(self.data.data) == bool(self.inputs):
            which = "--input and --data" if self.inputs else "neither"
            raise InputError("input of the model", given=which, allowed="one of the two, such as --input 3x32x32")
        limits = self.limits.device.make(levelled=against)  # whatever is no amount is met before a model is loaded
        name, graph = self._traced(spec, quiet=quiet)
        problem = self.limits.problem(graph, self.size, limits)
        resource = limits.level(graph)
        asked = {
            **{key: value for key, value in vars(limits).items() if key != "levelled"},
            **vars(self.limits.ratios),
            **{key: getattr(self.size, key) for key in ("multiple_of", "max_step")},
            "order": str(problem.space.order),
            "score": problem.score.name,
            "pin": self.limits.pin,
            "spec": name,
            # a model of the same name and amounts may have other steps, which score otherwise
            "problem_sha256": sha256(repr((problem.space, problem.constraints, resource)).encode()).hexdigest(),
        }
        return replace(_front(name, problem, resource, asked, against), today=graph.layout)

    def _traced(self, spec: str, *, quiet: bool) -> tuple[str, WidthGraph]:
        """The model's name without a folder, and its graph."""
        from parlay.graph.specs import placed
        from parlay.study import ModelNetwork
        from parlay.study.trial_network import file_and_factory

        if self.data.data:
            network = NetworkOptions(val=0, model=spec, model_arg=self.model_arg, family=self.family)
            made = network.make(self.data.load())
            assert isinstance(made, ModelNetwork)
            return made.spec, made.graph()
        for name in given(FamilyOptions):
            raise InputError(name, given="with --model", allowed="one of the two")
        return file_and_factory(placed(spec))[1], traced(spec, self.inputs, self.model_arg, (), quiet=quiet)


def _front(
    title: str, problem: Problem, resource: Resource | PeakResource, asked: dict[str, Any], against: str
) -> FrontQuestion:
    title = f"{question_words(title, problem)}, score {problem.score.name}"
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asked.items()}
    if isinstance(problem.score, CalibratedScore):  # a file's name is no question, its weights are
        plain |= {"score": problem.score.name, "score_sha256": problem.score.digest}
    plain["against"] = against
    question = {"title": title, **{key: plain[key] for key in sorted(plain) if plain[key] is not None}}
    return FrontQuestion(title=title, problem=problem, resource=resource, question=question)


def _read(reads: Callable[[str, str], int], text: str | None, what: str) -> int | None:
    return None if text is None else reads(text, what)
