"""The loop and its rivals against a table: what each trains and picks, the accounting of runs, what is printed."""

import numpy as np
import pytest
from benchmarks.pool import Pool, thompson
from benchmarks.replay import lines, replay
from benchmarks.rivals import RIVALS, levels_of

from parlay import InputError, get_score
from parlay.evidence.population import Population, TrainedLayout, population_from
from parlay.families import plain

NAMES = ("a", "b", "c")
SPACE = plain(depth=3).space
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
            networks.append(TrainedLayout(widths=widths, accuracy=accuracy, params=size, macs=1))
    return population_from(networks, name="made", group_names=NAMES, structure=SPACE)


def pool() -> Pool:
    """Layouts of equal sum, so that the energy's best is the middle one."""
    widths = np.array([(a, b, 96 - a - b) for a in range(8, 65, 8) for b in range(8, 65, 8) if a + b <= 88])
    return Pool.of(widths, space=SPACE, score=get_score("energy-layer"))


def test_loop_begins_with_the_score_and_never_trains_twice() -> None:
    """The first layout is the score's best; then all differ, to the last of the pool."""
    one = pool()
    seen = np.zeros((1, 0), dtype=np.int64)
    for _ in range(len(one)):
        following = thompson(one, one.learn(seen, 0.01 * seen), seen, np.random.default_rng(3))
        seen = np.concatenate([seen, following[:, None]], axis=1)
    assert seen[0, 0] == int(one.prior.argmax())
    assert sorted(seen[0].tolist()) == list(range(len(one)))


def test_loop_finds_what_the_score_has_wrong() -> None:
    """Accuracies that want the last group wide: after 12 noisy runs the pick is better than the score's by 90 %."""
    one = pool()
    true = one.features @ np.array([0.3, 0.5, 2.5])
    rng = np.random.default_rng(1)
    noise = 0.02 * rng.standard_normal(len(one))
    seen = np.zeros((1, 0), dtype=np.int64)
    for _ in range(12):
        following = thompson(one, one.learn(seen, (true + noise)[seen]), seen, rng)
        seen = np.concatenate([seen, following[:, None]], axis=1)
    pick = one.expected(one.learn(seen, (true + noise)[seen]))[0].argmax()
    first = true[one.prior.argmax()]
    assert true[pick] - first > 0.9 * (true.max() - first)


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
        TrainedLayout(widths=(int(w), 9), accuracy=tuple(a.tolist()), params=500, macs=1)
        for w, a in zip(widths, accuracy, strict=True)
    ]
    made = population_from(networks, name="made", group_names=("a", "b"), structure=plain(depth=2).space)
    found = replay(made, least=30, trials=39, repetitions=2, methods=("top",), prior="energy-layer")
    every = np.argsort(-widths)[:39]
    by_hand = [accuracy[every[accuracy[every, r].argmax()], 1 - r] - 19.5 for r in (0, 1)]
    assert found["top"].mean[-1] == pytest.approx(np.mean(by_hand))
    alone = accuracy[widths.argmax()]
    assert found["energy-layer"].mean[0] == pytest.approx(alone.mean() - 19.5)


def test_without_noise_the_loop_beats_the_score() -> None:
    """Where accuracy follows other weights than the energy's, the loop picks the best of its bin, random does not."""
    found = replay(population(), **QUICK, methods=("thompson", "random"))
    top = population().mean_accuracy
    best = np.mean([top[:64].max() - np.median(top[:64]), top[64:].max() - np.median(top[64:])])
    assert found["thompson"].mean[-1] == pytest.approx(best, abs=1e-9)
    assert found["random"].mean[-1] < best - 0.01
    assert found["random"].repetitions == 4 and found["energy-layer"].repetitions == 3


def test_replay_is_fixed_by_its_seed() -> None:
    """The same seed gives the same table, another seed other gains."""
    first, again, other = (
        lines(replay(population(noise=0.05), **QUICK, methods=("thompson", "random"), seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_what_cannot_be_replayed_is_refused() -> None:
    """Bins that are not there, and a table with one run a network, which cannot both choose and judge."""
    with pytest.raises(InputError, match="none of 65 networks"):
        replay(population(), **(QUICK | {"least": 65}))
    with pytest.raises(InputError, match="one chooses, others judge"):
        replay(population(runs=1), **QUICK)


def test_the_table_has_every_method_best_first() -> None:
    """A row a method with its gain, that beside the energy without training, and how often it ran."""
    found = replay(population(noise=0.05), **(QUICK | {"trials": 4, "repetitions": 2}))
    head, _, *rows = lines(found)
    assert head == "| method | gain | beside energy-layer without training | runs a bin |"
    assert {row.split(" | ")[0].strip("| ") for row in rows} == {
        "energy-layer alone",
        "step-energy alone",
        "the loop (Thompson picks over the calibrated score)",
        "the score's top n trained, best run taken",
        "random search",
        "regularised evolution",
        "Optuna's TPE",
    }
    gains = [float(row.split(" | ")[1].split()[0]) for row in rows]
    assert gains == sorted(gains, reverse=True)
    assert [row.split(" | ")[2] for row in rows if row.startswith("| energy-layer")] == [""]
