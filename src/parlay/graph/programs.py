"""From a module and example inputs to exported programs, leaving the module as it was."""

from __future__ import annotations

import copy
import io
import linecache
import logging
import random
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parlay.errors import InputError, TraceError, first_line
from parlay.extras import Needs

with Needs("tracing networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.export import ExportedProgram
    from torch.nn.parameter import is_lazy
    from torch.nn.utils import parametrize, prune
    from torch.utils._pytree import tree_leaves

__all__ = [
    "BATCH_SIZE",
    "Example",
    "canonical_names",
    "example_of",
    "export",
    "place_of",
    "refuse_lazy",
    "run_copied",
    "structure_of",
    "undisturbed",
]

BATCH_SIZE = 2
"""Images in the traced batch: batch norm in training mode refuses a single value a channel."""

PLAIN = (Tensor, int, float, complex, bool, str, type(None))
"""What ``torch.export`` takes as an output, in containers that it knows."""

OTHERS = re.compile(r"[/\\]torch[/\\]|[/\\]parlay[/\\]graph[/\\]|^<")
"""Files whose lines are not the model's."""

OWN_ERRORS = (AttributeError, NameError, NotImplementedError)
"""What no input brings about: the code of the model itself is to be mended."""
OWN_REMEDY = "that line of the model's own code raised it"

HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called"),
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """Inputs to trace with.

    Attributes:
        inputs: positional inputs; the batch has ``BATCH_SIZE`` images.
        batched: whether the first dimension of every tensor is the batch.
    """

    inputs: tuple[Any, ...]
    batched: bool

    @property
    def shapes(self) -> str:
        """The shapes in words, without the batch."""
        return ", ".join(
            "x".join(str(size) for size in item.shape[1 if self.batched else 0 :])
            for item in self.inputs
            if isinstance(item, Tensor)
        )

    def sized(self, batch: int) -> tuple[Any, ...]:
        """The inputs with another number of images."""
        if not self.batched:
            return self.inputs
        return tuple(_resized(item, batch) if isinstance(item, Tensor) else item for item in self.inputs)


def example_of(inputs: Tensor | Sequence[Any]) -> Example:
    """The example inputs with a batch of ``BATCH_SIZE``, cut or repeated; where first sizes differ, as they are.

    Raises:
        InputError: when there is no tensor among them, or one without dimensions or elements.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    tensors = [item for item in given if isinstance(item, Tensor)]
    if not tensors:
        raise InputError("example inputs", given="no tensor", allowed="a tensor or a tuple with tensors")
    if any(not item.dim() or not item.numel() for item in tensors):
        raise InputError("example inputs", given="a tensor without elements", allowed="tensors with a batch dimension")
    batched = len({item.shape[0] for item in tensors}) == 1 and all(item.dim() > 1 for item in tensors)
    example = Example(inputs=given, batched=batched)
    return Example(inputs=example.sized(BATCH_SIZE), batched=batched)


def _resized(item: Tensor, batch: int) -> Tensor:
    return torch.cat([item[:1].detach()] * batch)


def canonical_names(model: nn.Module) -> dict[str, str]:
    """Every name of every parameter and buffer -> the first name of the same tensor."""
    first: dict[int, str] = {}
    names: dict[str, str] = {}
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in named:
        names[name] = first.setdefault(id(tensor), name)
    return names


def structure_of(model: nn.Module, replace: Mapping[int, Tensor] | None = None) -> nn.Module:
    """A copy of the module without its hooks, which shares its parameters and buffers.

    Args:
        model: left as it is, hooks and modes included.
        replace: id of a parameter or buffer -> the tensor that takes its place in the copy.

    Raises:
        TraceError: when the module cannot be copied, or hooks of torch compute its weights.
    """
    refuse_weight_hooks(model)
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        memo[id(tensor)] = (replace or {}).get(id(tensor), tensor)
    try:
        copied = copy.deepcopy(model, memo)
    except Exception as error:
        raise TraceError(
            "the model",
            found=f"it cannot be copied ({type(error).__name__}: {error})",
            remedy="give a model that copy.deepcopy accepts",
        ) from error
    for module in copied.modules():
        for name in HOOKS:
            hooks = module.__dict__.get(name)
            if hooks:
                setattr(module, name, type(hooks)())
    return copied


def refuse_lazy(model: nn.Module) -> None:
    """Layers that take their shapes from their first batch have none before it."""
    lazy = [path or "the model" for path, module in model.named_modules() if _is_lazy(module)]
    if lazy:
        raise InputError(
            "model",
            given=f"layers without shapes: {', '.join(lazy)}",
            allowed="layers whose shapes are known",
            remedy="run one batch through it before it is returned, such as model(torch.zeros(2, 3, 224, 224))",
        )


def _is_lazy(module: nn.Module) -> bool:
    tensors = (*module._parameters.values(), *module._buffers.values())
    return any(tensor is not None and is_lazy(tensor) for tensor in tensors)


def refuse_weight_hooks(model: nn.Module) -> None:
    """Hooks of torch's own that compute weights are part of the forward pass and cannot be left out."""
    for path, module in model.named_modules():
        if parametrize.is_parametrized(module):
            raise TraceError(
                "parametrization",
                module=path,
                found="it computes weights outside forward",
                remedy="remove it first (torch.nn.utils.parametrize.remove_parametrizations)",
                is_final=True,
            )
        for hook in module._forward_pre_hooks.values():
            kind = type(hook)
            if isinstance(hook, prune.BasePruningMethod) or kind.__module__.startswith("torch.nn.utils"):
                raise TraceError(
                    f"hook {kind.__name__}",
                    module=path,
                    found="it computes weights outside forward",
                    remedy="remove it first (remove_weight_norm, prune.remove, ...)",
                )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Every random number generator is left as it was."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, log lines and printed graphs of torch about the tracing itself: what fails is raised."""
    talking = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.split(".")[0] == "torch" and isinstance(logger, logging.Logger) and not logger.disabled
    ]
    for logger in talking:
        logger.disabled = True
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger in talking:
            logger.disabled = False


