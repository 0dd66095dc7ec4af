"""A solution depends on its target alone: not on the other targets, not on what was in memory."""

import numpy as np
import pytest

import fastinv as fi

SEED = 61
# Layers with few outputs, which are computed in another way than wide ones.
NARROW = [(64, 64, 4), (4,), (7, 3, 5)]


def arm(X):
    return np.column_stack([np.cos(X[:, 0]) + np.cos(X.sum(1)), np.sin(X[:, 0]) + np.sin(X.sum(1))])


def data(n=400):
    X = np.random.default_rng(SEED).uniform(-1.5, 1.5, size=(n, 2))
    return X, arm(X)


def corrected_by_a_narrow_network(hidden):
    solver = fi.TwinSolver(
        fi.problems.two_link_arm.forward,
        bounds=fi.problems.two_link_arm.bounds,
        network=fi.TwinNetwork(hidden_layer_sizes=hidden, max_iter=1),
        pairs=fi.SolvedPairs(n_pairs=2000, pairs_per_epoch=2000),
        n_passes=1,
        refine=False,
        random_state=0,
    )
    return solver.fit()


def polished_on_a_narrow_network(hidden):
    """f is learned, so that the network's derivative is needed, too."""
    learned = fi.MLPRegressor(
        hidden_layer_sizes=hidden, activation="tanh", max_iter=5, n_iter_no_change=None
    )
    return fi.NearestSolver(learned, refine=True, random_state=0).fit(*data())


SOLVERS = [corrected_by_a_narrow_network, polished_on_a_narrow_network]


def leave_behind(value):
    """Memory of many sizes, full of `value`, that was freed."""
    for size in (300, 3_000, 30_000, 300_000):
        arrays = [np.full(size, value) for _ in range(3)]
        del arrays


def assert_same(found, expected, rows=slice(None)):
    for name in ("x", "residual", "anchor", "status"):
        np.testing.assert_array_equal(getattr(found, name)[rows], getattr(expected, name)[rows])


@pytest.mark.parametrize("hidden", NARROW)
@pytest.mark.parametrize("make_solver", SOLVERS)
def test_a_target_that_is_nan_leaves_the_others_alone(make_solver, hidden):
    solver = make_solver(hidden)
    Y = data(n=90)[1]
    expected = solver.solve(Y, k=3)
    broken = np.zeros(len(Y), dtype=bool)
    broken[[0, 5, 40, 41, 80]] = True
    Y[broken] = np.nan
    assert_same(solver.solve(Y, k=3), expected, ~broken)


@pytest.mark.parametrize("hidden", NARROW)
@pytest.mark.parametrize("make_solver", SOLVERS)
def test_memory_that_was_not_written_is_not_read(make_solver, hidden):
    solver = make_solver(hidden)
    Y = data(n=90)[1]
    leave_behind(0.0)
    expected = solver.solve(Y, k=3)
    every = solver.solve_all(Y[:5])
    for _ in range(5):
        leave_behind(np.nan)
        assert_same(solver.solve(Y, k=3), expected)
        leave_behind(np.nan)
        assert_same(solver.solve_all(Y[:5]), every)
