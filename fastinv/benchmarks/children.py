"""Measures works in child processes with as many processors as a work has threads.

The threads of some peers cannot be set: JAX uses all allowed processors, OpenMP reads its
environment once. Second hardware threads are used only after all first ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import fastinv
from fastinv.benchmarks.measure import Event, Settings
from fastinv.benchmarks.peers.peers import usable_processors
from fastinv.benchmarks.work import Work

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ChildFailed(Exception):
    """A child process that ended before its works were done."""


def run_in_children(works: Sequence[Work], settings: Settings) -> Iterator[Event]:
    """Like :func:`fastinv.benchmarks.measure.run_works`, one child per number of threads.

    Raises
    ------
    ChildFailed
        Its messages are on standard error.
    """
    by_threads = sorted(works, key=settings.threads_of)
    for n_threads, group in groupby(by_threads, key=settings.threads_of):
        yield from _run_child([work.name for work in group], settings, n_threads)


def _run_child(names: list[str], settings: Settings, n_threads: int) -> Iterator[Event]:
    order = {
        "works": names,
        "settings": asdict(settings) | {"n_threads": n_threads},
        "processors": choose_processors(n_threads),
    }
    # -P and the path make the child import the same package as this process, whatever lies in the
    # working folder.
    here = str(Path(fastinv.__file__).parents[1])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    environment = {name: str(n_threads) for name in _THREAD_VARIABLES} | {"PYTHONPATH": path}
    command = [sys.executable, "-P", "-m", "fastinv.benchmarks", json.dumps(order)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            yield json.loads(line)
    if child.returncode != 0:
        raise ChildFailed(f"the measuring process ended with status {child.returncode}")


def choose_processors(n: int) -> list[int]:
    """`n` of the processors that this process may use, all if these are fewer."""
    return sorted(usable_processors(), key=lambda cpu: (_sibling_rank(cpu), cpu))[:n]


def _sibling_rank(cpu: int) -> int:
    """0 for the first hardware thread of a core, 1 for its second; 0 if Linux does not tell."""
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        text = topology.read_text()
    except OSError:
        return 0
    siblings: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        siblings += range(int(first), int(last or first) + 1)
    return siblings.index(cpu)
