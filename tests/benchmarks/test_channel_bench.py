"""Channel-Bench-Macro's ResNet, rebuilt: the table's parameters and flops, to the unit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.channel_bench import SPACES, fitted, graph, network, population, read_table

from parlay.evidence import evaluate
from parlay.evidence.judged import Binning
from parlay.resources import Resource

TABLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "channel_bench"

PARAMS = Resource.of(
    "params",
    7,
    constant=10,
    linear=dict(enumerate((33, 2, 2, 2, 16, 2, 2))),
    quadratic={(0, 1): 18, (0, 2): 18, (0, 3): 9, (3, 4): 9, (4, 5): 18, (4, 6): 18},
)
"""Batch norms: 2 a channel; stem 27 c0; linear layer 10 c4 + 10; eleven convolutions of 3 x 3."""

MACS = Resource.of(
    "macs",
    7,
    linear={0: 27 * 256, 4: 10},
    quadratic={(0, 1): 4608, (0, 2): 4608, (0, 3): 576, (3, 4): 576, (4, 5): 1152, (4, 6): 1152},
)
"""16 x 16 pixels in the first stage, 8 x 8 in the second."""


def test_the_rebuilt_network_has_the_tables_polynomials() -> None:
    """Traced: groups set (3, 1, 1, 1, 3, 1, 1) convolutions; parameters and multiply-adds are the table's."""
    traced = graph()
    assert [group.multiplicity for group in traced.space.groups] == [3, 1, 1, 1, 3, 1, 1]
    assert (traced.params, traced.macs) == (PARAMS, MACS)
    assert (PARAMS((64, 64, 64, 128, 128, 128, 128)), MACS((64, 64, 64, 128, 128, 128, 128))) == (963_658, 90_096_896)
    pairs = {frozenset((link.source, link.target)) for link in traced.space.connections if link.source is not None}
    assert pairs == {frozenset(pair) for pair in ((0, 1), (0, 2), (0, 3), (3, 4), (4, 5), (4, 6))}


def test_the_rebuilt_mobilenet_steps_through_its_streams() -> None:
    """Hidden width to hidden width, past every shortcut; both streams carry, the stem and the last width end a step."""
    groups = graph("mobilenet").space.groups
    assert [group.multiplicity for group in groups] == [3, 2, 2, 2, 2, 2, 1]
    half = Fraction(1, 2)
    assert [(s.source, s.carriers, s.target, s.share) for s in graph("mobilenet").space.steps] == [
        (None, (), 0, 1),
        (0, (), 1, half),
        (1, (), 1, half),
        (1, (0,), 2, half),
        (2, (), 2, half),
        (2, (0,), 3, 1),
        (3, (), 3, 1),
        (3, (4,), 5, half),
        (5, (), 5, half),
        (5, (4,), 6, 1),
    ]


def test_networks_are_built_at_any_widths() -> None:
    """Counted parameters equal the polynomial; logits come out; the seed fixes the weights."""
    widths = (64, 192, 128, 256, 384, 128, 512)
    model = network(widths, seed=3)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMS(widths)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert torch.equal(next(model.parameters()), next(network(widths, seed=3).parameters()))


def test_polynomials_are_found_from_rows() -> None:
    """Enough rows give back the integer polynomial; a column that is none is refused."""
    rng = np.random.default_rng(0)
    widths = np.array(SPACES["resnet"][1]) // 4 * rng.integers(1, 5, (400, 7))
    amounts = np.array([PARAMS(tuple(row)) for row in widths.tolist()])
    assert fitted("params", widths, amounts) == PARAMS
    amounts[7] += 1
    with pytest.raises(ValueError, match="no integer polynomial"):
        fitted("params", widths, amounts)


@pytest.mark.data
@pytest.mark.skipif(not TABLES.exists(), reason="the benchmark's tables are not beside the checkout")
@pytest.mark.parametrize("space", SPACES)
def test_all_rows_of_the_table_are_the_rebuilt_networks(space: str) -> None:
    """Both polynomials, fitted to all 16,384 rows in integers, are those of the traced network."""
    table = read_table(TABLES / f"{space}.csv.gz")
    assert len(table.widths) == 16_384
    assert fitted("params", table.widths, table.params) == graph(space).params
    assert fitted("macs", table.widths, table.flops) == graph(space).macs


FIGURES = {
    "resnet": {"step-energy": (0.79, 0.70), "path-energy": (0.79, 0.70), "energy-layer": (0.77, 0.65)},
    "mobilenet": {
        "step-energy": (0.87, 0.86),
        "sum-log": (0.81, 0.80),
        "energy-layer": (0.69, 0.68),
        "macs": (0.51, 0.51),
        "path-energy": (0.31, 0.31),
    },
}
"""Published in docs/evidence.md: Spearman inside bins 1 % wide, and given the parameters."""


@pytest.mark.data
@pytest.mark.skipif(not TABLES.exists(), reason="the benchmark's tables are not beside the checkout")
@pytest.mark.parametrize("space", SPACES)
def test_scores_of_the_traced_networks_are_reproduced(space: str) -> None:
    """The figures of both tables, each to 0.006."""
    table, figures = population(TABLES / f"{space}.csv.gz", space), FIGURES[space]
    [panel] = evaluate([table], scores=tuple(figures), binning=Binning(width=0.01), resamples=100).panels
    for name, expected in figures.items():
        assert (panel[name]["spearman"], panel[name]["partial_params"]) == pytest.approx(expected, abs=0.006)
