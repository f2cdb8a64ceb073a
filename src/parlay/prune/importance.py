"""How important every channel of a trained network is, measured over everything that holds it.

A channel of a coupled group lives in the filters that write it, in the norms behind them and in the weights that read
it, often of many layers. Its importance counts all of them; a channel that goes alone with others (``units`` of
``parlay.graph.slicing``) has theirs together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from parlay.data import Dataset
from parlay.errors import InputError, unknown
from parlay.extras import Needs
from parlay.graph import WidthGraph
from parlay.graph.slicing import norms, sums_by_unit, units_of
from parlay.train.evaluation import loss_of
from parlay.train.inputs import Inputs

with Needs("measuring importance", extra="train"):
    import torch
    from torch import Tensor, nn

__all__ = ["DEFAULT_IMPORTANCE", "IMPORTANCES", "measure_importance"]

Importance = tuple[Tensor, ...]
"""For every group, (units,) in float64, at least 0."""

IMAGES = 1024
"""Training images that gradients are taken over: 64 batches, seconds on a small network. How many are enough has not
been measured."""
BATCH = 16
"""Images of a gradient. Fisher squares gradients of batches: the smaller, the nearer to squares of single images."""


def measure_importance(graph: WidthGraph, data: Dataset, kind: str, *, images: int = IMAGES) -> Importance:
    """The importance of every channel, on training images; the model is left as it was.

    Args:
        graph: the traced, trained model.
        data: validation images set aside: only training images are looked at.
        kind: ``taylor``: the sum of abs(w g) over all weights that write, scale or read the channel, g being the
            gradient of the mean loss (Molchanov et al. 2019, over coupled layers as in Fang et al. 2023); ``fisher``:
            half the mean squared derivative of the loss by a gate on all that read the channel, the loss that its
            removal costs to second order (Theis et al. 2018); ``l2``: squared weights that write it, each layer scaled
            to 1; ``bn-scale``: abs of the scales of the batch norms that it passes, their mean (Liu et al. 2017).
        images: how many training images gradients are taken over, in the order of seed 0.

    Raises:
        InputError: for an unknown kind, batch norm scales that a group does not have, or weights without a gradient.
    """
    if kind in FROM_WEIGHTS:
        return FROM_WEIGHTS[kind](graph)
    if kind not in FROM_GRADIENTS:
        raise unknown("importance", kind, IMPORTANCES)
    return FROM_GRADIENTS[kind](graph, data, images)


def _scales(graph: WidthGraph) -> Importance:
    counts = units_of(graph, graph.layout)
    found = [torch.zeros(count, dtype=torch.float64) for count in counts]
    many = [0] * len(counts)
    tensors = dict(graph.model.named_parameters())
    for norm in graph.ledger.norms:
        if norm.statistics and norm.parameters:
            name = norm.parameters[0]
            sums = sums_by_unit(graph, graph.shapes[name][0], tensors[name].detach().double().cpu().abs())
            for g, part in sums.items():
                found[g] += part
                many[g] += 1
    for group, number in zip(graph.space.groups, many, strict=True):
        if not number:
            raise InputError(
                f"importance bn-scale of {group.name}",
                given="no batch norm behind it",
                allowed="a batch norm in every group",
                remedy="take --importance taylor",
            )
    return tuple(values / number for values, number in zip(found, many, strict=True))


def _taylor(graph: WidthGraph, data: Dataset, images: int) -> Importance:
    """abs(w g) of every weight, summed over all dimensions that hold a unit."""
    total: dict[str, Tensor] = {}
    batches = 0
    for gradients in _gradients(graph, data, images):
        batches += 1
        for name, gradient in gradients.items():
            total[name] = total[name] + gradient if name in total else gradient.clone()
    tensors = dict(graph.model.named_parameters())
    found = [torch.zeros(count, dtype=torch.float64) for count in units_of(graph, graph.layout)]
    for name, gradient in total.items():
        product = (tensors[name].detach() * gradient / batches).double().abs().cpu()
        for axis, dim in enumerate(graph.shapes[name]):
            for g, part in sums_by_unit(graph, dim, _along(product, axis)).items():
                found[g] += part
    return tuple(found)


def _fisher(graph: WidthGraph, data: Dataset, images: int) -> Importance:
    """A gate that scales what every reader reads of a unit has the derivative sum of w g over these readers."""
    tensors = dict(graph.model.named_parameters())
    found = [torch.zeros(count, dtype=torch.float64) for count in units_of(graph, graph.layout)]
    batches = 0
    for gradients in _gradients(graph, data, images):
        batches += 1
        gates = [torch.zeros(len(values), dtype=torch.float64) for values in found]
        for name, layer in graph.ledger.layers.items():
            if name in gradients:
                product = (tensors[name].detach() * gradients[name]).double().cpu()
                for axis, dim in enumerate(graph.shapes[name]):
                    if axis != layer.axis:
                        for g, part in sums_by_unit(graph, dim, _along(product, axis)).items():
                            gates[g] += part
        for values, gate in zip(found, gates, strict=True):
            values += gate.square()
    scale = 0.5 * BATCH / batches  # of means of B independent gradients the squares are B times as small
    return tuple(scale * values for values in found)


FROM_GRADIENTS: Mapping[str, Callable[[WidthGraph, Dataset, int], Importance]] = {
    "taylor": _taylor,
    "fisher": _fisher,
}
FROM_WEIGHTS: Mapping[str, Callable[[WidthGraph], Importance]] = {"l2": norms, "bn-scale": _scales}
IMPORTANCES = (*FROM_GRADIENTS, *FROM_WEIGHTS)
"""Every kind of importance."""

DEFAULT_IMPORTANCE = "fisher"
"""By the rule of docs/prune.md, from its first table."""


def _along(values: Tensor, axis: int) -> Tensor:
    """(positions along an axis,): sums over everything else."""
    return values.transpose(0, axis).flatten(1).sum(1) if values.ndim > 1 else values


def _gradients(graph: WidthGraph, data: Dataset, images: int) -> Iterator[dict[str, Tensor]]:
    """Gradients of the mean loss of one batch after the other, in evaluation mode, by the parameters' names."""
    model: nn.Module = graph.model
    modes = [(part, part.training) for part in model.modules()]
    named = {name: p for name, p in model.named_parameters() if p.requires_grad and name in graph.shapes}
    if not named:
        raise InputError("weights", given="none with a gradient", allowed="parameters that require a gradient")
    device = str(next(iter(named.values())).device)
    inputs = Inputs.of(data, device=device)
    order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(0))[:images]
    try:
        model.eval()
        for place, chosen in enumerate(order.split(BATCH)):
            if len(chosen) < BATCH and place:
                break  # all batches count alike
            loss = loss_of(
                inputs.logits(model, data.train_images[chosen].to(device)), data.train_labels[chosen].to(device)
            )
            several = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            yield {name: gradient for name, gradient in zip(named, several, strict=True) if gradient is not None}
    finally:
        for part, mode in modes:
            part.training = mode
