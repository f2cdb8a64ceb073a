"""Prints the tables of docs/counting.md: one net by four counters, and the flash memory of the MLPerf Tiny networks.

Run: python docs/counting_table.py (needs fvcore and ptflops, which the extra dev brings).
"""

from __future__ import annotations

import io
import logging
import warnings
from collections import OrderedDict
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from parlay.graph import count_macs, count_params, trace
from parlay.graph.specs import load_model

SHAPE = (3, 16, 16)
COLUMNS = ("parlay macs", "torch FLOPs", "fvcore", "ptflops")
EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "mlperf_tiny.py"
PUBLISHED_KB = {"resnet8": "96", "ds_cnn": "52.5", "mobilenet_v1": "325", "deep_autoencoder": "270"}
"""Size of the suite's quantised model files, Banbury et al. (2021), Table 1."""


class Gate(nn.Module):
    """Squeeze and excitation: every channel times a number between 0 and 1 that all channels decide."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """BxCxHxW to BxCxHxW."""
        return x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Shortcut(nn.Module):
    """A 1x1 convolution, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """BxCxHxW to BxCxHxW."""
        return x + self.conv(x)


class Projection(nn.Module):
    """A product with a parameter that is no layer's weight, and that training leaves alone."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(inputs, outputs), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """B x inputs to B x outputs."""
        return x @ self.matrix


def network() -> nn.Sequential:
    """One of each kind of thing on which the counters differ; its input is 3x16x16."""
    return nn.Sequential(
        OrderedDict(
            convolution=nn.Conv2d(3, 8, 3, stride=2, padding=1),
            batch_norm=nn.BatchNorm2d(8),
            relu=nn.ReLU(),
            depthwise=nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            gate=Gate(8, 2),
            max_pool=nn.MaxPool2d(2),
            shortcut=Shortcut(8),
            flatten=nn.Flatten(),
            projection=Projection(128, 16),
            linear=nn.Linear(16, 10),
        )
    )


def operations(module: nn.Module, x: Tensor) -> tuple[int, int, int, int]:
    """What parlay, torch, fvcore and ptflops count on one input."""
    module.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    return count_macs(module, [x]), counter.get_total_flops(), _fvcore(module, x), _ptflops(module, x)[0]


def parameters(module: nn.Module, x: Tensor) -> tuple[int, int, int, int]:
    """Parameters by the same four."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import parameter_count
    elements = sum(parameter.numel() for parameter in module.parameters())
    return count_params(module), elements, parameter_count(module)[""], _ptflops(module, x)[1]


def _fvcore(module: nn.Module, x: Tensor) -> int:
    with warnings.catch_warnings():  # importing it touches a part of torch that is deprecated
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(module, x).unsupported_ops_warnings(enabled=False)
        return int(analysis.uncalled_modules_warnings(enabled=False).total())


def _ptflops(module: nn.Module, x: Tensor) -> tuple[int, int]:
    from ptflops import get_model_complexity_info

    logging.getLogger("ptflops").setLevel(logging.ERROR)
    with redirect_stdout(io.StringIO()):
        macs, params = get_model_complexity_info(
            nn.Sequential(module), tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False
        )
    assert macs is not None and params is not None, "ptflops could not run the module"
    return int(macs), int(params)


def rows() -> list[tuple[str, tuple[int, ...]]]:
    """Every part by itself, the whole network, and its parameters."""
    torch.manual_seed(0)
    net = network().eval()
    x = torch.zeros(1, *SHAPE)
    found: list[tuple[str, tuple[int, ...]]] = []
    with torch.no_grad():
        for name, part in net.named_children():
            if name != "flatten":
                found.append((name, operations(part, x)))
            x = part(x)
    graph = trace(net, torch.zeros(1, *SHAPE))
    whole = operations(net, torch.zeros(1, *SHAPE))
    assert graph.macs(graph.layout) == whole[0], "the prediction differs from the count"
    found.append(("whole network", whole))
    assert graph.params(graph.layout) == count_params(net), "the prediction differs from the count"
    found.append(("parameters", parameters(net, torch.zeros(1, *SHAPE))))
    return found


def table() -> list[str]:
    """The table in Markdown, a line each."""
    lines = ["| part | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name, counts in rows():
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(f"{count:,}" for count in counts) + " |")
    return lines


def flash_table() -> list[str]:
    """Flash memory of networks whose every layer has a bias of its own or a batch norm behind it, in Markdown."""
    lines = ["| network | W | B | flash = W + 4 B, bytes | published model file, KB |", "|---|---:|---:|---:|---:|"]
    for name, published in PUBLISHED_KB.items():
        layers = [
            part for part in load_model(f"{EXAMPLES}:{name}").modules() if isinstance(part, nn.Conv2d | nn.Linear)
        ]
        weights = sum(layer.weight.numel() for layer in layers)
        biases = sum(layer.weight.shape[0] for layer in layers)
        lines.append(f"| {name} | {weights:,} | {biases:,} | {weights + 4 * biases:,} | {published} |")
    return lines


def versions() -> str:
    """The versions that the figures belong to."""
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "fvcore", "ptflops"))


if __name__ == "__main__":
    print("\n".join(table()))
    print(f"\n{versions()}\n")
    print("\n".join(flash_table()))
