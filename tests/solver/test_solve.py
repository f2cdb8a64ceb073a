"""The solver: known answers, brute force on hundreds of problems, statuses, limits."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from oracle import brute_force, random_problem
from parlay import Constraint, InputError, Problem, Resource, Status, get_score, list_layouts, plain, resnet, solve
from parlay.energy import EnergyGroup, GroupTerm, Score, Terms
from parlay.layout import Layout, Order, WidthGroup, WidthSpace
from parlay.solver import StopSolvingError
from parlay.solver.chain import bounds, labels, solve_chain
from parlay.solver.chain.bounds import bounded_windows
from parlay.solver.chain.cells import best_partners
from parlay.solver.chain.chain import Chain, compile_chain, is_chain
from parlay.solver.chain.newton import Relaxation, relaxed_optimum

TABLE_5 = {
    4_288: [
        (35, 36, 37, 43), (33, 35, 37, 47), (35, 37, 38, 39), (32, 36, 38, 44), (30, 31, 38, 55), (28, 29, 32, 77),
    ],
    66_304: [
        (135, 136, 137, 211), (133, 135, 137, 215), (124, 125, 128, 269),
        (137, 141, 142, 187), (123, 125, 128, 270), (128, 130, 140, 222),
    ],
}  # fmt: skip

KNOWN = [
    ("free", 4_288, (59, 29, 24, 71), 5.225770),
    ("free", 66_304, (305, 93, 89, 323), 6.510865),
    ("free", 36_864, (172, 41, 84, 65, 62, 88, 38, 199), 11.742431),
    ("free", 147_456, (302, 59, 143, 91, 117, 101, 112, 100, 118, 90, 147, 56, 329), 20.248804),
    ("nondecreasing", 66_304, (46,) * 21 + (47,) * 7 + (48, 49, 78), 41.813649),
    ("increasing", 66_304, (*range(30, 33), *range(34, 57), *range(58, 62), 64), 41.416300),
    ("nondecreasing", 4_288, (32, 32, 32, 67), math.log(175.0333)),
    ("nondecreasing", 66_304, (128, 128, 128, 259), math.log(634.7423)),
]


@pytest.mark.parametrize(("size", "layouts"), TABLE_5.items())
def test_table_5_in_order(size: int, layouts: list[Layout]) -> None:
    """The six best four-layer layouts of each size, in the paper's order, proven."""
    result = solve(plain(depth=4), kernels=size, top_k=6)
    assert result.status is Status.OPTIMAL
    assert [solution.layout for solution in result.solutions] == layouts
    assert result.gap == 0.0


@pytest.mark.parametrize(("order", "size", "layout", "score"), KNOWN)
def test_known_optima(order: str, size: int, layout: Layout, score: float) -> None:
    """Optima found by other means, proven here without a cap on widths."""
    result = solve(plain(depth=len(layout)), kernels=size, order=order)
    assert result.status is Status.OPTIMAL
    assert result.best.layout == layout
    assert result.best.score_value == pytest.approx(score, abs=1e-6)


def test_thirty_one_layers_in_free_order() -> None:
    """66,304 x 31: the value and the ends of a published optimum, among 495 exact ties the first by widths."""
    best = solve(plain(depth=31), kernels=66_304, order="free").best
    assert best.score_value == pytest.approx(41.900207, abs=1e-6)
    assert best.layout[:3] == (107, 30, 57)
    assert best.layout[-3:] == (59, 27, 126)


@pytest.mark.parametrize(("order", "count"), [("increasing", 12), ("nondecreasing", 13)])
def test_the_resnets_of_table_4(order: str, count: int) -> None:
    """All ResNets of 51,248 kernels, those of energy 0 last, the list known to be complete."""
    result = solve(resnet(depth=32), kernels=51_248, top_k=20, order=order)
    assert result.status is Status.OPTIMAL
    assert len(result.solutions) == count
    assert result.best.layout == (19, 34, 41, 49)
    assert [s.layout for s in result.solutions if s.energy == 0] == [(1, 11, 42, 59), (1, 27, 34, 59)]
    assert result.solutions[-1].score_value == -math.inf
    assert result.proof is not None
    assert result.proof.threshold == -math.inf


