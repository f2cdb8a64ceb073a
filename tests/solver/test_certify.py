"""The certificate catches what a faulty solver could claim."""

import ast
import math
from dataclasses import replace
from pathlib import Path

import pytest

import parlay
from parlay import CertificateError, Problem, Result, Status, certify, plain, resnet, solve
from parlay.solver.chain import solve_chain

PROBLEM = plain(depth=3).problem(kernels=4_288)
RESULT = solve(PROBLEM, top_k=3)


def faults(result: Result, problem: Problem = PROBLEM) -> str:
    return "; ".join(certify(problem, result).findings)


def with_first(**changes: object) -> Result:
    first, *rest = RESULT.solutions
    return replace(RESULT, solutions=(replace(first, **changes), *rest))


def test_a_true_result_holds_and_was_enumerated() -> None:
    """No finding, and the small problem was solved again by plain enumeration."""
    certificate = certify(PROBLEM, RESULT)
    assert certificate.holds
    assert certificate.is_enumerated


def test_wrong_energy() -> None:
    """A score or an energy off by 1e-6 is found."""
    assert "score is" in faults(with_first(score_value=RESULT.best.score_value + 1e-6))
    assert "log energy is" in faults(with_first(log_energy=RESULT.best.log_energy + 1e-6))


def test_wrong_size() -> None:
    """One kernel too many is found, in exact integers."""
    a, b, c = RESULT.best.layout
    assert "kernels is" in faults(with_first(layout=(a, b, c + 1)))


def test_order_broken() -> None:
    """A layout that is not increasing is found even at the right size."""
    problem = plain(depth=3).problem(kernels=4_288, order="free")
    free = solve(problem, top_k=3)
    assert "not increasing" in faults(replace(free, problem=PROBLEM))


def test_missing_better_layout() -> None:
    """Leaving out the best layout is found by enumeration, though everything listed is right."""
    rest = RESULT.solutions[1:]
    shorter = replace(RESULT, solutions=rest, top_k=2, bound=rest[0].score_value)
    assert "a better layout is missing" in faults(shorter)


def test_optimal_without_proof() -> None:
    """OPTIMAL needs a proof, one that reaches down to the last solution, and a bound that meets the best."""
    assert RESULT.proof is not None
    assert "without a proof" in faults(replace(RESULT, proof=None))
    high = replace(RESULT.proof, threshold=RESULT.best.score_value + 0.1)
    assert "the proof covers" in faults(replace(RESULT, proof=high))
    assert RESULT.bound is not None
    assert "OPTIMAL is claimed with bound" in faults(replace(RESULT, bound=RESULT.bound + 0.01))
    low = replace(RESULT.proof, bound=RESULT.best.score_value - 0.1)
    assert "the proof's bound" in faults(replace(RESULT, proof=low))


def test_wrong_ranking_and_duplicates() -> None:
    """Solutions out of order, or listed twice, are found."""
    a, b, c = RESULT.solutions
    assert "against the stated order" in faults(replace(RESULT, solutions=(b, a, c), bound=b.score_value))
    assert "against the stated order" in faults(replace(RESULT, solutions=(a, a, b)))


def test_statuses_that_contradict_themselves() -> None:
    """INFEASIBLE beside solutions or layouts, FEASIBLE and OPTIMAL without any, a bound below the best."""
    assert "beside solutions" in faults(replace(RESULT, status=Status.INFEASIBLE))
    empty = replace(RESULT, status=Status.INFEASIBLE, solutions=(), bound=-math.inf)
    assert "INFEASIBLE is claimed though" in faults(empty)
    assert "without a solution" in faults(replace(RESULT, status=Status.FEASIBLE, solutions=()))
    assert "lies below" in faults(replace(RESULT, status=Status.FEASIBLE, bound=RESULT.best.score_value - 1))
    assert RESULT.proof is not None
    partial = replace(RESULT.proof, threshold=RESULT.solutions[-1].score_value)
    assert "the proof covers" in faults(replace(RESULT, top_k=40, proof=partial))
    complete = replace(RESULT.proof, threshold=-math.inf)
    assert "though 29 exist" in faults(replace(RESULT, top_k=40, proof=complete))
    assert "were asked for" in faults(replace(RESULT, top_k=2))


