"""The parts of the page that need no script: verdicts, coefficients, weights, how it was run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from parlay.calibrated import CalibratedScore
from parlay.evidence import Correlation, Outcome
from parlay.evidence.outcome import LEAST_LAYOUTS
from parlay.layout import format_layout
from parlay.report.page.fits import HEADS, Fit
from parlay.report.page.gather import Page, Question
from parlay.report.page.markup import Html, element, joined
from parlay.report.page.questions import question

__all__ = ["coefficients", "fits", "provenance", "summary", "verdicts", "weights"]

SLUGS = {outcome: outcome.value.replace(" ", "-") for outcome in Outcome}
SUMMARIES = {
    Outcome.HOLDS: "a higher {score} goes with higher accuracy",
    Outcome.FAILS: "a higher {score} does not go with higher accuracy",
    Outcome.OPEN: "there is not enough data",
}


def summary(page: Page) -> str:
    """All verdicts in one sentence."""
    asked = page.questions
    counts = Counter(judged.verdict.outcome for judged in asked)
    toys = sum(judged.verdict.is_toy for judged in asked)
    if len(asked) == 1:
        return asked[0].verdict.headline + (" It is a toy, and no evidence." if toys else "")
    scores = {judged.measured.score_words for judged in asked}
    score = scores.pop() if len(scores) == 1 else "score"
    parts = [f"in {counts[outcome]} {SUMMARIES[outcome].format(score=score)}" for outcome in Outcome if counts[outcome]]
    are_toys = f" {toys} of them {'is a toy' if toys == 1 else 'are toys'}, and no evidence." if toys else ""
    return f"Of {len(asked)} questions: {'; '.join(parts)}.{are_toys}"


def verdicts(page: Page) -> Html:
    """One card a question."""
    alone = len(page.questions) == 1
    return joined(
        *(_card(place, judged, alone=alone) for place, judged in enumerate(page.judged) if judged.fit is None)
    )


def coefficients(page: Page) -> Html:
    """One table of coefficients a question, each with its interval drawn."""
    return joined(*(_table_of(judged) for judged in page.questions))


def weights(found: Mapping[str, CalibratedScore]) -> Html:
    """One table a file of calibrated weights; a drawing stands above it where the script runs."""
    return joined(*(_weights(place, study, score) for place, (study, score) in enumerate(found.items())))


def fits(page: Page) -> Html:
    """One verdict, one table of arms and the winner's files a fit."""
    return joined(*(_fit(fit, page) for fit in page.fits))


def provenance(page: Page) -> Html:
    """How each study was run, and how the page was made."""
    made = [("Page made", page.made), ("By", f"parlay {page.version}")]
    about = element("div", element("h3", "This page"), _facts(made), _commands([page.command]), class_="run")
    return joined(
        *(
            element(
                "div",
                element("h3", found.study),
                _facts(found.facts),
                *(
                    element("details", element("summary", f"Recipe {name}: {len(numbers)} numbers"), _facts(numbers))
                    for name, numbers in found.recipes
                ),
                _commands(found.commands),
                class_="run",
            )
            for found in page.provenance
        ),
        about,
    )


def _answer(place: int, judged: Question) -> Html:
    """The most accurate layout of a group of trials, drawn where the script runs, and what to do next."""
    outlook = judged.outlook
    text = [element("p", outlook.standing), element("p", f"{outlook.purpose}:", class_="note")]
    text.append(_commands([outlook.command]))
    if outlook.best is None:
        return element("div", *text, class_="answer")
    best = format_layout(outlook.best)
    name = [element("span", f" {outlook.name}")] if outlook.name else []
    heading = element("p", element("small", "Most accurate"), " ", element("strong", best), *name, class_="best-layout")
    drawing = element("div", class_="answer-drawing best", data_place=str(place), data_layout=best)
    return element("div", element("div", heading, *text), drawing, class_="answer")


def _card(place: int, judged: Question, *, alone: bool) -> Html:
    """One question; where it is the only one, its headline stands above the card already."""
    verdict, measured = judged.verdict, judged.measured
    badge = "toy" if verdict.is_decided_by_toy else SLUGS[verdict.outcome]
    cautions = [element("ul", *(element("li", text) for text in verdict.cautions), class_="cautions")]
    return element(
        "article",
        element("p", f"{measured.study}: {measured.title}, {measured.training}", class_="study"),
        _answer(place, judged),
        element("h3", question(measured)),
        element(
            "p",
            element("span", verdict.word, class_=f"badge {badge}"),
            *([] if alone else [" ", element("strong", verdict.headline)]),
        ),
        element("p", " ".join(verdict.reasons)),
        *(cautions if verdict.cautions else []),
        class_=f"card {SLUGS[verdict.outcome]}",
    )


