"""The registry of scores: one protocol for one layout and for tables, values from definitions, refusals in one line."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from parlay import InputError, plain, resnet, solve
from parlay.cli.main import run
from parlay.energy import SCORES, get_score
from parlay.evidence.population import Population, TrainedLayout, population_from
from parlay.evidence.scores import (
    RECOMMENDED,
    Predictor,
    applicable,
    effectiveness,
    predictors,
    score,
    score_values,
)
from parlay.families import Family
from parlay.graph import trace

ARITHMETIC = [name for name, one in predictors().items() if one.values is not None]
FAMILIES = [plain(4), plain(3, kernel_size=(5, 3, 1), in_channels=1, image=20), resnet(14)]


def trained(family: Family, layouts: list[tuple[int, ...]]) -> Population:
    """A table of layouts with made-up accuracies."""
    networks = [
        TrainedLayout(
            widths=layout,
            accuracy=(0.5,),
            params=family.params(layout),
            macs=family.macs(layout),
            peak_memory=family.peak_activation_bytes()(layout),
        )
        for layout in layouts
    ]
    return population_from(
        networks,
        name="made up",
        group_names=family.group_names,
        structure=family.space,
        convolutions=family.convolution_shapes,
    )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_tables_and_single_layouts_agree(name: str, family: Family) -> None:
    """score_values on a table is score on every row; for objectives it is what the solver maximises."""
    draw = np.random.default_rng(7)
    layouts = [tuple(map(int, draw.integers(2, 90, len(family.group_names)))) for _ in range(40)]
    population = trained(family, list(dict.fromkeys(layouts)))
    values = score_values(name, population)
    singles = [score(name, family, row) for row in population.widths.tolist()]
    assert values.shape == (len(population),)
    assert values == pytest.approx(singles, rel=1e-12)
    if predictors()[name].objective:
        terms = get_score(name).terms(family.space)
        assert singles == pytest.approx([terms(tuple(row)) for row in population.widths.tolist()], rel=1e-12, abs=1e-12)


def test_a_table_needs_no_network_for_scores_of_widths() -> None:
    """Widths and costs do for some scores; what the others need is not guessed, and asked for in one line."""
    known = trained(resnet(14), [(5, 6, 7, 8), (9, 8, 7, 6)])
    assert score_values("sum-log", known)[0] == pytest.approx(
        math.log(5) + 4 * (math.log(6) + math.log(7) + math.log(8))
    )
    population = replace(known, structure=None, convolutions=())
    assert score_values("min-width", population).tolist() == [5, 6]
    assert score_values("energy-group", population).tolist() == score_values("energy-group", known).tolist()
    for name, words in (
        ("energy-layer", "how many layers"),
        ("sum-log", "how many layers"),
        ("path-energy", "which layers read"),
        ("pair-harmonic", "which layers read"),
        ("entropy", "kernel sizes"),
        ("synflow", "no network"),
    ):
        with pytest.raises(InputError, match=words):
            score_values(name, population)
    with pytest.raises(InputError, match="3 width groups and 4 names"):
        replace(known, structure=plain(3).space)


def test_amounts_are_the_familys() -> None:
    """params, macs, peak memory as scores are the exact amounts: more predicts better."""
    family, layout = plain(4), (35, 36, 37, 43)
    values = {name: score(name, family, layout) for name in ("params", "macs", "peak-memory", "min-width")}
    assert values == {"params": 39334, "macs": 4867486, "peak-memory": 38912, "min-width": 35}


def test_entropy_is_deepmads() -> None:
    """By hand: 32 x 32 after 27 inputs, 16 x 16 after 9 c1; the last stage weighs 8, sums begin at the input."""
    first, both = math.log(27), math.log(27) + math.log(9 * 5)
    expected = 1 * math.log(1024 * 5) * first + 8 * math.log(256 * 7) * both
    assert score("entropy", plain(2), (5, 7)) == pytest.approx(expected, rel=1e-13)
    assert effectiveness(plain(2), (5, 7)) == pytest.approx(2 / math.sqrt(27 * 45), rel=1e-13)


def test_entropy_counts_layers_of_one_resolution_as_one_stage() -> None:
    """A ResNet of depth 8 has seven convolutions in three stages: 32 x 32 (three), 16 x 16 (two), 8 x 8 (two)."""
    a, b, c, d = widths = (5, 6, 7, 8)
    logs = [math.log(fan) for fan in (27, 9 * a, 9 * b, 9 * b, 9 * c, 9 * c, 9 * d)]
    expected = math.log(1024 * b) * sum(logs[:3]) + math.log(256 * c) * sum(logs[:5]) + 8 * math.log(64 * d) * sum(logs)
    assert score("entropy", resnet(8), widths) == pytest.approx(expected, rel=1e-13)


def test_what_is_missing_is_named() -> None:
    """A network of linear layers has no convolutions and reads no image; every refusal is one line that says so."""
    network = trace(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2)), torch.zeros(1, 5))
    needs = {
        "entropy": "kernel sizes",
        "grad-norm": "no network to",
        "synflow": "no network to",
        "naswot": "no network to",
    }
    assert set(applicable(network)) == set(predictors()) - set(needs)
    for name, words in needs.items():
        with pytest.raises(InputError, match=f"score {name}: got.*{words}") as caught:
            score(name, network, network.layout)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="did you mean synflow"):
        score("synflo", network, network.layout)
    with pytest.raises(InputError, match="kernel sizes"):
        effectiveness(network, network.layout)
    with pytest.raises(InputError, match="2 widths for 1 groups"):
        score("min-width", network, (3, 4))


def test_registry_recommends_exactly_one() -> None:
    """One recommended score, which the solver can maximise; objectives are the solver's scores; sources are named."""
    known = predictors()
    assert [name for name, one in known.items() if one.recommended] == [RECOMMENDED]
    assert known[RECOMMENDED].objective
    assert [name for name, one in known.items() if one.objective] == list(SCORES)
    assert all(isinstance(one, Predictor) and one.source and one.summary and one.needs for one in known.values())


