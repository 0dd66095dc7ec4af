"""Peak memory of a call beyond its results."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"  # proc(5), clear_refs


def workspace(run: Callable[[], object]) -> int | None:
    """Peak growth of resident memory during `run`, in bytes, without its results.

    Memory that the C library keeps for later is released first, so that it counts again.
    Linux counts pages per thread and adds them up with delay: small figures are accurate to some
    hundred KiB.

    Returns
    -------
    int or None
        None if the system or its C library does not tell: this needs Linux with glibc.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    gc.collect()
    trim(0)
    try:
        (_PROCESS / "clear_refs").write_text(_RESET_PEAK)
        before = _status("VmRSS")
        result = run()
        peak = _status("VmHWM")
    except OSError:
        return None
    return max(peak - before - _n_bytes(result), 0)


def _status(name: str) -> int:
    lines = (_PROCESS / "status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(line.split()[1])


def _n_bytes(result: object) -> int:
    if isinstance(result, np.ndarray):
        return result.nbytes
    if isinstance(result, tuple):
        return sum(_n_bytes(part) for part in result)
    return 0
