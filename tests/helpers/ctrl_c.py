"""Calls that take long, and Ctrl-C in the middle of them."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

SOON = 5.0  # seconds; a busy machine may take long, but such a call would take a minute

if os.name != "nt":
    usleep = ctypes.CDLL(None).usleep  # for compiled functions, too
    usleep.argtypes, usleep.restype = [ctypes.c_uint], ctypes.c_int
else:

    def usleep(microseconds: int) -> None:
        """Does nothing: where it matters, tests are skipped."""


def interrupted(call: Callable[[], object], after: float = 0.2) -> None:
    """Send Ctrl-C `after` that many seconds of `call`, which must raise it soon."""
    sent = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
        assert time.perf_counter() - sent[0] < SOON
    finally:
        timer.join()
