"""Fitted weights: the posterior against closed forms, shrinkage, held-out pairs, warnings, the command and its file."""

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from parlay import InputError, get_score, plain, solve
from parlay.cli.main import run
from parlay.documents import document
from parlay.evidence.calibrate import calibrate, calibrate_population
from parlay.evidence.fitting import Sample, fit, log_log, prior_values
from parlay.evidence.heldout import hold_out
from parlay.evidence.population import Population, TrainedLayout, population_from
from parlay.evidence.posterior import SCALES, SHARES, TAU, TAUS
from parlay.layout import Connection, WidthGroup, WidthSpace

NAMES, LAYERS = ("a", "b", "c", "d"), (3, 1, 1, 2)


def space_of(names: Sequence[str], layers: Sequence[int]) -> WidthSpace:
    """Groups of so many layers, about whose connections nothing is known."""
    groups = zip(names, layers, strict=True)
    return WidthSpace(groups=tuple(WidthGroup(name=name, multiplicity=count) for name, count in groups))


HALF = Fraction(1, 2)
SPACE = replace(
    space_of(NAMES, LAYERS),
    connections=(
        Connection(target=0, fixed_inputs=3),
        *(Connection(source=a, target=b, share=HALF) for a, b in ((0, 1), (1, 0), (0, 2), (2, 0))),
        Connection(source=0, target=3),
        Connection(source=3, target=3, share=HALF),
    ),
)
"""Two residual blocks on a stream of width a, then one of width d."""
TRUE = np.array([3.4, 0.6, 1.8, 1.6])


