"""Any graph, several constraints: brute force agrees, bounds hold, proofs are recomputed, and faults are found."""

import math
import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from oracle import all_layouts, brute_force
from parlay import (
    Constraint,
    InputError,
    PeakResource,
    Problem,
    Resource,
    Result,
    Status,
    certify,
    plain,
    resnet,
    solve,
)
from parlay.energy import EnergyGroup, EnergyLayer, PairHarmonic, StepEnergy
from parlay.layout import ActivationStep, Connection, Order, WidthGroup, WidthSpace
from parlay.problem import Dual, End, Split
from parlay.solver import Progress, StopSolvingError, conflict, reachable
from parlay.solver.general.dual import separate
from parlay.solver.general.general import compile_general
from parlay.solver.general.interior_point import relax

LARGEST = {1: 60, 2: 40, 3: 20, 4: 10, 5: 8, 6: 6, 7: 5}


def random_graph(seed: int) -> Problem:
    """Up to seven groups coupled any way, one to three constraints among two polynomials and a peak, fences."""
    rng = random.Random(seed)
    n = rng.randint(1, 7)
    multiple = rng.choice([1, 1, 1, 2, 3])
    largest = LARGEST[n] * (multiple if n < 5 else 1)
    groups = tuple(
        WidthGroup(
            name=f"g{i}",
            multiplicity=rng.choice([1, 1, 2, 3]),
            minimum=rng.choice([1, 1, 2, 3]),
            maximum=max(4, largest),
            multiple_of=multiple if rng.random() < 0.7 else 1,
        )
        for i in range(n)
    )

    def polynomial(name: str, factor: int) -> Resource:
        linear = {i: rng.randint(0, 9) * factor for i in range(n) if rng.random() < 0.8}
        pairs = [(i, j) for i in range(n) for j in range(i, n) if rng.random() < (0.5 if i != j else 0.2)]
        quadratic = {pair: rng.choice([1, 4, 9]) * factor for pair in pairs}
        return Resource.of(name, n, constant=rng.choice([0, 10, 17]), linear=linear, quadratic=quadratic)

    points = tuple(
        Resource.of(
            f"p{k}",
            n,
            constant=rng.randint(0, 5),
            linear={i: rng.choice([1, 4, 16]) for i in range(n) if rng.random() < 0.4},
        )
        for k in range(rng.randint(1, 4))
    )
    resources = [polynomial("params", 1), polynomial("macs", rng.choice([1, 4, 16]))]
    resources.append(PeakResource(name="peak", points=points))
    order = rng.choice([Order.FREE] * 4 + [Order.INCREASING, Order.NONDECREASING])
    typical = tuple(rng.choice(range(g.first, (g.maximum or 0) + 1, g.multiple_of)) for g in groups)
    if order is not Order.FREE:
        typical = tuple(sorted(typical))
    constraints = []
    for resource in rng.sample(resources, rng.randint(1, 3)):
        amount = resource(typical) + (rng.randint(-6, 6) if rng.random() < 0.3 else 0)
        amount, kind = max(amount, 0), rng.random()
        if kind < 0.35:
            constraints.append(Constraint.equal(resource, amount))
        elif kind < 0.75:
            constraints.append(Constraint.at_most(resource, amount))
        else:
            most = amount + rng.randint(0, 20) if kind < 0.9 else None
            constraints.append(Constraint(resource=resource, minimum=max(0, amount - 9), maximum=most))
    links = (
        Connection(target=0, fixed_inputs=3),
        *(Connection(source=rng.randint(0, i - 1), target=i) for i in range(1, n)),
    )
    space = WidthSpace(
        groups=groups,
        connections=links,
        order=order,
        max_step=rng.choice([None, None, None, Fraction(2), Fraction(3, 2)]),
    )
    score = rng.choice([EnergyGroup(), EnergyLayer(), EnergyLayer(), PairHarmonic()])
    return Problem(space=space, score=score, constraints=tuple(constraints))


def check_against_brute_force(seed: int) -> None:
    problem = random_graph(seed)
    top_k = random.Random(seed).choice([1, 1, 3, 10, 200])
    result = solve(problem, top_k=top_k)
    truth = brute_force(problem)
    assert [solution.layout for solution in result.solutions] == [layout for layout, _ in truth[:top_k]], seed
    assert result.status is (Status.OPTIMAL if truth else Status.INFEASIBLE), seed
    assert certify(problem, result).holds, seed


@pytest.mark.parametrize("seed", range(120))
def test_agrees_with_brute_force(seed: int) -> None:
    """Layouts, their order, ties, energy 0 and infeasibility, for the best one, a few, or all there are."""
    check_against_brute_force(seed)


