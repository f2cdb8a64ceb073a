r"""``python -m benchmarks.free_order``: how scores rank free-order networks.

Three and four layers of exactly 4,288 kernels in free order, widths of at least 8: 24 layouts drawn uniformly (seed 0)
and the optimum of every score among all such layouts, trained on CIFAR-10 with ``fast`` at 1,000 steps, bf16, one seed:

    parlay study run DIR --depth 3 --kernels 4288 --order free --min-width 8 --layouts sample:24 --layouts ... \
        --data cifar10 --recipe fast --steps 1000 --precision bf16 --threads 1

``free_order_trials`` has the trials. Prints Markdown; trains nothing.
"""

from __future__ import annotations

from pathlib import Path

from parlay.evidence import evaluate, measure, populations
from parlay.layout import format_layout
from parlay.study.reading import read_csv

TRIALS = Path(__file__).resolve().parent / "free_order_trials"
TABLES = {3: "three.csv", 4: "four.csv"}


def main() -> None:
    """Print one table a depth: scores judged by the random layouts alone, and where each optimum lands among them."""
    for depth, name in TABLES.items():
        [measured] = measure(read_csv(TRIALS / name).rows)
        judged = evaluate(populations([measured])).panels[0]
        print(f"\n{depth} layers, {len(measured.judging)} random layouts; {measured.left_out_words}\n")
        print("| score | Spearman | given MACs | verdict |")
        print("|---|---|---|---|")
        for score in sorted(judged.scores, key=lambda score: -score["spearman"]):
            given = "" if score.name == "macs" else f"{score['partial_macs']:.2f}"
            ends = f"{score['spearman']:.2f} ({score['ci_low']:.2f} to {score['ci_high']:.2f})"
            print(f"| {score.name} | {ends} | {given} | {score.outcome} |")
        drawn = [one.accuracy for one in measured.judging]
        for one in sorted(measured.layouts, key=lambda one: -one.accuracy):
            if one not in measured.judging:
                beaten = sum(one.accuracy > accuracy for accuracy in drawn)
                print(f"\n{format_layout(one.layout)} {100 * one.accuracy:.2f} %, beats {beaten} of {len(drawn)}")


if __name__ == "__main__":
    main()
