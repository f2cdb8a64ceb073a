"""Tables of values per width: brute force agrees, whatever their shape, and proofs over grids are recomputed."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from oracle import brute_force
from parlay import Constraint, InputError, Problem, Resource, Status, certify, solve
from parlay.layout import WidthGroup, WidthSpace
from parlay.problem import Dual
from parlay.solver.general import eliminate as elimination
from parlay.solver.general.cutting_planes import unpriced
from parlay.solver.general.eliminate import Products, all_products, eliminate
from parlay.solver.general.general import compile_general
from parlay.tabulated import TabulatedScore, WidthTable
from test_general import random_graph


def kept(rng: random.Random, widths: int) -> np.ndarray:
    """What the best n channels keep: increasing and concave."""
    return np.cumsum(sorted((rng.expovariate(1) for _ in range(widths)), reverse=True))


SHAPES = {
    "kept": kept,
    "equal channels": lambda rng, widths: np.arange(1, widths + 1) / 8,
    "dead channels": lambda rng, widths: np.minimum(kept(rng, widths), rng.choice([1, 3])),
    "log share": lambda rng, widths: np.log(kept(rng, widths) / (widths + 1)),
    "log of dead ones": lambda rng, widths: np.log([0.0, *np.arange(1, widths)]),
    "any": lambda rng, widths: np.array([rng.randint(-3, 3) / 4 for _ in range(widths)]),
    "steps": lambda rng, widths: np.arange(1, widths + 1) // 3,
}


def tabulated(seed: int) -> Problem:
    """A random graph whose score is a table a group, of one shape or of several."""
    problem = random_graph(seed)
    rng = random.Random(seed)
    shapes = rng.sample(sorted(SHAPES), rng.choice([1, 1, 2, 3]))
    with np.errstate(divide="ignore"):
        tables = {group.name: SHAPES[rng.choice(shapes)](rng, group.maximum or 0) for group in problem.space.groups}
    return replace(problem, score=TabulatedScore(tables))


def check_against_brute_force(seed: int) -> None:
    problem = tabulated(seed)
    top_k = random.Random(seed).choice([1, 1, 1, 3, 10, 200])
    result = solve(problem, top_k=top_k, time_limit=120)
    truth = brute_force(problem)
    assert [solution.layout for solution in result.solutions] == [layout for layout, _ in truth[:top_k]], seed
    assert result.status is (Status.OPTIMAL if truth else Status.INFEASIBLE), seed
    assert certify(problem, result).holds, seed


@pytest.mark.parametrize("seed", range(60))
def test_agrees_with_brute_force(seed: int) -> None:
    """Layouts, their order, ties, scores of -inf and infeasibility, for tables of any shape."""
    check_against_brute_force(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(40))
def test_agrees_with_brute_force_at_length(block: int) -> None:
    """The same for 2,000 problems more."""
    for seed in range(1000 + 50 * block, 1000 + 50 * block + 50):
        check_against_brute_force(seed)


@pytest.mark.parametrize("grid", [2, 3, 5])
@pytest.mark.parametrize("block", range(3))
def test_tables_over_few_widths_prove_the_same(grid: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chords between two, three or five widths a group bound from above: no layout is lost, and proofs recompute."""
    monkeypatch.setattr(elimination, "GRIDS", (grid,))
    for seed in range(300 + 8 * block, 308 + 8 * block):
        check_against_brute_force(seed)


