"""What a trial trains but for its widths: one of the paper's families, or any PyTorch model, traced."""

# pyright: reportIncompatibleVariableOverride=false
# A property reads like the attribute that it stands for.

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlay.energy import energy_facts, log_energy
from parlay.errors import InputError, StudyError
from parlay.families import Family, get_family
from parlay.layout import Layout, WidthGroup, WidthSpace
from parlay.network import ConvolutionShape, Network
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from torch import nn

    from parlay.graph import WidthGraph

__all__ = [
    "ModelNetwork",
    "TrialNetwork",
    "as_known",
    "changed_models",
    "file_and_factory",
    "layout_costs",
    "network_columns",
    "network_from",
]


@dataclass(frozen=True, kw_only=True)
class ModelNetwork(Network):
    """Any PyTorch model, by name; make it with ``ModelNetwork.traced``. Its code is loaded when an amount is asked for.

    Attributes:
        spec: ``torchvision/NAME``, ``timm/NAME``, ``package.module:factory`` or ``file.py:factory``.
        kwargs: of the model's factory, as JSON text.
        in_channels, image, classes: of the data it is trained on.
        group_names: names of the width groups.
        multiples: each width is a multiple of its group's number.
        today: the model's own widths.
        structure: SHA-256 of the groups and of the polynomials of parameters and multiply-adds, so that a model whose
            code has changed is another network.
        folder: where the file of the model lies, on this machine: no part of what it is, and in no table.
        code: SHA-256 of that file, where it is one: two codes of one structure are one network, but that is said.
        known_as: how an earlier parlay called it, with its whole path: identities of that time hold it.
    """

    spec: str
    kwargs: str
    in_channels: int
    image: int
    classes: int
    group_names: tuple[str, ...] = field(repr=False)
    multiples: tuple[int, ...] = field(repr=False)
    today: Layout
    structure: str = field(repr=False)
    folder: str = field(default="", repr=False, compare=False)
    code: str = field(default="", repr=False, compare=False)
    known_as: str = field(default="", repr=False)

    @classmethod
    def traced(
        cls, spec: str, *, in_channels: int, image: int, classes: int, kwargs: Mapping[str, Any] | None = None
    ) -> ModelNetwork:
        """Load and trace a model for images of a size and a number of classes.

        The classes are passed as ``num_classes`` where the factory takes that argument and ``kwargs`` do not name it.

        Raises:
            InputError: for an unknown model, arguments that no JSON file can hold, or a model of other outputs.
            TraceError: for a model that the tracer does not understand.

        >>> network = ModelNetwork.traced("torchvision/squeezenet1_1", in_channels=3, image=32, classes=10)
        >>> len(network.group_names), network.params(network.today)
        (25, 727626)
        """
        try:
            text = json.dumps(dict(kwargs or {}), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError):
            raise InputError(
                "model arguments", given=repr(dict(kwargs or {}))[:200], allowed="numbers, texts, lists and None"
            ) from None
        from parlay.graph.specs import placed

        graph, structure = _graph(spec, text, in_channels, image, classes)
        folder, name = file_and_factory(placed(spec))
        return cls(
            spec=name,
            kwargs=text,
            in_channels=in_channels,
            image=image,
            classes=classes,
            group_names=tuple(group.name for group in graph.space.groups),
            multiples=tuple(group.multiple_of for group in graph.space.groups),
            today=graph.layout,
            structure=structure,
            folder=folder,
            code=_code(spec),
        )

    @property
    def place(self) -> str:
        """What loads it here: the file's path with the factory, or its name."""
        return str(Path(self.folder) / self.spec) if self.folder else self.spec

    @property
    def config(self) -> dict[str, Any]:
        return {
            "model": self.known_as or self.spec,
            "kwargs": json.loads(self.kwargs),
            "in_channels": self.in_channels,
            "image": self.image,
            "classes": self.classes,
            "groups": list(self.group_names),
            "multiples": list(self.multiples),
            "today": list(self.today),
            "structure": self.structure,
        }

    @property
    def title(self) -> str:
        return self.spec

    def check(self, layout: Sequence[int]) -> Layout:
        """The layout as a tuple, if the model can be built at it; nothing is traced for that."""
        groups = zip(self.group_names, self.multiples, strict=True)
        widths = WidthSpace(groups=tuple(WidthGroup(name=name, multiple_of=step) for name, step in groups))
        remedy = f"parlay trace {shlex.quote(self.place)} lists the groups; 'original' are today's widths"
        return widths.check(layout, what=f"layout of {self.spec}", remedy=remedy)

    def build(self, layout: Sequence[int], *, seed: int | None = None) -> nn.Module:
        return self.graph().build(layout, seed=seed)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (self.in_channels, self.image, self.image)

    @property
    def space(self) -> WidthSpace:
        return self.graph().space

    @property
    def params(self) -> Resource:
        return self.graph().params

    @property
    def macs(self) -> Resource:
        return self.graph().macs

    @property
    def activations(self) -> PeakResource:
        return self.graph().activations

    @property
    def stored(self) -> tuple[Resource, Resource]:
        return self.graph().stored

    @property
    def unchecked(self) -> tuple[str, ...]:
        return self.graph().unchecked

    @property
    def convolution_shapes(self) -> tuple[ConvolutionShape, ...]:
        return self.graph().convolution_shapes

    def graph(self) -> WidthGraph:
        """The traced model; traced once a process.

        Raises:
            StudyError: when the model's code has changed since the network was made, or its file is not there.
        """
        if self.folder and not Path(self.place.rpartition(":")[0]).is_file():
            raise StudyError(
                f"model {self.spec} is not in {self.folder} any more; name it where it is,"
                f" --model FOLDER/{self.spec} with any of its layouts, and every trial of the study finds it there"
            )
        graph, structure = _graph(self.place, self.kwargs, self.in_channels, self.image, self.classes)
        if structure != self.structure:
            raise StudyError(
                f"model {self.spec} is no longer the one that was planned: its groups or its polynomials differ;"
                " restore it, or plan it anew"
            )
        return graph


