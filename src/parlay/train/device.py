"""Where and in which arithmetic to train: named by the user, or found out here."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import lru_cache

from parlay.errors import InputError, unknown
from parlay.extras import Needs

with Needs("training", extra="train"):
    import torch

__all__ = ["PRECISIONS", "available_cores", "keep_freed_memory", "precisions_of", "resolve_device", "set_threads"]

PRECISIONS = ("fp32", "bf16")

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def resolve_device(name: str = "auto") -> str:
    """The device that a name means: ``auto`` is cuda where there is one, else mps, else cpu.

    Raises:
        InputError: for an unknown device, or one that this machine has not.

    >>> resolve_device("cpu")
    'cpu'
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, is_there in found.items() if is_there)
    kind, _, number = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind not in found or (number and not (number.isdigit() and kind == "cuda")):
        allowed = ["auto", "cpu", "cuda", "cuda:N", "mps"]
        raise unknown("device", name, allowed, "a microcontroller is the --board of fit and prune")
    if not found[kind] or (number and int(number) >= count):
        there = ", ".join(device for device, is_there in found.items() if is_there)
        raise InputError("device", given=repr(name), allowed=f"what this machine has: {there}")
    return name


def precisions_of(name: str = "auto", device: str = "cpu") -> tuple[str, ...]:
    """The precisions that a name leaves open on a device, ``fp32`` first: one, or for ``auto`` perhaps both.

    ``bf16`` is autocast to bfloat16, weights and updates staying in fp32. ``auto`` is bf16 on a GPU that computes in
    it; on a CPU that has instructions for it a network has to be timed (``parlay.train.timing``); else it is fp32.

    Raises:
        InputError: for an unknown one, or bf16 on mps, whose autocast is float16.

    >>> precisions_of("fp32")
    ('fp32',)
    """
    if name not in ("auto", *PRECISIONS):
        raise unknown("precision", name, ["auto", *PRECISIONS])
    kind = device.partition(":")[0]
    if name == "bf16" and kind == "mps":
        raise InputError("precision", given="bf16 on mps", allowed="fp32")
    if name != "auto":
        return (name,)
    if kind == "cuda":
        return ("bf16",) if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp32",)
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return PRECISIONS if kind == "cpu" and (has.get("amx_bf16") or has.get("avx512_bf16")) else ("fp32",)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(threads: int) -> int:
    """Let torch use this many CPU threads in this process; returns how many it used before.

    Raises:
        InputError: unless it is an integer from 1 to 1,024.
    """
    if type(threads) is not int or not 1 <= threads <= 1024:
        raise InputError("threads", given=repr(threads), allowed="an integer from 1 to 1024")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    return before


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors instead of giving it back to the system at every step.

    glibc maps and unmaps each block of more than 32 MB anew; the page faults took 30 % of a step of (135, 136, 137,
    211) at batch 128. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
        mallopt(parameter, value)
