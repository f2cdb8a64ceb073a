"""``python -m benchmarks.training``: a training by parlay beside the usual loop, side by side in one run.

Three networks at batch 128 on CIFAR-10-sized images, in turns, round after round:

(a) the usual loop: DataLoader with two workers, torchvision's transforms, fp32, NCHW, two threads;
(b) parlay's trial on two threads, and on one;
(c) a parlay study with two worker processes of one thread each.

Then what the convolutions reach of the machine's measured GEMM peak, a profile of a step, what a run spends on
augmentation, evaluation and bookkeeping, and the memory of a study with two workers. The machine should be idle.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from parlay.data import Dataset, crop_and_flip, load
from parlay.data.dataset import from_arrays
from parlay.families import Family, plain, resnet
from parlay.study import Kind, Store, make_plan, run_study
from parlay.study.executors.processes import ProcessExecutor
from parlay.train.inputs import Inputs
from parlay.train.loop import evaluate, train
from parlay.train.recipe import get_recipe
from parlay.train.timing import time_steps

HERE = Path(__file__).parent
BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, and how many steps of it take some seconds."""

    family: Family
    layout: tuple[int, ...]
    steps: int


CASES = (
    Case(family=plain(3), layout=(36, 44, 59), steps=120),
    Case(family=plain(4), layout=(135, 136, 137, 211), steps=30),
    Case(family=resnet(32), layout=(16, 16, 32, 64), steps=30),
)


def main() -> None:
    """Measure, and write TRAINING.md and training.jsonl."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--data", help="CIFAR-10 as an .npz file; random images of its size and number without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    data = load(options.data) if options.data else _noise()
    if options.one:
        what, case, threads = options.one
        torch.set_num_threads(int(threads))
        print(json.dumps(RUNS[what](CASES[int(case)], data)))
        return
    rows: list[dict[str, Any]] = []
    for round_ in range(options.rounds):
        for number in range(len(CASES)):
            for what, threads in (("usual", 2), ("trial", 2), ("trial", 1), ("study", 1)):
                found = _in_a_process(what, number, threads, options.data)
                rows.append({"case": number, "what": what, "threads": threads, "round": round_, **found})
                print(rows[-1], flush=True)
    for number in range(len(CASES)):
        rows.append({"case": number, "what": "profile", **_in_a_process("profile", number, 1, options.data)})
        rows.append({"case": number, "what": "memory", **_in_a_process("memory", number, 1, options.data)})
        print(rows[-2:], flush=True)
    (HERE / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (HERE / "TRAINING.md").write_text(_report(rows), encoding="utf-8")


def _in_a_process(what: str, case: int, threads: int, data: str | None) -> dict[str, Any]:
    """A measurement in a process of its own, so that none inherits another's memory or threads."""
    command = [sys.executable, "-m", "benchmarks.training", "--one", what, str(case), str(threads)]
    given = ["--data", data] if data else []
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _noise() -> Dataset:
    draw = np.random.default_rng(0)
    arrays = {
        "x_train": draw.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8),
        "y_train": np.arange(50_000) % 10,
        "x_test": draw.integers(0, 256, (10_000, 32, 32, 3), dtype=np.uint8),
        "y_test": np.arange(10_000) % 10,
    }
    return from_arrays("noise", arrays)


