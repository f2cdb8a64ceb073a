"""bf16 on a CPU: no operator leaves memory unwritten, whatever freed memory holds."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from parlay.data import Dataset
from parlay.data.dataset import from_arrays
from parlay.errors import DivergedError, InputError
from parlay.study.reading import read_csv
from parlay.train import Recipe
from parlay.train.arithmetic import SmallMapsInFloat, sound_arithmetic
from parlay.train.loop import train

HAS = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
pytestmark = pytest.mark.skipif(
    not (HAS.get("avx512_bf16") or HAS.get("amx_bf16") or HAS.get("avx512")),
    reason="this CPU has no AVX-512: oneDNN computes no convolution in bf16",
)
POISON = 1e30
REPEATS = 3
"""Passes over poisoned memory; which blocks a result gets depends on what was freed before."""

MODEL = """
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, num_classes=10, widths=(8, 16, 24, 32)):
        super().__init__()
        self.convs, self.norms, self.shorts = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = 1
        for width in widths:
            self.convs.append(nn.Conv2d(before, width, 3, 2, 1, bias=False))
            self.norms.append(nn.BatchNorm2d(width))
            self.shorts.append(nn.Conv2d(before, width, 1, 2, bias=False))
            before = width
        self.head = nn.Linear(before, num_classes)

    def forward(self, x):
        for conv, norm, short in zip(self.convs, self.norms, self.shorts):
            x = F.relu(norm(conv(x)) + short(x))
        return self.head(x.mean((2, 3)))
"""
"""Maps of 8, 4, 2, 1 pixels on digits, each convolution of stride 2: the last one's map is smaller than its stride."""


def poison() -> None:
    """Fill much of the freed memory with a number that shows wherever it is taken for a result."""
    kept = [torch.full((n,), POISON) for n in (64, 256, 1024, 4096, 16384, 65536, 262144) for _ in range(4)]
    del kept


