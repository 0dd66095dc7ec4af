"""Threads of one call: none is left behind, and nothing that one throws ends the process."""

from pathlib import Path

import native_program

WATCH = str(native_program.ROOT / "csrc" / "base" / "watch.cpp")


def test_parallel(tmp_path):
    native_program.run(Path(__file__).with_name("parallel.cpp"), tmp_path, WATCH)


def test_watch(tmp_path):
    native_program.run(Path(__file__).with_name("watch.cpp"), tmp_path, WATCH)