def _table_of(judged: Question) -> Html:
    measured = judged.measured
    heads = ("Over layouts", "Value", "95 % interval", "−1 … 1", "p", "n")
    body = [
        element(
            "tr",
            element("th", line.label, " ", element("small", line.method), scope="row"),
            *(element("td", text, class_="number") for text in _numbers(line.correlation)),
            element("td", _drawn(line.correlation), class_="drawn"),
            element("td", _chance(line.correlation), class_="number"),
            element("td", str(line.correlation.n), class_="number"),
        )
        for line in judged.relations.lines
    ]
    caption = f"{measured.study}: {measured.title}, {measured.training}"
    if len(measured.judging) < LEAST_LAYOUTS:
        few = f"Layouts to judge by: {len(measured.judging)}, too few for coefficients."
        return joined(element("h3", caption), element("p", few, class_="note"))
    return _table(caption, heads, body)


def _table(caption: str, heads: Iterable[str], body: Iterable[Html]) -> Html:
    """A table in a frame that scrolls sideways where the window is narrow, also by keyboard."""
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *(_head(place, head) for place, head in enumerate(heads)))),
            element("tbody", *body),
        ),
        class_="scrolls",
        role="region",
        tabindex="0",
        aria_label=caption,
    )


def _head(place: int, text: str) -> Html:
    """A column's heading: to the right over numbers, which all columns hold but the first and the drawn one."""
    return element("th", text, scope="col", class_="number" if place and "…" not in text else None)


def _numbers(found: Correlation) -> tuple[str, str]:
    if found.value is None or found.low is None or found.high is None:
        return "–", "not defined"
    return _number(found.value), f"{_number(found.low)} to {_number(found.high)}"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _chance(found: Correlation) -> str:
    if found.p_value is None:
        return "–"
    return "< 0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}"


def _drawn(found: Correlation) -> Html:
    """A coefficient and its interval on a line from -1 to 1; decoration, since the numbers stand beside it."""
    marks = [element("line", x1="60", x2="60", y1="1", y2="17", class_="zero")]
    if found.value is not None and found.low is not None and found.high is not None:
        left, right, place = (f"{60 + 56 * value:.1f}" for value in (found.low, found.high, found.value))
        marks.append(element("line", x1=left, x2=right, y1="9", y2="9", class_="interval"))
        marks.append(element("circle", cx=place, cy="9", r="3.5", class_="value"))
    return element("svg", *marks, width="120", height="18", viewBox="0 0 120 18", aria_hidden="true")


def _weights(place: int, study: str, found: CalibratedScore) -> Html:
    body = [
        element(
            "tr",
            element("th", weight.group, scope="row"),
            element("td", str(weight.layers), class_="number"),
            element("td", _number(weight.prior), class_="number"),
            element("td", _number(weight.weight), class_="number"),
            element(
                "td",
                "–"
                if weight.low is None or weight.high is None
                else f"{_number(weight.low)} to {_number(weight.high)}",
                class_="number",
            ),
        )
        for weight in found.weights
    ]
    heads = ("Group", "Layers", f"Before ({found.prior.name})", "Calibrated", "95 % interval")
    warnings = [element("ul", *(element("li", text) for text in found.warnings), class_="cautions")]
    return element(
        "div",
        element("div", class_="weights-drawing", data_place=str(place)),
        _table(f"{study}: what stands before ln ln n of each group", heads, body),
        *(warnings if found.warnings else []),
    )


def _fit(fit: Fit, page: Page) -> Html:
    own = [(place, judged) for place, judged in enumerate(page.judged) if judged.fit is fit]
    toys = dict.fromkeys(judged.measured.toy for _, judged in own if judged.measured.toy)
    body = [
        element(
            "tr",
            element("th", cells[0], scope="row"),
            *(element("td", _breakable(cell), class_="number") for cell in cells[1:]),
        )
        for cells in fit.arms
    ]
    return element(
        "div",
        element("h3", fit.study),
        *(element("div", _answer(place, judged), class_="card") for place, judged in own),
        element("p", element("strong", f"{fit.verdict[:1].upper()}{fit.verdict[1:]}."), class_="verdict"),
        *(element("p", f"A toy, and no evidence: {toy}.") for toy in toys),
        element("p", fit.about, class_="note"),
        _table(f"{fit.study}: arms", HEADS, body),
        _facts(fit.layouts),
        _commands(fit.files),
        *([element("ul", *(element("li", line) for line in fit.devices))] if fit.devices else []),
    )


def _breakable(cell: str) -> str:
    """A cell whose only place for a line break is before a bracket."""
    return cell.replace(" ", "\u00a0").replace("\u00a0(", " (").replace("\u00a0[", " [")


def _facts(facts: Iterable[tuple[str, str]]) -> Html:
    return element("dl", *(part for name, value in facts for part in (element("dt", name), element("dd", value))))


def _commands(commands: Iterable[str]) -> Html:
    lines = [element("code", command) for command in commands if command]
    return element("pre", *(part for line in lines for part in (line, "\n")), tabindex="0") if lines else Html("")
