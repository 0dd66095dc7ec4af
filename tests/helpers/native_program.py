"""Small C++ programs that test what csrc offers to C++ alone."""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=c++17", "-O1", "-g", "-pthread"]


def run(source: Path, folder: Path, *flags: str) -> None:
    """Compile `source` in `folder`, also with $CXXFLAGS, and run it: it aborts where it fails."""
    if os.name == "nt":
        pytest.skip("takes a compiler with the options of GCC")
    compiler = shlex.split(os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++")
    program = folder / source.stem
    flags = (*FLAGS, *flags, *shlex.split(os.environ.get("CXXFLAGS", "")))
    command = [*compiler, *flags, f"-I{ROOT / 'csrc'}", str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
