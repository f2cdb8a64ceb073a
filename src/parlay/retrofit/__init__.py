"""Re-spend a network's budget: better widths under everything a device limits, with a certificate, ready to train."""

from parlay.amounts import parse_bytes, parse_limit, parse_range
from parlay.retrofit.files import Written, load, write_files
from parlay.retrofit.latency import Latency, compare_latency
from parlay.retrofit.limits import Limits
from parlay.retrofit.solve_retrofit import Retrofit, retrofit, retrofit_or_conflict, retrofit_problem

__all__ = [
    "Latency",
    "Limits",
    "Retrofit",
    "Written",
    "compare_latency",
    "load",
    "parse_bytes",
    "parse_limit",
    "parse_range",
    "retrofit",
    "retrofit_or_conflict",
    "retrofit_problem",
    "write_files",
]