def as_known(network: Family | ModelNetwork, others: Iterable[Family | ModelNetwork]) -> Family | ModelNetwork:
    """The network under the name that one of the others has for it: a study of an earlier parlay goes on as it was."""
    if isinstance(network, ModelNetwork):
        for other in others:
            if isinstance(other, ModelNetwork) and replace(other, known_as="") == replace(network, known_as=""):
                return replace(network, known_as=other.known_as)
    return network


def changed_models(networks: Iterable[Family | ModelNetwork]) -> tuple[str, ...]:
    """A sentence on every model whose file is no longer the one that some trials were planned with.

    A file that is not there, or was not kept, is no finding.

    Args:
        networks: one a trial.
    """
    trials = Counter((one.title, one.place, one.code) for one in networks if isinstance(one, ModelNetwork))
    changed: Counter[str] = Counter()
    for (title, place, code), count in trials.items():
        here = _code(place)
        changed[title] += count if code and here and here != code else 0
    return tuple(
        f"the code of {title} is no longer the one that {count:,} trials were planned with; its widths and counts"
        " decide whether it is the same network"
        for title, count in changed.items()
        if count
    )


TrialNetwork = Family | ModelNetwork
"""A network with an identity: ``config``, in plain JSON values, is part of a trial's, and enough for ``network_from``.
Picklable, and loads no torch until something is traced or built.
"""


def network_from(config: Mapping[str, Any]) -> TrialNetwork:
    """The network that a configuration fixes; nothing is traced or built.

    >>> from parlay.families import resnet
    >>> network_from(resnet(20).config) == resnet(20)
    True
    """
    values = dict(config)
    if "model" not in values:
        factory = get_family(values.pop("name"))
        depth, sizes = values.pop("depth"), values.pop("kernel_sizes")
        return factory(depth, kernel_size=sizes, **values)
    folder, name = file_and_factory(values["model"])
    return ModelNetwork(
        spec=name,
        folder=folder,
        known_as=values["model"] if folder else "",
        kwargs=json.dumps(values["kwargs"], sort_keys=True, allow_nan=False),
        in_channels=values["in_channels"],
        image=values["image"],
        classes=values["classes"],
        group_names=tuple(values["groups"]),
        multiples=tuple(values["multiples"]),
        today=tuple(values["today"]),
        structure=values["structure"],
    )


def network_columns(network: TrialNetwork) -> dict[str, Any]:
    """What tables say of a network; None where a model has no such thing.

    >>> from parlay.families import plain
    >>> network_columns(plain(2))["network"], network_columns(plain(2))["kernel_sizes"]
    ('plain of depth 2', [3, 3])
    """
    config = network.config
    same = ("depth", "kernel_sizes", "in_channels", "image", "classes")
    return {
        "network": network.title,
        "family": config.get("name"),
        **{name: config.get(name) for name in same},
    }


def layout_costs(network: TrialNetwork, layout: Layout) -> dict[str, Any]:
    """What a layout is and costs, as trials.csv keeps it; None where there is no number.

    >>> from parlay.families import plain
    >>> layout_costs(plain(4), (35, 36, 37, 43))["weights"]
    38592
    """
    sizes = network.sizes(layout) if isinstance(network, Family) else {"kernels": None, "weights": None}
    amounts = network.amounts(layout)
    return {
        "layout": list(layout),
        **energy_facts(log_energy(network.space, layout)),
        **sizes,
        **{name: amounts[name] for name in ("params", "macs", "peak_activation_bytes")},
    }


def file_and_factory(spec: str) -> tuple[str, str]:
    """Folder of a model's file, and the file's name with the factory; no folder of anything else.

    >>> file_and_factory("/mnt/me/nets/wake.py:WakeNet"), file_and_factory("torchvision/resnet18")
    (('/mnt/me/nets', 'wake.py:WakeNet'), ('', 'torchvision/resnet18'))
    """
    place, colon, factory = spec.rpartition(":")
    path = Path(place)
    return (str(path.parent), f"{path.name}:{factory}") if colon and "/" in place else ("", spec)


def _code(spec: str) -> str:
    """SHA-256 of a model's file; empty for anything else, and where it cannot be read."""
    path = Path(spec.rpartition(":")[0]).expanduser()
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except OSError:
        return ""


@lru_cache(maxsize=8)
def _graph(spec: str, kwargs: str, channels: int, image: int, classes: int) -> tuple[WidthGraph, str]:
    """Load and trace; also the digest that ``ModelNetwork.structure`` keeps.

    From a fixed seed, since what no module can reset is drawn like the loaded weights.
    """
    from parlay.graph import trace
    from parlay.graph.specs import load_classifier, parse_inputs, takes

    values = json.loads(kwargs)
    if "num_classes" not in values and takes(spec, "num_classes"):
        values["num_classes"] = classes
    inputs = parse_inputs([f"{channels}x{image}x{image}"])
    graph = trace(load_classifier(spec, values, inputs, classes), inputs)
    return graph, _structure(graph)


def _structure(graph: WidthGraph) -> str:
    parts = [[group.name, group.multiple_of] for group in graph.space.groups]
    polynomials = [
        [p.constant, list(p.linear), [list(term) for term in p.quadratic], p.divisor]
        for p in (graph.params, graph.macs)
    ]
    return hashlib.sha256(json.dumps([parts, polynomials]).encode()).hexdigest()