def sample(count: int, *, noise: float = 0.1, seed: int = 0, weights: np.ndarray = TRUE) -> Sample:
    """Networks of one size label whose accuracies follow the weights."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(8, 129, size=(count, 4))
    accuracy = 70 + 2 * log_log(widths) @ weights + noise * rng.standard_normal(count)
    return Sample(widths=widths, accuracy=accuracy, sizes=np.zeros(count, dtype=int))


def population(count: int, *, seed: int = 0, runs: int = 3) -> Population:
    """The same as a table with three runs, all of 1,000 parameters."""
    one = sample(count, noise=0.0, seed=seed)
    rng = np.random.default_rng(seed + 1)
    networks = [
        TrainedLayout(
            widths=tuple(w.tolist()), accuracy=tuple(a + 0.1 * rng.standard_normal(runs)), params=1000, macs=5
        )
        for w, a in zip(one.widths, one.accuracy, strict=True)
    ]
    return population_from(networks, name="made", group_names=NAMES, structure=SPACE)


def table(path: Path, count: int = 40) -> list[str]:
    """The population as a file, and the arguments that read it."""
    made = population(count)
    lines = ["a,b,c,d,r1,r2,r3,params,macs"]
    lines += [
        ",".join(map(str, [*w, *(round(float(x), 4) for x in acc), 1000, 5]))
        for w, acc in zip(made.widths.tolist(), made.accuracy, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    columns = ["--widths", "a,b,c,d", "--accuracy", "r1,r2,r3"]
    return [str(path), *columns, "--params", "params", "--macs", "macs"]


def test_posterior_is_that_of_the_normal_model() -> None:
    """Mean of the weights against a plain computation: an n x n covariance at every grid point, no eigenvectors."""
    data = sample(9, noise=0.5)
    values = prior_values(get_score("energy-layer"), SPACE, data.widths)
    found = fit(data, values, SPACE)
    n = len(data)
    centre = np.eye(n) - 1 / n
    features, p, y = centre @ log_log(data.widths), centre @ values, centre @ data.accuracy
    spread, total = np.sqrt((p**2).mean()), np.sqrt((y**2).sum() / (n - 1))
    basis = np.linalg.svd(centre)[0][:, : n - 1]  # what the free mean leaves
    logs, scales, extras = [], [], []
    for share in SHARES:
        for factor in SCALES:
            for tau in TAUS:
                s, noise = total * factor * np.sqrt(share) / spread, (total * factor) ** 2 * (1 - share)
                kernel = (s * tau) ** 2 * np.diag(LAYERS)
                covariance = basis.T @ (features @ kernel @ features.T) @ basis + noise * np.eye(n - 1)
                rest = basis.T @ (y - s * p)
                solved = np.linalg.solve(covariance, rest)
                logs.append(-0.5 * (rest @ solved + np.linalg.slogdet(covariance)[1]) - 0.5 * (tau / TAU) ** 2)
                scales.append(s)
                extras.append(kernel @ features.T @ basis @ solved)
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    assert found.scale[0] == pytest.approx(weights @ np.array(scales), rel=1e-9)
    assert found.extra[0] == pytest.approx(weights @ np.array(extras), rel=1e-7, abs=1e-10)


def test_draws_have_the_posterior_mean() -> None:
    """Scale and added weights of many draws average to what is computed in closed form."""
    data = sample(12)
    found = fit(data, prior_values(get_score("energy-layer"), SPACE, data.widths), SPACE)
    draws = found.draw(np.random.default_rng(0), 40_000)
    assert draws.scale.mean() == pytest.approx(found.scale[0], rel=0.01)
    assert draws.extra[0].mean(axis=0) == pytest.approx(found.extra[0], abs=0.02)


def test_many_networks_give_the_true_weights() -> None:
    """With 400 networks the ratios of the weights are the true ones, inside their intervals, and sure of it."""
    found = calibrate(sample(400), space=SPACE, prior="energy-layer")
    fitted = np.array([w.weight for w in found.weights])
    assert fitted / fitted.sum() == pytest.approx(TRUE / TRUE.sum(), abs=0.02)
    assert found.noise == pytest.approx(0.1, rel=0.2)
    assert sum(w.is_new for w in found.weights) >= 2
    assert found.held_out is not None and found.held_out.low > 0 and not found.warnings


def test_few_networks_stay_near_the_energy() -> None:
    """Noise alone moves no weight past its interval, and the user is told to keep the energy."""
    rng = np.random.default_rng(5)
    widths = rng.integers(8, 129, size=(8, 4))
    data = Sample(widths=widths, accuracy=rng.standard_normal(8), sizes=np.zeros(8, dtype=int))
    found = calibrate(data, space=SPACE, prior="energy-layer")
    assert all(w.low <= w.prior <= w.high for w in found.weights)
    assert any("keep it" in warning for warning in found.warnings)


def test_intervals_cover_the_true_weights() -> None:
    """Data drawn from the model: 95 % intervals hold the true weight in 90 to 99 % of 4 x 100 cases."""
    rng, held, cases = np.random.default_rng(7), 0, 0
    for seed in range(100):
        tau = abs(rng.normal(0, TAU))
        true = np.array(LAYERS) + tau * np.sqrt(LAYERS) * rng.standard_normal(4)
        data = sample(20, noise=0.6, seed=seed, weights=true)
        values = prior_values(get_score("energy-layer"), SPACE, data.widths)
        draws = fit(data, values, SPACE).draw(np.random.default_rng(seed), 2000)
        added = draws.extra[0] / draws.scale[0][:, None] + np.array(LAYERS)
        low, high = np.quantile(added, (0.025, 0.975), axis=0)
        held += int(((low <= true) & (true <= high)).sum())
        cases += 4
    assert 0.90 <= held / cases <= 0.99


def test_other_sizes_have_means_of_their_own() -> None:
    """Adding a constant to all networks of one size changes nothing."""
    first, second = sample(15, seed=1), sample(15, seed=2)
    both = Sample(
        widths=np.concatenate([first.widths, second.widths]),
        accuracy=np.concatenate([first.accuracy, second.accuracy]),
        sizes=np.repeat([0, 1], 15),
    )
    moved = Sample(widths=both.widths, accuracy=both.accuracy + 50 * both.sizes, sizes=both.sizes)
    one, other = (calibrate(data, space=SPACE, prior="energy-layer").weights for data in (both, moved))
    assert [w.weight for w in one] == pytest.approx([w.weight for w in other], abs=1e-6)


def test_held_out_pairs_of_noise_are_at_chance() -> None:
    """Where accuracy is noise, pairs left out together agree as often as not: no bias through the mean."""
    rng, found = np.random.default_rng(3), []
    for _ in range(20):
        widths = rng.integers(8, 129, size=(12, 4))
        data = Sample(widths=widths, accuracy=rng.standard_normal(12), sizes=np.zeros(12, dtype=int))
        values = prior_values(get_score("energy-layer"), SPACE, data.widths)
        held = hold_out(data, values, SPACE, np.random.default_rng(0))
        assert held is not None and held.pairs == 66
        found.append(held.calibrated)
    assert abs(np.mean(found)) < 0.15


def test_data_that_say_nothing_are_named() -> None:
    """Equal accuracies and a group of one width are warned of; the weights are the energy's."""
    data = sample(12)
    data.widths[:, 1] = 32
    flat = Sample(widths=data.widths, accuracy=np.full(12, 90.0), sizes=data.sizes)
    found = calibrate(flat, space=SPACE, prior="energy-layer")
    assert [w.weight for w in found.weights] == pytest.approx(LAYERS, abs=1e-6)
    assert "all accuracies are equal" in found.warnings[0]
    assert any(warning.startswith("b had one width only") for warning in found.warnings)


