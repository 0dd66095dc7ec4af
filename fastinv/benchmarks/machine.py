"""Describes the machine and measures its highest speed."""

from __future__ import annotations

import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import fastinv
from fastinv import _core
from fastinv.benchmarks.peers.peers import usable_processors, versions

_FMA_SECONDS = 0.02
_N_FMA = 5
_COPY_BYTES = 2**27  # larger than all caches
_N_COPIES = 5


def describe_machine() -> dict[str, Any]:
    """The machine and the versions of its software, in types of JSON."""
    return {
        "processor": _processor(),
        "processors": len(usable_processors()),
        "platform": platform.platform(),
        "instruction_set": _core.default_isa(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {
            "fastinv": fastinv.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            **versions(),
        },
    }


class Ceilings:
    """The highest rates measured in this process, by number of threads."""

    def __init__(self) -> None:
        self._highest: dict[int, dict[str, float]] = {}

    def measure(self, n_threads: int) -> dict[str, float]:
        """Measure five times more, for about 0.2 s.

        Returns
        -------
        dict
            ``fma_flops``: float32 operations a second of fused multiply-adds in registers, in the
            instruction set in use, by all threads together. ``copy_bytes``: bytes read and written
            a second when copying 128 MiB.
        """
        isa = _core.default_isa()
        rates = [_core.fma_rate_float32(_FMA_SECONDS, n_threads, isa) for _ in range(_N_FMA)]
        before = self._highest.get(n_threads, {"fma_flops": 0.0, "copy_bytes": 0.0})
        self._highest[n_threads] = {
            "fma_flops": max(before["fma_flops"], *rates),
            "copy_bytes": max(before["copy_bytes"], _copy_rate(n_threads)),
        }
        return dict(self._highest[n_threads])


def _copy_rate(n_threads: int) -> float:
    source = np.ones(_COPY_BYTES // 8)
    target = np.empty_like(source)
    parts = list(
        zip(np.array_split(target, n_threads), np.array_split(source, n_threads), strict=True)
    )
    best = np.inf
    with ThreadPoolExecutor(n_threads) as executor:
        for _ in range(_N_COPIES + 1):  # the first touches the pages of `target`
            start = time.perf_counter()
            list(executor.map(lambda part: np.copyto(*part), parts))
            best = min(best, time.perf_counter() - start)
    return float(2 * _COPY_BYTES / best)


def _processor() -> str:
    """The system's name of the processor."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
