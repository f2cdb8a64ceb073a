"""``python -m benchmarks.proxies TABLE --data cifar10.npz``: scores of built networks beside the energy, at one size.

300 networks of Channel-Bench-Macro ResNet: 10 of the 127 bins of parameters that are 1 % wide and hold 30 networks or
more, evenly spaced in size, and 30 networks of each, drawn from a seed. Every network is built by our code at one
initialisation and scored on one batch of training images; the accuracies are the table's, mean of three runs. A line a
network goes to ``proxies.jsonl``; the command can be stopped and goes on. In the end it writes ``docs/proxies.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.channel_bench import Table, graph, network, read_table
from benchmarks.zoo_report import machine
from parlay.documents import write_atomically
from parlay.energy import get_score

LOG = Path(__file__).with_name("proxies.jsonl")
REPORT = Path(__file__).parent.parent / "docs" / "proxies.md"

BINS, EACH, LEAST, WIDTH = 10, 30, 30, 0.01
"""Bins looked at, networks of each, networks a bin must hold, width of a bin in the logarithm of parameters."""

BATCH, SEED = 64, 0
NETWORK_SCORES = ("grad-norm", "synflow", "naswot")
RESAMPLES = 10_000


def sample(table: Table, seed: int = SEED) -> list[tuple[int, int]]:
    """(bin, row of the table) of every network of the sample; bin b holds b <= ln(params) / 0.01 < b + 1."""
    bins = np.floor(np.log(table.params) / WIDTH).astype(int)
    kept = [b for b, count in zip(*np.unique(bins, return_counts=True), strict=True) if count >= LEAST]
    chosen = [int(kept[int(len(kept) * (i + 0.5) / BINS)]) for i in range(BINS)]
    draw = np.random.default_rng(seed)
    return [(b, int(row)) for b in chosen for row in sorted(draw.choice(np.flatnonzero(bins == b), EACH, False))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Score the networks that have no line yet, then write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxies", description=__doc__)
    parser.add_argument("table", type=Path, help="resnet.csv.gz of Channel-Bench-Macro")
    parser.add_argument("--data", help="an .npz file of CIFAR-10, or cifar10")
    parser.add_argument("--report", action="store_true", help="write the report from what is logged, run nothing")
    parser.add_argument("--log", type=Path, default=LOG, help="file of the scores, a JSON line each")
    parser.add_argument("--to", type=Path, default=REPORT, help="file of the report")
    options = parser.parse_args(arguments)
    if not options.report and not options.data:
        parser.error("--data: which images the networks look at")
    table = read_table(options.table)
    wanted = sample(table)
    if not options.report:
        done = {row["row"] for row in read(options.log)}
        run(table, [pair for pair in wanted if pair[1] not in done], options.data, options.log)
    rows = {row["row"]: row for row in read(options.log)}
    complete = [rows[row] for _, row in wanted if row in rows]
    if len(complete) == len(wanted):
        write_atomically(options.to, report(complete, table))
    print(f"{len(complete)} of {len(wanted)} networks have their scores")


def read(log: Path) -> list[dict[str, Any]]:
    """The logged lines; a last line that a stop cut off is left out."""
    if not log.exists():
        return []
    rows: list[dict[str, Any]] = []
    for line in log.read_text("utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def run(table: Table, pairs: Sequence[tuple[int, int]], data: str, log: Path) -> None:
    """Score every network and log it."""
    import torch

    from parlay.data import load
    from parlay.evidence.networks import NETWORK_SCORES as SCORES
    from parlay.evidence.networks import batch_of

    torch.set_num_threads(1)
    batch = batch_of(load(data), image=(3, 32, 32), classes=10, size=BATCH, seed=SEED)
    terms = get_score("energy-layer").terms(graph().space)
    with log.open("a", encoding="utf-8") as stream:
        for place, (size_bin, row) in enumerate(pairs, start=1):
            widths = tuple(int(width) for width in table.widths[row])
            model, build_seconds = timed(lambda widths=widths: network(widths, seed=SEED))
            assert sum(parameter.numel() for parameter in model.parameters()) == table.params[row]
            scores: dict[str, float] = {}
            seconds: dict[str, float] = {}
            scores["energy-layer"], seconds["energy-layer"] = timed(lambda widths=widths: terms(widths))
            for name in NETWORK_SCORES:
                scores[name], seconds[name] = timed(lambda name=name, model=model: SCORES[name](model, batch, SEED))
            facts = {
                "row": row,
                "bin": size_bin,
                "widths": list(widths),
                "scores": scores,
                "seconds": {name: float(f"{value:.3g}") for name, value in seconds.items()},
                "build_seconds": round(build_seconds, 4),
                "batch": f"{len(batch.images)} of {batch.source}",
                "torch": torch.__version__,
            }
            stream.write(json.dumps(facts) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
            print(f"{place} of {len(pairs)}", end="\r")


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and its seconds of processor time (others may use the machine)."""
    start = time.process_time()
    value = function()
    return value, time.process_time() - start


