"""A row of `near` that is not finite is ignored: its target is solved without, and this is said."""

from __future__ import annotations

import numpy as np
import pytest

import fastinv as fi

ARM = fi.problems.two_link_arm
FIELDS = ("x", "residual", "anchor", "status")
IGNORED = "near was not finite and was ignored"
NETWORK = {"hidden_layer_sizes": (8,), "max_iter": 2}
SOLVERS = {
    "twin": fi.TwinSolver(
        network=fi.TwinNetwork(**NETWORK), pairs=fi.SolvedPairs(n_pairs=2000, pairs_per_epoch=512)
    ),
    "nearest": fi.NearestSolver(),
    "reference": fi.NearestSolver(backend="reference", n_anchors=60),
    "mixture": fi.MixtureSolver(density=fi.MixtureDensityNetwork(3, **NETWORK)),
    "direct": fi.DirectSolver(network=fi.MLPRegressor(n_iter_no_change=None, **NETWORK)),
}
Y = ARM.forward(np.random.default_rng(5).uniform(-1.2, 1.2, size=(7, 2)))
NEAR = np.random.default_rng(6).uniform(-1.2, 1.2, size=(7, 2))
SPOILED = NEAR.copy()
SPOILED[1, 0], SPOILED[4], SPOILED[6, 1] = np.nan, np.nan, -np.inf
LOST = np.array([False, True, False, False, True, False, True])


@pytest.fixture(scope="module", params=SOLVERS)
def solver(request):
    options = {"forward": ARM.forward, "bounds": ARM.bounds, "random_state": 0}
    return SOLVERS[request.param].set_params(**options).fit()


def assert_rows(found, expected, rows, of_expected=slice(None)):
    for field in FIELDS:
        np.testing.assert_array_equal(
            getattr(found, field)[rows], getattr(expected, field)[of_expected]
        )


def alone(solver, near):
    """Each target by itself: BLAS may round by batch."""
    return [solver.solve(Y[i], 1, near=None if near is None else near[i]) for i in range(7)]


def test_solve(solver):
    found = solver.solve(Y, 1, near=SPOILED)
    plain, near = alone(solver, None), alone(solver, NEAR)
    for i in range(7):
        row = solver.solve(Y[i], 1, near=SPOILED[i])
        assert_rows(row, plain[i] if LOST[i] else near[i], slice(None))
        np.testing.assert_allclose(found.x[i], row.x[0], rtol=1e-9, atol=1e-9)
        assert (IGNORED in found.explain(i)) == (IGNORED in row.explain(0)) == LOST[i]
    assert solver.solve(Y, 1, near=NEAR).near_ignored is None
    none = solver.solve(Y, 1, near=[np.nan, 0.0])
    assert none.near_ignored.all()
    assert_rows(none, solver.solve(Y, 1), slice(None))
    assert solver.solve(np.empty((0, 2)), 1, near=np.empty((0, 2))).near_ignored is None


def test_out(solver):
    out = solver.solve(Y, 1)
    assert solver.solve(Y, 1, near=SPOILED, out=out) is out
    assert_rows(out, solver.solve(Y, 1, near=SPOILED), slice(None))
    assert IGNORED in out.explain(1)
    state = out.best  # near may be a part of out
    state[2] = np.nan
    expected = solver.solve(Y, 1, near=state.copy())
    solver.solve(Y, 1, near=state, out=out)
    assert_rows(out, expected, slice(None))
    assert out.near_ignored.tolist() == [i == 2 for i in range(7)]
    solver.solve(Y, 1, out=out)
    assert out.near_ignored is None
    assert IGNORED not in out.explain(2)


def test_frozen(solver):
    hot = solver.freeze(1)
    assert_rows(hot(Y, near=SPOILED), solver.solve(Y, 1, near=SPOILED), slice(None))
    out = hot.empty()
    for i in range(7):
        expected = solver.solve(Y[i], 1, near=SPOILED[i])
        for form in (SPOILED[i], SPOILED[i].tolist(), SPOILED[i : i + 1]):
            found = hot(Y[i], near=form, out=out)
            assert found is out
            for field in FIELDS:
                np.testing.assert_array_equal(getattr(found, field), getattr(expected, field)[0])
        out.best[:] = np.nan if LOST[i] else NEAR[i]
        hot(Y[i], near=out.best, out=out)
        np.testing.assert_array_equal(out.x, expected.x[0])


def test_a_hot_loop_outlives_a_bad_target(solver):
    hot = solver.freeze()
    out, state = hot.empty(), np.zeros(2)
    for y in (Y[0], [np.nan, 0.0], Y[0]):
        state[:] = hot(y, near=state, out=out).best
    assert np.isfinite(state).all()


def test_solve_all(solver):
    for options in ({}, {"within": 0.5}):
        found = solver.solve_all(Y, near=SPOILED, **options)
        plain = solver.solve_all(Y)
        near = solver.solve_all(Y, near=NEAR, **options)
        assert_rows(found, plain, LOST, LOST)
        assert_rows(found, near, ~LOST, ~LOST)
        np.testing.assert_array_equal(found.count, np.where(LOST, plain.count, near.count))
        assert [IGNORED in found.explain(i) for i in range(7)] == LOST.tolist()
        assert [IGNORED in one.explain(0) for one in found] == LOST.tolist()
        assert near.near_ignored is None
        out = solver.solve_all(Y)
        whole = solver.solve_all(Y, near=SPOILED, max_solutions=out.n_solutions, **options)
        assert solver.solve_all(Y, near=SPOILED, out=out, **options) is out
        assert_rows(out, whole, slice(None))
        assert [IGNORED in out.explain(i) for i in range(7)] == LOST.tolist()
        solver.solve_all(Y, out=out)
        assert out.near_ignored is None