@pytest.mark.parametrize(
    ("depth", "size", "strict", "weak"), [(3, 4_288, 29, 35), (3, 66_304, 125, 141), (4, 4_288, 558, 766)]
)
def test_counts_of_all_layouts(depth: int, size: int, strict: int, weak: int) -> None:
    """list_layouts finds every layout, width 1 included, in the order in which solve ranks them."""
    family = plain(depth=depth)
    layouts = list_layouts(family.problem(kernels=size))
    assert len(layouts) == strict
    assert len(list_layouts(family.problem(kernels=size, order="nondecreasing"))) == weak
    top = solve(family, kernels=size, top_k=9)
    assert [s.layout for s in layouts[:9]] == [s.layout for s in top.solutions]


def check_against_brute_force(seed: int) -> None:
    problem = random_problem(seed)
    expected = brute_force(problem)
    top_k = random.Random(seed).choice([1, 1, 2, 6, 20, 50])
    result = solve(problem, top_k=top_k)
    assert [s.layout for s in result.solutions] == [layout for layout, _ in expected[:top_k]], seed
    assert result.status is (Status.OPTIMAL if expected else Status.INFEASIBLE)
    for solution, (_, exact) in zip(result.solutions, expected, strict=False):
        assert solution.score_value == pytest.approx(float(exact), abs=1e-9)
    if expected:
        assert result.gap == 0.0
        assert len(list_layouts(problem)) == len(expected)


@pytest.mark.parametrize("block", range(12))
def test_equals_brute_force(block: int) -> None:
    """Orders, bounds, multiples, steps, kernel sizes, squares, pair scores, = and <= and ranges, k up to 50, ties."""
    for seed in range(25 * block, 25 * block + 25):
        check_against_brute_force(seed)