def test_result_of_another_problem() -> None:
    """A result does not certify a question it was not asked."""
    assert "another problem" in faults(RESULT, plain(depth=3).problem(kernels=4_289))


def test_energy_zero_is_recounted() -> None:
    """The twelve ResNets, two of energy 0, hold; leaving out the last one does not."""
    problem = resnet().problem(kernels=51_248)
    result = solve(problem, top_k=20)
    assert certify(problem, result).holds
    assert "though 12 exist" in faults(replace(result, solutions=result.solutions[:-1]), problem)


def test_large_problems_are_recounted_but_not_enumerated() -> None:
    """The effort is bounded and the certificate says so."""
    problem = plain(depth=31).problem(kernels=66_304, order="nondecreasing")
    certificate = certify(problem, solve(problem))
    assert certificate.holds
    assert not certificate.is_enumerated


def test_solve_refuses_what_does_not_certify(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault inside the solver surfaces as CertificateError, never as an answer."""
    monkeypatch.setattr(solve_chain, "ranked", lambda problem, layouts, top_k=None: list(RESULT.solutions)[::-1])
    with pytest.raises(CertificateError, match="against the stated order"):
        solve(PROBLEM, top_k=3)


def test_certify_imports_no_solver() -> None:
    """It must not inherit a solver's mistakes: of the solver's package, proof/ imports itself alone."""
    folder = Path(str(certify.__code__.co_filename)).parent
    imported: set[str] = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    own = {f"parlay.solver.proof.{path.stem}" for path in folder.glob("*.py")}
    assert {name for name in imported if name.startswith("parlay.solver")} <= own
    assert parlay.certify is certify


@pytest.mark.parametrize("size", [4_288, 66_304])
def test_the_papers_own_sizes_are_enumerated(size: int) -> None:
    """Four layers of 4,288 and of 66,304 kernels count as small: a missing layout or a forged INFEASIBLE is found."""
    problem = plain(depth=4).problem(kernels=size)
    result = solve(problem, top_k=6)
    assert certify(problem, result, effort=4_000_000).is_enumerated
    rest = result.solutions[1:]
    shorter = replace(result, solutions=rest, top_k=5, bound=rest[0].score_value)
    assert "a better layout is missing" in "; ".join(certify(problem, shorter, effort=4_000_000).findings)
    assert result.proof is not None
    complete = replace(result.proof, threshold=-math.inf)
    forged = replace(result, status=Status.INFEASIBLE, solutions=(), bound=-math.inf, proof=complete)
    assert "INFEASIBLE is claimed though" in "; ".join(certify(problem, forged, effort=4_000_000).findings)


@pytest.mark.parametrize(("changes", "match"), [
    ({"bound": math.nan}, "not a number"),
    ({"runtime": -1.0}, "negative"),
    ({"status": "OPTIMAL"}, "is no status"),
])  # fmt: skip
def test_values_no_result_can_have(changes: dict[str, object], match: str) -> None:
    """Not-a-number, negative times and statuses of another type are named instead of compared."""
    assert match in faults(replace(RESULT, **changes))


@pytest.mark.parametrize("layout", [(35.0, 36, 37), ("35", "36", "37"), [36, 38, 74]])
def test_layouts_are_tuples_of_integers(layout: object) -> None:
    """A float, a string or a list in place of a layout is a finding, not an error."""
    assert "is not a tuple of integers" in faults(with_first(layout=layout))


def test_nearest_sizes_lie_around_what_was_asked() -> None:
    """A nearest size on the wrong side is found."""
    problem = plain(depth=4).problem(kernels=4_288, multiple_of=8)
    result = solve(problem)
    assert certify(problem, result).holds
    assert result.nearest is not None
    wrong = replace(result, nearest=replace(result.nearest, below=4_312))
    assert "are not around" in faults(wrong, problem)
