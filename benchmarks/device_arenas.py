"""Arenas predicted from widths, beside those of exported files: random layouts of MLPerf Tiny's networks and others.

``python benchmarks/device_arenas.py OUT.jsonl [--count N]`` needs the extra litert. Each layout is predicted before its
network is built, exported with two random calibration images, and allocated by tflite-micro on this host; a layout that
stands in OUT already is not made again, so the command goes on where it stopped. ``--table`` prints what stands there.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODELS = {
    "resnet8": (f"{ROOT}/examples/mlperf_tiny.py:resnet8", (3, 32, 32)),
    "ds_cnn": (f"{ROOT}/examples/mlperf_tiny.py:ds_cnn", (1, 49, 10)),
    "mobilenet_v1": (f"{ROOT}/examples/mlperf_tiny.py:mobilenet_v1", (3, 96, 96)),
    "deep_autoencoder": (f"{ROOT}/examples/mlperf_tiny.py:deep_autoencoder", (640,)),
    "plain4": (f"{ROOT}/examples/cifar.py:plain4", (3, 32, 32)),
    "mobilenet": (f"{ROOT}/examples/cifar.py:mobilenet", (3, 32, 32)),
}
PRINTS = """
import sys
from tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1]).print_allocations()
"""


def layouts(graph: Any, count: int) -> list[tuple[int, ...]]:
    """Widths times 0.5 to 2, drawn evenly."""
    draw = random.Random(22)
    found = []
    for _ in range(count):
        widths = []
        for group, today in zip(graph.space.groups, graph.layout, strict=True):
            step = group.multiple_of
            widths.append(step * draw.randint(-(-today // 2 // step), 2 * today // step))
        found.append(tuple(widths))
    return found


def measured(path: Path) -> dict[str, int]:
    """Head, tail and total as tflite-micro prints them."""
    done = subprocess.run([sys.executable, "-c", PRINTS, str(path)], capture_output=True, text=True, check=True)
    text = done.stderr + done.stdout
    return {name: int(re.search(rf"Arena allocation {name} (\d+)", text)[1]) for name in ("head", "tail", "total")}


def conduct(out: Path, count: int) -> None:
    """Make and measure what is missing, a layout of each network in turn."""
    import torch

    from parlay.compare.device_exports import LiteRT, fold_pads
    from parlay.device.predict import predicted_file
    from parlay.device.tflm import HOST, MICRO
    from parlay.graph import trace
    from parlay.graph.specs import load_model

    torch.set_num_threads(1)
    lines = out.read_text("utf-8").splitlines() if out.exists() else []
    done = {(row["network"], tuple(row["layout"])) for row in map(json.loads, lines)}
    graphs = {name: trace(load_model(spec, {}).eval(), torch.zeros(1, *s)) for name, (spec, s) in MODELS.items()}
    drawn = {name: layouts(graph, count) for name, graph in graphs.items()}
    exporter = LiteRT()
    for number in range(count):
        for name, graph in graphs.items():
            layout = drawn[name][number]
            if (name, layout) in done:
                continue
            predicted = predicted_file(graph)
            host, device = predicted.arena(layout, HOST), predicted.arena(layout, MICRO)
            plan = predicted.plan(layout, HOST)
            images = [torch.randn(1, *MODELS[name][1]) for _ in range(2)]
            with torch.no_grad():
                program = torch.export.export(graph.build(layout, seed=number).eval(), (images[0],))
                content = exporter.export(fold_pads(program.module(check_guards=False)), images).content
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "net.tflite"
                path.write_bytes(content)
                found = measured(path)
            row = {
                "network": name,
                "layout": layout,
                "predicted": {"head": host.head, "tail": host.tail, "total": host.used},
                "measured": found,
                "device": device.total,
                "bound": predicted.bound(graph.layout, HOST)(layout),
                "live": plan.bound,
                "without_plan": predicted.arena(layout, HOST, plan=False).head,
                "file_bytes": len(content),
                "flash": graph.flash_bytes("int8")(layout),
            }
            with out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            print(f"{name} {layout}: {host.used} {found['total']}", flush=True)


def table(out: Path) -> None:
    """Errors by network."""
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    print("| network | files | median error | below, B | above, % | head = live peak | planner alone wastes |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in [*dict.fromkeys(row["network"] for row in rows), "all"]:
        mine = [row for row in rows if name in ("all", row["network"])]
        errors = [row["predicted"]["total"] - row["measured"]["total"] for row in mine]
        shares = [100 * e / row["measured"]["total"] for e, row in zip(errors, mine, strict=True)]
        best = sum(row["measured"]["head"] == row["live"] for row in mine)
        wasted = sum(row["without_plan"] > row["live"] for row in mine)
        print(
            f"| {name} | {len(mine)} | {statistics.median(map(abs, shares)):.3f} % | {max(0, -min(errors))} |"
            f" {max(0.0, *shares):.3f} | {best} | {wasted} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if not asked.table:
        conduct(asked.out, asked.count)
    table(asked.out)
