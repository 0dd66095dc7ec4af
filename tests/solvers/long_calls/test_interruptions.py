"""Ctrl-C ends every long call soon, and the next call is right."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from ctrl_c import interrupted, usleep

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.functions import MixtureSpec, NetworkSpec

pytestmark = pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")

CPP = get_backend("cpp")


@fi.forward(n_inputs=2, n_outputs=2)
def slow_arm(x, y):
    usleep(100)
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + np.sin(x[0] + x[1])


@fi.forward(n_inputs=2, n_outputs=1)
def slow_radius(x, y):
    usleep(100)
    y[0] = x[0] ** 2 + x[1] ** 2


@fi.forward(n_inputs=1, n_outputs=1)
def very_slow(x, y):
    usleep(50_000)
    y[0] = np.sin(30 * x[0]) + x[0]


def fitted(f, n_anchors=30, **setting):
    p = f.n_inputs
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (n_anchors, p))
    return fi.NearestSolver(f, n_candidates=3, random_state=0, **setting).fit(anchors=x)


TARGETS = np.random.default_rng(1).uniform(-1, 1, (100_000, 2))
LINE = np.linspace([1.0, 1.0], [-1.0, 0.5], 100_000)


@pytest.fixture(scope="module")
def arms():
    """By their number of threads."""
    return {n_threads: fitted(slow_arm, n_threads=n_threads) for n_threads in (1, 2)}


@pytest.fixture(scope="module")
def circle():
    return fitted(slow_radius, n_threads=1)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("method", ["solve", "solve_all"])
def test_solving_ends(arms, method, n_threads):
    solve = getattr(arms[n_threads], method)
    before = solve(TARGETS[:1])
    interrupted(lambda: solve(TARGETS))
    after = solve(TARGETS[:1])
    np.testing.assert_array_equal(after.x, before.x)
    np.testing.assert_array_equal(after.residual, before.residual)


def test_the_first_call_may_be_interrupted(arms):
    """While it still takes the derivatives at the anchors."""
    solver = fitted(slow_arm, n_anchors=1000, n_threads=1)
    interrupted(lambda: solver.solve_all(TARGETS[:1]), after=0.1)
    found = solver.solve_all(TARGETS[:1])
    assert (found.residual[0, : found.count[0]] < 1e-9).all()


def test_a_path_ends(arms):
    interrupted(lambda: arms[1].solve_path(LINE, [0.2, 0.9]))
    assert arms[1].solve_path(LINE[:3], [0.2, 0.9]).n_jumps <= 1


def test_samples_end(circle):
    interrupted(lambda: circle.sample_solutions([1.0], 10_000, random_state=0))
    samples = circle.sample_solutions([1.0], 3, n_steps=2, random_state=0)
    np.testing.assert_allclose((samples**2).sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_evaluations_end(n_threads):
    slow_arm(TARGETS[:1])
    interrupted(lambda: slow_arm(TARGETS, n_threads=n_threads))


def test_each_evaluation_may_be_the_last():
    hot = fitted(very_slow, n_anchors=5, refine=False).freeze()
    out = hot.empty()
    state = hot(np.array([0.5]), out=out).x.copy()
    interrupted(lambda: [hot(np.array([0.5]), out=out) for _ in range(100)])
    assert (out.status == fi.Status.INVALID).all()
    assert np.isnan(out.x).all()
    np.testing.assert_array_equal(hot(np.array([0.5]), out=out).x, state)


def many_components():
    """Weights, means and factors of a mixture whose modes take long, for one native call."""
    rng = np.random.default_rng(0)
    n, k, d = 20_000, 30, 3
    lower = np.ascontiguousarray(np.broadcast_to(0.5 * np.eye(d), (n, k, d, d)))
    return np.full((n, k), 1 / k), rng.normal(size=(n, k, d)), lower


def test_kernels_end():
    rng = np.random.default_rng(0)
    spec = NetworkSpec((3, 64, 64, 2), "tanh")
    weights = rng.normal(size=spec.n_parameters).astype(np.float32)
    network, trainer = CPP.network(spec, weights), CPP.trainer(spec, weights)
    X, Y = np.zeros((100_000, 3), np.float32), np.zeros((100_000, 2), np.float32)
    order = np.zeros(30_000_000, np.int64)
    points = rng.normal(size=(200_000, 3))
    tree = fi.KDTree(points)
    mixture = MixtureSpec(9, 4, "full")
    raw, y = np.zeros((30_000, mixture.n_raw)), np.zeros((30_000, 4))
    epoch = {"batch_size": 32, "learning_rate": 1e-3}

    def again(call):
        while True:
            call()

    interrupted(lambda: again(lambda: network.forward(X, n_threads=2)))
    interrupted(lambda: again(lambda: tree.query(points, 9)))
    interrupted(lambda: again(lambda: fi.KDTree(points)))
    interrupted(lambda: again(lambda: CPP.mixture_nll(raw, y, mixture)))
    interrupted(lambda: CPP.mixture_modes(*many_components(), n_threads=2), after=0.4)
    interrupted(lambda: again(lambda: CPP.loss_and_gradient(spec, weights, X, Y)))
    interrupted(lambda: trainer.train_epoch(X, Y, order, n_threads=2, **epoch))
    steps = int(trainer.state()["step"])
    trainer.train_epoch(X, Y, order[:33], **epoch)
    assert int(trainer.state()["step"]) == steps + 2
    np.testing.assert_array_equal(tree.query(points[:5])[1], np.arange(5)[:, None])


def test_a_call_of_another_thread_runs_on(arms):
    """Only the main thread hears Ctrl-C; native calls of others are not disturbed."""
    targets = TARGETS[:30]
    found = []
    thread = threading.Thread(target=lambda: found.append(arms[1].solve(targets)))
    thread.start()
    interrupted(lambda: arms[2].solve(TARGETS))
    thread.join()
    np.testing.assert_array_equal(found[0].x, arms[1].solve(targets).x)
