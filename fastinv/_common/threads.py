"""The number of threads, from the caller, the environment and threadpoolctl's limits."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import joblib
import threadpoolctl

from fastinv._common.extension import NAME as EXTENSION
from fastinv._common.validation import check_integer

# With less work per call than this, waking other threads costs more than it saves.
MIN_FLOPS_FOR_THREADS = 4e6
MAX_THREADS = 1024


class _BlasLimit:
    """The limit shared by all callers of :func:`one_blas_thread`: a BLAS has one per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = 0
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._n_users == 0:
                self._limit = threadpoolctl.threadpool_limits(1, user_api="blas")
            self._n_users += 1

    def leave(self) -> None:
        with self._lock:
            self._n_users -= 1
            if self._n_users == 0:
                self._limit.restore_original_limits()


_BLAS_LIMIT = _BlasLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread: its sums differ in their last bits with the number of threads.

    Several threads may use it at once: the last one to leave restores the original limit.
    """
    _BLAS_LIMIT.enter()
    try:
        yield
    finally:
        _BLAS_LIMIT.leave()


def resolve_n_threads(n_threads: int | None = None) -> int:
    """The number of threads to use, at least 1.

    Parameters
    ----------
    n_threads : int or None, default=None
        None takes the processors that this process may use (by affinity and cgroups, read
        once per process), at most ``FASTINV_NUM_THREADS`` if that is set, else at most
        ``OMP_NUM_THREADS`` if that is set.

    Returns
    -------
    int
        `n_threads` or its default, at most the limit set through threadpoolctl, if any.

    Raises
    ------
    TypeError
        If `n_threads` is not an integer.
    ValueError
        If `n_threads` or the environment variable is not positive.
    """
    if n_threads is None:
        n_threads = min(_n_processors(), _environment_limit() or _n_processors())
    else:
        n_threads = check_integer(n_threads, "n_threads")
        if n_threads > MAX_THREADS:
            raise ValueError(f"n_threads must be at most {MAX_THREADS}, got {n_threads}")
    limit = _limit_of_threadpoolctl()
    return min(n_threads, limit) if limit else n_threads


def threads_that_pay(n_threads: int | None, flops: float) -> int:
    """Like :func:`resolve_n_threads`, but None is 1 for less than ``MIN_FLOPS_FOR_THREADS``.

    Results have the same bits for every number of threads, so only time depends on it.

    Parameters
    ----------
    n_threads : int or None
    flops : float
        Floating-point operations between two points where threads wait for each other.
    """
    if n_threads is None and flops < MIN_FLOPS_FOR_THREADS:
        return 1
    return resolve_n_threads(n_threads)


@cache
def _n_processors() -> int:
    return int(joblib.cpu_count())


def _limit_of_threadpoolctl() -> int:
    """The limit, or 0 without one or without the extension that holds it."""
    extension = sys.modules.get(EXTENSION)
    return 0 if extension is None else int(extension.get_num_threads())


def _environment_limit() -> int | None:
    """The value of the first of the two variables that is set and not empty."""
    for name in ("FASTINV_NUM_THREADS", "OMP_NUM_THREADS"):
        value = _environment_variable(name).strip()
        if value:
            # OpenMP allows a list, one number per nesting level; ours is the outermost.
            number = value.split(",")[0].strip()
            if not number.isdecimal() or int(number) < 1:
                raise ValueError(
                    f"environment variable {name} must be a positive integer, got {value!r}"
                )
            return int(number)
    return None


def _environment_variable(name: str) -> str:
    """The value, or "" if it is not set. ``os.environ`` takes eight times as long."""
    extension = sys.modules.get("fastinv._core")
    return os.environ.get(name, "") if extension is None else str(extension.environment(name))
