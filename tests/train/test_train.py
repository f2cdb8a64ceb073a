"""Recipes and the training loop."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from parlay.data import Dataset, load
from parlay.data.dataset import from_arrays
from parlay.errors import DivergedError, InputError
from parlay.families import plain, resnet
from parlay.train import RECIPES, Recipe, get_recipe
from parlay.train.loop import evaluate, set_threads, train


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Forty images of 8x8 pixels, bright above or bright below."""
    draw = np.random.RandomState(0)
    labels = np.arange(40) % 2
    images = draw.randint(0, 80, (40, 8, 8, 1))
    images[labels == 0, :4] += 120
    images[labels == 1, 4:] += 120
    images = images.astype(np.uint8)
    content = {"x_train": images, "y_train": labels, "x_test": images[::-1].copy(), "y_test": labels[::-1].copy()}
    return from_arrays("halves", content, flips=False)


RECIPE = Recipe(name="test", steps=12, batch=10, lr=0.1, crop=1, flip=False)
FAMILY = plain(2, in_channels=1, image=8, classes=2)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    """One cycle: never 0, never above the peak, highest at the end of the warm-up."""
    rates = [get_recipe("fast").rate(step, 1000) for step in range(1000)]
    assert max(rates) == pytest.approx(0.2, rel=0.01)
    assert rates.index(max(rates)) == pytest.approx(250, abs=2)
    assert 0 < rates[0] < 0.001 and 0 < rates[-1] < 0.001
    assert all(rate > 0 for rate in (RECIPE.rate(0, 1), replace(RECIPE, warmup=0.0).rate(0, 1)))


def test_recipes_are_found_by_name_or_refused():
    """The table's names are the recipes' own; another gets the nearest."""
    assert all(get_recipe(name).name == name for name in RECIPES)
    with pytest.raises(InputError, match="did you mean digits"):
        get_recipe("digit")


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"batch": 1}, {"crop": -1}, {"lr": math.nan}, {"warmup": 1.0}, {"momentum": 1.5}]
)
def test_recipes_are_checked_when_made(change: dict[str, float]):
    """Numbers out of range are refused at once."""
    with pytest.raises(InputError, match="allowed"):
        replace(RECIPE, **change)


def test_one_seed_gives_the_same_bits(data: Dataset):
    """Same seed, same losses, accuracy and weights, to the bit; another seed gives others."""
    runs = []
    for seed in (3, 3, 4):
        model = FAMILY.build((4, 6), seed=seed)
        history = train(model, data, RECIPE, seed=seed)
        runs.append((history.losses, history.loss, [p.detach().clone() for p in model.parameters()]))
    assert runs[0][:2] == runs[1][:2]
    assert all(torch.equal(a, b) for a, b in zip(runs[0][2], runs[1][2], strict=True))
    assert runs[0][0] != runs[2][0]


def test_training_does_not_touch_the_global_generator(data: Dataset):
    """A run neither reads nor moves torch's global generator."""
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    train(FAMILY.build((3, 4), seed=0), data, RECIPE, seed=0, steps=2)
    assert torch.equal(torch.rand(2), expected)


def test_training_learns_and_reports(data: Dataset):
    """The easy task is learned; every step is reported once, with its loss; the test is that of the last step."""
    seen: list[tuple[int, float]] = []
    model = FAMILY.build((4, 8), seed=0)
    history = train(model, data, RECIPE, seed=0, steps=40, progress=lambda step, loss: seen.append((step, loss)))
    assert history.accuracy >= 0.9
    assert [step for step, _ in seen] == list(range(1, 41))
    assert tuple(loss for _, loss in seen) == history.losses
    tested = evaluate(model, data)
    assert (history.accuracy, history.loss) == (tested.accuracy, tested.loss)
    assert (history.steps, history.seed) == (40, 0)
    assert history.seconds > 0
    assert history.train_loss == pytest.approx(sum(history.losses[-4:]) / 4)


def test_resnets_train_too(data: Dataset):
    """The other family runs through the same loop."""
    family = resnet(8, in_channels=1, image=8, classes=2)
    history = train(family.build((3, 5, 4, 6), seed=0), data, RECIPE, seed=0, steps=3)
    assert len(history.losses) == 3


def test_accuracy_is_counted_over_every_test_image():
    """Evaluation in batches equals evaluation at once, also when the last batch is smaller."""
    data = load("digits")
    model = plain(2, in_channels=1, image=8).build((4, 5), seed=1)
    tested = evaluate(model, data)
    means, deviations = data.moments
    with torch.no_grad():
        logits = model((data.test_images - means[:, None, None]) / deviations[:, None, None])
    assert tested.accuracy == pytest.approx((logits.argmax(1) == data.test_labels).double().mean().item(), abs=1e-9)
    assert tested.loss == pytest.approx(nn.functional.cross_entropy(logits, data.test_labels).item(), rel=1e-4)


def test_a_loss_that_is_no_number_is_divergence(data: Dataset):
    """A run that blows up says so, with the step; it returns no history."""
    with pytest.raises(DivergedError, match="diverged"):
        train(FAMILY.build((4, 4), seed=0), data, replace(RECIPE, lr=1e30), seed=0, steps=30)


def test_batch_norm_and_biases_have_no_weight_decay(data: Dataset):
    """Only the weights of convolutions and of the linear layer decay."""
    from parlay.train.loop import _groups

    model = FAMILY.build((4, 4))
    decayed, free = _groups(model, RECIPE)
    assert decayed["weight_decay"] == RECIPE.weight_decay and free["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize(("seed", "steps"), [(-1, 3), (2**63, 3), (0, 0), (0, -5), (True, 3)])
def test_bad_seeds_and_steps_are_refused(seed: int, steps: int, data: Dataset):
    """Out of range is an InputError, before anything is trained."""
    with pytest.raises(InputError, match="allowed: an integer"):
        train(FAMILY.build((3, 3)), data, RECIPE, seed=seed, steps=steps)


def test_threads_are_checked_and_given_back():
    """A bad number is refused; a good one says what it replaced."""
    with pytest.raises(InputError, match="threads"):
        set_threads(0)
    before = torch.get_num_threads()
    assert set_threads(1) == before
    assert set_threads(before) == 1
