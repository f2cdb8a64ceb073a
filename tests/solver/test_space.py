"""The whole space: counts, uniform samples and streamed lists against enumeration and an independent recursion."""

import json
import math
import random
import sys
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from scipy.stats import chi2

from oracle import all_layouts, random_problem
from parlay import InputError, Sampler, count_layouts, list_layouts, plain, resnet, sample_layouts, stream_layouts
from parlay.cli.main import run

COUNTS = [
    (3, 4_288, "increasing", 29),
    (3, 4_288, "nondecreasing", 35),
    (3, 66_304, "increasing", 125),
    (3, 66_304, "nondecreasing", 141),
    (4, 4_288, "increasing", 558),
    (4, 4_288, "nondecreasing", 766),
    (4, 66_304, "increasing", 12_119),
    (4, 66_304, "nondecreasing", 13_104),
]


@pytest.mark.parametrize(("depth", "size", "order", "count"), COUNTS)
def test_counts_of_the_paper(depth: int, size: int, order: str, count: int) -> None:
    """The published counts of the plain spaces, width 1 included."""
    assert count_layouts(plain(depth=depth).problem(kernels=size, order=order)) == count


def test_counts_of_the_resnets() -> None:
    """Twelve strictly, thirteen weakly increasing ResNets of 51,248 kernels."""
    assert count_layouts(resnet().problem(kernels=51_248)) == 12
    assert count_layouts(resnet().problem(kernels=51_248, order="nondecreasing")) == 13


@pytest.mark.parametrize("block", range(6))
def test_counts_streams_and_numbers_equal_enumeration(block: int) -> None:
    """Random small spaces: the count, the stream in order of widths, and the layouts that the sampler numbers."""
    for seed in range(300 + 30 * block, 330 + 30 * block):
        problem = random_problem(seed)
        expected = sorted(all_layouts(problem))
        assert count_layouts(problem) == len(expected), seed
        assert list(stream_layouts(problem)) == expected, seed
        if expected and len(expected) <= 2_000:
            sampler = Sampler(problem)
            assert sampler.total == len(expected)
            assert sorted(sampler.layout(number) for number in range(sampler.total)) == expected, seed


def count_modulo(size: int, layers: int, strict: int, prime: int) -> int:
    """Another recursion, from the last layer to the first over all budgets, modulo a prime; only lists and sums."""
    widths = range(1, int(size**0.5) + 2)
    after = {w: {0: 1} for w in range(1, size + 1)}
    for layer in range(layers - 2, -1, -1):
        now = {}
        for w in widths if layer < layers - 1 else []:
            ways: Counter[int] = Counter()
            for v in after:
                if v >= w + strict and w * v <= size:
                    for rest, count in after[v].items():
                        if rest + w * v <= size:
                            ways[rest + w * v] = (ways[rest + w * v] + count) % prime
            now[w] = dict(ways)
        after = now
    return sum(ways.get(size - 3 * w, 0) for w, ways in after.items()) % prime


@pytest.mark.parametrize("strict", [0, 1])
def test_large_counts_agree_modulo_primes(strict: int) -> None:
    """Twelve layers, a count of many digits, against the other recursion modulo three primes."""
    order = "increasing" if strict else "nondecreasing"
    count = count_layouts(plain(depth=12).problem(kernels=900, order=order))
    assert count > 0
    for prime in (2**31 - 1, 1_000_000_007, 998_244_353):
        assert count % prime == count_modulo(900, 12, strict, prime)


