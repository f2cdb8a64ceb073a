"""Channel-Bench-Macro's ResNet, rebuilt: the table's parameters and flops, to the unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.channel_bench import LARGEST, fitted, graph, network, read_table

from parlay.resources import Resource

TABLE = Path(__file__).parents[2] / "shared" / "data" / "channel_bench" / "resnet.csv.gz"

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
    widths = np.array(LARGEST) // 4 * rng.integers(1, 5, (400, 7))
    amounts = np.array([PARAMS(tuple(row)) for row in widths.tolist()])
    assert fitted("params", widths, amounts) == PARAMS
    amounts[7] += 1
    with pytest.raises(ValueError, match="no integer polynomial"):
        fitted("params", widths, amounts)


@pytest.mark.data
@pytest.mark.skipif(not TABLE.exists(), reason="the benchmark's table is not beside the checkout")
def test_all_rows_of_the_table_are_the_rebuilt_networks() -> None:
    """Both polynomials, fitted to all 16,384 rows in integers, are those of the traced network."""
    table = read_table(TABLE)
    assert len(table.widths) == 16_384
    assert fitted("params", table.widths, table.params) == graph().params
    assert fitted("macs", table.widths, table.flops) == graph().macs
