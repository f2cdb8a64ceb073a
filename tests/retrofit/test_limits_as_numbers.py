"""Limits from Python: numbers as well as text, and whatever is no amount is refused when they are made."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from parlay.errors import InputError
from parlay.families import plain
from parlay.graph import trace
from parlay.retrofit import Limits, retrofit

SAME: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"params": 4954}, {"params": "4954"}),
    ({"max_params": np.int64(3000)}, {"max_params": "3000"}),
    ({"max_params": 0.9}, {"max_params": "0.9x"}),
    ({"max_macs": 1.0}, {"max_macs": "1.0x"}),
    ({"max_macs": Fraction(1, 3)}, {"max_macs": "1/3x"}),
    ({"max_peak_memory": np.float32(0.5)}, {"max_peak_memory": "0.5x"}),
    ({"max_peak_memory": 65536}, {"max_peak_memory": "65536"}),
    ({"params_range": (3000, 4000)}, {"params_range": "3000:4000"}),
    ({"params_range": (0.5, 0.75)}, {"params_range": "0.5x:0.75x"}),
    ({"flash": 262144, "ram": 65536}, {"flash": "262144", "ram": "65536"}),
]
WRONG: list[dict[str, Any]] = [
    *(
        {name: value}
        for name in ("params", "max_params", "max_macs")
        for value in (0, -3, 1e6, True, [1], "much", b"1")
    ),
    *({name: value} for name in ("flash", "ram") for value in (0, 0.9, 65536.0, True, "64 bananas", None.__class__)),
    *({"max_peak_memory": value} for value in (float("nan"), float("inf"), -0.5, "x")),
    *({"params_range": value} for value in (3000, "3000", (1, 2, 3), (1, None), "a:b")),
    *({"dtype": value} for value in ("int16", None, 8)),
]


@pytest.mark.parametrize(("numbers", "texts"), SAME)
def test_numbers_are_read_as_their_text(numbers: dict[str, Any], texts: dict[str, str]) -> None:
    """An integer is an amount, any other number a ratio of today's."""
    assert Limits(**numbers) == Limits(**texts)


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_amount_is_refused_at_once(given: dict[str, Any]) -> None:
    """In one line that names the limit, not later and not by an AttributeError."""
    [name] = given
    with pytest.raises(InputError, match=rf"^{name.replace('_', '-')}") as caught:
        Limits(**given)
    assert "\n" not in str(caught.value)


def test_a_ratio_as_a_number_limits_as_its_text_does() -> None:
    """The layout found under 0.6 is the one under 0.6x."""
    graph = trace(plain(depth=3, image=8).build((8, 12, 16), seed=0), torch.zeros(1, 3, 8, 8))
    numbers, texts = retrofit(graph, Limits(max_macs=0.6)), retrofit(graph, Limits(max_macs="0.6x"))
    assert numbers.layout == texts.layout
    assert graph.macs(numbers.layout) <= 0.6 * graph.macs(graph.layout)
