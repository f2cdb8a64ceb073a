"""TFLM's arena, to the byte."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parlay.device.tflite import parse_tflite, with_plan
from parlay.device.tflm import HOST, MICRO, Allocation, arena_of
from parlay.errors import InputError
from tiny_tflite import chain, read, written

SUITE = Path(__file__).parents[3] / "shared" / "data" / "mlperf_tiny"
FIGURES = {
    "ad": (768, 2_380, 3_984),
    "ic01": (49_152, 54_364, 55_984),
    "kws": (16_000, 22_780, 24_272),
    "vww": (73_728, 100_668, 103_680),
}
"""File of the suite -> head, what a 32-bit device uses (an ESP32 the first three), what tflite-micro prints."""

PRINTS = """
import sys
import numpy
from tflite_micro import runtime
for path in sys.argv[1:]:
    interpreter = runtime.Interpreter.from_file(path)
    given = interpreter.get_input_details(0)
    interpreter.set_input(numpy.zeros(given["shape"], given["dtype"]), 0)
    interpreter.invoke()
    interpreter.print_allocations()
"""


def printed(*paths: Path) -> list[int]:
    """Bytes in all that tflite-micro allocates for each file; it prints them."""
    pytest.importorskip("tflite_micro", reason="needs the extra litert")
    done = subprocess.run([sys.executable, "-c", PRINTS, *map(str, paths)], capture_output=True, text=True, check=True)
    return [int(total) for total in re.findall(r"Arena allocation total (\d+)", done.stderr + done.stdout)]


@pytest.mark.data
@pytest.mark.skipif(not SUITE.exists(), reason="needs the shared data beside the checkout")
@pytest.mark.parametrize("name", FIGURES)
def test_the_suites_files_to_the_byte(name):
    """Head and both totals of MLPerf Tiny's files are what engines allocate."""
    model = read(SUITE / f"{name}.int8.tflite")
    head, device, host = FIGURES[name]
    arena = arena_of(model)
    assert (arena.head, arena.used, arena_of(model, HOST).used) == (head, device, host)


@pytest.mark.data
@pytest.mark.skipif(not SUITE.exists(), reason="needs the shared data beside the checkout")
def test_a_plan_in_the_file_gets_the_waste_back(tmp_path):
    """The suite's visual wake words take 85,248 B on a host with the best plan, as predicted and as printed."""
    data = (SUITE / "vww.int8.tflite").read_bytes()
    allocation = Allocation(model=parse_tflite(data, "vww"), target=HOST)
    assert (allocation.best.bytes, allocation.best.bound) == (55_296, 55_296)
    planned = with_plan(data, allocation.offsets(allocation.best))
    assert arena_of(parse_tflite(planned, "vww"), HOST).used == 85_248
    assert printed(written(tmp_path, planned)) == [85_248]


@pytest.mark.slow
def test_the_host_figure_is_what_tflite_micro_prints(tmp_path):
    """Of chains of several widths, with and without a plan, the host's arena is predicted to the byte."""
    widths = [(4, 8, 2), (3, 5, 7, 9), (16, 33, 1), (8, 8, 8, 8, 8), (1, 100, 4)]
    files = [chain(each) for each in widths]
    files += [
        with_plan(data, allocation.offsets(allocation.best))
        for data in files
        for allocation in [Allocation(model=parse_tflite(data, "it"), target=HOST)]
    ]
    paths = [written(tmp_path, data, f"{number}.tflite") for number, data in enumerate(files)]
    assert printed(*paths) == [arena_of(read(path), HOST).used for path in paths]


WASM_ONLY = 2_128
"""What mcufit's benchmark takes besides: its recording allocator, and room for 100 resource variables."""


@pytest.mark.slow
def test_a_32_bit_build_takes_what_is_predicted(tmp_path):
    """mcufit runs TFLM as wasm32: of chains of several widths its arena is ours and a constant, to the byte."""
    mcufit = pytest.importorskip("mcufit.wasm", reason="mcufit is not installed")
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    shim = Path(mcufit.__file__).with_name("run_benchmark.mjs")
    for widths in ((4, 8, 2), (3, 5, 7, 9), (16, 33, 1), (8, 8, 8, 8, 8)):
        path = written(tmp_path, chain(widths))
        done = subprocess.run([node, str(shim), str(path)], capture_output=True, text=True, check=True)
        [total] = re.findall(r"Total \| +(\d+)", done.stdout)
        assert int(total) - WASM_ONLY == arena_of(read(path)).used


def test_records_are_linear_in_the_channels():
    """Sixteen channels more in a convolution take 128 B more of the tail: a multiplier and a shift each."""
    few, many = (arena_of(parse_tflite(chain((4, width, 2)), "it")) for width in (16, 32))
    assert many.tail - few.tail == 2 * 4 * 16
    assert many.head - few.head == 8 * 8 * 16
    assert few.tail == sum(few.kinds.values())


def test_a_small_network_needs_more_to_start():
    """Where tensors are few, what the planner works with decides: the least arena is above what is used in the end."""
    arena = arena_of(parse_tflite(chain((1, 2, 1), side=2), "it"))
    assert arena.total == arena.starting > arena.used


def test_a_host_takes_more_than_a_device():
    """Pointers of eight bytes make the records larger and leave the tensors as they are."""
    model = parse_tflite(chain(), "it")
    device, host = arena_of(model, MICRO), arena_of(model, HOST)
    assert (device.head, device.tail < host.tail) == (host.head, True)


def test_an_unknown_operator_is_refused_by_name():
    """An operator that is not described is no guess."""
    with pytest.raises(InputError, match="operator: got 'TILE'"):
        arena_of(parse_tflite(chain(kind="TILE"), "it"))


def test_reading_a_file_loads_no_torch():
    """check of a .tflite file imports neither torch nor scipy."""
    code = "import sys, parlay.device.check; print(sorted({'torch', 'scipy', 'matplotlib'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
