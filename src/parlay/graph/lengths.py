"""Filters under a batch norm at an ordinary length: the same function, and a rate means what it usually does."""

from __future__ import annotations

import math

from parlay.extras import Needs
from parlay.graph.widthgraph import WidthGraph

with Needs("slicing networks", extra="train"):
    import torch
    from torch import nn

__all__ = ["ORDINARY", "bring_to_length"]

ORDINARY = math.sqrt(2)
"""Length of a filter whose weights are drawn as He et al. 2015 do; a batch norm behind it makes any other the same
function, trained at another rate: a filter that is ten times as short moves a hundred times as far in a step."""


def bring_to_length(graph: WidthGraph, module: nn.Module) -> nn.Module:
    """The module, its filters under batch norms at the length sqrt 2, computing what it did in evaluation mode.

    Weights, bias and running moments are scaled, and the norm's scale makes up for its epsilon. Only layers whose every
    output goes into one batch norm with a scale are touched; filters of zeros stay.

    Args:
        graph: of the model that the module was built from, at whatever widths.
        module: changed in place.
    """
    parameters = dict(module.named_parameters())
    folded = graph.ledger.folded()
    with torch.no_grad():
        for name in {norm.behind: norm for norm in graph.ledger.norms if norm.behind in folded}:
            assert name is not None
            [norm, *_] = [norm for norm in graph.ledger.norms if norm.behind == name]
            layer, axis = graph.ledger.layers[name], graph.ledger.layers[name].axis
            path = norm.parameters[0].rpartition(".")[0] if norm.parameters else ""
            owner = module.get_submodule(path) if path else None
            weight = parameters[name]
            if not isinstance(owner, nn.modules.batchnorm._BatchNorm) or owner.weight is None or axis:
                continue
            mean, variance = owner.running_mean, owner.running_var
            if mean is None or variance is None or len(mean) != weight.shape[axis]:
                continue
            lengths = weight.flatten(1).norm(dim=1)
            scale = torch.where(lengths > 0, ORDINARY / lengths.clamp_min(1e-30), torch.ones_like(lengths))
            owner.weight.mul_((scale.square() * variance + owner.eps).sqrt() / (scale * (variance + owner.eps).sqrt()))
            weight.mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
            if layer.bias is not None:
                parameters[layer.bias].mul_(scale)
            mean.mul_(scale)
            variance.mul_(scale.square())
    return module
