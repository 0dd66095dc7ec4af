"""The native chain takes its memory once for a call, and enough of it."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import chains
import malloc_counter
import numpy as np
import pytest
from chains import random_setup, targets_near

from fastinv.backends import get_backend

COUNTED = """
import ctypes, json, sys
sys.path[:0] = [{helpers!r}]
import numpy as np
from chains import random_setup, targets_near
from fastinv.backends import get_backend
counter = ctypes.CDLL({library!r})
counter.malloc_count.restype = ctypes.c_long
SETUPS = {{
    "formula": random_setup(),
    "network": random_setup(learned=True),
    "passes": random_setup(n_passes=3, branch_distance=0.3),
    "polish": random_setup(polish=True),
}}
counts = {{}}
for name, setup in SETUPS.items():
    kernel = setup.pipeline(get_backend("cpp")).native()
    for n in (1, 1, 1000):
        goal = setup.goal(targets_near(setup, n))
        out = (np.empty((n, 5, 2)), np.empty((n, 5)), np.empty((n, 5), np.int64),
               np.empty((n, 5), np.int8))
        before = counter.malloc_count()
        kernel.solve_into(goal, 5, *out, 1)
        counts.setdefault(name, []).append(counter.malloc_count() - before)
print(json.dumps(counts))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts calls of malloc with LD_PRELOAD")
def test_a_target_allocates_nothing(tmp_path):
    library = malloc_counter.build(tmp_path)
    helpers = str(Path(chains.__file__).parent)
    script = COUNTED.format(helpers=helpers, library=str(library))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={"LD_PRELOAD": str(library), "PYTHONMALLOC": "pymalloc"},
        capture_output=True,
        text=True,
        check=True,
    )
    counts = json.loads(done.stdout)
    assert list(counts) == ["formula", "network", "passes", "polish"]
    for name, (warm_up, single, thousand) in counts.items():
        assert warm_up >= 0
        # The one is pybind11's list of arguments, which are more than it keeps room for.
        assert single <= 1, name
        # One piece of scratch for all targets, where it does not fit on the stack.
        assert thousand <= single + 1, name


def test_scratch_is_large_enough_for_the_polish():
    """Of a network with many outputs, whose derivative takes the most room."""
    setup = random_setup(
        0, 7, 33, n_anchors=400, polish=True, max_evaluations=30, branch_distance=0.3, pool_factor=4
    )
    targets = targets_near(setup, 33)
    found = setup.solve(get_backend("cpp"), targets, n_candidates=33, k=5)
    finite = np.isfinite(targets).all(axis=1)
    assert np.isfinite(found.residual[finite]).all()
