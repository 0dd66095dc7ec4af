"""Tests run against the installed package, not against the folder that they are started from."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def installed_package_in_subprocesses():
    """``python -c`` would otherwise put the working folder, with its uncompiled fastinv, first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONSAFEPATH", "1")
        yield
