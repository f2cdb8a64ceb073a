"""The solvers compared, each with the best model of the problem we know for it.

Every peer is given, at no cost to its clock, the bound that convexity gives (the problem is a geometric program in the
logarithms of the widths) as a cut on its objective, and the bounds on widths that follow from budget and order. Their
answers are recounted in exact integers and 60-digit energies before they count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from parlay import Order, Problem, Resource
from parlay.problem import Result
from parlay.solver import solve
from parlay.solver.chain.bounds import bounded_windows
from parlay.solver.chain.chain import Chain, compile_chain


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a solver said.

    Attributes:
        seconds: from building the model to the end; imports, process start and reading a licence excluded.
        layouts: best first.
        bound: upper bound on the score, where the solver states one.
        is_proven: whether it claims optimality (of all layouts listed).
    """

    seconds: float
    layouts: list[tuple[int, ...]]
    bound: float | None
    is_proven: bool


def run_parlay(problem: Problem, top_k: int, limit: float, threads: int) -> Answer:
    """parlay itself; it has one thread whatever is allowed."""
    assert threads >= 1
    started = time.perf_counter()
    result: Result = solve(problem, top_k=top_k, time_limit=limit)
    seconds = time.perf_counter() - started
    layouts = [solution.layout for solution in result.solutions]
    return Answer(seconds=seconds, layouts=layouts, bound=result.bound, is_proven=result.status.value == "OPTIMAL")


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """What every model needs: the chain in small integers, the cut, and starting widths."""

    chain: Chain
    cut: float
    order: Order
    amount: int

    @property
    def groups(self) -> int:
        return self.chain.groups


def _shape(problem: Problem) -> _Shape:
    chain = compile_chain(problem)
    positive = chain.narrowed([max(2, first) for first in chain.first], chain.last)
    windows = bounded_windows(positive, 1e-3)
    assert windows is not None
    assert isinstance(problem.constraints[0].resource, Resource)
    return _Shape(chain=positive, cut=windows.bound, order=problem.space.order, amount=chain.high)


def run_scip(problem: Problem, top_k: int, limit: float, threads: int) -> Answer:
    """SCIP: integer widths, one bilinear equality, ln ln as nonlinear constraints."""
    from pyscipopt import Model, exp, log, quicksum

    if top_k > 1:
        raise NotImplementedError("lists no best k of a nonlinear model")
    shape = _shape(problem)
    chain = shape.chain
    started = time.perf_counter()
    model = Model()
    model.hideOutput()
    model.setParam("limits/time", limit)
    model.setParam("limits/gap", 0.0)
    model.setParam("parallel/maxnthreads", threads)
    widths = [model.addVar(vtype="I", lb=chain.first[g], ub=chain.last[g]) for g in range(shape.groups)]
    scores = [
        model.addVar(lb=math.log(math.log(chain.first[g])), ub=math.log(math.log(chain.last[g])))
        for g in range(shape.groups)
    ]
    own = quicksum(chain.linear[g] * w + chain.square[g] * w * w for g, w in enumerate(widths))
    joint = quicksum(c * a * b for c, (a, b) in zip(chain.product, pairwise(widths), strict=True))
    model.addCons(own + joint == shape.amount)
    # In the logarithms of the widths the size is a convex function: said as a constraint of its own, it cuts deep.
    logs = [
        model.addVar(lb=math.log(first), ub=math.log(last)) for first, last in zip(chain.first, chain.last, strict=True)
    ]
    for score, logarithm, width in zip(scores, logs, widths, strict=True):
        model.addCons(logarithm == log(width))
        model.addCons(score <= log(logarithm))
    own_size = quicksum(
        chain.linear[g] * exp(x) + chain.square[g] * exp(2 * x)
        for g, x in enumerate(logs)
        if chain.linear[g] or chain.square[g]
    )
    joint_size = quicksum(c * exp(a + b) for c, (a, b) in zip(chain.product, pairwise(logs), strict=True))
    model.addCons(own_size + joint_size <= shape.amount)
    for a, b in pairwise(widths) if shape.order is not Order.FREE else []:
        model.addCons(b >= a + (1 if shape.order is Order.INCREASING else 0))
    model.addCons(quicksum(scores) <= shape.cut)
    model.setObjective(quicksum(scores), "maximize")
    model.optimize()
    seconds = time.perf_counter() - started
    layouts = [tuple(round(model.getVal(w)) for w in widths)] if model.getNSols() else []
    return Answer(
        seconds=seconds, layouts=layouts, bound=model.getDualbound(), is_proven=model.getStatus() == "optimal"
    )


