"""What a fit cannot do is told in the model's own names."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from parlay.compare.device_exports import micro_reason
from parlay.compare.quantise import check_int8, export_float
from parlay.errors import InputError


class Erf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.erf()


BODY = [nn.Conv2d(3, 8, 3), nn.ReLU()]
HEAD = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
REFUSED: list[tuple[nn.Module, str]] = [
    (nn.Sequential(*BODY, nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 1), nn.GroupNorm(4, 8), *HEAD), "2, 4 (GroupNorm: "),
    (nn.Sequential(nn.Sequential(*BODY, nn.AdaptiveAvgPool2d(4)), *HEAD), "0.2 (AdaptiveAvgPool2d: "),
    (nn.Sequential(*BODY, Erf(), *HEAD), "2 (erf: Erf)"),
]


@pytest.mark.parametrize(("model", "named"), REFUSED)
def test_operators_without_an_int8_form_are_named_by_their_modules(model: nn.Module, named: str) -> None:
    """Path and class of the module in the model; ONNX's word for it comes last."""
    content = export_float(model, (3, 11, 11))
    with pytest.raises(InputError) as caught:
        check_int8(content)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert b".py" not in content  # neither lines nor paths of code


def test_why_litert_micro_shows_no_arena() -> None:
    """The operator that it has no kernel for, or its first line without the place in its own source."""
    printed = "Didn't find op for builtin opcode 'SELECT'\nFailed to get registration from op code SELECT\n"
    assert micro_reason(printed) == "it has no kernel for SELECT"
    assert micro_reason("tensorflow/lite/micro/kernels/transpose.cc:38 Only 1D-5D.\nmore\n") == "Only 1D-5D"
    assert micro_reason("") == ""
