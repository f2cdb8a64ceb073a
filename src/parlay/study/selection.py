"""Which layouts to train: the best, some evenly over the energies, all, or those given by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parlay.errors import InputError, near_miss
from parlay.layout import Layout, format_layout, parse_layout
from parlay.problem import Problem, Result, Solution, Status
from parlay.study.plan import Kind
from parlay.study.trial_network import ModelNetwork, TrialNetwork

__all__ = ["evenly", "no_answer", "overlap", "select"]

ALLOWED = "top:K, spread:K, sample:K, sample:K@SEED, all, original, or layouts such as 35-36-37-43,8-16-44-78"
LARGEST_CHOICE = 100_000


def select(choices: Sequence[str], *, family: TrialNetwork, problem: Problem | None) -> dict[Layout, frozenset[Kind]]:
    """The layouts that the choices name, each with every reason for it, in the order in which they are first named.

    Args:
        choices: each ``top:K`` (the K best), ``spread:K`` (the K nearest to K evenly spaced energies, from the lowest
            to the highest of all layouts), ``sample:K`` or ``sample:K@SEED`` (K drawn at random, each layout as likely
            as every other), ``all``, or layouts joined by commas, of which ``original`` is the one that a traced model
            has today.
        family: the network but for its widths.
        problem: size, fences and score; may be None when only layouts are named.

    Raises:
        InputError: for a choice that cannot be read, a size with no layout or too many to list, or a named layout that
            does not fit the family, the size or the fences.

    >>> from parlay.families import plain
    >>> list(select(["35-36-37-43, 8-16-44-78"], family=plain(4), problem=None))
    [(35, 36, 37, 43), (8, 16, 44, 78)]
    """
    if not choices:
        raise InputError("layouts", given="none", allowed=ALLOWED)
    # every choice is read before anything is solved
    plan = [part for choice in choices for part in _parse(choice, family)]
    given = [layout for choice in plan for layout in choice.layouts]
    for layout in given:
        _check(layout, family, problem)
    everything: list[Solution] = []
    if any(choice.kind in (Kind.SPREAD, Kind.ALL) for choice in plan):
        everything = _everything(_required(problem))
    chosen: dict[Layout, set[Kind]] = {}
    for choice in plan:
        layouts = choice.layouts
        if choice.kind is Kind.TOP:
            layouts = _top(_required(problem), choice.count)
        elif choice.kind is Kind.SPREAD:
            layouts = [solution.layout for solution in evenly(everything, choice.count)]
        elif choice.kind is Kind.SAMPLE:
            layouts = _sample(_required(problem), choice.count, choice.seed)
        elif choice.kind is Kind.ALL:
            layouts = [solution.layout for solution in everything]
        for layout in layouts:
            chosen.setdefault(layout, set()).add(choice.kind)
    return {layout: frozenset(kinds) for layout, kinds in chosen.items()}


def overlap(chosen: Mapping[Layout, frozenset[Kind]]) -> str:
    """What is said of layouts that several choices name; nothing where each is named by one.

    >>> overlap({(4, 6): frozenset({Kind.TOP, Kind.SPREAD}), (5, 5): frozenset({Kind.TOP})})
    '1 layout is named by top and spread, and trained once: 2 layouts in all'
    """
    several = [kinds for kinds in chosen.values() if len(kinds) > 1]
    if not several:
        return ""
    kinds = [kind for kind in Kind if any(kind in some for some in several)]
    some = "1 layout is" if len(several) == 1 else f"{len(several)} layouts are"
    return f"{some} named by {' and '.join(kinds)}, and trained once: {len(chosen)} layouts in all"


def evenly(solutions: Sequence[Solution], count: int) -> list[Solution]:
    """``count`` distinct solutions, those nearest to evenly spaced energies from the lowest to the highest.

    Each place on the scale takes the nearest solution that no place before it has taken, highest energy first; of two
    equally near ones the better ranked. All of them, when there are no more than ``count``; for one, the best.

    >>> ranked = [Solution(layout=(i,), score_value=i / 10, log_energy=i / 10) for i in range(30, 0, -1)]
    >>> [solution.layout for solution in evenly(ranked, 4)]
    [(30,), (26,), (20,), (1,)]
    """
    left = sorted(enumerate(solutions), key=lambda item: (-item[1].energy, item[0]))
    if len(left) <= count:
        return [solution for _, solution in left]
    high, low = left[0][1].energy, left[-1][1].energy
    taken: list[Solution] = []
    for place in range(count):
        target = high - (high - low) * place / max(1, count - 1)
        nearest = min(range(len(left)), key=lambda i: (abs(left[i][1].energy - target), left[i][0]))
        taken.append(left.pop(nearest)[1])
    return taken


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    kind: Kind
    count: int = 0
    seed: int = 0
    layouts: Sequence[Layout] = ()


def _parse(text: str, family: TrialNetwork) -> list[_Wanted]:
    name, _, number = text.strip().partition(":")
    if text.strip() == Kind.ALL:
        return [_Wanted(kind=Kind.ALL)]
    if name in (Kind.TOP, Kind.SPREAD, Kind.SAMPLE):
        number, _, seed = number.partition("@") if name == Kind.SAMPLE else (number, "", "")
        if not (_is_small(number) and 1 <= int(number) <= LARGEST_CHOICE and (not seed or _is_small(seed))):
            at = " or K@SEED" if name == Kind.SAMPLE else ""
            raise InputError("layouts", given=repr(text), allowed=f"{name}:K{at} with K from 1 to {LARGEST_CHOICE}")
        return [_Wanted(kind=Kind(name), count=int(number), seed=int(seed or 0))]
    parts = [part.strip() for part in text.split(",")]
    if not (parts[0][:1].isdigit() or parts[0] == Kind.ORIGINAL):
        kinds = [Kind.TOP, Kind.SPREAD, Kind.SAMPLE, Kind.ALL, Kind.ORIGINAL]
        raise InputError("layouts", given=repr(text), allowed=ALLOWED, remedy=near_miss(name, kinds))
    return [
        _Wanted(kind=Kind.ORIGINAL, layouts=[_today(family)])
        if part == Kind.ORIGINAL
        else _Wanted(kind=Kind.GIVEN, layouts=[parse_layout(part)])
        for part in parts
    ]


def _today(family: TrialNetwork) -> Layout:
    if not isinstance(family, ModelNetwork):
        raise InputError(
            "layouts",
            given="original",
            allowed="layouts by name",
            remedy="only a model (--model) has widths of its own",
        )
    return family.today


def _is_small(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9


def _check(layout: Layout, family: TrialNetwork, problem: Problem | None) -> None:
    family.check(layout)
    broken = problem.violations(layout) if problem is not None else []
    if broken:
        raise InputError(
            "layout",
            given=format_layout(layout),
            allowed="layouts of the size and within the fences asked for",
            remedy=f"{'; '.join(broken)}; leave the size out, or set --order and the other fences to match",
        )


def _required(problem: Problem | None) -> Problem:
    if problem is None:
        raise InputError("size", given="none", allowed="one size for top, spread and all", remedy="try --kernels 4288")
    return problem


def _top(problem: Problem, count: int) -> list[Layout]:
    from parlay.solver import solve

    result = solve(problem, top_k=count)
    if result.status is not Status.OPTIMAL:
        raise no_answer(result)
    return [solution.layout for solution in result.solutions]


def _sample(problem: Problem, count: int, seed: int) -> list[Layout]:
    """All layouts where there are no more than ``count``."""
    from parlay.solver import Sampler, solve

    sampler = Sampler(problem)
    if sampler.total == 0:
        raise no_answer(solve(problem, top_k=1))
    return sampler.draw(min(count, sampler.total), seed=seed)


def _everything(problem: Problem) -> list[Solution]:
    from parlay.solver import list_layouts, solve

    solutions = list_layouts(problem)
    if not solutions:
        raise no_answer(solve(problem, top_k=1))
    return solutions


def no_answer(result: Result) -> InputError:
    """The error for a size without a layout, with the nearest sizes that have one."""
    size = " and ".join(str(constraint) for constraint in result.problem.constraints)
    near = result.nearest
    amounts = [str(amount) for amount in (near.below, near.above) if amount is not None] if near else []
    return InputError(
        "size",
        given=f"{size}: {result.status.meaning}",
        allowed="a size that has layouts",
        remedy=f"the nearest that have one: {', '.join(amounts)}" if amounts else "",
    )
