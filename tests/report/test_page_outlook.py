"""The first thing a page says: the most accurate layout, what to do next, and whether it is a toy."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from page_studies import LAYOUTS, make_fit, make_study, rising
from parlay.cli.main import run
from parlay.evidence import Measured
from parlay.report.page import Page, gather, render
from parlay.report.tables import relation_words
from parlay.study import Row


def only(page: Page):
    """What the page says of its one group of trials."""
    [judged] = page.judged
    return judged.outlook


CASES = [
    ("left", {"planned": (LAYOUTS[1],)}, "Train what is left", "study run STUDY"),
    ("few seeds", {"seeds": (0, 1)}, "more seeds of each", "study run STUDY --n-seeds 3"),
    ("one layout", {"layouts": LAYOUTS[:1], "seeds": (0, 1, 2)}, "more seeds of each", "study run STUDY --n-seeds 3"),
    ("all failed", {"failed": dict.fromkeys(LAYOUTS, "ValueError: no")}, "why they failed", "study status STUDY"),
    ("done", {"seeds": (0, 1, 2)}, "better than 8-12-33", "study compare STUDY 8-12-33 10-14-25"),
]


@pytest.mark.parametrize(("name", "given", "purpose", "command"), CASES, ids=[case[0] for case in CASES])
def test_the_next_command_follows_from_what_is_there(
    tmp_path: Path, name: str, given: dict, purpose: str, command: str
):
    """What is left is trained first, then seeds are added, then the best two are compared."""
    outlook = only(gather([make_study(tmp_path / "study", **given)]))
    assert purpose in outlook.purpose and outlook.command == f"parlay {command.replace('STUDY', 'study')}"


def test_the_next_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Typed where the page was made, it answers, of a study and of a table that is kept of one."""
    monkeypatch.chdir(tmp_path)
    make_study(Path("study"), seeds=(0, 1, 2))
    assert run(["study", "export", "study", "--csv"]) == 0
    Path("kept").mkdir()
    Path("kept/trials.csv").write_text(capsys.readouterr().out, encoding="utf-8")
    for folder in ("study", "kept"):
        words = shlex.split(only(gather([Path(folder)])).command)
        assert words[0] == "parlay" and run(words[1:]) == 0
        assert "verdict:" in capsys.readouterr().out


def test_a_fit_is_not_told_to_add_seeds(tmp_path: Path):
    """Its seeds are part of its question: with too few of them the best two arms are compared instead."""
    study = make_study(tmp_path / "study", LAYOUTS[:3], seeds=(0, 1))
    assert "--n-seeds" in only(gather([study])).command
    (study / "fit-result.json").write_bytes((make_fit(tmp_path / "fit") / "fit-result.json").read_bytes())
    assert shlex.split(only(gather([study])).command)[:3] == ["parlay", "study", "compare"]


def test_validation_images_choose(tmp_path: Path):
    """Where images were set aside the most accurate layout is the one they choose, and both shares are said."""
    page = gather([make_study(tmp_path / "study", LAYOUTS[:2], seeds=(0, 1, 2))])
    assert only(page).best == LAYOUTS[0] and "of the test images right" in only(page).standing
    rows = page.judged[0].measured.rows
    turned = tuple(replace(row, validation_accuracy=1 - rising(row)) for row in rows)
    from parlay.report.page.outlook import outlook_of
    from parlay.study.reading import read_trials

    outlook = outlook_of(Measured(rows=turned), read_trials(tmp_path / "study"))
    assert outlook.best == LAYOUTS[1]
    assert "of the validation images right (mean of 3 runs), " in outlook.standing


def test_the_first_section_has_layout_picture_and_command(tmp_path: Path):
    """They stand in the verdict's card, before its question; the picture is drawn where the script runs."""
    text = render(gather([make_study(tmp_path / "study", seeds=(0, 1, 2))]))
    first, rest = text.index("<strong>10-14-25</strong>"), text.index("does a higher energy go")
    assert first < text.index("parlay study compare study 8-12-33 10-14-25") < rest
    assert first < text.index('data-layout="10-14-25"') < rest


def test_arms_that_fit_come_before_more_accurate_ones_that_do_not(tmp_path: Path):
    """Of a fit the most accurate layout is one that can be shipped; where none fits, that is said beside it."""
    assert only(gather([make_fit(tmp_path / "some")])).name == "path-energy"
    none = only(gather([make_fit(tmp_path / "none", misfits=LAYOUTS[:3])]))
    assert (none.best, none.name) == (LAYOUTS[0], "original (does not fit: int8 file of 900 bytes for 800)")


def test_trials_of_a_fit_are_named_by_arm(tmp_path: Path):
    """The script gets the arm of every layout, and whether it fits; trials of a plain study have none."""
    [panel] = gather([make_fit(tmp_path / "fit")]).data()["panels"]
    assert panel["arms"]["8-12-33"] == {"name": "path-energy", "fits": True, "words": "path-energy"}
    assert panel["arms"]["10-14-25"]["fits"] is False and "does not fit" in panel["arms"]["10-14-25"]["words"]
    [panel] = gather([make_study(tmp_path / "study")]).data()["panels"]
    assert panel["arms"] == {}


@pytest.mark.parametrize(
    ("data_name", "steps", "toy"),
    [("digits", 400, "nearly solved"), ("cifar10", 390, "390 steps are less than one pass"), ("cifar10", 391, "")],
)
def test_a_toy_is_never_green(tmp_path: Path, data_name: str, steps: int, toy: str):
    """On the digits, and after less than one pass over CIFAR, "holds" is no evidence: word, colour and cautions say."""
    page = gather([make_study(tmp_path / "study", data_name=data_name, steps=steps)])
    [judged], text = page.judged, render(page)
    assert judged.verdict.outcome == "holds" and judged.verdict.is_toy is bool(toy)
    assert ('class="badge holds"' in text, 'class="badge toy"' in text) == (not toy, bool(toy))
    assert (toy in " ".join(judged.verdict.cautions)) is True and ("It is a toy" in text) is bool(toy)
    rows: tuple[Row, ...] = judged.measured.rows
    words = relation_words(Measured(rows=rows), judged.relations.relation)
    assert words.startswith(
        "accuracy rises with energy: holds (a toy: " if toy else "accuracy rises with energy: holds,"
    )
