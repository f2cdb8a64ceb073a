"""Layouts of any graph drawn at random: against full enumeration, by each of the three laws."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor, nn

from parlay import InputError, Layout, Problem, plain
from parlay.graph import trace
from parlay.resources import PeakResource, Resource
from parlay.retrofit import Limits
from parlay.retrofit.solve_retrofit import retrofit_problem
from parlay.solver import Drawer, Sampler, list_layouts, make_sampler
from parlay.solver.space import drawing


def bottleneck(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """1 x 1, depthwise, 1 x 1 without an activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, 1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, outputs, 1),
    )


class Inverted(nn.Module):
    """A linear bottleneck without a shortcut between two with one: five groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.first, self.down, self.last = bottleneck(4, 6, 4), bottleneck(4, 5, 5), bottleneck(5, 6, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.down(x + self.first(x))
        return self.head((x + self.last(x)).mean((2, 3)))


class PreActivation(nn.Module):
    """Two blocks on one stream and a projection, so that squares and products of three groups meet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, bias=False)
        self.same = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, 1, 1, bias=False))
        self.norm = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())
        self.project = nn.Conv2d(6, 8, 1, bias=False)
        self.inner = nn.Sequential(nn.Conv2d(6, 7, 3, 1, 1, bias=False), nn.ReLU(), nn.Conv2d(7, 8, 1, bias=False))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.same(x)
        y = self.norm(x)
        return self.head((self.project(y) + self.inner(y)).mean((2, 3)))


class Joined(nn.Module):
    """Two branches of one input, concatenated, behind a grouped convolution's multiple of two."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.left = nn.Conv2d(8, 5, 1)
        self.right = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(11, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.grouped(self.stem(x).relu()).relu()
        return self.head(torch.cat([self.left(x), self.right(x)], 1).relu().mean((2, 3)))


PROBLEMS = {
    "inverted": (Inverted, Limits(params="same", max_macs="1.3x", max_peak_memory="none"), "2"),
    "pre-activation": (PreActivation, Limits(params_range="0.9x:1.1x", max_macs="none", max_peak_memory="1.5x"), "3"),
    "joined": (Joined, Limits(params_range="0.98x:1x", max_macs="none", max_peak_memory="none"), "3"),
}


@cache
def problem_of(name: str) -> Problem:
    """A small network's layouts of one size, or of a narrow band, under another limit."""
    model, limits, most = PROBLEMS[name]
    return retrofit_problem(trace(model(), torch.zeros(1, 3, 8, 8)), limits, max_ratio=most)


@cache
def enumerated(name: str) -> tuple[Layout, ...]:
    """Every layout of the question, by trying all widths."""
    problem = problem_of(name)
    choices = [[w for w in range(1, (group.maximum or 0) + 1) if group.allows(w)] for group in problem.space.groups]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*choices, indexing="ij")])  # (groups, layouts)
    good = np.ones(grid.shape[1], dtype=bool)
    for constraint in problem.constraints:
        resource = constraint.resource
        points = resource.points if isinstance(resource, PeakResource) else (resource,)
        amount = np.max([amounts(point, grid) for point in points], axis=0)
        good &= (amount >= (constraint.minimum or 0)) & (amount <= (constraint.maximum or amount.max()))
    return tuple(map(tuple, grid[:, good].T.tolist()))


def amounts(resource: Resource, grid: np.ndarray) -> np.ndarray:
    """A polynomial at many layouts, (groups, layouts) -> (layouts,)."""
    total = resource.constant + np.array(resource.linear) @ grid
    return (total + sum(c * grid[g] * grid[h] for g, h, c in resource.quadratic)) // resource.divisor


def surprise(drawn: list[Layout], layouts: tuple[Layout, ...]) -> float:
    """Chi-square of draws against the uniform law, over its 99.9 % point."""
    counts, expected = Counter(drawn), len(drawn) / len(layouts)
    assert set(counts) <= set(layouts)
    statistic = sum((counts[layout] - expected) ** 2 / expected for layout in layouts)
    return float(statistic / chi2.ppf(0.999, len(layouts) - 1))


