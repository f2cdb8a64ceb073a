"""The loop and its rivals against a table: what each trains and picks, the accounting of runs, table, plot, command."""

import json
from pathlib import Path

import numpy as np
import pytest

from parlay import InputError, get_score
from parlay.cli.main import run
from parlay.evidence.designs import POLICIES, Loop, Pool, space_of
from parlay.evidence.replay import replay
from parlay.evidence.rivals import RIVALS, levels_of
from parlay.evidence.table import Network, Population, population_from

NAMES, LAYERS = ("a", "b", "c"), (1, 1, 1)
QUICK = {"least": 30, "trials": 6, "repetitions": 4}


def population(*, noise: float = 0.0, runs: int = 3, weights: tuple[float, ...] = (3.0, 1.0, 0.2)) -> Population:
    """Two bins of 64 networks each, widths in four steps, accuracies from the weights."""
    rng = np.random.default_rng(0)
    networks = []
    for size in (1000, 2000):
        for k in range(64):
            widths = tuple(int(16 * (1 + k // 4**g % 4)) for g in range(3))
            true = float(np.log(np.log(np.array(widths))) @ np.array(weights))
            accuracy = tuple((true + noise * rng.standard_normal(runs)).tolist())
            networks.append(Network(widths=widths, accuracy=accuracy, params=size, macs=1))
    return population_from(networks, name="made", group_names=NAMES, layers=LAYERS)


def pool() -> Pool:
    """Layouts of equal sum, so that the energy's best is the middle one."""
    widths = np.array([(a, b, 96 - a - b) for a in range(8, 65, 8) for b in range(8, 65, 8) if a + b <= 88])
    return Pool.of(widths, space=space_of(NAMES, LAYERS), score=get_score("energy-layer"))


@pytest.mark.parametrize("policy", POLICIES)
def test_loop_begins_with_the_score_and_never_trains_twice(policy: str) -> None:
    """The first design is the score's best; then all differ, to the last layout of the pool, whatever the batch."""
    one = pool()
    loop = Loop(pool=one, policy=policy, seed=3)
    observed: dict[int, float] = {}
    while following := loop.propose(observed, count=4):
        assert not set(following) & set(observed) and len(set(following)) == len(following)
        observed |= {place: 0.01 * place for place in following}
    assert next(iter(observed)) == int(one.prior.argmax())
    assert sorted(observed) == list(range(len(one)))


@pytest.mark.parametrize("policy", POLICIES)
def test_loop_finds_what_the_score_has_wrong(policy: str) -> None:
    """Accuracies that want the last group wide: after 12 noisy runs the pick is better than the score's by 90 %."""
    one = pool()
    true = one.features @ np.array([0.3, 0.5, 2.5])
    rng = np.random.default_rng(1)
    loop, observed = Loop(pool=one, policy=policy), {}
    for _ in range(12):
        (place,) = loop.propose(observed)
        observed[place] = float(true[place] + 0.02 * rng.standard_normal())
    pick = loop.recommend(observed)
    first = true[one.prior.argmax()]
    assert true[pick.index] - first > 0.9 * (true.max() - first)
    assert pick.low <= pick.gain <= pick.high and pick.low > 0


def test_loop_is_pure() -> None:
    """The same observations give the same proposals, and the order in which they came is all that may matter."""
    loop = Loop(pool=pool(), seed=5)
    observed = {3: 0.1, 9: 0.4, 20: 0.2, 11: 0.35}
    assert loop.propose(observed, count=3) == Loop(pool=pool(), seed=5).propose(observed, count=3)
    assert loop.recommend(observed) == loop.recommend(dict(observed))


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_train_as_many_as_asked_none_twice(name: str) -> None:
    """Every rival trains 20 different layouts of the pool, and all of a small one."""
    levels = levels_of(population().widths[:64])
    accuracy = levels.sum(axis=1).astype(float)
    rng = np.random.default_rng(0)
    assert len(set(RIVALS[name](levels, accuracy, 20, rng))) == 20
    assert sorted(RIVALS[name](levels[:8], accuracy[:8], 20, rng)) == list(range(8))


@pytest.mark.parametrize("name", ["evolution", "tpe"])
def test_learning_rivals_beat_random_search(name: str) -> None:
    """On an easy hill both find better layouts than random search does, on average of 12."""
    levels = levels_of(population().widths[:64])
    accuracy = levels.sum(axis=1) + 0.001 * np.arange(64)

    def best(rival: str) -> float:
        found = [RIVALS[rival](levels, accuracy, 24, np.random.default_rng(k)) for k in range(12)]
        return float(np.mean([accuracy[trained].max() for trained in found]))

    assert best(name) > best("random")


def test_gain_is_above_the_median_on_runs_that_did_not_choose() -> None:
    """Two runs, by hand: run 1 picks one network, run 2 another; each is judged by the other's numbers."""
    rng = np.random.default_rng(0)
    widths = rng.permutation(np.arange(8, 72))[:40]
    accuracy = np.stack([np.arange(40.0), np.arange(40.0)[::-1]], axis=1)
    networks = [
        Network(widths=(int(w), 9), accuracy=tuple(a.tolist()), params=500, macs=1)
        for w, a in zip(widths, accuracy, strict=True)
    ]
    made = population_from(networks, name="made", group_names=("a", "b"), layers=(1, 1))
    found = replay(made, least=30, trials=39, repetitions=2, methods=["top"], prior="energy-layer")
    every = np.argsort(-widths)[:39]
    by_hand = [accuracy[every[accuracy[every, r].argmax()], 1 - r] - 19.5 for r in (0, 1)]
    assert found.curves["top"].mean[-1] == pytest.approx(np.mean(by_hand))
    alone = accuracy[widths.argmax()]
    assert found.curves["energy-layer"].mean[0] == pytest.approx(alone.mean() - 19.5)


def test_without_noise_the_loop_beats_the_score() -> None:
    """Where accuracy follows other weights than the energy's, the loop picks the best of its bin, random does not."""
    found = replay(population(), **QUICK, methods=["thompson", "random"])
    top = population().mean_accuracy
    best = np.mean([top[:64].max() - np.median(top[:64]), top[64:].max() - np.median(top[64:])])
    assert found.curves["thompson"].mean[-1] == pytest.approx(best, abs=1e-9)
    assert found.curves["random"].mean[-1] < best - 0.01
    assert found.curves["random"].repetitions == 4 and found.curves["energy-layer"].repetitions == 3


def test_replay_is_fixed_by_its_seed() -> None:
    """The same seed gives the same document, another seed other gains."""
    first, again, other = (
        replay(population(noise=0.05), **QUICK, methods=["thompson", "random"], seed=seed).document()
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"methods": ["bayes"]}, "thompson, ucb, learn, top, random"),
        ({"trials": 1}, "an integer from 2"),
        ({"repetitions": 0}, "an integer from 1"),
        ({"least": 65}, "none of 65 networks"),
        ({"prior": "energy"}, "did you mean path-energy"),
    ],
)
def test_what_cannot_be_replayed_is_refused(change: dict, words: str) -> None:
    """Unknown methods, empty searches and bins that are not there are named in one line."""
    with pytest.raises(InputError, match=words):
        replay(population(), **(QUICK | {"methods": ["top"]} | change))


