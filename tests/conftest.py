"""Tests run against the installed package, not against the folder that they are started from."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def away_from_the_sources():
    """A ``python -c`` that a test starts looks for modules in the working folder first, and the
    fastinv in the root of the repository is not compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """A shell's background jobs ignore it, and the tests that send it would wait for ever."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
