"""Draws docs/solver-windows.png: how bounds over cells exclude widths. Run: python docs/solver_figure.py."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from parlay import plain, solve
from parlay.report.figure import BLUE, RED
from parlay.solver.chain.bounds import bounded_windows
from parlay.solver.chain.cells import Grid
from parlay.solver.chain.chain import compile_chain

SLACK = 0.05


def main() -> None:
    """4,288 kernels, four layers, free order: the bound of every width, at the price of the root."""
    problem = plain(depth=4).problem(kernels=4_288, order="free")
    best = solve(problem).best
    chain = compile_chain(problem)
    chain = chain.narrowed([2] * 4, chain.last)
    windows = bounded_windows(chain, 1e-3)
    assert windows is not None
    choices = [chain.choices(g) for g in range(4)]
    bounds = Grid(chain, choices, choices).marginals(windows.dual.price)
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), sharey=True, layout="constrained")
    for g, ax in enumerate(axes):
        kept = bounds[g] >= windows.bound - SLACK
        ax.plot(choices[g], bounds[g], color="0.7", linewidth=1)
        ax.plot(choices[g][kept], bounds[g][kept], ".", color=BLUE, markersize=4)
        ax.axhline(windows.bound, color="0.3", linewidth=0.8)
        ax.axhline(windows.bound - SLACK, color="0.3", linewidth=0.8, linestyle="--")
        ax.plot(best.layout[g], best.log_energy, "o", color=RED, markersize=6)
        ax.set(xscale="log", xlim=(2, 2_000), ylim=(windows.bound - 0.6, windows.bound + 0.06))
        ax.set_title(f"layer {g + 1}: {int(np.sum(kept))} of {len(choices[g]):,} widths kept", fontsize=10)
        ax.set_xlabel("width")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("bound on log-energy")
    axes[0].annotate("root", (2.2, windows.bound + 0.01), fontsize=9, color="0.3")
    axes[0].annotate(f"root - {SLACK}", (2.2, windows.bound - SLACK - 0.035), fontsize=9, color="0.3")
    energy = math.exp(best.log_energy)
    figure.suptitle(
        f"4,288 kernels, free order: best {'-'.join(map(str, best.layout))} (red), energy {energy:.1f}", fontsize=11
    )
    figure.savefig(Path(__file__).with_name("solver-windows.png"), dpi=110)


if __name__ == "__main__":
    main()
