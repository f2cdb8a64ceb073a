"""From a module and example inputs to exported programs, leaving the module as it was."""

from __future__ import annotations

import copy
import io
import logging
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import numpy as np

from parlay.errors import InputError, TraceError
from parlay.extras import Needs

with Needs("tracing networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.export import ExportedProgram
    from torch.nn.utils import parametrize, prune

__all__ = ["BATCH_SIZE", "Example", "canonical_names", "example_of", "export", "structure_of", "undisturbed"]

BATCH_SIZE = 2
"""Images in the traced batch: batch norm in training mode refuses a single value a channel."""

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
    copied = structure_of(model).train(training)
    try:
        with quiet():
            return torch.export.export(copied, example.inputs)
    except Exception as error:
        complaint = forward_complaint(model, example, training=training)
        if complaint is not None:
            raise InputError(
                f"input {example.shapes} of {type(model).__name__}",
                given=complaint,
                allowed="what the model's forward accepts",
                remedy="change the input, such as --input 3x224x224",
            ) from None
        raise TraceError(
            f"{type(model).__name__}",
            found=f"torch.export cannot follow it ({_first_line(error)})",
            remedy="remove what depends on the data from forward, or trace a part of the model",
        ) from error


def forward_complaint(model: nn.Module, example: Example, *, training: bool) -> str | None:
    """What the model's forward says to the inputs, or None when it runs."""
    buffers = {id(buffer): buffer.clone() for buffer in model.buffers()}
    copied = structure_of(model, buffers).train(training)
    try:
        with torch.no_grad(), quiet():
            copied(*example.inputs)
    except Exception as error:
        return _first_line(error)
    return None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