def test_one_run_cannot_choose_and_judge() -> None:
    """A table with one run a network is refused."""
    with pytest.raises(InputError, match="one chooses, others judge"):
        replay(population(runs=1), **QUICK)


def test_command_prints_a_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """search --replay prints every method and a verdict, and writes JSON and PNG."""
    made = population(noise=0.05)
    path = tmp_path / "made.csv"
    rows = [
        ",".join(map(str, [*w, *acc, size, 1]))
        for w, acc, size in zip(made.widths.tolist(), made.accuracy.tolist(), made.params.tolist(), strict=True)
    ]
    path.write_text("a,b,c,r1,r2,r3,params,macs\n" + "\n".join(rows) + "\n")
    columns = ["--widths", "a,b,c", "--accuracy", "r1,r2,r3", "--params", "params", "--macs", "macs"]
    size = ["--min-bin", "30", "--n-trials", "4", "--repetitions", "2"]
    out = tmp_path / "out"
    assert run(["search", "--replay", str(path), *columns, *size, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    for name in (
        "energy-layer alone",
        "path-energy alone",
        "the loop",
        "random search",
        "regularised evolution",
        "Optuna's TPE",
        "top n",
    ):
        assert name in shown
    assert "most after 4 trainings" in shown
    assert (out / "replay.png").read_bytes().startswith(b"\x89PNG")
    content = json.loads((out / "replay.json").read_text())
    assert content["schema_version"] == 1 and content["methods"]["tpe"]["trainings"] == [1, 2, 3, 4]