def test_scores_command(capsys: pytest.CaptureFixture[str]) -> None:
    """parlay scores --json: name, needs, source and exactly one recommended; in words it says the same."""
    assert run(["scores", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["scores"]
    assert {"name", "needs", "source", "summary", "objective", "recommended"} <= set(facts[0])
    assert [fact["name"] for fact in facts if fact["recommended"]] == [RECOMMENDED]
    wanted = "energy-layer energy-group sum-log params macs peak-memory min-width entropy grad-norm synflow naswot"
    assert set(wanted.split()) <= {fact["name"] for fact in facts}
    assert run(["scores"]) == 0
    assert capsys.readouterr().out.count("recommended") == 1


def test_sum_log_is_solved_exactly() -> None:
    """The best layouts under sum-log are those of brute force, at exactly one size and in any order."""
    family = plain(3)
    sizes = {
        layout: 3 * layout[0] + layout[0] * layout[1] + layout[1] * layout[2]
        for layout in itertools.product(range(1, 41), repeat=3)
    }
    exact = sorted((math.prod(x), x) for x, size in sizes.items() if size == 240)
    result = solve(family, kernels=240, score="sum-log", order="free", max_width=40, top_k=3)
    assert [math.exp(solution.score_value) for solution in result.solutions] == pytest.approx(
        [product for product, _ in exact[::-1][:3]], rel=1e-9
    )
    assert result.best.layout in [layout for product, layout in exact if product == exact[-1][0]]


def test_score_command(capsys: pytest.CaptureFixture[str]) -> None:
    """parlay score --json: a value and seconds for every score that can be computed, and what the batch was."""
    assert run(["score", "4-6-8", "--data", "digits", "--batch-size", "8", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["scores"]) == set(predictors())
    assert all(set(fact) == {"value", "seconds"} for fact in facts["scores"].values())
    assert facts["batch"] == {"source": "digits", "size": 8}
    assert facts["params"] == facts["scores"]["params"]["value"] == plain(3, in_channels=1, image=8).params((4, 6, 8))
    assert facts["effectiveness"] > 0
    assert run(["score", "4-6-8", "--score", "min-width", "--score", "naswot"]) == 0
    shown = capsys.readouterr().out
    assert "min-width" in shown
    assert "64 images of noise" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["4-6-8", "--score", "naswott"], "did you mean naswot"),
        (["today"], "it needs --model"),
        (["4-6", "--model", "torchvision/resnet18"], "Missing option '--input'"),
        (["4-6-8", "--data", "digits", "--image", "32"], "leave the option out"),
        (["4-6-8", "--family", "resnet"], "3 widths for 4 groups"),
        (["4-6-8", "--data", "digits", "--score", "naswot", "--batch-size", "9000"], "batch size"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line that names the remedy."""
    assert run(["score", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