def random_steps(seed: int) -> Problem:
    """A random graph whose score has terms of pairs: steps from group to group, some of them by way of a third."""
    rng = random.Random(seed)
    problem = random_graph(seed)
    n = len(problem.space)
    steps = [ActivationStep(target=0, fixed_inputs=3)]
    for target in range(1, n):
        carriers = tuple(rng.sample(range(n), rng.choice([0, 0, 1, 1, 2])) if n > 2 else ())
        share = Fraction(rng.choice([1, 1, 1, 3]), rng.choice([1, 2, 4]))
        steps.append(ActivationStep(target=target, source=rng.randrange(n), carriers=carriers, share=share))
    return replace(problem, space=replace(problem.space, steps=tuple(steps)), score=StepEnergy())


@pytest.mark.parametrize("seed", range(60))
def test_terms_of_pairs_agree_with_brute_force(seed: int) -> None:
    """The best score among all layouts is found where a score joins two widths, and its proof holds."""
    problem = random_steps(seed)
    result = solve(problem)
    every = [problem.score_value(layout) for layout in all_layouts(problem)]
    assert result.status is (Status.OPTIMAL if every else Status.INFEASIBLE), seed
    if every:
        assert result.best.score_value == pytest.approx(max(every), abs=1e-9), seed
    assert certify(problem, result).holds, seed


@pytest.mark.slow
@pytest.mark.parametrize("block", range(100))
def test_agrees_with_brute_force_at_length(block: int) -> None:
    """The same for 5,000 problems more; ``test_solve`` has as many on chains."""
    for seed in range(1000 + 50 * block, 1000 + 50 * block + 50):
        check_against_brute_force(seed)


