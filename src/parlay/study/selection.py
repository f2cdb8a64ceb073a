"""Which layouts to train: the best, some evenly over the energies, all, or those given by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from parlay.energy import SCORES, EnergyGroup, Score, get_score
from parlay.errors import InputError, near_miss
from parlay.families import Family
from parlay.layout import Layout, format_layout, parse_layout
from parlay.problem import Problem, Result, Solution, Status
from parlay.study.plan import Kind
from parlay.study.trial_network import ModelNetwork, TrialNetwork

__all__ = ["Selection", "evenly", "names_layouts", "no_answer", "overlap", "select"]

ALLOWED = (
    "top:K, top:K@SCORE, spread:K, spread:K@SCORE, sample:K, sample:K@SEED, all, original, or layouts such as"
    " 35-36-37-43,8-16-44-78"
)
BEHIND_AT = {Kind.TOP: "SCORE", Kind.SPREAD: "SCORE", Kind.SAMPLE: "SEED"}
"""What may follow the number of layouts."""
LARGEST_CHOICE = 100_000
MOST_LISTED = 1_000_000
"""Layouts that a spread is taken from all of."""
SPREAD_OVER = 2_000
"""Layouts that a spread is taken from where they are too many to list: of so many drawn evenly, the lowest scores lower
than all but about one in 2,000. The highest is the proven optimum all the same.
"""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What choices name.

    Attributes:
        layouts: each with every reason for it, in the order in which they are first named.
        notes: how they were come by, a sentence each.
        score: name of the score by which the best of them were chosen, or a spread that names one; None without either.
    """

    layouts: Mapping[Layout, frozenset[Kind]]
    notes: tuple[str, ...] = ()
    score: str | None = None


def select(choices: Sequence[str], *, family: TrialNetwork, problem: Problem | None) -> Selection:
    """The layouts that the choices name.

    Args:
        choices: each ``top:K`` (the K best), ``spread:K`` (the K nearest to K evenly spaced energies of a family, or
            scores of a model, from the lowest to the highest of all layouts), ``sample:K`` or ``sample:K@SEED`` (K
            drawn at random, each layout as likely as every other), ``all``, or layouts joined by commas, of which
            ``original`` is the one that a traced model has today. ``top:K@SCORE`` and ``spread:K@SCORE`` go by another
            score than the problem's. Where layouts are too many to list, a spread is taken from the optimum and 2,000
            drawn at random.
        family: the network but for its widths.
        problem: size, fences and score; may be None when only layouts are named.

    Raises:
        InputError: for a choice that cannot be read, a size with no layout or too many to list, a best layout that is
            not proven, or a named layout that does not fit the family, the size or the fences.

    >>> from parlay.families import plain
    >>> list(select(["35-36-37-43, 8-16-44-78"], family=plain(4), problem=None).layouts)
    [(35, 36, 37, 43), (8, 16, 44, 78)]
    """
    if not choices:
        raise InputError("layouts", given="none", allowed=ALLOWED)
    # every choice is read before anything is solved
    plan = [part for choice in choices for part in _parse(choice, family)]
    given = [layout for choice in plan for layout in choice.layouts]
    for layout in given:
        _check(layout, family, problem)
    chosen: dict[Layout, set[Kind]] = {}
    notes: dict[str, None] = {}
    for choice in plan:
        layouts, law = choice.layouts, ""
        if choice.kind in CHOOSERS:
            layouts, law = CHOOSERS[choice.kind](_scored(problem, choice.score, family), choice)
        if len(layouts) < choice.count:
            some = "1 layout" if len(layouts) == 1 else f"{len(layouts)} layouts"
            law = "; ".join(filter(None, (law, f"only {some} to take")))
        if law:
            notes[f"{choice.kind}:{choice.count}: {law}"] = None
        for layout in layouts:
            chosen.setdefault(layout, set()).add(choice.kind)
    found = {layout: frozenset(kinds) for layout, kinds in chosen.items()}
    return Selection(layouts=found, notes=(*notes, *overlap(found)), score=_chooser(plan, problem))


def _chooser(plan: Sequence[_Wanted], problem: Problem | None) -> str | None:
    """The score that chose the best; of several the first. That of a file is known by no name, and is none."""
    ranked = sorted(
        (one for one in plan if one.kind is Kind.TOP or one.score), key=lambda one: one.kind is not Kind.TOP
    )
    names = [score.name for one in ranked if (score := one.score or (problem and problem.score))]
    return next((name for name in names if name in SCORES), None)


def names_layouts(choice: str) -> bool:
    """Whether a choice names layouts, and needs no size.

    >>> names_layouts("original,8-16-44-78"), names_layouts("top:3")
    (True, False)
    """
    return choice.strip()[:1].isdigit() or choice.strip().partition(",")[0].strip() == Kind.ORIGINAL


def overlap(chosen: Mapping[Layout, frozenset[Kind]]) -> list[str]:
    """What is said of layouts that several choices name; nothing where each is named by one.

    >>> overlap({(4, 6): frozenset({Kind.TOP, Kind.SPREAD}), (5, 5): frozenset({Kind.TOP})})
    ['1 layout is named by top and spread, and trained once: 2 layouts in all']
    """
    several = [kinds for kinds in chosen.values() if len(kinds) > 1]
    if not several:
        return []
    kinds = [kind for kind in Kind if any(kind in some for some in several)]
    some = "1 layout is" if len(several) == 1 else f"{len(several)} layouts are"
    return [f"{some} named by {' and '.join(kinds)}, and trained once: {len(chosen)} layouts in all"]


