"""What a Python session and a notebook show: answers in words and tables, every public name."""

from __future__ import annotations

import subprocess
import sys

import pytest

import parlay
from parlay import plain, solve


def test_print_shows_layouts_and_what_is_known() -> None:
    """print(result) is the layouts, best first, then the summary; not the fields of a dataclass."""
    result = solve(plain(depth=4), kernels=4288, top_k=2)
    lines = str(result).splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["35-36-37-43", "33-35-37-47"]
    assert "\n".join(lines[2:]) == result.summary()
    none = solve(plain(depth=4).problem(kernels=4288, multiple_of=8))
    assert str(none) == none.summary()


def test_notebooks_show_a_table() -> None:
    """A row a layout; what could be markup is escaped."""
    page = solve(plain(depth=4), kernels=4288, top_k=2)._repr_html_()
    assert page.count("<tr>") == 3 and "<td>35-36-37-43</td><td>173.0358</td>" in page
    page = solve(plain(depth=3).problem(kernels=400, max_macs=390_000))._repr_html_()
    assert "<=" not in page


def test_a_retrofit_shows_today_and_the_best() -> None:
    """Every width and amount, today and in the best layout, in print and in a notebook."""
    torch = pytest.importorskip("torch")
    from parlay.retrofit import Limits, retrofit

    graph = parlay.trace(plain(depth=3, image=8).build((4, 8, 16)), torch.zeros(1, 3, 8, 8))
    found = retrofit(graph, Limits(params="same"))
    lines = str(found).splitlines()
    [params] = [line for line in lines if line.startswith("params: ")]
    assert params == f"params: {graph.params(graph.layout):,} -> {graph.params(graph.layout):,}"
    assert len(graph.layout) == 3 and str(found).endswith(found.summary())
    page = found._repr_html_()
    assert all(f"<td>{old}</td><td>{new}</td>" in page for old, new in zip(graph.layout, found.layout, strict=True))


def test_dir_lists_every_public_name_before_it_is_imported() -> None:
    """dir(parlay) has what is imported later, and listing it imports nothing."""
    code = (
        "import sys, parlay; assert {*parlay.__all__} <= {*dir(parlay)}; assert not {'torch', 'numpy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(getattr(parlay, name) is not None for name in parlay.__all__)