NOTES = {
    "energy-layer": "sum of m ln ln w over the seven widths, m = (3, 1, 1, 1, 3, 1, 1); no network is built",
    "path-energy": "docs/scores.md, structure from the trace; computed from the widths when this was written",
    "grad-norm": "Abdelfattah et al. 2021",
    "synflow": "Tanaka et al. 2020, as Abdelfattah et al. 2021 sum it",
    "naswot": "Mellor et al. 2021",
    "params": "differ by at most 1 % inside a bin",
    "macs": "",
}


HEAD = """
# Scores of built networks beside the energy

Written by `python -m benchmarks.proxies TABLE --data cifar10.npz` from `benchmarks/proxies.jsonl`; do not edit.

{networks} networks of Channel-Bench-Macro ResNet (Su et al. 2021), rebuilt by `benchmarks/channel_bench.py`: {bins}
bins of parameters that are 1 % wide, evenly spaced among the 127 that hold 30 networks or more ({least} to {most}
parameters), {each} networks of each, drawn from seed {seed}. One initialisation a network (torch's defaults, seed
{seed}) and one batch, {batch}; accuracy is the mean of the table's three runs. Bins, seed, batch and scores were fixed
before any result was seen; path-energy was added to the page later.

*inside bins*: Spearman with the accuracy inside each bin, averaged over bins; 95 % interval from a bootstrap over the
bins ({resamples} resamples, widened for {bins} bins). *beside energy-layer*: the difference of the two, bin by bin.
*given params*: rank-partial inside bins. *size not controlled*: Spearman over all networks at once. *seconds*:
processor time a layout, one thread, median; for built networks without building them ({build} s).

| score | inside bins | 95 % | beside energy-layer | 95 % | given params | size not controlled | seconds | |
|---|---:|---|---:|---|---:|---:|---:|---|
"""


def report(rows: Sequence[dict[str, Any]], table: Table) -> str:
    """The table in Markdown."""
    from parlay.evidence.statistics import rank_partials, spearmans
    from parlay.evidence.uncertainty import cluster_draws, interval, resampled_means

    names = [*rows[0]["scores"], "path-energy", "params", "macs"]
    terms = get_score("path-energy").terms(graph().space)
    paths = [terms(tuple(row["widths"])) for row in rows]
    index = np.array([row["row"] for row in rows])
    params, macs, target = table.params[index], table.flops[index], table.accuracy[index].mean(axis=1)
    values = np.array([[row["scores"][name] for row in rows] for name in rows[0]["scores"]])
    values = np.vstack([values, paths, params, macs]).astype(float)
    labels = np.array([row["bin"] for row in rows])
    groups = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())]
    weights = np.array([len(group) for group in groups])
    inside = np.stack([spearmans(values[:, g], target[g]) for g in groups], axis=1)
    partial = np.stack([rank_partials(values[:, g], target[g], [params[g].astype(float)]) for g in groups], axis=1)
    draws = cluster_draws(len(groups), RESAMPLES, SEED)
    resampled = resampled_means(inside, weights, draws)
    apart = resampled_means(inside - inside[:1], weights, draws)
    whole = spearmans(values, target)
    head = HEAD.format(
        networks=len(rows),
        bins=len(groups),
        each=EACH,
        least=f"{params.min():,}",
        most=f"{params.max():,}",
        seed=SEED,
        batch=rows[0]["batch"],
        resamples=f"{RESAMPLES:,}",
        build=f"{np.median([row['build_seconds'] for row in rows]):.2g}",
    )
    lines = head.strip().splitlines()
    for place, name in enumerate(names):
        low, high = interval(resampled[place], len(groups))
        less, more = interval(apart[place], len(groups))
        mean, part = np.average(inside[place], weights=weights), partial[place].mean()
        beside = mean - np.average(inside[0], weights=weights)
        seconds = [row["seconds"][name] for row in rows if name in row["seconds"]]
        cells = (
            name,
            f"{mean:.2f}",
            f"{low:.2f} to {high:.2f}",
            f"{beside:+.2f}" if place else "",
            f"{less:+.2f} to {more:+.2f}" if place else "",
            "" if name == "params" else f"{part:.2f}",
            f"{whole[place]:.2f}",
            f"{np.median(seconds):.2g}" if seconds else "",
            NOTES.get(name, ""),
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"Hardware: {machine()}, one thread. Versions: torch {rows[0]['torch']}, numpy {np.__version__}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