def small_net(groups: int = 6, *, equal: bool = False) -> Problem:
    """A residual net: a stem whose width three groups share as inputs, too large to be listed."""
    links = {(0, 1): 9, (1, 2): 9, (0, 3): 9, (2, 3): 1, (3, 4): 9, (0, 5): 4, (4, 5): 9}
    inside = {pair: c for pair, c in links.items() if max(pair) < groups}
    params = Resource.of("params", groups, constant=10, linear=dict.fromkeys(range(groups), 12), quadratic=inside)
    macs = Resource.of(
        "macs", groups, linear={0: 27_000}, quadratic={p: c * 4 ** (3 - p[0] // 2) for p, c in inside.items()}
    )
    points = tuple(Resource.of(f"p{g}", groups, linear={g: 64, (g + 1) % groups: 16}) for g in range(groups))
    today = (32, 48, 64, 64, 96, 128)[:groups]
    space = WidthSpace(
        groups=tuple(
            WidthGroup(name=f"g{g}", multiplicity=1 + g % 3, minimum=w // 2, maximum=2 * w) for g, w in enumerate(today)
        )
    )
    peak = PeakResource(name="peak", points=points)
    size = Constraint.equal(params, params(today)) if equal else Constraint.at_most(params, params(today))
    limits = (size, Constraint.at_most(macs, macs(today)), Constraint.at_most(peak, peak(today)))
    return Problem(space=space, score=EnergyLayer(), constraints=limits)


TODAY = (32, 48, 64, 64, 96, 128)


@pytest.mark.parametrize("equal", [False, True])
def test_bounds_hold_for_random_layouts(equal: bool) -> None:
    """At the relaxation's prices, and at any others, no layout that keeps everything scores above the bound."""
    problem = small_net(equal=equal)
    general = compile_general(problem)
    relaxed = relax(general)
    rng = np.random.default_rng(0)
    table = rng.integers(general.low, general.high + 1, size=(20_000, general.groups))
    loose = replace(
        problem, constraints=tuple(Constraint.at_most(c.resource, 2 * (c.maximum or 0)) for c in problem.constraints)
    )
    for asked in (problem, loose):
        general = compile_general(asked)
        good = table[general.within(table)]
        scores = [problem.score_value(tuple(row)) for row in good.tolist()]
        for factor in (0.0, 0.5, 1.0, 3.0):
            priced = replace(relaxed, upper=relaxed.upper * factor)
            assert separate(general, priced).bound >= max(scores, default=-math.inf)
    assert separate(compile_general(problem), relaxed).bound <= problem.score_value(solve(problem).best.layout) + 0.02


@pytest.mark.parametrize("equal", [False, True])
def test_a_residual_net_is_proven_and_today_is_beaten(equal: bool) -> None:
    """OPTIMAL, every step of the proof recomputed or a listing, and not below the start."""
    problem = small_net(equal=equal)
    result = solve(problem, start=[TODAY])
    assert result.status is Status.OPTIMAL
    assert result.best.score_value > problem.score_value(TODAY)
    assert certify(problem, result, effort=4_000).holds


def test_starts_are_the_least_that_is_returned() -> None:
    """Even when time ends at once a feasible start is in the answer; a bound beside it is true."""
    problem = small_net(equal=True)
    result = solve(problem, start=[TODAY], time_limit=1e-6)
    assert result.status is Status.FEASIBLE
    assert result.best.score_value >= problem.score_value(TODAY)
    assert result.bound is None or result.bound >= solve(problem).best.score_value


def stopped(problem: Problem, seen: list[Progress] | None = None) -> Result:
    """Ended by its callback as soon as a layout and a bound are known."""

    def watch(now: Progress) -> None:
        if seen is not None:
            seen.append(now)
        if now.best is not None and now.bound is not None:
            raise StopSolvingError

    return solve(problem, progress=watch)


def test_progress_ends_a_search_with_a_true_gap() -> None:
    """A callback sees best and bound; raising keeps the best found, FEASIBLE, with a bound that was recomputed."""
    problem = deep_problem()
    seen: list[Progress] = []
    result = stopped(problem, seen)
    assert result.status is Status.FEASIBLE
    assert result.gap is not None and 0 <= result.gap < 0.05
    assert seen[-1].bound is not None and seen[-1].best is not None and seen[-1].bound >= seen[-1].best
    assert certify(problem, result, effort=100_000).is_recomputed


def deep_problem() -> Problem:
    """Twenty free layers under three limits: not solved to the end within a moment."""
    return plain(depth=20).problem(max_params=1_000_000, max_macs=60_000_000, max_peak_memory=90_000, order="free")


def test_a_wrong_bound_or_step_is_found() -> None:
    """A bound below the proof's, a dual on a box that leaves widths out, negative prices, steps that break off."""
    problem = deep_problem()
    result = stopped(problem)
    proof = result.proof
    assert proof is not None and result.bound is not None
    assert result.status is Status.FEASIBLE

    def faults(**changes: object) -> str:
        return "; ".join(certify(problem, replace(result, **changes), effort=100_000).findings)

    assert faults() == ""
    nearer = (result.bound + result.best.score_value) / 2
    assert "the proof shows a bound of" in faults(bound=nearer)
    first, *rest = proof.steps
    assert isinstance(first, Dual)
    narrow = replace(first, high=tuple(width - 1 for width in first.high))
    assert "widths are left out" in faults(proof=replace(proof, steps=(narrow, *rest)))
    wrong = replace(first, upper=tuple((c, p, -price) for c, p, price in first.upper))
    assert "a price is negative" in faults(proof=replace(proof, steps=(wrong, *rest)))
    assert "break off" in faults(proof=replace(proof, steps=proof.steps[:-1]))
    assert "belongs to no box" in faults(proof=replace(proof, steps=(*proof.steps, End())))
    dear = replace(first, upper=tuple((c, p, 10 * price) for c, p, price in first.upper))
    assert certify(problem, replace(result, proof=replace(proof, steps=(dear, End()))), effort=100_000).findings


FORGED = {
    "a limit or fence has a price": lambda dual: (replace(dual, upper=(*dual.upper, (99, 0, 1.0))), End()),
    "a price is negative": lambda dual: (replace(dual, upper=tuple((c, p, math.inf) for c, p, _ in dual.upper)), End()),
    "begins between two choices": lambda dual: (replace(dual, low=tuple(width - 1 for width in dual.low)), End()),
    "the cut is no width": lambda dual: (Split(group=0, width=dual.low[0] + 1), End(), End()),
    "the cut is no width of any group": lambda dual: (Split(group=99, width=dual.low[0]), End(), End()),
}
"""What the certificate says -> steps that claim more than they may, made from the first dual of a proof."""


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_step_is_a_finding(name: str) -> None:
    """Prices of limits that the problem has not, boxes and cuts between two choices of width: said, not believed."""
    problem = small_net()
    groups = tuple(replace(group, multiple_of=2) for group in problem.space.groups)
    problem = replace(problem, space=replace(problem.space, groups=groups))
    result = solve(problem)
    assert result.proof is not None
    assert certify(problem, result, effort=100_000).findings == ()
    first = next(step for step in result.proof.steps if isinstance(step, Dual))
    wrong = replace(result, proof=replace(result.proof, steps=FORGED[name](first)))
    assert name in "; ".join(certify(problem, wrong, effort=100_000).findings)


def test_against_the_grain() -> None:
    """Multiply-adds bind first, yet the parameters must be met exactly: late layers take them."""
    net = plain(depth=5)
    loose = solve(net.problem(max_params=250_000, max_macs=8_000_000, order="free", max_width=512))
    assert net.params(loose.best.layout) < 230_000
    exact = solve(net.problem(params=250_000, max_macs=8_000_000, order="free", max_width=512))
    assert net.params(exact.best.layout) == 250_000
    assert net.macs(exact.best.layout) <= 8_000_000
    assert exact.status is Status.OPTIMAL
    assert exact.best.score_value < loose.best.score_value


def test_divisors() -> None:
    """A grouped convolution's polynomial is divided; limits and proof count with the quotient."""
    form = Resource.of("params", 2, linear={0: 4}, quadratic={(0, 1): 9}, divisor=4)
    space = WidthSpace(groups=tuple(WidthGroup(name=n, minimum=4, maximum=40, multiple_of=4) for n in "ab"))
    problem = Problem(space=space, score=EnergyGroup(), constraints=(Constraint.at_most(form, 500),))
    result = solve(problem)
    layouts = [(a, b) for a in range(4, 41, 4) for b in range(4, 41, 4) if form((a, b)) <= 500]
    assert result.best.layout == max(layouts, key=lambda layout: (problem.score_value(layout), -layout[0]))
    assert result.status is Status.OPTIMAL


def test_impossible_by_divisibility() -> None:
    """Multiples of 8 reach only every so many parameters; that is proven without a search."""
    problem = plain(depth=12).problem(params=400_001, max_macs=10**9, multiple_of=8, order="free", max_width=512)
    result = solve(problem)
    assert result.status is Status.INFEASIBLE
    found = conflict(problem, seconds=300)
    assert found.parts == ("params = 400001", "multiples of widths")
    assert found.irreducible


def test_the_least_amount_needs_no_search() -> None:
    """Without any time the smallest widths are found all the same, so that a remedy never stops halfway to them."""
    net = plain(depth=3)
    found = reachable(net.problem(max_macs=10**6), net.params, seconds=0)
    assert found.lowest == net.params((1, 2, 3)) and not found.proven


def test_conflicts_are_irreducible_and_reach_is_exact() -> None:
    """Only what is needed for the contradiction is named; ranges agree with all layouts listed."""
    net = plain(depth=3)
    problem = net.problem(kernels=400, max_macs=390_000, max_peak_memory=10**6)
    found = conflict(problem, seconds=300)
    assert found.parts == ("kernels = 400", "macs <= 390000", "order increasing")
    assert found.irreducible
    everything = [layout for layout, _ in brute_force(net.problem(kernels=400))]
    reach = reachable(net.problem(kernels=400), net.macs, seconds=300)
    assert (reach.lowest, reach.highest) == (min(map(net.macs, everything)), max(map(net.macs, everything)))
    assert reach.proven
    with pytest.raises(InputError, match="proven infeasible"):
        conflict(net.problem(kernels=400, max_macs=10**9))


def test_bindings_and_fences() -> None:
    """What is used up or priced binds; what has room does not; a width at its largest stands on a fence."""
    net = plain(depth=4)
    problem = net.problem(kernels=4_288, max_macs=10**8, max_width=43)
    result = solve(problem)
    size, macs = result.bindings()
    assert (size.slack, size.binds, macs.binds) == (0, True, False)
    assert macs.slack == 10**8 - net.macs(result.best.layout)
    assert result.fences_reached() == ["conv4 = 43, the largest width allowed"]


def test_ranges() -> None:
    """A minimum and a maximum of one resource, with another one's maximum."""
    net = resnet(8)
    problem = net.problem(min_params=70_000, max_params=70_010, max_macs=11_000_000, order="nondecreasing")
    result = solve(problem)
    assert result.status is Status.OPTIMAL
    assert 70_000 <= net.params(result.best.layout) <= 70_010
    assert net.macs(result.best.layout) <= 11_000_000
    with pytest.raises(InputError, match="one or the other"):
        net.problem(params=70_000, max_params=70_010)


def test_questions_that_cannot_be_posed() -> None:
    """No limit on the widths, a start of another length, a pair term that no tangent bounds."""
    net = plain(depth=2)
    with pytest.raises(InputError, match="set a largest width"):
        solve(Problem(space=net.space, score=EnergyGroup(), constraints=()))
    with pytest.raises(InputError, match="one a group"):
        solve(small_net(), start=[(1, 2)])
