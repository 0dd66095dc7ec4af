"""Scratch memory: pieces as large as they were counted, apart from each other, without malloc."""

from pathlib import Path

import native_program
import pytest


@pytest.mark.parametrize("flags", [[], ["-DFASTINV_POISON"]])
def test_workspace(tmp_path, flags):
    native_program.run(Path(__file__).with_name("workspace.cpp"), tmp_path, *flags)