@pytest.mark.parametrize("block", range(3))
def test_counting_routes_agree(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dividing a width at a time and passing successors through count the same, by enumeration too; ranges included."""
    counting = sys.modules[count_layouts.__module__]
    for seed in range(700 + 30 * block, 730 + 30 * block):
        problem = random_problem(seed)
        expected = sum(1 for _ in all_layouts(problem))
        for factor in (0, 10**9):  # never, and always
            monkeypatch.setattr(counting, "SPARSE_FACTOR", factor)
            assert count_layouts(problem) == expected, (seed, factor)


def test_a_count_that_needs_no_table() -> None:
    """Three free layers of 66,304 kernels: 3 a + a b + b c, counted by another loop."""
    size = 66_304
    expected = 0
    for a in range(1, size // 4 + 1):
        left = size - 3 * a
        expected += sum(1 for b in range(1, left // (a + 1) + 1) if (left - a * b) % b == 0)
    assert count_layouts(plain(depth=3).problem(kernels=size, order="free"), memory=1 << 20) == expected


def count_modulo_by_rows(size: int, layers: int, strict: int, modulus: int) -> int:
    """The same recursion for deep chains, whole rows of budgets at a time; after the budgets, no line of parlay's."""
    after: dict[int, np.ndarray] = {}
    for w in range(1, int(size**0.5) + 1):  # the last width is the rest divided by the one before it
        row = np.zeros(size + 1, dtype=np.int64)
        row[w * (w + strict) :: w] = 1
        after[w] = row
    for behind in range(2, layers):  # a layer with so many behind it, each at least as wide
        now = {}
        for w in range(1, int((size / behind) ** 0.5) + 1):
            row = np.zeros(size + 1, dtype=np.int64)
            for v in range(w + strict, max(after) + 1):
                row[w * v :] += after[v][: size + 1 - w * v]
            now[w] = row % modulus
        after = now
    return sum(int(row[size - 3 * w]) for w, row in after.items() if 3 * w <= size) % modulus


@pytest.mark.slow
@pytest.mark.parametrize(("order", "count"), [
    ("increasing", 5_609_136_404_529_678_961),
    ("nondecreasing", 2_172_133_474_329_661_847_247_783),
])  # fmt: skip
def test_counts_beyond_64_bits(order: str, count: int) -> None:
    """31 layers of 51,248 kernels agree with the other recursion modulo two numbers whose product exceeds the count."""
    assert count_layouts(plain(depth=31).problem(kernels=51_248, order=order)) == count
    moduli = (2**50 - 27, 2**50 - 35)
    assert math.lcm(*moduli) > count
    for modulus in moduli:
        assert count % modulus == count_modulo_by_rows(51_248, 31, int(order == "increasing"), modulus)


def test_samples_are_uniform() -> None:
    """100,000 draws on 29 layouts: chi-square below its 99.9 % point."""
    problem = plain(depth=3).problem(kernels=4_288)
    drawn = Counter(sample_layouts(problem, 100_000, seed=7, replace=True))
    assert len(drawn) == 29
    expected = 100_000 / 29
    assert sum((n - expected) ** 2 / expected for n in drawn.values()) < chi2.ppf(0.999, 28)


def test_samples_without_replacement_are_uniform_over_seeds() -> None:
    """Each layout is in a sample of 5 of 29 equally often, over 4,000 seeds."""
    sampler = Sampler(plain(depth=3).problem(kernels=4_288))
    drawn = Counter(layout for seed in range(4_000) for layout in sampler.draw(5, seed=seed))
    expected = 4_000 * 5 / 29
    variance_ratio = 1 - 5 / 29  # of draws without replacement
    statistic = sum((drawn[sampler.layout(i)] - expected) ** 2 / expected for i in range(29)) / variance_ratio
    assert statistic < chi2.ppf(0.999, 28)


def test_samples_are_distinct_valid_and_repeatable() -> None:
    """No layout twice, every one of the size, the same for the same seed and another for another."""
    problem = plain(depth=4).problem(kernels=66_304)
    drawn = sample_layouts(problem, 32, seed=0)
    assert len(set(drawn)) == 32
    assert all(problem.violations(layout) == [] for layout in drawn)
    assert drawn == sample_layouts(problem, 32, seed=0)
    assert drawn != sample_layouts(problem, 32, seed=1)
    everything = sample_layouts(plain(depth=3).problem(kernels=4_288), 29)
    assert len(set(everything)) == 29


def test_sampling_depths_where_listing_is_hopeless() -> None:
    """Sixteen layers with more layouts than could ever be listed."""
    problem = plain(depth=16).problem(kernels=4_000, order="nondecreasing")
    sampler = Sampler(problem)
    assert sampler.total > 10**9
    for layout in sampler.draw(10, seed=3):
        assert problem.violations(layout) == []
    with pytest.raises(InputError, match="at most 10 layouts"):
        list_layouts(plain(depth=4).problem(kernels=4_288), limit=10)


def test_streaming_begins_at_once() -> None:
    """The first layouts of a space of 10^18 come without making the rest."""
    problem = plain(depth=31).problem(kernels=51_248)
    first = list(islice(stream_layouts(problem), 100))
    assert first == sorted(set(first))
    assert all(problem.violations(layout) == [] for layout in first)


def test_memory_is_refused_before_it_is_taken() -> None:
    """The line says how much would be needed and what to do."""
    problem = plain(depth=5).problem(kernels=66_304, order="free")
    with pytest.raises(InputError, match=r"GiB needed; allowed: .* --memory"):
        count_layouts(problem, memory=64 << 20)


@pytest.mark.parametrize(("n", "options", "match"), [
    (0, {}, "n-samples"),
    (30, {}, "at most 29"),
    (3, {"seed": -1}, "seed"),
])  # fmt: skip
def test_bad_samples_are_refused(n: int, options: dict[str, int], match: str) -> None:
    """With the number of layouts where that is the reason."""
    with pytest.raises(InputError, match=match):
        sample_layouts(plain(depth=3).problem(kernels=4_288), n, **options)


def ask(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str, str]:
    code = run(line.split())
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_count_command(capsys: pytest.CaptureFixture[str]) -> None:
    """An exact integer in JSON; 0 is an answer."""
    code, out, _ = ask(capsys, "count --depth 4 --kernels 66304 --json")
    assert (code, json.loads(out)["count"]) == (0, 12_119)
    assert ask(capsys, "count --depth 4 --kernels 5")[1].startswith("0 layouts")


def test_list_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Streams in order of widths, stops at the limit, and says a word about the rest."""
    code, out, err = ask(capsys, "list --depth 3 --kernels 4288 --limit 4")
    assert code == 0
    assert out.splitlines()[0] == "1-5-856"
    assert len(out.splitlines()) == 4
    assert "there are more" in err
    code, out, err = ask(capsys, "list --depth 3 --kernels 4288 --limit 99999999999999999999")
    assert len(out.splitlines()) == 29
    assert "these 29 are all" in err
    facts = json.loads(ask(capsys, "list --depth 3 --kernels 4288 --limit 4 --json")[1])
    assert (facts["schema_version"], facts["listed"], facts["complete"]) == (1, 4, False)
    assert facts["layouts"][0]["layout"] == [1, 5, 856]
    code, out, err = ask(capsys, "list --depth 3 --kernels 5")
    assert (code, out) == (1, "")
    assert json.loads(ask(capsys, "list --depth 3 --kernels 5 --json")[1])["layouts"] == []


def test_sample_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys, repeatability, and the size of the space beside."""
    facts = json.loads(ask(capsys, "sample --depth 4 --kernels 4288 --n-samples 32 --seed 0 --json")[1])
    assert (facts["count"], facts["seed"], len(facts["layouts"])) == (558, 0, 32)
    assert all(layout["kernels"] == 4_288 for layout in facts["layouts"])
    lines = ask(capsys, "sample --depth 4 --kernels 4288 --n-samples 32 --seed 0")[1].split()
    assert lines == ["-".join(map(str, layout["layout"])) for layout in facts["layouts"]]


@pytest.mark.parametrize("line", [
    "list --depth 3 --kernels 4288 --limit 0",
    "sample --depth 3 --kernels 4288 --n-samples 0",
    "sample --depth 3 --kernels 4288 --n-samples 30",
    "sample --depth 3 --kernels 4288 --seed -1",
    "sample --depth 3 --kernels 5",
    "count --depth 5 --kernels 66304 --order free",
    "count --depth 4 --kernels 4288 --memory 0",
    "count --depth 3",
    "list --depth 3 --kernels 999999999999 --order free",
])  # fmt: skip
def test_mistakes_get_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, nothing on stdout, one line on stderr."""
    code, out, err = ask(capsys, line)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_random_spaces_are_not_all_trivial() -> None:
    """The enumeration tests above compare spaces of many sizes, not only empty ones."""
    sizes = [
        len(list(islice(all_layouts(random_problem(seed)), 50))) for seed in random.Random(0).sample(range(500), 40)
    ]
    assert sum(size >= 20 for size in sizes) >= 6
