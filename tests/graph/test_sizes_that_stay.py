"""Classes keep their number even where the output has lost it: in an index, a maximum, a sum, a loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph_checks import Net
from parlay.graph import trace

CLASSES = 7


def network(ending: Callable[..., object]) -> Net:
    """Two layers, and one that writes 7 classes."""
    return Net(
        lambda m, *x: ending(m.classes(m.b(m.a(x[0]).relu()).relu()), *x[1:]),
        a=nn.Conv2d(3, 8, 3, 2, 1),
        b=nn.Conv2d(8, 12, 3, 2, 1),
        classes=nn.Conv2d(12, CLASSES, 1),
    )


ENDINGS: dict[str, Callable[[Tensor], object]] = {
    "argmax": lambda y: y.argmax(1),
    "argmin": lambda y: (-y).argmin(1, keepdim=True),
    "argmax of a resized map": lambda y: F.interpolate(y, size=(16, 16), mode="bilinear").argmax(1),
    "argmax of everything": lambda y: y.mean((2, 3)).argmax(),
    "max with its places": lambda y: y.softmax(1).max(1),
    "the places of max alone": lambda y: y.max(1).indices,
    "max without places": lambda y: y.softmax(1).max(1).values,
    "median": lambda y: y.median(1).indices,
    "kthvalue": lambda y: y.kthvalue(2, dim=1).indices,
    "topk": lambda y: y.topk(3, 1).indices,
    "sort": lambda y: y.sort(1).indices,
    "argsort": lambda y: y.argsort(1),
    "sum": lambda y: y.exp().sum(1),
    "mean of everything": lambda y: y.mean(),
    "logsumexp": lambda y: y.logsumexp(1),
    "a norm": lambda y: torch.linalg.vector_norm(y, dim=1),
    "entropy": lambda y: -(y.softmax(1) * y.log_softmax(1)).sum(1),
    "a sum in einsum": lambda y: torch.einsum("bchw->bhw", y),
    "a mask of the largest": lambda y: F.one_hot(y.mean((2, 3)).argmax(1), CLASSES).float(),
    "boxes of the best": lambda y: (y.sigmoid().amax(1), y.sigmoid().argmax(1)),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_classes_stay_where_an_output_reduces_them(name: str) -> None:
    """The layer before the ending has no free width; those before it have."""
    graph = trace(network(ENDINGS[name]), torch.zeros(1, 3, 16, 16))
    assert [group.name for group in graph.space.groups] == ["a", "b"]


@pytest.mark.parametrize("loss", [F.cross_entropy, lambda y, t: F.nll_loss(y.log_softmax(1), t)])
def test_classes_stay_in_a_loss_that_forward_returns(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """A network that takes targets and gives its loss has as many classes as before."""
    model = network(lambda y, targets: loss(y.mean((2, 3)), targets))
    graph = trace(model, (torch.zeros(2, 3, 16, 16), torch.zeros(2, dtype=torch.long)))
    assert [group.name for group in graph.space.groups] == ["a", "b"]


def test_a_maximum_of_features_in_the_middle_stays_free() -> None:
    """Attention over pixels by means and maxima of channels reads them through a layer: their width may change."""

    def forward(m: Net, x: Tensor) -> Tensor:
        x = m.a(x).relu()
        gate = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return m.head((x * m.gate(gate).sigmoid()).mean((2, 3)))

    model = Net(forward, a=nn.Conv2d(3, 8, 3), gate=nn.Conv2d(2, 1, 3, padding=1), head=nn.Linear(8, 5))
    assert [group.name for group in trace(model, torch.zeros(1, 3, 8, 8)).space.groups] == ["a"]


def test_places_that_steer_the_network_keep_their_number() -> None:
    """An index that a later layer reads tells its places apart as well as one that is returned."""

    def forward(m: Net, x: Tensor) -> Tensor:
        x = m.a(x).relu().mean((2, 3))
        return m.head(m.words(m.choice(x).argmax(1)))

    layers = {
        "a": nn.Conv2d(3, 8, 3),
        "choice": nn.Linear(8, 6),
        "words": nn.Embedding(6, 10),
        "head": nn.Linear(10, 5),
    }
    graph = trace(Net(forward, **layers), torch.zeros(1, 3, 8, 8))
    assert "choice" not in [group.name for group in graph.space.groups]