@pytest.mark.parametrize("block", range(8))
def test_equals_brute_force_by_bounds_alone(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same when small problems get no exhaustive shortcut, so that cells and labels carry the proof."""
    monkeypatch.setattr(solve_chain, "EXHAUSTIVE_PAIRS", 0)
    monkeypatch.setattr(solve_chain, "SMALL_LAYER", 0)
    for seed in range(1000 + 20 * block, 1000 + 20 * block + 20):
        check_against_brute_force(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(100))
def test_equals_brute_force_at_length(block: int) -> None:
    """The same for 5,000 problems more; ``test_general`` has as many on graphs."""
    for seed in range(5000 + 50 * block, 5000 + 50 * block + 50):
        check_against_brute_force(seed)


@pytest.mark.parametrize("block", range(4))
def test_equals_brute_force_where_everything_merges(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with merging switched on for the smallest tables."""
    monkeypatch.setattr(labels, "WORTH_MERGING", 1)
    monkeypatch.setattr(solve_chain, "SMALL_LAYER", 0 if block % 2 else 20_000)
    for seed in range(2000 + 25 * block, 2000 + 25 * block + 25):
        check_against_brute_force(seed)


def test_partners_by_divide_and_conquer_equal_a_table() -> None:
    """The search that large free windows use gives the maxima of the full table, ties and both directions included."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, columns = rng.integers(1, 40, 2)
        width = np.sort(rng.integers(1, 500, columns)).astype(float)
        price = np.sort(rng.integers(0, 9, rows)) * rng.choice([-0.01, 0.01])
        value = rng.integers(0, 5, columns).astype(float)
        table = value[None, :] - price[:, None] * width[None, :]
        best, index = best_partners(value, price, width)
        assert np.allclose(best, table.max(axis=1), atol=1e-12)
        assert np.allclose(table[np.arange(rows), index], best, atol=1e-12)


@pytest.mark.parametrize("order", list(Order))
def test_the_relaxation_is_about_the_root(order: Order) -> None:
    """Newton's optimum costs the budget, keeps the order, and its value is the dual bound to a few parts in 10,000."""
    problem = plain(depth=8).problem(kernels=66_304, order=order)
    chain = compile_chain(problem)
    chain = chain.narrowed([max(2, first) for first in chain.first], chain.last)
    guess = relaxed_optimum(chain)
    assert guess is not None
    widths = guess.centres
    assert 3 * widths[0] + sum(a * b for a, b in pairwise(widths)) == pytest.approx(66_304, rel=1e-6)
    step = {Order.FREE: -math.inf, Order.NONDECREASING: 0, Order.INCREASING: 1}[order]
    assert all(b - a >= step - 1e-6 for a, b in pairwise(widths))
    value = sum(math.log(math.log(width)) for width in widths)
    windows = bounded_windows(chain, 1e-2)
    assert windows is not None
    assert value == pytest.approx(windows.bound, abs=5e-4)
    assert guess.price == pytest.approx(windows.dual.price, rel=0.02)


@pytest.mark.parametrize("price", [0.3, 1.0, 1.9])
def test_windows_do_not_rest_on_the_guess(price: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong price, wrong centres and wrong spreads cost time, never the optimum."""
    true_guess = relaxed_optimum

    def astray(chain: Chain) -> Relaxation | None:
        guess = true_guess(chain)
        if guess is None:
            return None
        wrong = [max(2.0, centre * (0.6 if g % 2 else 1.5)) for g, centre in enumerate(guess.centres)]
        return Relaxation(price=guess.price * price, centres=wrong, spreads=[0.01] * len(wrong))

    monkeypatch.setattr(bounds, "relaxed_optimum", astray)
    monkeypatch.setattr(solve_chain, "EXHAUSTIVE_PAIRS", 0)
    monkeypatch.setattr(solve_chain, "SMALL_LAYER", 0)
    for order in Order:
        problem = plain(depth=3).problem(kernels=4_288, order=order)
        everything = list_layouts(problem)
        assert [s.layout for s in solve(problem, top_k=5).solutions] == [s.layout for s in everything[:5]]


@pytest.mark.parametrize("block", range(4))
def test_bounds_find_what_listing_finds(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces of thousands of layouts, far beyond the oracle's: the best k by bounds alone are the head of the list."""
    monkeypatch.setattr(solve_chain, "EXHAUSTIVE_PAIRS", 0)
    monkeypatch.setattr(solve_chain, "SMALL_LAYER", 0)
    rng = random.Random(block)
    sizes = {2: 20_000, 3: 4_000, 4: 1_000, 5: 400}
    for _ in range(12):
        depth, order = rng.choice(list(sizes)), rng.choice(list(Order))
        size = rng.randint(100, sizes[depth])
        problem = plain(depth=depth).problem(kernels=size, order=order, multiple_of=rng.choice([1, 1, 2]))
        expected = list_layouts(problem)
        top_k = rng.choice([1, 1, 3, 10, 100, 1_000])
        result = solve(problem, top_k=top_k)
        assert [s.layout for s in result.solutions] == [s.layout for s in expected[:top_k]], (depth, order, size)


def test_vgg16_at_its_own_size() -> None:
    """Free order, thousands of widths a layer, a linear layer in the size: the known optimum, proven."""
    linear, quadratic = {0: 27, 12: 10}, {(i, i + 1): 9 for i in range(12)}
    weights = Resource.of("weights", 13, linear=linear, quadratic=quadratic)
    groups = tuple(WidthGroup(name=f"conv{i}") for i in range(1, 14))
    size = Constraint.equal(weights, 14_715_584)
    result = solve(Problem(space=WidthSpace(groups=groups), score=EnergyGroup(), constraints=(size,)))
    assert result.status is Status.OPTIMAL
    assert result.best.score_value == pytest.approx(23.202669, abs=1e-6)


@pytest.mark.slow
def test_a_thousand_layers() -> None:
    """A thousand nondecreasing layers are proven; the energy overflows a float, its logarithm does not."""
    result = solve(plain(depth=1_000), kernels=100_000_000, order="nondecreasing")
    assert result.status is Status.OPTIMAL
    assert result.best.energy == math.inf
    assert result.best.score_value == pytest.approx(1750.436036, abs=1e-6)


def test_a_callback_can_stop_a_solve() -> None:
    """StopSolvingError from the callback gives the best so far, with its gap, as a time limit does."""

    def stop(_: object) -> None:
        raise StopSolvingError

    result = solve(plain(depth=31), kernels=66_304, order="free", progress=stop)
    assert result.status in (Status.FEASIBLE, Status.UNKNOWN)
    assert result.proof is None


def test_exact_ties_are_ordered_by_widths() -> None:
    """(2, 16) and (4, 4) have one energy: the smaller first width comes first, and both floats are the same."""
    groups = (WidthGroup(name="a"), WidthGroup(name="b"))
    resource = Resource.of("size", 2, linear={0: 6, 1: 1})  # 28 = 6 x 2 + 16 = 6 x 4 + 4
    space = WidthSpace(groups=groups)
    problem = Problem(space=space, score=EnergyGroup(), constraints=(Constraint.equal(resource, 28),))
    first, second = solve(problem, top_k=4).solutions[1:3]
    assert (first.layout, second.layout) == ((2, 16), (4, 4))
    assert first.score_value == second.score_value


def test_infeasible_names_the_nearest_sizes() -> None:
    """4,288 has no layout in multiples of 8; 4,272 and 4,312 are the nearest that do, by brute force."""
    family = plain(depth=4)
    result = solve(family, kernels=4_288, multiple_of=8)
    assert result.status is Status.INFEASIBLE
    assert result.solutions == ()
    assert result.nearest is not None
    assert (result.nearest.below, result.nearest.above, result.nearest.proven) == (4_272, 4_312, True)
    for size in (4_272, 4_312):
        assert solve(family, kernels=size, multiple_of=8).status is Status.OPTIMAL
    for size in range(4_273, 4_312):
        assert not brute_force(family.problem(kernels=size, multiple_of=8))


def test_nearest_sizes_beyond_two_to_the_forty() -> None:
    """Sizes beyond 2^46 in steps of 2^42 are searched like small ones, on both sides."""
    unit = 2**42
    resource = Resource.of("size", 2, linear={0: 6 * unit, 1: unit})
    space = WidthSpace(groups=(WidthGroup(name="a"), WidthGroup(name="b")))
    size = Constraint.equal(resource, 28 * unit + 5)
    result = solve(Problem(space=space, score=EnergyGroup(), constraints=(size,)))
    assert result.status is Status.INFEASIBLE
    assert result.nearest is not None
    assert (result.nearest.below, result.nearest.above, result.nearest.proven) == (28 * unit, 29 * unit, True)


def test_sizes_below_the_smallest_network() -> None:
    """Nothing lies below; above is the smallest increasing layout 1-2-3-4 with 3 + 2 + 6 + 12 kernels."""
    nearest = solve(plain(depth=4), kernels=5).nearest
    assert nearest is not None
    assert (nearest.below, nearest.above) == (None, 23)
    assert solve(plain(depth=4), max_kernels=5).status is Status.INFEASIBLE


def test_time_limit_gives_a_feasible_layout_with_a_true_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit too short for the proof still gives a layout of the exact size and a bound above the optimum."""
    for name in ("SHORTEST_GRACE", "LONGEST_GRACE"):  # a busy machine must not decide what this test sees
        monkeypatch.setattr(solve_chain, name, 600.0)
    problem = plain(depth=31).problem(kernels=66_304, order="free")
    result = solve(problem, time_limit=1e-6)
    assert result.status in (Status.FEASIBLE, Status.UNKNOWN)
    assert result.proof is None
    assert result.solutions
    assert problem.violations(result.best.layout) == []
    assert result.bound is not None
    assert result.bound >= 41.900206689 >= result.best.score_value - 1e-9
    assert result.gap is not None
    assert result.gap > 0


def test_progress_is_reported() -> None:
    """The callback sees time passing and a bound."""
    seen = []
    solve(plain(depth=13), kernels=147_456, order="free", progress=seen.append)
    assert seen
    assert seen[-1].bound is not None


def test_a_score_over_pairs_avoids_bottlenecks() -> None:
    """Free order: the energy's optimum has a bottleneck of 14, pair-harmonic's has none."""
    energy = solve(plain(depth=3), kernels=4_288, order="free").best.layout
    harmonic = solve(plain(depth=3), kernels=4_288, order="free", score="pair-harmonic").best.layout
    assert energy == (132, 14, 146)
    assert min(harmonic) > 35


def test_at_most_is_never_worse_than_exactly() -> None:
    """Multiples of 4 at most 4,288: (28,32,36,56) at 4,148 kernels, E = 166.6."""
    exact = solve(plain(depth=4), kernels=4_288, multiple_of=4).best
    most = solve(plain(depth=4), max_kernels=4_288, multiple_of=4).best
    assert exact.energy == pytest.approx(132.5, abs=0.05)
    assert most.layout == (28, 32, 36, 56)
    assert most.energy == pytest.approx(166.6, abs=0.05)


def test_kernels_and_weights_are_one_question() -> None:
    """38,592 weights are 4,288 kernels of 3 x 3."""
    by_weights = solve(plain(depth=4), weights=38_592, top_k=3)
    by_kernels = solve(plain(depth=4), kernels=4_288, top_k=3)
    assert by_weights.solutions == by_kernels.solutions


def test_one_layer() -> None:
    """A chain of one group works: 3 n = 300."""
    assert solve(plain(depth=1), kernels=300).best.layout == (100,)


@pytest.mark.parametrize(("options", "match"), [
    ({"top_k": 0}, "top-k"),
    ({"time_limit": 0}, "time limit"),
    ({"time_limit": math.nan}, "time limit"),
])  # fmt: skip
def test_bad_options_are_refused(options: dict[str, float], match: str) -> None:
    """Each with one line."""
    with pytest.raises(InputError, match=match):
        solve(plain(depth=4), kernels=4_288, **options)


def test_questions_the_chain_solver_does_not_take() -> None:
    """Two constraints, products of groups that are not neighbours, no upper bound: what counts refuses them."""
    groups = tuple(WidthGroup(name=name) for name in "abc")
    space = WidthSpace(groups=groups, order=Order.FREE)
    score = get_score("energy-group")
    far = Resource.of("far", 3, linear={1: 1}, quadratic={(0, 2): 1})
    near = Resource.of("near", 3, linear={0: 1, 1: 1})
    for constraints, match in [
        ((Constraint.equal(far, 9),), "neighbouring"),
        ((Constraint.equal(near, 9),), "set a largest width"),
        ((Constraint.equal(near, 9), Constraint.equal(near, 9)), "exactly one size"),
        ((Constraint(resource=near, minimum=3),), "upper bound"),
    ]:
        problem = Problem(space=space, score=score, constraints=constraints)
        with pytest.raises(InputError, match=match):
            compile_chain(problem)
        assert is_chain(problem) == ("width" in match)
    with pytest.raises(InputError, match="set a largest width"):
        solve(Problem(space=space, score=score, constraints=(Constraint.equal(near, 9),)))
    with pytest.raises(InputError, match="with a family only"):
        solve(plain(depth=4).problem(kernels=4_288), kernels=4_288)


class Bar(GroupTerm):
    """ln w, but -inf at 7."""

    def values(self, widths):
        return np.where(widths == 7, -math.inf, np.log(widths))

    def upper(self, low, high):
        return np.log(high)


class Barred(Score):
    """A score of a user's own that takes a width in the middle for worthless."""

    name, source, summary = "barred", "a test", "ln w, -inf at 7"

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((Bar(),) for _ in space.groups), pairs={})


def test_scores_may_be_minus_infinity_anywhere() -> None:
    """Layouts of score -inf rank last, each once, also when the width is not the smallest."""
    problem = plain(depth=2).problem(kernels=84, order="free", score=Barred())
    result = solve(problem, top_k=20)
    layouts = [solution.layout for solution in result.solutions]
    assert sorted(layouts) == [layout for layout, _ in sorted((s.layout, 0) for s in list_layouts(problem))]
    lost = [solution.layout for solution in result.solutions if solution.score_value == -math.inf]
    assert lost == sorted(layout for layout in layouts if 7 in layout)
    assert layouts[-len(lost) :] == lost


def test_fences_that_contradict_each_other() -> None:
    """Increasing widths with steps of at most 1 do not exist at any size, and that is what is said."""
    nearest = solve(plain(depth=4), kernels=4_288, max_step=1).nearest
    assert nearest is not None
    assert (nearest.below, nearest.above, nearest.proven) == (None, None, True)


def test_deep_networks_below_their_smallest_size() -> None:
    """The nearest size is that of the smallest layout the order allows, found at once."""
    result = solve(plain(depth=300), max_weights=1_000)
    assert result.status is Status.INFEASIBLE
    assert result.nearest is not None
    assert result.nearest.above == plain(depth=300).weights(tuple(range(1, 301)))
    assert result.runtime < 5


@pytest.mark.parametrize(("call", "match"), [
    (lambda: solve(plain(depth=4), kernels=4_288, top_k=1.5), "top-k"),
    (lambda: solve(plain(depth=4), kernels=4_288, top_k=None), "top-k"),
    (lambda: solve(plain(depth=4), kernels=4_288, time_limit="5"), "time limit"),
    (lambda: solve(plain(depth=4), kernels=4_288, bogus=3), "option: got bogus"),
    (lambda: solve(plain(depth=4), kernels=4_288, score=3), "score"),
    (lambda: solve(plain(depth=2), max_kernels=10**10, order="free", max_step="999999.999999"), "fewer decimals"),
    (lambda: Constraint.equal(Resource.of("r", 1), 4.5), "an integer"),
    (lambda: WidthGroup(name="g", minimum=1.5), "an integer"),
])  # fmt: skip
def test_values_of_the_wrong_type(call: object, match: str) -> None:
    """Floats and strings in place of integers get a line, not a traceback from inside."""
    with pytest.raises(InputError, match=match):
        call()
