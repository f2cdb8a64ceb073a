"""One thread for every test process, and modules of a test's own that go with it."""

import os
import sys
from collections.abc import Iterator

import pytest

# the tests run two at a time, and threads that wait for each other are slow
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test imports from a folder of its own is gone for the next, whose files may have the same names."""
    path, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    mine = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(mine):
            del sys.modules[name]