def test_solve_finds_the_optimum_of_fitted_weights(tmp_path: Path) -> None:
    """From networks to a file to the proven best layout: the one that trying all layouts finds."""
    family = plain(depth=3)
    rng = np.random.default_rng(0)
    widths = rng.integers(6, 40, size=(30, 3))
    accuracy = log_log(widths) @ np.array([0.4, 2.0, 1.0]) + 0.01 * rng.standard_normal(30)
    data = Sample(widths=widths, accuracy=accuracy, sizes=np.zeros(30, dtype=int))
    found = calibrate(data, space=space_of(("conv1", "conv2", "conv3"), (1, 1, 1)), prior="energy-layer")
    path = tmp_path / "weights.json"
    path.write_text(document(found.to_json()))
    result = solve(family.problem(kernels=500, order="free", score=f"calibrated:{path}", max_width=40))
    fitted = [round(w.weight, 6) for w in found.weights]
    grid = np.array(np.meshgrid(*[np.arange(2, 41)] * 3, indexing="ij")).reshape(3, -1).T
    spent = 3 * grid[:, 0] + grid[:, 0] * grid[:, 1] + grid[:, 1] * grid[:, 2]
    fits = grid[spent == 500]
    best = fits[np.argmax(np.log(np.log(fits)) @ np.array(fitted))]
    assert result.best.layout == tuple(best.tolist())


def test_networks_of_one_bin_are_judged_by_its_rest() -> None:
    """With a number to draw, that many are trained once, and the others judge; nothing else changes the outcome."""
    found = calibrate_population(population(60), count=12, seed=4)
    assert found.networks == 12 and found.rest is not None and found.rest.networks == 48
    assert found.rest.calibrated > 0.9
    assert calibrate_population(population(60), count=12, seed=4) == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 3}, "an integer from 4 to 39"),
        ({"count": 40}, "an integer from 4 to 39"),
        ({"count": 8, "size": 77}, "nearest 1000"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict, words: str) -> None:
    """Numbers outside the bin and sizes outside the table are named in one line."""
    with pytest.raises(InputError, match=words):
        calibrate_population(population(40), **change)


def test_scores_blind_to_the_networks_are_refused() -> None:
    """One that says nothing of them, and one that needs a structure that nobody named."""
    with pytest.raises(InputError, match="one that differs between the networks"):
        calibrate(sample(9), space=space_of(NAMES, LAYERS), prior="pair-harmonic")
    with pytest.raises(InputError, match="how many layers every width sets"):
        calibrate_population(replace(population(40), structure=None), prior="energy-layer")


def test_widths_of_one_are_left_out_and_said() -> None:
    """A network of energy 0 is not fitted to, and the user is told."""
    made = population(20)
    made.widths[3, 1] = 1
    found = calibrate_population(made)
    assert found.networks == 19
    assert found.warnings[-1].startswith("1 with a width of 1")


def test_too_few_networks_are_refused() -> None:
    """Three networks calibrate nothing, nor do networks that all differ in size."""
    with pytest.raises(InputError, match="at least 4"):
        calibrate(sample(3), space=SPACE, prior="energy-layer")
    one = sample(6)
    with pytest.raises(InputError, match="one network each"):
        calibrate(
            Sample(widths=one.widths, accuracy=one.accuracy, sizes=np.arange(6)), space=SPACE, prior="energy-layer"
        )


def test_command_writes_weights_that_solve_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """calibrate prints weights, held-out quality and warnings; --json is the file that --score reads."""
    columns = table(tmp_path / "made.csv")
    assert run(["calibrate", *columns]) == 2
    assert "name the model of a table with --model" in capsys.readouterr().err
    arguments = [*columns, "--prior", "energy-group"]
    out = tmp_path / "weights.json"
    assert run(["calibrate", *arguments, "--n", "12", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "pairs held out" in shown and "the 28 other networks" in shown and "calibrated:" in shown
    assert run(["calibrate", *arguments, "--n", "12", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())
    assert run(["solve", "--depth", "4", "--kernels", "4288", "--score", f"calibrated:{out}"]) == 0
    capsys.readouterr()
    code = run(["solve", "--family", "resnet", "--depth", "14", "--kernels", "51248", "--score", f"calibrated:{out}"])
    error = capsys.readouterr().err
    assert code == 2 and "calibrate on trials of this network" in error and error.count("\n") == 1
