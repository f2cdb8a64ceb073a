"""The exported file predicted from widths: its operators, its arena, and the bound that the solver keeps."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import product

import pytest

torch = pytest.importorskip("torch")

from parlay.cli.main import run  # noqa: E402
from parlay.device.predict import predicted_file  # noqa: E402
from parlay.device.tflm import HOST, MICRO  # noqa: E402
from parlay.errors import InputError  # noqa: E402
from parlay.graph import trace  # noqa: E402
from parlay.graph.specs import load_model  # noqa: E402
from parlay.retrofit import Limits, retrofit  # noqa: E402
from parlay.retrofit.solve_retrofit import retrofit_problem  # noqa: E402
from parlay.solver import solve  # noqa: E402

TINY = "examples/mlperf_tiny.py"
SHAPES = {"resnet8": (3, 32, 32), "ds_cnn": (1, 49, 10), "mobilenet_v1": (3, 96, 96), "deep_autoencoder": (640,)}
TOTALS = {"resnet8": 55_776, "ds_cnn": 24_064, "mobilenet_v1": 84_976, "deep_autoencoder": 17_360}
"""What tflite-micro prints for the exported files, with the best plan in them."""


def traced(name):
    return trace(load_model(f"{TINY}:{name}", {}).eval(), torch.zeros(1, *SHAPES[name]))


@pytest.fixture(scope="module")
def resnet8():
    return traced("resnet8")


@pytest.mark.parametrize("name", SHAPES)
def test_exported_files_are_predicted_to_the_byte(name):
    """At today's widths the host's arena is what tflite-micro prints for the file that parlay exports."""
    graph = traced(name)
    assert predicted_file(graph).arena(graph.layout, HOST).used == TOTALS[name]


def test_the_bound_holds_and_is_near(resnet8):
    """At random layouts the bound is never below the arena, and at most half a percent above."""
    predicted, draw = predicted_file(resnet8), random.Random(0)
    bound = predicted.bound(resnet8.layout, MICRO)
    for _ in range(60):
        layout = tuple(draw.randint(-(-width // 2), 2 * width) for width in resnet8.layout)
        arena = predicted.arena(layout, MICRO)
        assert arena.total <= bound(layout) <= 1.005 * arena.total


def test_multiples_of_sixteen_have_an_exact_bound(resnet8):
    """Where every width is a multiple of 16 nothing is rounded up but the one sum of means."""
    predicted = predicted_file(resnet8, steps=[16] * 6)
    bound = predicted.bound(resnet8.layout, MICRO)
    for layout in ((16, 16, 32, 32, 64, 64), (32, 16, 48, 64, 80, 128)):
        assert bound(layout) - predicted.arena(layout, MICRO).total <= 16


def test_the_solver_keeps_the_whole_arena(resnet8):
    """With the engine tflm the arena keeps to --ram; a layout of as many live activations does not."""
    most = 54_000
    found = retrofit(resnet8, Limits(ram=most, engine="tflm"), time_limit=10)
    assert predicted_file(resnet8).arena(found.layout, MICRO).total <= most
    loose = retrofit(resnet8, Limits(ram=most), time_limit=10)
    assert predicted_file(resnet8).arena(loose.layout, MICRO).total > most


FILES = {
    ("resnet8", (16, 16, 32, 32, 64, 64)): 91_504,
    ("resnet8", (25, 29, 62, 43, 122, 38)): 160_344,
    ("ds_cnn", (64, 64, 64, 64, 64)): 42_648,
    ("ds_cnn", (49, 63, 35, 110, 89)): 45_704,
    ("ds_cnn", (76, 42, 61, 66, 38)): 37_296,
    ("deep_autoencoder", (99, 126, 70, 220, 11, 111, 243, 94, 253)): 395_048,
    ("mobilenet_v1", (8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)): 295_200,
    ("mobilenet_v1", (8, 21, 28, 27, 46, 106, 199, 250, 208, 79, 242, 147, 441, 299)): 534_384,
}
"""Sizes of exported files, with a plan where it beats the engine's own."""


@pytest.mark.parametrize(("name", "layout"), FILES)
def test_exported_files_are_no_larger_than_predicted(name, layout):
    """The flash of a layout is never below its file, and at most 0.4 % above."""
    predicted = predicted_file(traced(name)).flash()(layout)
    assert FILES[name, layout] <= predicted <= 1.004 * FILES[name, layout]


