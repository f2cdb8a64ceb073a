"""Reading .tflite files, refusing what is none, and writing a plan into them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlay.device.flatbuffer import root
from parlay.device.tflite import parse_tflite, with_plan
from parlay.errors import InputError
from tiny_tflite import chain, read, written


def test_a_file_is_read_as_it_was_written(tmp_path):
    """Tensors, operators, inputs and outputs are those of the file, and only computed tensors live."""
    model = read(written(tmp_path, chain((4, 8, 2))))
    assert [operator.kind for operator in model.operators] == ["CONV_2D", "CONV_2D"]
    assert [tensor.shape for tensor in model.tensors][::3] == [(1, 8, 8, 4), (1, 8, 8, 8), (1, 8, 8, 2)]
    assert [(tensor.bytes, tensor.stored, tensor.scales) for tensor in model.tensors[1:3]] == [(32, 32, 8), (32, 32, 8)]
    assert (model.inputs, model.outputs, model.plan) == ((0,), (6,), ())
    assert model.lives == {0: (0, 1), 3: (1, 2), 6: (2, 2)}


def test_a_plan_is_written_and_all_else_stays():
    """With a plan the file reads the same but for it, its old bytes stand unchanged behind, and metadata stay."""
    data = chain((4, 8, 2))
    before = parse_tflite(data, "it")
    offsets = (16, -1, -1, 32, -1, -1, 0)
    planned = with_plan(data, offsets)
    after = parse_tflite(planned, "it")
    assert after.plan == offsets
    assert (after.tensors, after.operators, after.lives) == (before.tensors, before.operators, before.lives)
    assert planned.endswith(data[8:]) and (len(planned) - len(data)) % 16 == 0
    assert [entry.text(0) for entry in root(planned, b"TFL3").tables(6)] == ["own", "OfflineMemoryAllocation"]
    again = with_plan(planned, (0,) * 7)
    assert parse_tflite(again, "it").plan == (0,) * 7
    assert [entry.text(0) for entry in root(again, b"TFL3").tables(6)] == ["own", "OfflineMemoryAllocation"]


def test_values_of_weights_stay_aligned():
    """Weights stand at multiples of 16 before and after: engines read them where they lie."""
    for data in (chain(), with_plan(chain(), (-1,) * 7)):
        starts = [buffer.span(0, 1)[0] for buffer in root(data, b"TFL3").tables(4) if buffer.span(0, 1)[1]]
        assert len(starts) >= 4 and all(start % 16 == 0 for start in starts)


def test_a_plan_needs_an_offset_for_every_tensor():
    """A plan of another length is refused."""
    with pytest.raises(InputError, match="plan: got 2; allowed: 7 offsets"):
        with_plan(chain(), (0, 0))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it has 0 bytes"),
        (b"\x00" * 40, "its identifier is"),
        (chain()[:200], "whole .tflite file"),
        (chain(subgraphs=2), "got 2 subgraphs; allowed: one"),
        (chain(signature=(1, -1, -1, 4)), "convert the model with a fixed input shape"),
    ],
    ids=["empty", "foreign", "truncated", "subgraphs", "dynamic"],
)
def test_what_is_no_such_file_is_refused_in_one_line(tmp_path, content, words):
    """An empty, foreign or truncated file, several subgraphs and sizes that a run decides: one line each."""
    with pytest.raises(InputError, match=words) as caught:
        read(written(tmp_path, content))
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_damage_never_ends_in_another_error(place, value, cut):
    """Whatever byte is changed, and wherever the file is cut, it is read or refused."""
    data = bytearray(chain())
    data[place % len(data)] = value
    if cut:
        del data[place % len(data) :]
    lines = 1
    try:
        parse_tflite(bytes(data), "it")
    except InputError as error:
        lines = len(str(error).splitlines())
    assert lines == 1
