"""docs/counting.md: its tables are what the counters say."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def script():
    """docs/counting_table.py as a module."""
    spec = importlib.util.spec_from_file_location("counting_table", DOCS / "counting_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def counters():
    """The two counters beside torch's, or a skip."""
    with warnings.catch_warnings():  # importing fvcore touches a part of torch that is deprecated
        warnings.simplefilter("ignore")
        return pytest.importorskip("fvcore.nn"), pytest.importorskip("ptflops")


def page_lines():
    return (DOCS / "counting.md").read_text("utf-8").splitlines()


def is_on_page(table):
    """Whether the page has the table as it stands, every line in its place."""
    lines = page_lines()
    return any(lines[at : at + len(table)] == table for at in range(len(lines)))


def test_counters_say_what_the_page_says(script, counters):
    """parlay, torch, fvcore and ptflops print the figures of the table."""
    table = script.table()
    assert is_on_page(table), "\n".join(table)


def test_parts_add_up(script, counters):
    """Each counter's figure for the whole network is the sum over its parts, and torch's is twice parlay's."""
    rows = dict(script.rows())
    del rows["parameters"]
    whole = rows.pop("whole network")
    assert tuple(map(sum, zip(*rows.values(), strict=True))) == whole
    assert whole[1] == 2 * whole[0]


def test_flash_is_what_the_page_says(script):
    """The flash memory of the MLPerf Tiny networks, by the formula on the page."""
    table = script.flash_table()
    assert is_on_page(table), "\n".join(table)


def test_peak_example_is_true(script):
    """The peak of the table's network, and what its gate needs, are those the page tells."""
    from parlay.graph import measure, trace

    net, image = script.network(), torch.zeros(1, *script.SHAPE)
    graph = trace(net, image)
    needs = {name: point(graph.layout) for name, point in zip(graph.points, graph.activations.points, strict=True)}
    assert max(needs, key=needs.__getitem__) == "convolution: conv2d"
    assert needs["convolution: conv2d"] == measure(net, [image]).peak_activation_bytes == 1_280
    assert needs["gate.squeeze: conv2d"] == 522
    text = "\n".join(page_lines())
    assert "1,280 bytes" in text and "it needs 522" in text