def passed(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], *, is_bf16: bool) -> list[Tensor]:
    """The result, and the gradient of the sum of its weighted squares by every input."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    for leaf, tensor in zip(leaves, inputs, strict=True):
        leaf.data = leaf.data.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else leaf.data
    with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        result = function(*leaves)
    weights = torch.linspace(0.5, 1.5, result.numel(), dtype=leaves[0].dtype).reshape(result.shape)
    gradients = torch.autograd.grad((result.to(leaves[0].dtype) * weights).sum(), leaves)
    return [result.detach(), *gradients]


def worst_error(function: Callable[..., Tensor], shapes: tuple[tuple[int, ...], ...]) -> float:
    """Largest error of bf16 over poisoned memory, of the largest number of what it is an error of."""
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(torch.randn(shape, generator=generator).bfloat16().float() for shape in shapes)
    right = passed(function, tuple(tensor.double() for tensor in inputs), is_bf16=False)
    worst = 0.0
    for _ in range(REPEATS):
        poison()
        with SmallMapsInFloat():
            found = passed(function, inputs, is_bf16=True)
        for there, expected in zip(found, right, strict=True):
            error = (there.double() - expected).abs().max() / expected.abs().max().clamp(min=0.05)
            worst = max(worst, error.item() if torch.isfinite(error) else float("inf"))
    return worst


def convolution(rank: int, *, is_transposed: bool = False, **options: Any) -> Callable[..., Tensor]:
    """A convolution of images and weights."""
    function = getattr(functional, f"conv{'_transpose' if is_transposed else ''}{rank}d")
    return lambda images, weights: function(images, weights, **options)


def convolutions(*, full: bool) -> list[tuple[str, Callable[..., Tensor], tuple[tuple[int, ...], ...]]]:
    """Kernels, strides, maps, dense, depthwise and transposed; the short list holds those that were wrong."""
    found = []
    kernels, strides, maps = ((1, 2, 3, 5, 7), (1, 2, 3, 4), (1, 2, 3, 4)) if full else ((3, 5), (2, 3), (1, 2, 3))
    channels = ((1, 16), (3, 16), (16, 16), (17, 33)) if full else ((16, 16), (17, 33))
    for kernel, stride, side, (before, after) in itertools.product(kernels, strides, maps, channels):
        options = {"stride": stride, "padding": kernel // 2}
        image = (8, before, side, side)
        name = f"kernel {kernel} stride {stride} map {side} channels {before} to {after}"
        found.append((name, convolution(2, **options), (image, (after, before, kernel, kernel))))
        depthwise = convolution(2, groups=before, **options)
        found.append((f"depthwise {name}", depthwise, (image, (before, 1, kernel, kernel))))
        if kernel % 2 or side > 1:  # an even kernel with this padding leaves no pixel of one
            upward = convolution(2, is_transposed=True, **options)
            found.append((f"transposed {name}", upward, (image, (before, after, kernel, kernel))))
    for kernel, stride, side in itertools.product((3, 5), (2, 4), (1, 2, 3)):
        options = {"stride": stride, "padding": kernel // 2}
        found.append((f"1-d {kernel} {stride} {side}", convolution(1, **options), ((8, 6, side), (16, 6, kernel))))
        strip = convolution(2, stride=(stride, 1), padding=kernel // 2)
        found.append((f"strip {kernel} {stride} {side}", strip, ((8, 16, side, 6), (16, 16, kernel, kernel))))
    for stride, depth, is_transposed in itertools.product((1, 2), (1, 2, 3), (False, True)):
        volume = convolution(3, stride=stride, padding=1, is_transposed=is_transposed)
        name = f"volume stride {stride} depth {depth} {is_transposed=}"
        found.append((name, volume, ((8, 16, depth, 3, 4), (16, 16, 3, 3, 3))))
    return found


def norm(name: str, **options: Any) -> Callable[..., Tensor]:
    """A normalisation with a scale and a shift for every channel."""
    functions: dict[str, Callable[..., Tensor]] = {
        "batch": lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        "instance": lambda x, w, b: functional.instance_norm(x, weight=w, bias=b),
        "group": lambda x, w, b: functional.group_norm(x, 2, w, b),
        "layer": lambda x, w, b: functional.layer_norm(x.transpose(1, -1), w.shape, w, b),
    }
    return functions[name]


ELEMENTWISE = {
    name: getattr(functional, name)
    for name in ("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "hardswish",
                 "hardsigmoid", "hardtanh", "sigmoid", "tanh", "logsigmoid", "softsign", "tanhshrink")
}  # fmt: skip
POOLINGS: dict[str, Callable[..., Tensor]] = {
    "max": lambda x: functional.max_pool2d(x, 3, 2, 1),
    "average": lambda x: functional.avg_pool2d(x, 3, 2, 1),
    "average of all": lambda x: functional.adaptive_avg_pool2d(x, 1),
    "max of all": lambda x: functional.adaptive_max_pool2d(x, 1),
    "average to 2": lambda x: functional.adaptive_avg_pool2d(x, 2),
    "mean": lambda x: x.mean((2, 3)),
    "sum": lambda x: x.sum((2, 3)),
    "largest": lambda x: x.amax((2, 3)),
    "softmax": lambda x: functional.softmax(x, 1),
    "log-softmax": lambda x: functional.log_softmax(x, 1),
    "slice": lambda x: x[:, :, ::2, ::2],
    "pad": lambda x: functional.pad(x, (1, 2, 1, 0)),
    "replicate": lambda x: functional.pad(x, (1, 1, 1, 1), mode="replicate"),
    "circular": lambda x: functional.pad(x, (1, 1, 1, 1), mode="circular"),
    "cat": lambda x: torch.cat([x, x.flip(1)], 1),
    "nearest": lambda x: functional.interpolate(x, scale_factor=2),
    "bilinear": lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "bicubic": lambda x: functional.interpolate(x, size=3, mode="bicubic"),
    "shuffle": lambda x: functional.pixel_unshuffle(functional.pixel_shuffle(torch.cat([x] * 4, 1), 2), 2),
    "local response": lambda x: functional.local_response_norm(x, 3),
    "gate": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
}


def operators() -> list[tuple[str, Callable[..., Tensor], tuple[tuple[int, ...], ...]]]:
    """What networks use besides convolutions, on small and odd shapes."""
    found: list[tuple[str, Callable[..., Tensor], tuple[tuple[int, ...], ...]]] = []
    images = [(1, 4, 2, 3), (8, 6, 1, 1), (3, 10, 5, 1), (8, 16, 3, 3), (5, 34, 2, 2)]
    for shape in images:
        channels = ((shape[1],),) * 2
        found += [(f"{name} {shape}", function, (shape,)) for name, function in (ELEMENTWISE | POOLINGS).items()]
        found += [(f"{name} norm {shape}", norm(name), (shape, *channels)) for name in ("batch", "group", "layer")]
        found.append((f"add {shape}", lambda a, b: torch.relu(a + b), (shape, shape)))
        found.append((f"scale {shape}", lambda a, b: a * b, (shape, (shape[1], 1, 1))))
        found.append((f"prelu {shape}", functional.prelu, (shape, (shape[1],))))
    found.append(("instance norm", norm("instance"), ((3, 10, 5, 2), (10,), (10,))))
    for rows, before, after in ((1, 1, 1), (3, 17, 5), (8, 16, 33), (64, 128, 10)):
        shapes = ((rows, before), (after, before), (after,))
        found.append((f"linear {rows} {before} {after}", functional.linear, shapes))
        found.append((f"product {rows} {before} {after}", torch.matmul, ((2, rows, before), (2, before, after))))
        attended = ((2, 2, rows, before),) * 3
        found.append((f"attention {rows} {before}", functional.scaled_dot_product_attention, attended))
    return found


def tally(cases: list[tuple[str, Callable[..., Tensor], tuple[tuple[int, ...], ...]]]) -> dict[str, float]:
    """Case -> error, of those that are wrong: bf16 rounds to three digits, garbage is of any size."""
    errors = {name: worst_error(function, shapes) for name, function, shapes in cases}
    return {name: error for name, error in errors.items() if not error < 0.1}


def test_convolutions_are_right_where_maps_are_smaller_than_strides():
    """Results and all gradients of small maps are those of float64 to three digits, over poisoned memory."""
    assert tally(convolutions(full=False)) == {}


@pytest.mark.slow
def test_convolutions_are_right_everywhere():
    """Some 1,000 convolutions: kernels 1 to 7, strides 1 to 4, maps 1 to 4, dense, depthwise, transposed."""
    assert tally(convolutions(full=True)) == {}


def test_no_other_operator_leaves_memory_unwritten():
    """Norms, activations, poolings, paddings, products, attention: right over poisoned memory in bf16."""
    assert tally(operators()) == {}


@pytest.mark.parametrize(
    ("options", "side", "expected"),
    [
        ({"stride": 2}, 1, torch.float32),
        ({"stride": 2}, 2, torch.bfloat16),
        ({"stride": (1, 3)}, 2, torch.float32),
        ({"stride": 1}, 1, torch.bfloat16),
        ({"stride": [4], "dilation": 2}, 3, torch.float32),
    ],
)
def test_only_small_maps_run_in_float(options: dict[str, Any], side: int, expected: torch.dtype):
    """The layer is computed in fp32 where a side is below its stride, else in bf16; the result is bf16 all the same."""
    seen: list[torch.dtype] = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if getattr(func, "__name__", "") == "conv2d":
                seen.append(result.dtype)
            return result

    images, weights = torch.ones(2, 3, side, side), torch.ones(4, 3, 3, 3)
    with Watch(), torch.autocast("cpu", torch.bfloat16), SmallMapsInFloat():
        padding = 2 if "dilation" in options else 1
        result = functional.conv2d(images, weights, padding=padding, **options)
    assert (seen[-1], result.dtype) == (expected, torch.bfloat16)


def test_convolutions_named_in_other_ways_are_seen():
    """By keyword, by torch.convolution and by the operator itself, as by the functional."""
    images, weights = torch.ones(2, 3, 1, 1), torch.ones(4, 3, 3, 3)
    with torch.autocast("cpu", torch.bfloat16), SmallMapsInFloat() as mode:
        functional.conv2d(weight=weights, input=images, stride=2, padding=1)
        torch.convolution(images.bfloat16(), weights.bfloat16(), None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)
        torch.ops.aten.conv2d.default(images, weights, None, [2, 2], [1, 1])
    assert mode.calls == 3


def test_a_scripted_module_is_refused_in_bf16():
    """Whose strides nobody sees is not trained in bf16; in fp32 it is."""
    with pytest.warns((DeprecationWarning, FutureWarning), match="script"):
        scripted = torch.jit.script(nn.Conv2d(1, 2, 3, stride=2))
    model = nn.Sequential(scripted)
    with pytest.raises(InputError, match="precision of 0: got bf16 on a CPU, of a compiled module"):
        sound_arithmetic(model, precision="bf16", device="cpu")
    sound_arithmetic(model, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def model_class() -> type[nn.Module]:
    """The network that a user brought, in short."""
    space: dict[str, Any] = {}
    exec(MODEL, space)
    return space["Net"]


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Sixty-four noisy images of 8x8 pixels."""
    draw = np.random.RandomState(0)
    images, labels = draw.randint(0, 256, (64, 8, 8, 1)).astype(np.uint8), np.arange(64) % 4
    content = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    return from_arrays("noise", content, flips=False)