def by_law(monkeypatch: pytest.MonkeyPatch, law: str) -> None:
    """Bar the laws before this one; a quarter of the chain's steps has to do."""
    if law != drawing.LISTED:
        monkeypatch.setattr(drawing, "MOST_LISTED", 0)
    if law == drawing.WALKED:
        monkeypatch.setattr(drawing, "MOST_DRAWN", 0)
        monkeypatch.setattr(drawing, "STEPS_APART", drawing.STEPS_APART // 4)


@pytest.mark.parametrize("name", PROBLEMS)
def test_lists_are_complete(name: str) -> None:
    """What is listed is what trying all widths finds, by Drawer and by list_layouts."""
    layouts = enumerated(name)
    assert len(layouts) > 20
    assert Drawer(problem_of(name)).everything == layouts
    assert tuple(sorted(one.layout for one in list_layouts(problem_of(name)))) == layouts


@pytest.mark.parametrize("law", [drawing.LISTED, drawing.DRAWN, drawing.WALKED])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_law_is_uniform(name: str, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chi-square of draws with replacement against full enumeration, below its 99.9 % point."""
    by_law(monkeypatch, law)
    layouts = enumerated(name)
    drawer = Drawer(problem_of(name))
    drawn = drawer.draw(10 * len(layouts), seed=1, replace=True)
    assert drawer.law == law.format(total=len(layouts))
    assert surprise(drawn, layouts) < 1


def test_a_law_that_is_not_uniform_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: a chain of a single step between two layouts is far from uniform."""
    by_law(monkeypatch, drawing.WALKED)
    monkeypatch.setattr(drawing, "STEPS_APART", 0)
    layouts = enumerated("inverted")
    drawn = Drawer(problem_of("inverted")).draw(10 * len(layouts), seed=1, replace=True)
    assert surprise(drawn, layouts) > 1


@pytest.mark.parametrize("law", [drawing.LISTED, drawing.DRAWN, drawing.WALKED])
def test_samples_are_distinct_and_repeatable(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No layout twice, every one of the size; the same for the same seed, others for another."""
    by_law(monkeypatch, law)
    drawer = Drawer(problem_of("inverted"))
    drawn = drawer.draw(12, seed=0)
    assert len(set(drawn)) == 12
    assert set(drawn) <= set(enumerated("inverted"))
    assert drawn == drawer.draw(12, seed=0)
    assert drawn != drawer.draw(12, seed=1)


@pytest.mark.parametrize("law", [drawing.DRAWN, drawing.WALKED])
def test_all_layouts_can_be_drawn(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many distinct layouts as there are: every layout is reached."""
    by_law(monkeypatch, law)
    layouts = enumerated("joined")
    assert set(Drawer(problem_of("joined")).draw(len(layouts), seed=0)) == set(layouts)


def test_a_chain_with_one_size_is_counted() -> None:
    """make_sampler counts where it can, and draws anything else."""
    family = plain(depth=3)
    every = list_layouts(family.problem(kernels=4_288))
    counted = make_sampler(family.problem(kernels=4_288))
    assert isinstance(counted, Sampler)
    assert counted.total == len(every)
    limited = family.problem(kernels=4_288, max_macs=3_500_000)
    drawn = make_sampler(limited)
    assert isinstance(drawn, Drawer)
    assert 0 < sum(not limited.violations(one.layout) for one in every) == (drawn.total or 0) < len(every)


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (3, -1), (10**6, 0)])
def test_impossible_samples_are_refused(n: int, seed: int) -> None:
    """None, a negative seed, more than there are: one line each."""
    with pytest.raises(InputError, match=r"n-samples|seed"):
        Drawer(problem_of("inverted")).draw(n, seed=seed)


def test_no_layout_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that nothing has is an empty list, and where it cannot be listed a line that says so."""
    graph = trace(Inverted(), torch.zeros(1, 3, 8, 8))
    problem = retrofit_problem(graph, Limits(params=250, max_macs="0.2x", max_peak_memory="none"))
    assert Drawer(problem).total == 0
    by_law(monkeypatch, drawing.WALKED)
    with pytest.raises(InputError, match=r"n-samples|no layout found"):
        Drawer(problem).draw(3, seed=0)