def wide(seed: int, groups: int = 4, largest: int = 40) -> Problem:
    """Groups coupled in a ring, as streams and blocks are, half of what today's widths take."""
    rng = random.Random(seed)
    names = [f"g{g}" for g in range(groups)]
    ring = {(min(g, (g + 1) % groups), max(g, (g + 1) % groups)): 9 for g in range(groups)}
    params = Resource.of("params", groups, linear=dict.fromkeys(range(groups), 2), quadratic=ring)
    macs = Resource.of("macs", groups, linear={0: 27}, quadratic={pair: rng.choice([16, 64, 256]) for pair in ring})
    today = (largest,) * groups
    return Problem(
        space=WidthSpace(groups=tuple(WidthGroup(name=name, maximum=largest) for name in names)),
        score=TabulatedScore({name: kept(rng, largest) for name in names}),
        constraints=(
            Constraint.at_most(params, params(today) // 2),
            Constraint.at_most(macs, macs(today) // 2),
        ),
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_coarser_grid_bounds_higher_everywhere(seed: int) -> None:
    """Over few widths neither the bound nor what any one width may still reach is below what all widths give."""
    general = compile_general(wide(seed))
    limits = np.array([row.high for row in general.rows], dtype=float)
    prices = replace(unpriced(general), upper=random.Random(seed).choice([3.0, 20.0, 60.0]) / limits)
    exact, order, _ = all_products(general)
    fine = eliminate(general, prices, Products(exact, order))
    for grid in (2, 3, 7, 20):
        coarse = eliminate(general, prices, Products(exact, order, grid))
        assert coarse.bound >= fine.bound - 1e-9
        for low, high in zip(fine.marginals(), coarse.marginals(), strict=True):
            assert (high >= low - 1e-9).all()
        if grid == 20:
            assert coarse.bound <= fine.bound + 0.05 * abs(fine.bound)


@pytest.mark.parametrize("seed", range(4))
def test_what_a_grid_excludes_is_excluded_by_the_certificate(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay makes the same tables in its own way: its bound is the solver's, no width is out unproven."""
    monkeypatch.setattr(elimination, "GRIDS", (4,))
    problem = wide(seed)
    result = solve(problem, time_limit=60)
    assert result.proof is not None
    assert any(isinstance(step, Dual) and step.grid == 4 for step in result.proof.steps)
    assert certify(problem, result, effort=10**7).findings == ()
    steps = result.proof.steps
    first = next(place for place, step in enumerate(steps) if isinstance(step, Dual) and step.exact)
    dual = steps[first]
    assert isinstance(dual, Dual)
    narrow = replace(dual, high=(*dual.high[:-1], dual.high[-1] // 2))
    wrong = replace(result.proof, steps=(*steps[:first], narrow, *steps[first + 1 :]))
    assert certify(problem, replace(result, proof=wrong), effort=10**7).findings


def test_dead_channels_are_left_out() -> None:
    """Where a table grows no more the smallest such width is the answer, and the proof needs no listing for it."""
    params = Resource.of("params", 2, linear={0: 1, 1: 1})
    space = WidthSpace(groups=(WidthGroup(name="a", maximum=500), WidthGroup(name="b", maximum=500)))
    tables = {"a": np.minimum(np.arange(1, 501), 7.0), "b": np.minimum(np.arange(1, 501), 30.0)}
    problem = Problem(
        space=space,
        score=TabulatedScore(tables),
        constraints=(Constraint.at_most(params, 900), Constraint.at_most(params, 950)),
    )
    result = solve(problem)
    assert (result.status, result.best.layout) == (Status.OPTIMAL, (7, 30))
    assert certify(problem, result).is_recomputed


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([1.0, math.nan], "got nan"),
        ([1.0, math.inf], "got inf"),
        ([1e9], "divide the tables of all groups"),
        ([1.0, -math.inf], "at the smallest ones only"),
        ([-math.inf], "at the smallest ones only"),
        ([], "at the smallest ones only"),
    ],
)
def test_tables_that_are_none_are_refused(entries: list[float], words: str) -> None:
    """A value that is no number, one too large for exact sums, and -inf behind a number."""
    with pytest.raises(InputError, match=words):
        WidthTable.of(entries)


def test_groups_need_a_table_as_wide_as_they_may_be() -> None:
    """A missing or short table, or a group without a largest width, is named."""
    score = TabulatedScore({"a": [1.0, 2.0]})
    for group in (WidthGroup(name="b", maximum=2), WidthGroup(name="a", maximum=3), WidthGroup(name="a")):
        with pytest.raises(InputError, match=f"widths of {group.name}"):
            score.terms(WidthSpace(groups=(group,)))
