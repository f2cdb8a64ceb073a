"""The page of ``parlay report``: what it says, what it must not let through, and what it must not overwrite."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from page_studies import LAYOUTS, make_model_study, make_study, rising
from parlay.cli.main import run
from parlay.errors import InputError, StudyError
from parlay.evidence import Measured, Outcome, measure
from parlay.families import plain
from parlay.report.page import gather, render, write_page
from parlay.report.page.curves import points_for, thin, windows
from parlay.report.page.questions import question
from parlay.report.page.relations import relations_of
from parlay.report.page.verdict import judge
from parlay.study import Kind, Reader, csv_text

NASTY = '</script><img src=x onerror="alert(1)"><!-- &amp; \' ${title} \u2028'


class Elements(HTMLParser):
    """Every element of a page with its attributes, the text outside script and style, and what script holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.open.append(tag)
            (self.scripts if tag == "script" else self.styles).append("")

    def handle_endtag(self, tag: str) -> None:
        if self.open and tag == self.open[-1]:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open:
            self.text += data
        elif self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.styles[-1] += data


def data_of(text: str) -> dict[str, Any]:
    """What the page's script draws."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of eight layouts and two seeds, of which one layout failed and one is still to run."""
    return make_study(tmp_path_factory.mktemp("studies") / "first", failed={LAYOUTS[4]: NASTY}, planned=(LAYOUTS[5],))


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    """The page on that study."""
    return render(gather([folder], command="parlay report first"))


