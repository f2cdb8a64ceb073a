"""One thread for every test process: the tests run two at a time, and threads that wait for each other are slow."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
