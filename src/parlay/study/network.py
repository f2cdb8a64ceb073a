"""What a trial trains but for its widths: one of the paper's families, or any PyTorch model, traced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from parlay.documents import finite
from parlay.energy import get_score
from parlay.errors import InputError, StudyError
from parlay.families import Family, get_family
from parlay.layout import Layout, WidthGroup, WidthSpace
from parlay.network import Network as Structure
from parlay.problem import Solution

if TYPE_CHECKING:
    from torch import nn

    from parlay.graph import WidthGraph

__all__ = ["FamilyNetwork", "ModelNetwork", "Network", "network_from"]


class Network(Protocol):
    """Everything about a network but its widths; picklable, and loads no torch until it builds."""

    @property
    def config(self) -> dict[str, Any]:
        """What fixes it, in plain JSON values; part of a trial's identity, and enough for ``network_from``."""
        ...

    @property
    def title(self) -> str:
        """The network in words."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the width groups, in layout order."""
        ...

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        ...

    @property
    def image(self) -> int:
        """Side of the square input in pixels."""
        ...

    @property
    def classes(self) -> int:
        """Outputs."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What tables say of it: ``network`` (the title), ``family``, ``depth``, ``kernel_sizes``, ``in_channels``,
        ``image``, ``classes``; None where a model has no such thing.
        """
        ...

    def check(self, layout: Layout) -> Layout:
        """The layout, if the network can be built at it.

        Raises:
            InputError: otherwise.
        """
        ...

    def figures(self, layout: Layout) -> dict[str, Any]:
        """What a layout is and costs, in the words of every JSON document; None where there is no number."""
        ...

    def build(self, layout: Layout, *, seed: int) -> nn.Module:
        """The network at a layout, with fresh weights drawn from the seed."""
        ...


@dataclass(frozen=True, kw_only=True)
class FamilyNetwork:
    """One of the paper's networks.

    >>> from parlay.families import plain
    >>> FamilyNetwork(family=plain(4)).figures((35, 36, 37, 43))["weights"]
    38592

    Attributes:
        family: what fixes everything but the widths.
    """

    family: Family

    @property
    def config(self) -> dict[str, Any]:
        return self.family.config

    @property
    def title(self) -> str:
        return self.family.title

    @property
    def groups(self) -> tuple[str, ...]:
        return self.family.group_names

    @property
    def in_channels(self) -> int:
        return self.family.in_channels

    @property
    def image(self) -> int:
        return self.family.image

    @property
    def classes(self) -> int:
        return self.family.classes

    @property
    def facts(self) -> dict[str, Any]:
        config = self.family.config
        return {"network": self.title, "family": config.pop("name"), **config}

    def check(self, layout: Layout) -> Layout:
        return self.family.check(layout)

    def figures(self, layout: Layout) -> dict[str, Any]:
        return {
            **_energies(layout, self.family.energy(layout)),
            **self.family.sizes(layout),
            **_costs(self.family, layout),
        }

    def build(self, layout: Layout, *, seed: int) -> nn.Module:
        return self.family.build(layout, seed=seed)


