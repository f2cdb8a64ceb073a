"""The networks of examples/cifar.py: the sizes they say, the paper's plain network, and that parlay rebuilds them."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from parlay.families import plain  # noqa: E402
from parlay.graph import measure, trace  # noqa: E402
from parlay.graph.specs import load_model  # noqa: E402

FILE = Path(__file__).resolve().parent.parent / "examples" / "cifar.py"


def network(name, **kwargs):
    return load_model(f"{FILE}:{name}", kwargs)


def test_plain4_is_the_plain_family_at_a_doubling_layout():
    """Parameters, multiply-adds and, with the same weights, outputs are those of the family at (10, 20, 40, 80)."""
    model, family = network("plain4").eval(), plain(4)
    ours = family.build((10, 20, 40, 80)).eval()
    assert family.kernels((10, 20, 40, 80)) == 4230
    assert [p.shape for p in model.parameters()] == [p.shape for p in ours.parameters()]
    with torch.no_grad():
        for theirs, mine in zip(model.parameters(), ours.parameters(), strict=True):
            theirs.copy_(mine)
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(model(images), ours(images), atol=1e-5)
    measured = measure(model, [torch.zeros(1, 3, 32, 32)])
    assert (measured.params, measured.macs) == (family.params((10, 20, 40, 80)), family.macs((10, 20, 40, 80)))


@pytest.mark.parametrize(("name", "groups"), [("plain4", 4), ("mobilenet", 6)])
def test_random_layouts_are_what_was_predicted(name, groups):
    """At five random layouts the built network has the predicted sizes."""
    image = torch.zeros(1, 3, 32, 32)
    graph = trace(network(name), image)
    assert len(graph.layout) == groups
    for layout in graph.space.sample(5, 0):
        measured = measure(graph.build(layout, seed=0), [image])
        predicted = (graph.params(layout), graph.macs(layout), graph.peak_activation_bytes()(layout))
        assert (measured.params, measured.macs, measured.peak_activation_bytes) == predicted


def test_keywords_change_classes_and_widths():
    """Factories take the classes and the width."""
    for name in ("plain4", "mobilenet"):
        assert network(name, num_classes=7, width=4)(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_docstring_examples_run():
    """The examples in the docstrings hold."""
    network("plain4")
    outcome = doctest.testmod(sys.modules["cifar"])
    assert outcome.attempted >= 2
    assert outcome.failed == 0
