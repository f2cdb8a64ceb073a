r"""``python -m benchmarks.free_order``: how scores rank free-order networks, with their optima and without.

Three and four layers of exactly 4,288 kernels in free order, widths of at least 8: 24 layouts drawn uniformly (seed 0)
and the optimum of every score among all such layouts, trained on CIFAR-10 with ``fast`` at 1,000 steps, bf16, one seed:

    parlay study run DIR --depth 3 --kernels 4288 --order free --min-width 8 --layouts sample:24 --layouts ... \
        --data cifar10 --recipe fast --steps 1000 --precision bf16 --threads 1

``free_order_trials`` has the trials. Prints Markdown; trains nothing.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from pathlib import Path

from parlay.evidence import evaluate, read_study
from parlay.evidence.panel import Panel

TRIALS = Path(__file__).resolve().parent / "free_order_trials"
TABLES = {3: "three.csv", 4: "four.csv"}


def main() -> None:
    """Print one table a depth."""
    for depth, name in TABLES.items():
        with (TRIALS / name).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        sampled = [row for row in rows if "sample" in row["kinds"]]
        print(f"\n{depth} layers\n")
        print("| score | n | Spearman, sample and optima | n | Spearman, sample alone | given MACs |")
        print("|---|---|---|---|---|---|")
        whole, part = (_panel(some) for some in (rows, sampled))
        for name in sorted((score.name for score in whole.scores), key=lambda name: -whole[name]["spearman"]):
            one, other = whole[name], part[name]
            given = "" if name == "macs" else f"{other['partial_macs']:.2f}"
            print(f"| {name} | {whole.networks} | {_words(one)} | {part.networks} | {_words(other)} | {given} |")
        best = sorted(rows, key=lambda row: -float(row["accuracy"]))[:5]
        print("\nbest:", ", ".join(f"{row['layout']} {100 * float(row['accuracy']):.2f}" for row in best))


def _panel(rows: list[dict[str, str]]) -> Panel:
    """The evaluation of some runs."""
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "trials.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        [population] = read_study(folder)
    return evaluate([population]).panels[0]


def _words(figures: Mapping[str, float]) -> str:
    return f"{figures['spearman']:.2f} ({figures['ci_low']:.2f} to {figures['ci_high']:.2f})"


if __name__ == "__main__":
    main()