def evenly(solutions: Sequence[Solution], count: int, *, by: Callable[[Solution], float]) -> list[Solution]:
    """``count`` distinct solutions, those nearest to evenly spaced heights from the lowest to the highest.

    Each place on the scale takes the nearest solution that no place before it has taken, highest first; of two equally
    near ones the better ranked. All of them, when there are no more than ``count``; for one, the best.

    >>> ranked = [Solution(layout=(i,), score_value=i / 10, log_energy=i / 10) for i in range(30, 0, -1)]
    >>> [solution.layout for solution in evenly(ranked, 4, by=lambda solution: solution.energy)]
    [(30,), (26,), (20,), (1,)]
    """
    left = sorted(enumerate(solutions), key=lambda item: (-by(item[1]), item[0]))
    if len(left) <= count:
        return [solution for _, solution in left]
    high, low = by(left[0][1]), by(left[-1][1])
    taken: list[Solution] = []
    for place in range(count):
        target = high - (high - low) * place / max(1, count - 1)
        nearest = min(range(len(left)), key=lambda i: (abs(by(left[i][1]) - target), left[i][0]))
        taken.append(left.pop(nearest)[1])
    return taken


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    kind: Kind
    count: int = 0
    seed: int = 0
    score: Score | None = None
    is_over_energy: bool = False
    layouts: Sequence[Layout] = ()


def _parse(text: str, family: TrialNetwork) -> list[_Wanted]:
    name, _, number = text.strip().partition(":")
    if text.strip() == Kind.ALL:
        return [_Wanted(kind=Kind.ALL)]
    if name in BEHIND_AT:
        number, at, behind = number.partition("@")
        wanted = _Wanted(kind=Kind(name), count=int(number) if _is_small(number) else 0)
        if not 1 <= wanted.count <= LARGEST_CHOICE or (at and name == Kind.SAMPLE and not _is_small(behind)):
            allowed = f"{name}:K or {name}:K@{BEHIND_AT[wanted.kind]} with K from 1 to {LARGEST_CHOICE}"
            raise InputError("layouts", given=repr(text), allowed=allowed)
        if name == Kind.SAMPLE:
            return [replace(wanted, seed=int(behind or 0))]
        score = get_score(behind) if at else None
        is_paper = isinstance(family, Family) if score is None else isinstance(score, EnergyGroup)
        return [replace(wanted, score=score, is_over_energy=is_paper)]
    parts = [part.strip() for part in text.split(",")]
    if not names_layouts(text):
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


def _scored(problem: Problem | None, score: Score | None, family: TrialNetwork) -> Problem:
    if problem is None:
        raise InputError(
            "size", given="none", allowed="one size for top, spread, sample and all", remedy="try --kernels 4288"
        )
    if score is None:
        return problem
    if isinstance(family, ModelNetwork):
        from parlay.retrofit.solve_retrofit import score_for

        score = score_for(family.graph(), score)
    return replace(problem, score=score)


def _top(problem: Problem, choice: _Wanted) -> tuple[list[Layout], str]:
    from parlay.solver import solve

    result = solve(problem, top_k=choice.count)
    if result.status is not Status.OPTIMAL:
        raise no_answer(result)
    return [solution.layout for solution in result.solutions], ""


def _sample(problem: Problem, choice: _Wanted) -> tuple[list[Layout], str]:
    """All layouts where there are no more than are wanted."""
    from parlay.solver import make_sampler, solve

    sampler = make_sampler(problem)
    if sampler.total == 0:
        raise no_answer(solve(problem, top_k=1))
    count = choice.count if sampler.total is None else min(choice.count, sampler.total)
    drawn = sampler.draw(count, seed=choice.seed)
    return drawn, sampler.law


def _spread(problem: Problem, choice: _Wanted) -> tuple[list[Layout], str]:
    from parlay.solver import make_sampler
    from parlay.solver.ranking import ranked

    sampler = make_sampler(problem)
    if sampler.total is not None and sampler.total <= MOST_LISTED:
        solutions, law = _everything(problem), ""
    else:
        [best], _ = _top(problem, _Wanted(kind=Kind.TOP, count=1))
        solutions = ranked(problem, {best, *sampler.draw(SPREAD_OVER, seed=0)})
        law = f"taken from the optimum and {SPREAD_OVER:,} layouts drawn at random: too many to list"
    by = "energy" if choice.is_over_energy else "score_value"
    return [solution.layout for solution in evenly(solutions, choice.count, by=attrgetter(by))], law


def _all(problem: Problem, _choice: _Wanted) -> tuple[list[Layout], str]:
    return [solution.layout for solution in _everything(problem)], ""


def _everything(problem: Problem) -> list[Solution]:
    from parlay.solver import list_layouts, solve

    solutions = list_layouts(problem)
    if not solutions:
        raise no_answer(solve(problem, top_k=1))
    return solutions


CHOOSERS = {Kind.TOP: _top, Kind.SAMPLE: _sample, Kind.SPREAD: _spread, Kind.ALL: _all}
"""What finds the layouts of a problem that a choice names, and says how, where that needs saying."""


def no_answer(result: Result) -> InputError:
    """The error for a size without a layout, with the nearest sizes that have one."""
    size = " and ".join(str(constraint) for constraint in result.problem.constraints)
    if result.solutions:
        return InputError(
            f"best {len(result.solutions)} by {result.problem.score.name} of {size}",
            given=f"not proven within a minute, gap {result.gap:.2g}",
            allowed="proven answers",
            remedy="--multiple-of or ratios nearer to 1 leave fewer layouts",
        )
    near = result.nearest
    amounts = [str(amount) for amount in (near.below, near.above) if amount is not None] if near else []
    return InputError(
        "size",
        given=f"{size}: {result.status.meaning}",
        allowed="a size that has layouts",
        remedy=f"the nearest that have one: {', '.join(amounts)}" if amounts else "",
    )
