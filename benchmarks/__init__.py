"""Benchmarks: parlay's solver beside general solvers, on the same problems, in one interleaved run.

``python -m benchmarks`` (or ``make bench``) measures what is missing, keeps every measurement in
``measurements.jsonl``, and writes ``RESULTS.md``. It can be stopped and called again.
"""