@dataclass(frozen=True, kw_only=True)
class ModelNetwork:
    """Any PyTorch model, by name; make it with ``ModelNetwork.traced``.

    Attributes:
        spec: ``torchvision/NAME``, ``timm/NAME``, ``package.module:factory`` or ``path/file.py:factory``.
        kwargs: of the model's factory, as JSON text.
        in_channels, image, classes: of the data it is trained on.
        groups: names of the width groups.
        multiples: each width is a multiple of its group's number.
        today: the model's own widths.
        structure: SHA-256 of the groups and of the polynomials of parameters and multiply-adds, so that a model whose
            code has changed is another network.
    """

    spec: str
    kwargs: str
    in_channels: int
    image: int
    classes: int
    groups: tuple[str, ...] = field(repr=False)
    multiples: tuple[int, ...] = field(repr=False)
    today: Layout
    structure: str = field(repr=False)

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
        >>> len(network.groups), network.figures(network.today)["params"]
        (25, 727626)
        """
        try:
            text = json.dumps(dict(kwargs or {}), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError):
            raise InputError(
                "model arguments", given=repr(dict(kwargs or {}))[:200], allowed="numbers, texts, lists and None"
            ) from None
        graph = _graph(spec, text, in_channels, image, classes)
        return cls(
            spec=spec,
            kwargs=text,
            in_channels=in_channels,
            image=image,
            classes=classes,
            groups=tuple(group.name for group in graph.space.groups),
            multiples=tuple(group.multiple_of for group in graph.space.groups),
            today=graph.layout,
            structure=_structure(graph),
        )

    @property
    def config(self) -> dict[str, Any]:
        return {
            "model": self.spec,
            "kwargs": json.loads(self.kwargs),
            "in_channels": self.in_channels,
            "image": self.image,
            "classes": self.classes,
            "groups": list(self.groups),
            "multiples": list(self.multiples),
            "today": list(self.today),
            "structure": self.structure,
        }

    @property
    def title(self) -> str:
        place, _, name = self.spec.rpartition(":")
        return f"{Path(place).name}:{name}" if Path(place).is_absolute() else self.spec

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "network": self.spec,
            "family": None,
            "depth": None,
            "kernel_sizes": None,
            "in_channels": self.in_channels,
            "image": self.image,
            "classes": self.classes,
        }

    def check(self, layout: Layout) -> Layout:
        space = WidthSpace(
            groups=tuple(
                WidthGroup(name=name, multiple_of=step) for name, step in zip(self.groups, self.multiples, strict=True)
            )
        )
        broken = space.violation(layout)
        if broken is not None:
            raise InputError(
                f"layout of {self.spec}",
                given=broken,
                allowed=f"{len(self.groups)} widths, one a group",
                remedy=f"parlay trace {self.spec} lists the groups; 'original' are today's widths",
            )
        return layout

    def figures(self, layout: Layout) -> dict[str, Any]:
        graph = self.graph()
        return {
            **_energies(layout, get_score("energy-group").terms(graph.space)(layout)),
            "kernels": None,
            "weights": None,
            **_costs(graph, layout),
        }

    def build(self, layout: Layout, *, seed: int) -> nn.Module:
        return self.graph().build(layout, seed=seed)

    def graph(self) -> WidthGraph:
        """The traced model; traced once a process.

        Raises:
            StudyError: when the model's code has changed since the network was made.
        """
        graph = _graph(self.spec, self.kwargs, self.in_channels, self.image, self.classes)
        if _structure(graph) != self.structure:
            raise StudyError(
                f"model {self.spec} is no longer the one that was planned: its groups or its polynomials differ;"
                " restore it, or plan it anew"
            )
        return graph


def network_from(config: Mapping[str, Any]) -> Network:
    """The network that a configuration fixes; nothing is traced or built.

    >>> from parlay.families import resnet
    >>> network = FamilyNetwork(family=resnet(20))
    >>> network_from(network.config) == network
    True
    """
    values = dict(config)
    if "model" not in values:
        factory = get_family(values.pop("name"))
        depth, sizes = values.pop("depth"), values.pop("kernel_sizes")
        return FamilyNetwork(family=factory(depth, kernel_size=sizes, **values))
    return ModelNetwork(
        spec=values["model"],
        kwargs=json.dumps(values["kwargs"], sort_keys=True, allow_nan=False),
        in_channels=values["in_channels"],
        image=values["image"],
        classes=values["classes"],
        groups=tuple(values["groups"]),
        multiples=tuple(values["multiples"]),
        today=tuple(values["today"]),
        structure=values["structure"],
    )


def _costs(network: Structure, layout: Layout) -> dict[str, int]:
    """What trials.csv keeps of a layout's amounts."""
    amounts = network.amounts(layout)
    return {name: amounts[name] for name in ("params", "macs", "peak_activation_bytes")}


def _energies(layout: Layout, log_energy: float) -> dict[str, Any]:
    return {
        "layout": list(layout),
        "energy": finite(Solution(layout=layout, log_energy=log_energy).energy),
        "log_energy": finite(log_energy),
    }


@lru_cache(maxsize=8)
def _graph(spec: str, kwargs: str, channels: int, image: int, classes: int) -> WidthGraph:
    """Load and trace; from a fixed seed, since what no module can reset is drawn like the loaded weights."""
    from parlay.graph import trace
    from parlay.graph.specs import load_seeded, parse_inputs, takes

    values = json.loads(kwargs)
    if "num_classes" not in values and takes(spec, "num_classes"):
        values["num_classes"] = classes
    inputs = parse_inputs([f"{channels}x{image}x{image}"])
    model, shape = load_seeded(spec, values, inputs)
    if shape != (1, classes):
        raise InputError(
            f"outputs of {spec}",
            given="x".join(map(str, shape)) or "no single tensor",
            allowed=f"1x{classes}, one number a class of the data",
            remedy="name the argument that sets them, such as --model-arg num_classes=10",
        )
    return trace(model, inputs)


def _structure(graph: WidthGraph) -> str:
    parts = [[group.name, group.multiple_of] for group in graph.space.groups]
    polynomials = [
        [p.constant, list(p.linear), [list(term) for term in p.quadratic], p.divisor]
        for p in (graph.params, graph.macs)
    ]
    return hashlib.sha256(json.dumps([parts, polynomials]).encode()).hexdigest()
