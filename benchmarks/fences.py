"""``python -m benchmarks.fences``: widths on a fence under three scores, of six networks under their budgets.

An optimum with many widths at the end of their range says that the score, not the device, wanted more. Limits and
ranges are retrofit's own: at most today's parameters, multiply-adds and peak memory, half to twice today's widths.
Prints Markdown, and with ``--widths`` every width of every optimum.
"""

from __future__ import annotations

import argparse
from collections import Counter

from parlay.graph import WidthGraph, trace
from parlay.graph.specs import load_model, parse_inputs
from parlay.layout import Layout
from parlay.retrofit import retrofit

MODELS = ("resnet18", "mobilenet_v2", "mnasnet0_5", "shufflenet_v2_x0_5", "regnet_y_400mf", "convnext_tiny")
SCORES = ("energy-layer", "path-energy", "step-energy")
"""The default of retrofit before, the recommended score before, and both now."""


def roles(graph: WidthGraph) -> list[str]:
    """What every group is to the steps: a ``carrier`` alone, or the width of ``activations``."""
    ends = {end for step in graph.space.steps for end in (step.source, step.target)}
    return ["activations" if group in ends else "carrier" for group in range(len(graph.space))]


def ends(graph: WidthGraph, layout: Layout, low: Layout, high: Layout) -> dict[str, Counter[str]]:
    """Role -> how many of its widths stand on their lower fence and on their upper one."""
    found = {role: Counter[str]() for role in ("activations", "carrier")}
    for role, width, least, most in zip(roles(graph), layout, low, high, strict=True):
        if least < most and width in (least, most):
            found[role]["low" if width == least else "high"] += 1
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fences", description=__doc__.splitlines()[0])
    parser.add_argument("--time-limit", type=float, default=15.0, help="seconds a search")
    parser.add_argument("--widths", action="store_true", help="every width of every optimum, too")
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help="torchvision's; default: six")
    arguments = parser.parse_args()
    print("| network | groups (carriers) | " + " | ".join(SCORES) + " |")
    print("|---|---:|" + "---|" * len(SCORES))
    listed: list[str] = []
    for name in arguments.models:
        graph = trace(load_model(f"torchvision/{name}"), parse_inputs(["3x224x224"]))
        kinds = roles(graph)
        cells: list[str] = []
        for score in SCORES:
            found = retrofit(graph, score=score, time_limit=arguments.time_limit)
            groups = found.problem.space.groups
            low = tuple(group.first for group in groups)
            high = tuple((group.maximum or 0) // group.multiple_of * group.multiple_of for group in groups)
            counts = ends(graph, found.layout, low, high)
            parts = [f"{role}s".replace("ss", "s") + f" {c['low']} low, {c['high']} high" for role, c in counts.items()]
            cells.append("; ".join(part for part, c in zip(parts, counts.values(), strict=True) if c) or "none")
            if arguments.widths:
                rows = zip(groups, kinds, graph.layout, found.layout, strict=True)
                listed += [f"\n{name}, {score}", *(f"  {g.name} ({kind}): {a} -> {b}" for g, kind, a, b in rows)]
        print(f"| {name} | {len(kinds)} ({kinds.count('carrier')}) | " + " | ".join(cells) + " |", flush=True)
    print("\n".join(listed))


if __name__ == "__main__":
    main()