RECIPE = Recipe(name="test", steps=6, batch=16, lr=0.05, crop=1, flip=False)


def test_trainings_over_poisoned_memory_are_alike(model_class: type[nn.Module], data: Dataset):
    """Three bf16 trainings of a network with a convolution on a map smaller than its stride give the same bits."""
    runs = []
    for _ in range(3):
        torch.manual_seed(0)
        model = model_class(num_classes=4)
        history = train(model, data, RECIPE, seed=0, precision="bf16", progress=lambda *_: poison())
        runs.append((history.losses, [parameter.detach().clone() for parameter in model.parameters()]))
    assert runs[0][0] == runs[1][0] == runs[2][0]
    for _, weights in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0][1], weights, strict=True))
    assert max(parameter.abs().max().item() for parameter in runs[0][1]) < 10


@pytest.mark.slow
def test_ten_fresh_processes_train_alike(tmp_path: Path):
    """The command that failed in half of its calls: ten processes, one answer."""
    (tmp_path / "net.py").write_text(MODEL)
    command = [sys.executable, "-m", "parlay", "train", "original", "--model", f"{tmp_path / 'net.py'}:Net"]
    command += ["--data", "digits", "--steps", "40", "--threads", "1", "--precision", "bf16", "--seed", "0", "--json"]
    answers = set()
    for _ in range(10):
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        found = json.loads(done.stdout)
        answers.add((found["accuracy"], found["loss"], found["train_loss"]))
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("precision", "advice"),
    [("bf16", "try --precision fp32, then --recipe-set lr="), ("fp32", "try --recipe-set lr=0.1")],
)
def test_a_divergence_says_what_to_try(model_class: type[nn.Module], data: Dataset, precision: str, advice: str):
    """The message names the step, the precision, the rate, and what costs least to try."""
    with pytest.raises(DivergedError, match=rf"at step \d+ of 6 in {precision} at the rate [\d.e+]+: .*{advice}"):
        train(model_class(num_classes=4), data, replace(RECIPE, lr=1e30), seed=0, precision=precision)


def test_trials_of_results_have_no_map_smaller_than_a_stride():
    """Every network of results/ that was trained in bf16: no convolution would have run otherwise."""
    tables = sorted((Path(__file__).parents[2] / "results").rglob("trials.csv"))
    rows = [row for table in tables for row in read_csv(table).rows]
    networks = {row.trial.network.title: row.trial for row in rows if row.trial.precision == "bf16"}
    assert networks
    for trial in networks.values():
        network = trial.network
        model = network.build(trial.layout, seed=0)
        with torch.autocast("cpu", torch.bfloat16), SmallMapsInFloat() as mode, torch.no_grad():
            model(torch.zeros(2, network.in_channels, network.image, network.image))
        assert mode.calls == 0, network.title