def test_flash_of_the_engine_is_the_file_and_its_code(resnet8):
    """With the engine tflm --flash holds the whole file and what --runtime-flash says of the engine's code."""
    limits = Limits(flash="180KiB", runtime_flash="90KiB", engine="tflm")
    found = retrofit(resnet8, limits, time_limit=10)
    assert found.engines(found.layout)["tflm"]["file_bytes"] <= 90 * 1024
    assert found.amounts(found.layout)["flash_bytes"] < 80_000 < 90 * 1024
    none = retrofit(resnet8, Limits(flash=180_000, runtime_flash=200_000, engine="tflm"), time_limit=5)
    assert not none.result.solutions
    with pytest.raises(InputError, match="runtime-flash: got engine live"):
        Limits(flash=180_000, runtime_flash=90_000)


def test_without_a_plan_the_engine_plans_within_the_limit():
    """With --no-plan the layout found keeps the limit as the engine's own planner lays it out."""
    graph = traced("mobilenet_v1")
    predicted = predicted_file(graph)
    most = predicted.arena(graph.layout, MICRO).total
    assert predicted.arena(graph.layout, MICRO, plan=False).total > most
    found = retrofit(graph, Limits(ram=most, engine="tflm", plan=False), time_limit=3)
    assert predicted.arena(found.layout, MICRO, plan=False).total <= most
    with pytest.raises(InputError, match="no-plan: got engine live"):
        Limits(ram=most, plan=False)


def test_a_pad_that_no_convolution_makes_up_is_an_operator():
    """A symmetric pad before a stride of two is no "same" padding: the file has it, and its output, as its own."""
    layers = [torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.Conv2d(8, 8, 3, padding=1)]
    graph = trace(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 3, 16, 16))
    nodes = predicted_file(graph).nodes
    assert [node.kind for node in nodes] == ["PAD", "CONV_2D", "CONV_2D"]
    assert predicted_file(graph).sizes[nodes[0].writes](graph.layout) == 3 * 18 * 18


def test_what_cannot_be_predicted_is_refused():
    """An operator without a known form in the file, another dtype, an unknown engine: one line each."""
    gelu = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.GELU(), torch.nn.Conv2d(8, 4, 3))
    graph = trace(gelu.eval(), torch.zeros(1, 3, 16, 16))
    with pytest.raises(InputError, match="tflm for a model with 1: gelu"):
        retrofit(graph, Limits(ram=10_000, engine="tflm"))
    with pytest.raises(InputError, match="engine: got tflm with dtype float32"):
        Limits(ram=10_000, engine="tflm", dtype="float32")
    with pytest.raises(InputError, match="did you mean tflm"):
        Limits(engine="tflmm")


@pytest.mark.slow
def test_brute_force_agrees(resnet8):
    """Of 300 small problems with the arena as a limit beside parameters, the answers are the best there are."""
    draw = random.Random(3)
    for _ in range(300):
        limits = Limits(ram=draw.randint(40_000, 70_000), engine="tflm", max_params=f"{draw.uniform(0.5, 1.5):.3f}x")
        problem = retrofit_problem(resnet8, limits)
        groups = []
        for group, today in zip(problem.space.groups, resnet8.layout, strict=True):
            low = draw.randint(today // 2, 2 * today - 3)
            groups.append(replace(group, minimum=low, maximum=low + draw.randint(0, 3)))
        problem = replace(problem, space=replace(problem.space, groups=tuple(groups)))
        every = product(*(range(group.minimum, group.maximum + 1) for group in groups))
        best = max((problem.score_value(one) for one in every if not problem.violations(one)), default=None)
        found = solve(problem, time_limit=20)
        assert (best is None) == (not found.solutions)
        if best is not None:
            assert found.best.score_value == pytest.approx(best, abs=1e-9)


def test_check_tells_of_a_model_before_there_is_a_file(tmp_path, capsys):
    """With --input check predicts the exported file, at today's widths, at others, and at those of a layout.json."""
    model = [f"{TINY}:ds_cnn", "--input", "1x49x10"]
    assert run(["check", *model, "--ram", "24KiB"]) == 0
    assert "arena           22,668 B: head 16,000 + records 6,668" in capsys.readouterr().out
    assert run(["check", *model, "--ram", "24KiB", "--layout", "128-64-64-64-64"]) == 1
    narrow = tmp_path / "layout.json"
    narrow.write_text('{"layout": [32, 32, 32, 32, 32]}')
    capsys.readouterr()
    assert run(["check", *model, "--layout", str(narrow), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["head"] == 8_000
    narrow.write_text("[]")
    assert run(["check", *model, "--layout", str(narrow)]) == 2
    assert "allowed: a layout.json" in capsys.readouterr().err
    assert run(["check", *model, "--layout", "1-2"]) == 2
