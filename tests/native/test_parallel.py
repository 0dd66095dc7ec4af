"""Threads of one call: none is left behind, and nothing that one throws ends the process."""

from pathlib import Path

import native_program


def test_parallel(tmp_path):
    native_program.run(Path(__file__).with_name("parallel.cpp"), tmp_path)
