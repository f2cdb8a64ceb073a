"""Draws docs/pictures/*.png, the pictures of the pages. Run: python docs/pictures.py [NAME...]; without names all.

``scatter`` and ``report`` train the demo first (a minute); ``report`` photographs the page and needs a Chromium.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from parlay import format_layout, plain
from parlay.report.figure import BLUE, RED

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
TODAY = "0.78"
"""The grey of a network as it is."""


def same_size() -> None:
    """Three layouts of exactly 4,288 kernels, a bar for each layer."""
    family = plain(depth=4)
    layouts = ((35, 36, 37, 43), (8, 16, 44, 78), (68, 44, 13, 40))
    assert {family.kernels(layout) for layout in layouts} == {4_288}
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.7), sharey=True, layout="constrained")
    for ax, layout, colour in zip(axes, layouts, (RED, BLUE, BLUE), strict=True):
        ax.bar(range(1, 5), layout, color=colour, width=0.7)
        for place, width in enumerate(layout, start=1):
            ax.text(place, width + 1.5, str(width), ha="center", fontsize=10)
        energy, macs = math.exp(family.energy(layout)), family.macs(layout)
        ax.set_title(
            f"{format_layout(layout)}\nenergy {energy:.0f}, {macs / 1e6:.1f} million multiply-adds", fontsize=10
        )
        ax.set_xticks(range(1, 5), [f"layer {i}" for i in range(1, 5)])
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set(ylabel="channels of the layer", ylim=(0, 88))
    _save(figure, "same-size")


def resnet8() -> None:
    """The widths of MLPerf Tiny's ResNet-8 today and after a retrofit at exactly its own parameters."""
    import torch

    from parlay.graph import trace
    from parlay.graph.specs import load_model
    from parlay.retrofit import Limits, retrofit

    model = load_model(f"{ROOT / 'examples' / 'mlperf_tiny.py'}:resnet8", {})
    found = retrofit(trace(model, torch.zeros(1, 3, 32, 32)), Limits(params="same"))
    names = [group.name for group in found.graph.space.groups]
    figure, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
    for shift, layout, colour, label in ((0.2, found.graph.layout, TODAY, "today"), (-0.2, found.layout, RED, "after")):
        places = [len(names) - place + shift for place in range(len(names))]
        ax.barh(places, layout, height=0.38, color=colour, label=label)
        for place, width in zip(places, layout, strict=True):
            ax.text(width + 1, place, str(width), va="center", fontsize=9)
    ax.set_yticks(range(len(names), 0, -1), names)
    ax.set_xlabel("channels; both networks have exactly 78,186 parameters")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="center right")
    _save(figure, "resnet8")


@cache
def _demo() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="parlay-pictures-"))
    subprocess.run([sys.executable, "-m", "parlay", "demo"], cwd=folder, check=True)
    return folder


def scatter() -> None:
    """The figure of ``parlay demo``, as the study draws it."""
    _shrunk(_demo() / "demo" / "scatter.png", FOLDER / "scatter.png", width=1_000)


def report() -> None:
    """The page of ``parlay report demo``, its first screen."""
    folder = _demo()
    subprocess.run([sys.executable, "-m", "parlay", "report", "demo"], cwd=folder, check=True)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("report needs chromium on the path")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,1500"]
    photograph = folder / "report.png"
    command = [chromium, *flags, f"--user-data-dir={folder / 'profile'}", f"--screenshot={photograph}"]
    subprocess.run([*command, (folder / "report.html").as_uri()], check=True, capture_output=True)
    _shrunk(photograph, FOLDER / "report.png", width=800)


def front() -> None:
    """The first row of Figure 3 from results/, one panel below the other, as wide as a README."""
    from parlay.paper.draw import PanelPlot, draw_grid
    from parlay.paper.figures import DPI, panel_plot
    from parlay.paper.judge_claims import gather
    from parlay.paper.results import read_results
    from parlay.report.figure import save_figure

    panels = gather(read_results(ROOT / "results"))
    note = (
        "Left against energy, right against multiply-adds. Bars: seeds.\n"
        "Above: rank correlation; then the same, the other taken out. Red: the energy's choice."
    )
    plots: list[PanelPlot] = []
    for name in ("3a", "3b"):
        panel = replace(panels[name], points=panels[name].judging, others=())
        plot = panel_plot(panel)
        subtitle = f"{panel.protocol}: the paper's {len(panel.points)} layouts, {panel.runs} runs"
        plots.append(replace(plot, subtitle=subtitle))
    figure = draw_grid(plots, title="One size, 4,288 kernels: does energy rank?", note=note, columns=1)
    save_figure(figure, FOLDER / "paper-front.png", dpi=DPI)


def paper() -> None:
    """Figure 3 and the matched pairs from results/, as ``make paper`` draws them."""
    front()
    folder = Path(tempfile.mkdtemp(prefix="parlay-pictures-"))
    command = ["paper", "figures", "--results", str(ROOT / "results"), "--out", str(folder), "--format", "png"]
    subprocess.run([sys.executable, "-m", "parlay", *command], check=True)
    for name in ("figure3", "figure4", "figure5", "free", "pairs"):
        _shrunk(folder / f"{name}.png", FOLDER / f"paper-{name}.png", width=1_400)


def _save(figure: plt.Figure, name: str) -> None:
    figure.savefig(FOLDER / f"{name}.png", dpi=100)


def _shrunk(source: Path, target: Path, width: int) -> None:
    """Writes a picture as wide as said, or as it is where that is less."""
    from PIL import Image

    with Image.open(source) as read:
        picture = read.convert("RGB")
    width = min(width, picture.width)
    height = round(picture.height * width / picture.width)
    picture.resize((width, height), Image.Resampling.LANCZOS).save(target, optimize=True)


PICTURES = {"same-size": same_size, "resnet8": resnet8, "scatter": scatter, "report": report, "paper": paper}


def main(names: list[str]) -> None:
    """Draws the pictures named."""
    if unknown := set(names) - set(PICTURES):
        raise SystemExit(f"no picture {sorted(unknown)}; there are {', '.join(PICTURES)}")
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        PICTURES[name]()
        print(f"drawn: {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