def run_gurobi(problem: Problem, top_k: int, limit: float, threads: int) -> Answer:
    """Gurobi: the same model with its nonlinear functions; its solution pool for the top k. Needs its free licence."""
    import gurobipy as gp
    from gurobipy import GRB, nlfunc

    shape = _shape(problem)
    chain = shape.chain
    with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
        started = time.perf_counter()  # after the licence was read
        model.Params.TimeLimit = limit
        model.Params.MIPGap = 0
        model.Params.MIPGapAbs = 0
        model.Params.Threads = threads
        if top_k > 1:
            model.Params.PoolSearchMode = 2
            model.Params.PoolSolutions = top_k
        ranges = list(zip(chain.first, chain.last, strict=True))
        widths = [model.addVar(vtype=GRB.INTEGER, lb=a, ub=b) for a, b in ranges]
        scores = [model.addVar(lb=math.log(math.log(a)), ub=math.log(math.log(b))) for a, b in ranges]
        own = gp.quicksum(chain.linear[g] * w + chain.square[g] * w * w for g, w in enumerate(widths))
        joint = gp.quicksum(c * a * b for c, (a, b) in zip(chain.product, pairwise(widths), strict=True))
        model.addConstr(own + joint == shape.amount)
        logs = [model.addVar(lb=math.log(a), ub=math.log(b)) for a, b in ranges]
        for score, logarithm, width in zip(scores, logs, widths, strict=True):
            model.addGenConstrNL(logarithm, nlfunc.log(width))
            model.addGenConstrNL(score, nlfunc.log(logarithm))
        sizes = [model.addVar(lb=0.0, ub=shape.amount) for _ in range(2 * shape.groups - 1)]
        factors = [*chain.linear, *chain.product]
        for size, exponent in zip(sizes, [*logs, *(a + b for a, b in pairwise(logs))], strict=True):
            model.addGenConstrNL(size, nlfunc.exp(exponent))
        squares = gp.quicksum(c * w * w for c, w in zip(chain.square, widths, strict=True) if c)
        model.addConstr(gp.quicksum(c * size for c, size in zip(factors, sizes, strict=True)) + squares <= shape.amount)
        for a, b in pairwise(widths) if shape.order is not Order.FREE else []:
            model.addConstr(b >= a + (1 if shape.order is Order.INCREASING else 0))
        model.addConstr(gp.quicksum(scores) <= shape.cut)
        model.setObjective(gp.quicksum(scores), GRB.MAXIMIZE)
        model.optimize()
        seconds = time.perf_counter() - started
        layouts: list[tuple[int, ...]] = []
        for number in range(min(model.SolCount, top_k)):
            model.Params.SolutionNumber = number
            layouts.append(tuple(round(w.Xn) for w in widths))
        bound = model.ObjBound if abs(model.ObjBound) < 1e50 else None
        proven = model.Status == GRB.OPTIMAL and (top_k == 1 or len(layouts) >= top_k)
        return Answer(seconds=seconds, layouts=layouts, bound=bound, is_proven=proven)


def run_cpsat(problem: Problem, top_k: int, limit: float, threads: int) -> Answer:
    """CP-SAT: products by multiplication constraints, energies by tables of integers scaled by 10^9 (so proven to 1e-9
    a group); the top k by solving again without what was found.
    """
    from ortools.sat.python import cp_model

    shape = _shape(problem)
    chain = shape.chain
    scale = 10**9
    started = time.perf_counter()
    model = cp_model.CpModel()
    widths = [model.new_int_var(chain.first[g], chain.last[g], f"w{g}") for g in range(shape.groups)]
    scores: list[Any] = []
    for g, width in enumerate(widths):
        table = [round(scale * math.log(math.log(w))) for w in range(chain.first[g], chain.last[g] + 1)]
        score = model.new_int_var(min(table), max(table), f"s{g}")
        model.add_element(width - chain.first[g], table, score)
        scores.append(score)
    terms: list[Any] = [c * w for c, w in zip(chain.linear, widths, strict=True) if c]
    for g, c in enumerate(chain.product):
        product = model.new_int_var(0, shape.amount, f"p{g}")
        model.add_multiplication_equality(product, [widths[g], widths[g + 1]])
        terms.append(c * product)
    for g, c in enumerate(chain.square):
        if c:
            square = model.new_int_var(0, shape.amount, f"q{g}")
            model.add_multiplication_equality(square, [widths[g], widths[g]])
            terms.append(c * square)
    model.add(sum(terms) == shape.amount)
    for a, b in pairwise(widths) if shape.order is not Order.FREE else []:
        model.add(b >= a + (1 if shape.order is Order.INCREASING else 0))
    model.add(sum(scores) <= math.ceil(scale * shape.cut) + shape.groups)
    model.maximize(sum(scores))
    layouts: list[tuple[int, ...]] = []
    bound, proven = None, True
    while len(layouts) < top_k:
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = threads
        solver.parameters.max_time_in_seconds = max(0.01, limit - (time.perf_counter() - started))
        status = solver.solve(model)
        bound = solver.best_objective_bound / scale if bound is None else bound
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            layouts.append(tuple(solver.value(w) for w in widths))
        if status != cp_model.OPTIMAL:
            proven = False
            break
        model.add_forbidden_assignments(widths, [layouts[-1]])
    return Answer(seconds=time.perf_counter() - started, layouts=layouts, bound=bound, is_proven=proven)


SOLVERS: dict[str, Callable[[Problem, int, float, int], Answer]] = {
    "parlay": run_parlay,
    "SCIP": run_scip,
    "CP-SAT": run_cpsat,
    "Gurobi": run_gurobi,
}