def test_page_makes_no_request(text: str):
    """No element loads anything: no src, no link, no address but anchors; and the policy allows only what is inside."""
    elements = Elements(text)
    tags = {tag for tag, _ in elements.found}
    assert tags & {"img", "link", "iframe", "object", "embed", "base", "video", "audio", "source"} == set()
    for tag, attributes in elements.found:
        assert attributes.keys() & {"src", "srcset", "style", "background", "action"} == set(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    [policy] = [a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "http" not in policy
    for content in (elements.scripts[1], elements.styles[0]):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "http" not in (elements.scripts[1] + elements.styles[0]).replace("http://www.w3.org/2000/svg", "")


def test_what_users_named_stays_text(tmp_path: Path):
    """Names, titles, data names, errors and weights that look like markup or templates come out as they went in."""
    place = make_study(tmp_path / "a<b>&'\"", data_name=NASTY, failed={LAYOUTS[0]: NASTY})
    entry = {"group": NASTY, "layers": 1, "prior": 1.0, "weight": 2.0}
    content = {"schema_version": 1, "kind": "parlay weights", "prior": "energy-layer", "weights": [entry]}
    content |= {"warnings": [NASTY]}
    (place / "weights.json").write_text(json.dumps(content), encoding="utf-8")
    text = render(gather([place], title=NASTY, command=NASTY))
    elements = Elements(text)
    assert "img" not in {tag for tag, _ in elements.found}
    assert len(elements.scripts) == 2 and len(elements.styles) == 1
    assert elements.text.count(NASTY) >= 6
    data = data_of(text)
    assert NASTY in data["trials"]["error"]
    assert NASTY in data["panels"][0]["name"]
    assert data["panels"][0]["study"] == "a<b>&'\""
    assert data["weights"][0]["groups"][0]["group"] == NASTY


def test_data_holds_every_trial(folder: Path, text: str):
    """The script gets every trial, whatever its status, with the figures that the study's own table has."""
    with Reader(folder) as reader:
        rows = reader.rows()
    trials = data_of(text)["trials"]
    assert trials["layout"] == ["-".join(map(str, row.trial.layout)) for row in rows]
    assert trials["seed"] == [row.trial.seed for row in rows]
    assert trials["status"] == [row.status for row in rows]
    assert trials["macs"] == [row.costs["macs"] for row in rows]
    assert trials["accuracy"] == [
        None if row.accuracy is None else pytest.approx(row.accuracy, rel=1e-5) for row in rows
    ]
    assert {status: trials["status"].count(status) for status in trials["status"]} == {
        "complete": 12,
        "failed": 2,
        "planned": 2,
    }
    assert trials["kind"][:2] == ["top", "all"]


def test_learning_curves_are_the_losses(text: str):
    """A short curve comes out whole; its steps are the middles of the windows."""
    data = data_of(text)
    assert data["trials"]["curve"][0] == pytest.approx([2.0 * 0.7**step for step in range(8)], rel=1e-5)
    assert data["panels"][0]["steps"] == [step + 0.5 for step in range(8)]


def test_thinning_keeps_the_mean():
    """Windows cover every step once, so that the weighted mean of a thinned curve is that of the whole."""
    losses = [float(step % 7) for step in range(103)]
    parts = windows(103, 10)
    assert parts[0][0] == 0 and parts[-1][1] == 103
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    weighted = sum((end - start) * value for (start, end), value in zip(parts, thin(losses, 10), strict=True))
    assert weighted == pytest.approx(sum(losses))
    assert points_for(10**6) == 20


CASES = [
    ("rising", LAYOUTS, rising, Outcome.HOLDS, "higher energy are more accurate"),
    ("falling", LAYOUTS, lambda row: 1 - rising(row), Outcome.FAILS, "higher energy are not more accurate"),
    ("mixed", LAYOUTS, lambda row: 0.5 + 0.01 * (row.trial.layout[0] % 3), Outcome.OPEN, "is not decided here"),
    ("few", LAYOUTS[:5], rising, Outcome.OPEN, "is not decided here"),
]


@pytest.mark.parametrize(("name", "layouts", "accuracy", "outcome", "words"), CASES, ids=[case[0] for case in CASES])
def test_verdicts(tmp_path: Path, name: str, layouts: Any, accuracy: Any, outcome: Outcome, words: str):
    """Rising accuracies hold, falling ones do not; mixed ones and five layouts are not enough to say."""
    page = gather([make_study(tmp_path / name, layouts, accuracy=accuracy, seeds=(0,))])
    [judged] = page.judged
    assert judged.verdict.outcome is outcome
    assert words in judged.verdict.headline
    text = Elements(render(page)).text
    assert outcome.value in text and judged.verdict.headline in text
    has_table = "energy and accuracy, given multiply-adds" in text
    assert has_table is (name != "few")


def test_verdict_says_what_the_first_pick_is_worth(tmp_path: Path):
    """The layout of highest energy is given with its accuracy and rank, beside the best and the median."""
    accuracies = dict(zip(LAYOUTS, (0.90, 0.95, 0.91, 0.80, 0.70, 0.60, 0.50, 0.40), strict=True))
    page = gather([make_study(tmp_path / "s", accuracy=lambda row: accuracies[row.trial.layout], seeds=(0,))])
    reasons = " ".join(page.judged[0].verdict.reasons)
    assert "10-14-25 with 90.00 %, rank 3 of 8; most accurate: 8-12-33 with 95.00 %; median layout 75.00 %" in reasons
    assert any("One run each" in caution for caution in page.judged[0].verdict.cautions)


def test_cautions_count_what_is_missing(folder: Path):
    """Failed and planned trials, and the pooled spread of seeds are said; the spread is by hand 0.141."""
    cautions = " ".join(gather([folder]).judged[0].verdict.cautions)
    assert "2 of 16 trials failed" in cautions
    assert "2 of 16 trials are still to run" in cautions
    assert "strays by 0.14 points" in cautions  # accuracies 0.2 points apart: 0.2 / sqrt(2)


def test_panels_part_what_cannot_be_compared(tmp_path: Path):
    """Another number of steps and another size are other questions; sizes within 5 % are one."""
    place = make_study(tmp_path / "s", [(4, 8, 58), (5, 11, 40)], seeds=(0,))
    make_study(place, [(5, 11, 41), (20, 40, 60)], seeds=(0,))
    make_study(place, [(4, 8, 58)], seeds=(0,), steps=9)
    with Reader(place) as reader:
        panels = measure(reader.rows())
    assert [[row.trial.layout for row in panel.rows] for panel in panels] == [
        [(4, 8, 58), (5, 11, 40), (5, 11, 41)],
        [(20, 40, 60)],
        [(4, 8, 58)],
    ]
    assert "500 to 511 kernels" in question(panels[0])
    assert "9 steps" in question(panels[2])


def test_deep_networks_are_drawn_by_logarithm(tmp_path: Path):
    """Energies that no axis could show are marked as logarithms; a width of 1 has none, and nothing breaks."""
    deep = [(16,) * 40, (20,) * 40, (1, *(18,) * 39)]
    place = make_study(tmp_path / "deep", deep, family=plain(40, in_channels=1, image=8), seeds=(0,))
    data = data_of(render(gather([place])))
    assert data["panels"][0]["energy_is_log"] is True
    logs = data["trials"]["log_energy"]
    assert logs[2] is None and logs[0] > 11


def test_models_without_path_energy(tmp_path: Path):
    """A model outside the families has no path energy and no weights: its size is parameters, within 5 % one panel."""
    page = gather([make_model_study(tmp_path / "models")])
    [judged] = page.judged
    assert "made.up:model with 1,990 to 2,010 parameters" in question(judged.measured)
    assert judged.verdict.outcome is Outcome.OPEN
    assert not [line.label for line in judged.relations.lines if "path" in line.label]
    data = page.data()
    assert data["panels"][0]["has_path_energy"] is False
    assert data["trials"]["log_path_energy"] == [None] * 3
    assert data["trials"]["mean_average_precision"] == [0.4] * 3


def test_several_studies_share_a_page(tmp_path: Path, folder: Path):
    """Every study has its panel and how it was run; two folders of one name are told apart by their paths."""
    other = make_study(tmp_path / "first", LAYOUTS[:6], data_name="other", seeds=(0,))
    page = gather([folder, other, other])
    assert [judged.measured.study for judged in page.judged] == [str(Path(*one.parts[-2:])) for one in (folder, other)]
    text = Elements(render(page)).text
    assert "Of 2 questions: " in text
    assert text.count("Test Processor") == 2
    assert "12 complete, 2 failed, 2 planned" in text
    assert "parlay study run first" in text


def test_trials_kept_as_text_have_a_page(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]):
    """A trials.csv alone gives the same coefficients; a folder of such folders gives a panel each, and no curves."""
    with Reader(folder) as reader:
        text = csv_text(reader.rows())
    for name in ("one", "two"):
        (tmp_path / "kept" / name).mkdir(parents=True)
        (tmp_path / "kept" / name / "trials.csv").write_text(text, encoding="utf-8")
    [study], kept = gather([folder]).judged, gather([tmp_path / "kept", tmp_path / "kept" / "one"])
    assert [judged.measured.study for judged in kept.judged] == ["one", "two"]
    for judged in kept.judged:
        assert judged.relations.relation == study.relations.relation
        assert {one.layout: one.accuracies for one in judged.measured.layouts} == {
            one.layout: one.accuracies for one in study.measured.layouts
        }
        assert not judged.curves
    page = Elements(render(kept)).text
    assert "parlay evaluate" in page and "parlay study run" not in page
    (tmp_path / "kept" / "two" / "trials.csv").write_text("layout\n4-6\n", encoding="utf-8")
    assert run(["report", str(tmp_path / "kept"), "--out", str(tmp_path / "page.html")]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "two/trials.csv" in line and "a trials.csv of parlay's" in line
    (tmp_path / "kept" / "two" / "trials.csv").write_text(text.splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(StudyError, match="holds no trial"):
        gather([tmp_path / "kept"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cells: {**cells, "macs": "1"}, "column macs: got 1; allowed: "),
        (lambda cells: {**cells, "accuracy": ""}, "column accuracy: got nothing; allowed: a number"),
        (lambda cells: {**cells, "error": "x" * 140_000}, "field larger than field limit"),
    ],
)
def test_tables_that_were_changed_are_refused(tmp_path: Path, folder: Path, change: Any, words: str):
    """Costs are counted again, and a complete trial has an accuracy: a cell that says otherwise is one line."""
    with Reader(folder) as reader:
        complete = [row for row in reader.rows() if row.status == "complete"]
    first, *rest = csv.DictReader(io.StringIO(csv_text(complete)))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(first))
    writer.writeheader()
    writer.writerows([change(first), *rest])
    (tmp_path / "trials.csv").write_text(out.getvalue(), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        gather([tmp_path])


def test_a_table_that_was_cut_short_is_refused(tmp_path: Path, folder: Path):
    """Half a line is no failed trial; and the file's own name is no folder."""
    with Reader(folder) as reader:
        text = csv_text(reader.rows())
    path = tmp_path / "trials.csv"
    path.write_text(text[:-200], encoding="utf-8")
    with pytest.raises(InputError, match="too few or too many cells"):
        gather([tmp_path])
    with pytest.raises(InputError, match="the file's own is"):
        gather([path])


def test_a_folder_of_studies_and_tables_is_a_page_of_all(tmp_path: Path, folder: Path):
    """Studies and tables inside a folder are all read; a table tells of incomplete trials as a study does."""
    make_study(tmp_path / "b", LAYOUTS[:6], data_name="other", seeds=(0,))
    with Reader(folder) as reader:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "trials.csv").write_text(csv_text(reader.rows()), encoding="utf-8")
    page = gather([tmp_path])
    assert [(found.study, dict(found.facts)["Trials"]) for found in page.provenance] == [
        ("a", "12 complete, 2 failed, 2 planned"),
        ("b", "6 complete"),
    ]
    study, table = (gather([place]).judged[0].verdict for place in (folder, tmp_path / "a"))
    assert study == table


def test_chosen_layouts_beside_random_ones_do_not_judge(tmp_path: Path):
    """The coefficient is that over the random layouts; how many are left out is said, and nothing where none is."""
    accuracies = dict(zip(LAYOUTS, (0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), strict=True))
    place = make_study(tmp_path / "s", accuracy=lambda row: accuracies[row.trial.layout], seeds=(0,))
    [judged] = gather([place]).judged
    rows = judged.measured.rows
    random = [replace(row, kinds=frozenset({Kind.SAMPLE})) for row in rows]
    mixed = Measured(study="s", rows=(replace(rows[0], kinds=frozenset({Kind.TOP})), *random[1:]))
    found = relations_of(mixed)
    assert (found.relation.energy.n, found.relation.left_out) == (7, 1)
    assert any("1 chosen layout does not judge" in text for text in judge(mixed, found).cautions)
    whole = Measured(study="s", rows=tuple(random))
    assert relations_of(whole).relation.energy.n == 8
    assert not any("judge" in text for text in judge(whole, relations_of(whole)).cautions)


def test_weights_beside_a_study_are_shown(tmp_path: Path):
    """weights.json becomes a section with its numbers; a file of anything else is as if it were not there."""
    place = make_study(tmp_path / "s", seeds=(0,))
    assert 'id="weights"' not in render(gather([place]))
    entry = {"group": "conv1", "layers": 1, "prior": 1.0, "weight": 1.25, "interval": [0.5, 2.0]}
    content = {"schema_version": 1, "kind": "parlay weights", "prior": "energy-layer", "weights": [entry]}
    (place / "weights.json").write_text(json.dumps(content), encoding="utf-8")
    text = render(gather([place]))
    assert 'id="weights"' in text
    assert "1.25" in Elements(text).text and "0.50 to 2.00" in Elements(text).text
    for wrong in ("[", "[]", '{"kind": "x"}', json.dumps({**content, "weights": [{"group": "a"}]})):
        (place / "weights.json").write_text(wrong, encoding="utf-8")
        assert not gather([place]).weights


def test_only_reports_are_overwritten(tmp_path: Path, folder: Path):
    """An earlier report is replaced; another file is kept, byte by byte, unless forced; a folder is no name."""
    path = tmp_path / "report.html"
    path.write_text("<html>mine</html>", encoding="utf-8")
    with pytest.raises(InputError, match="--force replaces it"):
        write_page([folder], path)
    assert path.read_text(encoding="utf-8") == "<html>mine</html>"
    assert write_page([folder], path, force=True).size == path.stat().st_size
    write_page([folder], path, title="again")
    assert "<title>again</title>" in path.read_text(encoding="utf-8")
    with pytest.raises(InputError, match="the name of a file"):
        write_page([folder], tmp_path)
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_studies_that_cannot_be_read(tmp_path: Path):
    """No folder, a folder without a study: one error each that says so, and nothing is written."""
    with pytest.raises(InputError, match="at least one folder"):
        gather([])
    with pytest.raises(InputError, match="allowed: a folder with a study"):
        write_page([tmp_path], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_command_line(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]):
    """The command says every verdict and where the page is; --json gives verdicts and coefficients as one document."""
    out = tmp_path / "page.html"
    assert run(["report", str(folder), "--out", str(out), "--title", "Mine"]) == 0
    printed = capsys.readouterr().out
    assert "first: plain of depth 3, 500 kernels, toy: not enough data." in printed
    assert str(out) in printed
    assert "parlay report first --out page.html --title Mine" in Elements(out.read_text(encoding="utf-8")).text
    assert run(["report", str(folder), "--out", str(out), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert next(iter(content.items())) == ("schema_version", 1)
    assert content["bytes"] == out.stat().st_size and content["trials"] == 16
    [panel] = content["panels"]
    assert panel["verdict"] == "not enough data" and panel["layouts"] == 6
    assert panel["correlations"][0]["between"] == "energy and accuracy"
    assert panel["correlations"][0]["value"] == 1.0
    assert run(["report", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "none; allowed: a folder with a study" in capsys.readouterr().err


def test_no_page_carries_the_folders_of_its_maker(tmp_path: Path) -> None:
    """Studies named by their whole path stand on the page under their own name, in its commands too."""
    folder = make_model_study(tmp_path / "home" / "me" / "net")
    out = tmp_path / "home" / "page.html"
    assert run(["report", str(folder), "--out", str(out)]) == 0
    text = out.read_text("utf-8")
    assert "parlay study run net" in text and "parlay report net --out page.html" in text
    assert str(tmp_path) not in text
