"""Python exits while a daemon thread is inside native code: quietly, with status 0."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Each child leaves while its thread calls on; the parent has paid for imports and compilation.
SETUP = """
import builtins, os, threading, time
import numpy as np
import fastinv as fi
from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions import MixtureSpec, NetworkSpec

class Late:
    def __del__(self):  # late in the exit, long enough for the call to end meanwhile
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end:
            pass

def leave_during(call):
    def call_on():
        while True:
            call()
    threading.Thread(target=call_on, daemon=True).start()
    time.sleep(0.1)
    builtins.late = Late()

def watch(name, call, n_children=2):
    children = []
    for _ in range(n_children):
        child = os.fork()
        if child == 0:
            leave_during(call)
            raise SystemExit
        children.append(child)
    for child in children:
        status = os.waitpid(child, 0)[1]
        if status:
            print(name, "ended with", status)

backend = get_backend("cpp")
rng = np.random.default_rng(0)
X = rng.uniform(-1.5, 1.5, size=(100, 2))
"""

SOLVERS = """
@fi.forward(n_inputs=2, n_outputs=2)
def slow(x, y):
    s = 0.0
    for i in range(100):
        s += np.sin(x[0] + i) * 1e-9
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1]) + s
    y[1] = np.sin(x[0]) + np.sin(x[0] + x[1])

solver = fi.NearestSolver(slow, bounds=[(-1.5, 1.5)] * 2, n_anchors=100, random_state=0).fit()
hot = solver.freeze()
assert hot._releases_gil
many = np.tile(X, (30, 1))
path = np.linspace([1.0, 1.0], [1.2, 0.8], 20)
calls = {
    "solve": lambda: solver.solve(X),
    "solve_all": lambda: solver.solve_all(X[:5]),
    "solve_path": lambda: solver.solve_path(path, [0.2, 0.9]),
    "frozen": lambda: hot(X[0]),
    "frozen, many": lambda: hot(X),
    "f": lambda: slow(many),
}
for name, call in calls.items():
    call()
    watch(name, call)
"""

NETWORKS = """
spec = NetworkSpec((2, 128, 128, 2), "tanh")
weights = np.zeros(spec.n_parameters, np.float32)
network = backend.network(spec, weights)
Z = np.ones((20_000, 2), np.float32)
mixture = MixtureSpec(9, 4, "full")
raw, Y = np.zeros((20_000, mixture.n_raw)), np.zeros((20_000, 4))
endless = fi.MLPRegressor(max_iter=10**6, n_iter_no_change=None, random_state=0)
watch("fit", lambda: endless.fit(X, X))
watch("predict", lambda: network.forward(Z))
watch("gradient", lambda: backend.loss_and_gradient(spec, weights, Z, Z))
watch("mixture", lambda: backend.mixture_nll(raw, Y, mixture))
"""

ARRAYS = """
points, queries = rng.normal(size=(100_000, 3)), rng.normal(size=(5000, 3))
tree, deep = fi.KDTree(points), fi.KDTree(rng.normal(size=(50_000, 12)))
few = np.ones((100, 12))
residuals = rng.normal(size=(20_000, 50))
order = np.empty(residuals.shape, int)
watch("KDTree", lambda: fi.KDTree(points))
watch("query", lambda: tree.query(queries, 9))
watch("few queries", lambda: deep.query(few, 90))
watch("rank", lambda: _core.rank(residuals, order))
watch("fma_rate", lambda: _core.fma_rate_float32(0.01, 1, ""))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(
    "calls", [SOLVERS, NETWORKS, ARRAYS], ids=["solvers", "networks", "arrays"]
)
def test_a_daemon_thread_inside_a_call_does_not_abort_the_exit(calls):
    command = [sys.executable, "-W", "ignore", "-c", SETUP + calls]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
