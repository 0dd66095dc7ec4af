"""What must not happen: aborts, numbers from two fits, answers that change behind one's back."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastinv as fi
from fastinv import _core
from fastinv.backends import get_backend
from fastinv.functions.networks import NetworkSpec

SEED = 20_241
BOUNDS = [(-1.0, 1.0), (-1.0, 1.0)]
SPEC = NetworkSpec((2, 5, 1), "silu")


def square(X):
    return X[:, :1] ** 2


def run(script, *arguments):
    """Run `script` in another interpreter; its output, where it does not abort."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    helpers = str(Path(__file__).parents[1] / "helpers")
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": helpers},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("n_threads", ["1", "2"])
def test_too_little_memory_in_a_thread_is_an_error_not_an_abort(n_threads):
    out = run(
        """
        import resource, sys
        import numpy as np
        from chains import Setup
        from fastinv.backends import TwinModel, get_backend
        from fastinv.functions import Goal, NetworkSpec
        n_anchors, width, one = 3000, 2**18, np.ones(1)
        anchors = np.linspace(-1.0, 1.0, n_anchors)[:, None]
        parameters = np.zeros(5 * width + 1, np.float32)
        twin = TwinModel(NetworkSpec((3, width, 1), "relu"), parameters, *[one] * 6, reach=1.0)
        pipeline = Setup(anchors, anchors, None, twin).pipeline(get_backend("cpp"))
        goal = Goal(np.zeros((4, 1)), 0.1)
        proposed = pipeline.propose(goal, n_anchors)
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
        try:
            pipeline.correct(goal, proposed, n_threads=int(sys.argv[1]))
        except MemoryError:
            print("MemoryError")
        """,
        n_threads,
    )
    assert out == "MemoryError\n"


@pytest.mark.parametrize("n_threads", ["1", "2"])
def test_leaving_python_while_a_daemon_thread_trains_is_no_abort(n_threads):
    run(
        """
        import builtins, sys, threading, time
        import numpy as np
        from fastinv.backends import get_backend
        from fastinv.functions.networks import NetworkSpec

        class Slow:
            def __del__(self):  # late in the exit, long enough for the training to look up
                end = time.perf_counter() + 0.2
                while time.perf_counter() < end:
                    pass

        spec = NetworkSpec((8, 64, 4), "silu")
        trainer = get_backend("cpp").trainer(spec, np.zeros(spec.n_parameters, np.float32))
        X, Y = np.ones((100, 8), np.float32), np.ones((100, 4), np.float32)
        order = np.zeros(20_000_000, np.int64)
        options = dict(batch_size=100, learning_rate=1e-3, n_threads=int(sys.argv[1]))
        train = lambda: trainer.train_epoch(X, Y, order, **options)
        threading.Thread(target=train, daemon=True).start()
        time.sleep(0.1)
        builtins.slow = Slow()
        """,
        n_threads,
    )


class FailsInCall:
    """Another f, which fails when it is called for the n-th time."""

    def __init__(self, n):
        self.calls_left = n

    def __call__(self, X):
        self.calls_left -= 1
        if self.calls_left == 0:
            raise RuntimeError("sensor offline")
        return 100.0 + X[:, :1]


def test_a_fit_that_fails_leaves_no_mixture_of_two():
    solver = fi.NearestSolver(square, bounds=BOUNDS, n_anchors=50, random_state=0).fit()
    before = solver.solve([0.25])
    for n in range(1, 20):
        solver.forward = FailsInCall(n)
        try:
            solver.fit()
        except RuntimeError:
            try:
                after = solver.solve([0.25])
            except NotFittedError:
                continue
            assert np.array_equal(after.x, before.x)
            np.testing.assert_allclose(solver.predict(after.best), square(after.best))
        else:
            break
    assert 2 < n < 19  # it failed, more than once, and succeeded in the end


def test_a_solver_does_not_share_memory_with_its_data():
    rng = np.random.default_rng(SEED)
    X = rng.uniform(-1.0, 1.0, size=(40, 2))
    solver = fi.NearestSolver(square).fit(X)
    before = solver.solve([0.25]).x
    X[:] = 7.0
    restored = pickle.loads(pickle.dumps(solver))
    assert np.array_equal(restored.solve([0.25]).x, before)


@pytest.mark.parametrize("offset", [0.0, 1e-6, 0.1])
def test_near_is_not_drowned_by_the_rounding_of_a_constant_column(offset):
    rng = np.random.default_rng(SEED)
    X = np.column_stack([rng.uniform(-1.0, 1.0, 1000), np.full(1000, 0.1)])
    assert X[:, 1].std() > 0.0  # rounding of the mean
    solver = fi.NearestSolver(square, n_candidates=30, residual_tol=0.1).fit(X)
    found = solver.solve([0.25], k=10, near=[0.5, 0.1 + offset])
    assert (found.status == fi.Status.CONVERGED).all()
    assert (np.diff(np.abs(found.x[0, :, 0] - 0.5)) >= 0.0).all()


def test_the_extension_refuses_arrays_that_are_not_aligned():
    parameters = np.frombuffer(bytearray(4 * SPEC.n_parameters + 1), np.float32, offset=1)
    with pytest.raises(TypeError, match="parameters must be aligned"):
        _core.NetworkFloat32([2, 5, 1], "silu", parameters, "")


def test_a_number_of_steps_that_cannot_be_counted_on_is_refused():
    parameters = np.zeros(SPEC.n_parameters, np.float32)
    trainer = get_backend("cpp").trainer(SPEC, parameters)
    state = trainer.state()
    state["step"] = np.array(2**63 - 1)
    with pytest.raises(ValueError, match="step"):
        trainer.load_state(state)
    assert int(trainer.state()["step"]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [7, 100, 1000])
def test_a_tree_of_numbers_that_are_not_finite_still_finds_each_point_once(dtype, n):
    kind = _core.KDTreeFloat32 if dtype is np.float32 else _core.KDTreeFloat64
    rng = np.random.default_rng(SEED)
    points = rng.normal(size=(n, 3)).astype(dtype)
    for bad in (np.nan, np.inf, -np.inf):
        points[rng.uniform(size=n) < 0.2, rng.integers(3)] = bad
    queries = rng.normal(size=(5, 3)).astype(dtype)
    queries[0], queries[1, 1], queries[2] = np.nan, np.inf, np.finfo(dtype).max
    tree = kind(points, 1, "")
    distances, indices = np.empty((5, n), dtype), np.full((5, n), -1)
    tree.query(queries, n, distances, indices, 2)
    assert (np.sort(indices, axis=1) == np.arange(n)).all()
    assert (distances[:, :-1] <= distances[:, 1:]).all()