def _usual(case: Case, data: Dataset) -> dict[str, Any]:
    """Images a second of the loop that tutorials show."""
    from torch.utils.data import DataLoader
    from torch.utils.data import Dataset as Images
    from torchvision import transforms

    means, deviations = ([float(value) / 255 for value in moment] for moment in data.moments)
    steps = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(means, deviations),
        ]
    )

    class Usual(Images):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(data.train_labels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return steps(data.train_images[index]), int(data.train_labels[index])

    model = case.family.build(case.layout, seed=0)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loader = DataLoader(Usual(), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True)
    marks: list[float] = []
    for images, labels in loader:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        marks.append(time.perf_counter())
        if len(marks) > case.steps:
            break
    return {"images_per_second": _rate(marks)}


def _trial(case: Case, data: Dataset) -> dict[str, Any]:
    """Images a second of parlay's loop, all of its bookkeeping included."""
    marks: list[float] = []
    train(
        case.family.build(case.layout, seed=0),
        data,
        get_recipe("fast"),
        seed=0,
        steps=case.steps + 1,
        precision=(precision := _precision(case, data)),
        progress=lambda *_: marks.append(time.perf_counter()),
    )
    return {"images_per_second": _rate(marks), "precision": precision}


def _precision(case: Case, data: Dataset) -> str:
    """What ``--precision auto`` takes for this network here."""
    model = case.family.build(case.layout, seed=0)
    return time_steps(model, data, get_recipe("fast"), threads=torch.get_num_threads()).precision


def _rate(marks: list[float]) -> float:
    """Images a second between the first mark and the last, the first tenth left out."""
    first = len(marks) // 10
    return BATCH * (len(marks) - 1 - first) / (marks[-1] - marks[first])


def _study(case: Case, data: Dataset) -> dict[str, Any]:
    """Images a second of two trials at a time, each in a process of one thread: the sum of what each had."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _run(case, data, Path(folder), seeds=4, steps=case.steps)
        return {"images_per_second": 2 * statistics.median(row.images_per_second for row in rows)}


def _run(case: Case, data: Dataset, folder: Path, *, seeds: int, steps: int) -> list[Any]:
    plan = make_plan(
        case.family,
        {case.layout: frozenset({Kind.GIVEN})},
        data=data.fingerprint,
        recipe=get_recipe("fast"),
        steps=steps,
        seeds=range(seeds),
        precision=_precision(case, data),
    )
    executor = ProcessExecutor(2, threads=1)
    try:
        with Store(folder / "study") as store:
            run_study(store, plan, data, executor=executor)
            return store.rows()
    finally:
        executor.shutdown()


def _memory(case: Case, data: Dataset) -> dict[str, Any]:
    """Most memory of a study with two workers, in MiB: shared pages counted once, over the driver and its workers."""
    most = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            most[0] = max(most[0], sum(_private(pid) for pid in _family(os.getpid())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            _run(case, data, Path(folder), seeds=2, steps=max(8, case.steps // 3))
    finally:
        ended.set()
        watcher.join()
    return {"peak_mib": most[0]}


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in path.read_text().split()]
    return found


def _private(pid: int) -> float:
    """Proportional set size in MiB; 0 when the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


GROUPS = {
    "convolutions": ("convolution", "mkldnn"),
    "batch norm": ("batch_norm",),
    "pooling": ("max_pool", "mean", "expand"),
    "ReLU and sums": ("clamp", "threshold", "relu", "aten::add", "aten::add_", "aten::pad", "constant_pad"),
    "optimiser": ("_fused_sgd", "SGD", "zero_grad"),
}


def _profile(case: Case, data: Dataset) -> dict[str, Any]:
    """Where a step's time goes, on one thread, and what convolutions reach of the GEMM peak."""
    from torch.profiler import ProfilerActivity, profile, record_function

    precision = _precision(case, data)
    model = case.family.build(case.layout, seed=0)
    recipe, steps = get_recipe("fast"), max(6, case.steps // 6)
    train(model, data, recipe, seed=0, steps=3, precision=precision)
    model.train()
    inputs = Inputs.of(data, device="cpu", precision=precision)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        chosen = torch.randint(0, len(data.train_labels), (BATCH,), generator=generator)
        with record_function("part: augmentation"):
            images = crop_and_flip(data.train_images.index_select(0, chosen), margin=4, flip=True, generator=generator)
        loss = functional.cross_entropy(inputs.logits(model, images).float(), data.train_labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    wall = (time.perf_counter() - started) / steps
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(steps):
            step()
    averages = found.key_averages()
    whole = sum(event.self_cpu_time_total for event in averages)
    augmentation = next(event.cpu_time_total for event in averages if event.key == "part: augmentation")
    shares = {"augmentation": augmentation / whole}
    convolving = 0.0
    for name, keys in GROUPS.items():
        taken = sum(e.self_cpu_time_total for e in averages if any(key in e.key for key in keys))
        shares[name] = taken / whole
        convolving = taken / whole if name == "convolutions" else convolving
    shares["everything else"] = 1 - sum(shares.values())
    operations = 3 * 2 * case.family.macs(case.layout) * BATCH  # forward, and two products of that size backward
    peak = _gemm_peak(precision)
    started = time.perf_counter()
    evaluate(model, data, inputs=inputs)
    evaluation = time.perf_counter() - started
    return {
        "step_ms": 1000 * wall,
        "shares": shares,
        "gemm_peak": peak,
        "of_peak_convolutions": operations / (wall * convolving) / peak,
        "of_peak_step": operations / wall / peak,
        "evaluation_share": evaluation / (evaluation + recipe.steps * wall),
        "bookkeeping_share": _bookkeeping(model) / (recipe.steps * wall),
    }


def _bookkeeping(model: nn.Module) -> float:
    """Seconds that a run of 2,000 steps spends on reporting steps and on two checkpoints."""
    from parlay.train.checkpoint import Checkpoints, Snapshot

    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    state |= {f"momentum.{name}": value.clone() for name, value in state.items()}
    with tempfile.TemporaryDirectory() as folder:
        kept = Checkpoints(folder=Path(folder))
        started = time.perf_counter()
        for step in (1, 2):
            kept.write(Snapshot(step=step, tensors=state, run="benchmark"))
        for step in range(2000):
            kept.is_due(step)
        return time.perf_counter() - started


def _gemm_peak(precision: str) -> float:
    """Most operations a second of a square matrix product, in the precision of the run."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
    best = 0.0
    for _ in range(8):
        started = time.perf_counter()
        a @ b
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started))
    return best


RUNS: dict[str, Callable[[Case, Dataset], dict[str, Any]]] = {
    "usual": _usual,
    "trial": _trial,
    "study": _study,
    "profile": _profile,
    "memory": _memory,
}


def _report(rows: list[dict[str, Any]]) -> str:
    def of(case: int, what: str, threads: int) -> list[float]:
        return [
            r["images_per_second"] for r in rows if (r["case"], r["what"], r.get("threads")) == (case, what, threads)
        ]

    def words(values: list[float]) -> str:
        return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"

    def ratio(above: list[float], below: list[float]) -> str:
        return f"{statistics.median(a / b for a, b in zip(above, below, strict=True)):.2f}"

    rounds = 1 + max(row.get("round", 0) for row in rows)
    lines = [
        "# Training, side by side",
        "",
        f"`python -m benchmarks.training --data cifar10.npz`, {time.strftime('%Y-%m-%d')}: {_machine()}. Batch {BATCH},"
        f" images a second, median of {rounds} rounds (least to most); the four are measured in turns, each in a"
        " process of its own. (a) is the usual loop: DataLoader with two workers, torchvision's transforms, fp32, NCHW,"
        " two threads; (b) parlay's trial; (c) a study with two workers of one thread each.",
        "",
        "| network | (a) usual, 2 threads | (b) trial, 2 threads | (b) trial, 1 thread | (c) study, 2 workers |"
        " (b)/(a) | (c)/(b) on one thread |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, case in enumerate(CASES):
        usual, two = of(number, "usual", 2), of(number, "trial", 2)
        one, study = of(number, "trial", 1), of(number, "study", 1)
        name = f"{case.family.name} {case.family.depth}, {'-'.join(map(str, case.layout))}"
        cells = [words(usual), words(two), words(one), words(study), ratio(two, usual), ratio(study, one)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "## Where a step goes, on one thread", ""]
    profiles = [next(r for r in rows if r["case"] == n and r["what"] == "profile") for n in range(len(CASES))]
    head = [f"{case.family.name} {case.family.depth}" for case in CASES]
    lines += [f"| | {' | '.join(head)} |", "|---|---|---|---|"]
    for part in profiles[0]["shares"]:
        lines.append(f"| {part} | " + " | ".join(f"{100 * p['shares'][part]:.1f} %" for p in profiles) + " |")
    for label, key in (
        ("evaluation at the end, of a run of 2,000 steps", "evaluation_share"),
        ("two checkpoints, of the same", "bookkeeping_share"),
    ):
        lines.append(f"| {label} | " + " | ".join(f"{100 * p[key]:.2f} %" for p in profiles) + " |")
    lines.append("| a step, ms | " + " | ".join(f"{p['step_ms']:.0f}" for p in profiles) + " |")
    lines.append(
        "| GEMM peak (2,048 x 2,048), G operations a second | "
        + " | ".join(f"{p['gemm_peak'] / 1e9:,.0f}" for p in profiles)
        + " |"
    )
    for label, key in (
        ("of that peak, the convolutions while they run", "of_peak_convolutions"),
        ("of that peak, the whole step", "of_peak_step"),
    ):
        lines.append(f"| {label} | " + " | ".join(f"{100 * p[key]:.1f} %" for p in profiles) + " |")
    memories = [next(r for r in rows if r["case"] == n and r["what"] == "memory") for n in range(len(CASES))]
    lines += ["", "## Memory of a study with two workers", ""]
    lines += [
        "Most memory of the driver and its workers together, shared pages counted once: "
        + "; ".join(f"{name} {m['peak_mib'] / 1024:.2f} GiB" for name, m in zip(head, memories, strict=True))
        + ".",
        "",
    ]
    return "\n".join(lines)


def _machine() -> str:
    cpu = "unknown CPU"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return f"{os.cpu_count()} cores of {cpu}, Python {platform.python_version()}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
