"""The HTML of a page: one file, no request to anywhere, and a policy that forbids the browser any.

Figures are drawn by some 700 lines of script of our own: plotly.js would add 4 MB to every page, its marks cannot be
reached by keyboard, and the styles it puts in at run time need a policy that allows any.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from string import Template

from parlay.report.page import sections
from parlay.report.page.gather import Page
from parlay.report.page.markup import Html, element, embedded_json, joined

__all__ = ["GENERATOR", "render"]

GENERATOR = '<meta name="generator" content="parlay report">'
"""What tells a page of ours from any other file."""

SCRIPTS = ("drawing.js", "scales.js", "scatter.js", "curves.js", "widths.js", "table.js", "page.js")


def render(page: Page) -> str:
    """The page as one HTML document, UTF-8.

    Nothing a user named can become markup, and the policy in its head allows this style and this script by their
    SHA-256 and nothing else: no request, no frame, no form, no inline handler.
    """
    style = _resource("page.css")
    script = "\n".join(_resource(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'sha256-{_digest(style)}';"
        " base-uri 'none'; form-action 'none'"
    )
    trials = len(page.rows)
    layouts = len({(place, row.trial.layout) for place, row in page.rows})
    studies = ", ".join(found.study for found in page.provenance)
    about = f"{studies} · {trials:,} trials of {layouts:,} layouts · {page.made[:10]}"
    return Template(_resource("page.html")).substitute(
        generator=GENERATOR,
        policy=policy,
        title=joined(page.title),
        about=joined(about),
        verdict_link=element("a", "Verdict", href="#verdict") if page.questions else "",
        verdict=_verdict(page),
        coefficients_link=element("a", "Correlations", href="#coefficients") if page.questions else "",
        coefficients=_coefficients(page),
        fits_link=element("a", "Fit", href="#fit") if page.fits else "",
        fits=_fits(page),
        weights_link=element("a", "Weights", href="#weights") if page.weights else "",
        weights=_weights(page),
        provenance=sections.provenance(page),
        style=style,
        script=script,
        data=embedded_json(page.data()),
    )


def _verdict(page: Page) -> Html:
    if not page.questions:
        return Html("")
    summary = element("p", sections.summary(page), class_="summary")
    return _section("verdict", "Verdict", summary, element("div", sections.verdicts(page), class_="cards"))


def _coefficients(page: Page) -> Html:
    if not page.questions:
        return Html("")
    explained = (
        "Over layouts, the seeds of each averaged first. Intervals: bootstrap over layouts. p: random pairings at least"
        " as far from 0."
    )
    return _section("coefficients", "Correlations", _lead(explained), sections.coefficients(page))


def _fits(page: Page) -> Html:
    if not page.fits:
        return Html("")
    return _section("fit", "Fit: which layout to ship", sections.fits(page))


def _weights(page: Page) -> Html:
    if not page.weights:
        return Html("")
    explained = (
        "What calibration on trained networks puts before ln ln n of each group. Dot: calibrated, with its 95 %"
        " interval; stroke: before."
    )
    return _section("weights", "Calibrated weights", _lead(explained), sections.weights(page.weights))


def _section(key: str, heading: str, *parts: Html) -> Html:
    """A part of the page that links and screen readers find."""
    return element("section", element("h2", heading, id=f"{key}-title"), *parts, id=key, aria_labelledby=f"{key}-title")


def _lead(text: str) -> Html:
    return element("p", text, class_="lead")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=16)
def _resource(name: str) -> str:
    return files("parlay.report.page").joinpath(name).read_text(encoding="utf-8").strip()