def export(model: nn.Module, example: Example, *, training: bool) -> ExportedProgram:
    """Export a copy of the model in one mode.

    Raises:
        InputError: when the model does not accept the inputs.
        TraceError: when it does, but ``torch.export`` cannot follow it.
    """
    refuse_lazy(model)
    copied = structure_of(model).train(training)
    try:
        with quiet():
            return torch.export.export(copied, example.inputs)
    except Exception as error:
        try:
            result = run_copied(model, example.inputs, training=training)
        except Exception as complaint:
            line = place_of(complaint, model).line
            if line and isinstance(complaint, OWN_ERRORS):
                raise InputError(
                    f"forward of {type(model).__name__}",
                    given=f"{first_line(complaint)} at {line}",
                    allowed="a forward that runs",
                    remedy=OWN_REMEDY,
                ) from None
            raise InputError(
                f"input {example.shapes} of {type(model).__name__}",
                given=first_line(complaint) + (f" at {line}" if line else ""),
                allowed="what the model's forward accepts",
                remedy=remedy_for(model, example, complaint, training=training),
            ) from None
        place = place_of(error, copied)
        unknown = [type(leaf).__name__ for leaf in tree_leaves(result) if not isinstance(leaf, PLAIN)]
        remedy = "remove what depends on the data from forward, or trace a part of the model with --part"
        if unknown:
            remedy = (
                f"return tensors, tuples, lists or dicts in the place of {unknown[0]}, or register a dataclass with"
                " torch.export.register_dataclass"
            )
        raise TraceError(
            f"forward of {type(model).__name__}",
            module=place.module,
            found=f"torch.export cannot follow {place.line or 'it'} ({first_line(error)})",
            remedy=remedy,
        ) from error


def remedy_for(model: nn.Module, example: Example, complaint: Exception, *, training: bool) -> str:
    """What helps against what the model's forward says to the inputs."""
    text, weight = str(complaint), next((p for p in model.parameters() if p.is_floating_point()), None)
    given = next((item for item in example.inputs if isinstance(item, Tensor) and item.is_floating_point()), None)
    if weight is not None and given is not None and weight.device != given.device:
        return f"its weights are on {weight.device}, the input on {given.device}: put both on one device"
    if weight is not None and given is not None and weight.dtype != given.dtype:
        return f"its weights are {weight.dtype}, the input is {given.dtype}: give inputs of that type, or model.float()"
    if re.search(r"\bindices\b|\bindex|scalar types?.*(Long|Int)|\b(Long|Int), ?(Long|Int)", text):
        return "integers are written with tokens:, such as --input tokens:20"
    if "positional argument" in text:
        return "one --input for every input of forward, in its order"
    if isinstance(complaint, ImportError):
        return "install what it imports, or put it beside the model's file"
    is_about_sizes = re.search(r"\bsizes?\b|shape|channel|dimension|kernel|spatial", text, re.IGNORECASE)
    if training and not is_about_sizes and _runs(model, example):
        parts = [name for name, child in model.named_children() if any(True for _ in child.parameters())]
        part = parts[0] if parts else "backbone"
        return f"it runs in evaluation mode alone: trace a part that is trained on images alone, such as --part {part}"
    return "change the input, such as --input 3x224x224"


def _runs(model: nn.Module, example: Example) -> bool:
    try:
        run_copied(model, example.inputs, training=False)
    except Exception:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a model an error came from; empty where that is not known.

    Attributes:
        module: path of the innermost module of the model's own classes whose forward was running.
        layer: path of the innermost module of any class.
        line: file:line code, of a function that forward calls where it is one.
    """

    module: str = ""
    layer: str = ""
    line: str = ""


def place_of(error: BaseException, model: nn.Module) -> Place:
    """Where in a model's forward an error came from; without paths where a copy of ``model`` ran."""
    paths = {id(part): path for path, part in model.named_modules()}
    found, is_inside = Place(), False
    for frame, number in traceback.walk_tb(error.__traceback__):
        owner, file = frame.f_locals.get("self"), frame.f_code.co_filename
        if isinstance(owner, nn.Module):
            is_own = not type(owner).__module__.startswith("torch.nn.")
            is_inside |= is_own
            path = paths.get(id(owner))
            if path is not None:
                found = replace(found, layer=path, module=path if is_own else found.module)
        if is_inside and not OTHERS.search(file):
            found = replace(found, line=f"{file}:{number} {linecache.getline(file, number).strip()}")
    return found


def run_copied(model: nn.Module, inputs: Sequence[Any], *, training: bool) -> Any:
    """What the model returns in one mode; the model, its buffers and modes included, stays as it is.

    Raises:
        Exception: whatever its forward raises.
    """
    refuse_lazy(model)
    buffers = {id(buffer): buffer.clone() for buffer in model.buffers()}
    copied = structure_of(model, buffers).train(training)
    with torch.no_grad(), quiet():
        return copied(*inputs)
