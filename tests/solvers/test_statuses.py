"""Statuses never lie: for random functions, recomputed from outside; and their words."""

import pickle
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from residuals import residual_after_scipy, residuals

import fastinv as fi
from fastinv import Status

FIELDS = ("x", "residual", "anchor", "status")
ARM = fi.problems.two_link_arm
N_SOLVERS = 6


def random_function(seed):
    """A smooth function of 1 to 3 inputs and outputs, sums of waves, NaN in a corner for some."""
    rng = np.random.default_rng([90, seed])
    p, q = (int(n) for n in rng.integers(1, 4, size=2))
    slope = rng.normal(size=(q, p))
    height, phase = rng.normal(size=(2, q))
    wave = 2.0 * rng.normal(size=(q, p))
    corner = 1.2 if seed % 3 == 0 else 9.0

    @fi.forward(n_inputs=p, n_outputs=q)
    def f(x, y):
        for j in range(q):
            total, angle = 0.0, phase[j]
            for i in range(p):
                total += slope[j, i] * x[i]
                angle += wave[j, i] * x[i]
            y[j] = total + height[j] * np.sin(angle)
        if x[0] > corner:
            y[0] = np.nan

    return f


BARELY_TRAINED = {
    "network": fi.TwinNetwork((8,), max_iter=1),
    "pairs": fi.SolvedPairs(pairs_per_epoch=256),
}


@cache
def random_solver(seed):
    f = random_function(seed)
    options = {"bounds": [(-1.5, 1.5)] * f.n_inputs, "n_anchors": 200, "random_state": seed}
    if seed % 2:
        return fi.TwinSolver(f, **BARELY_TRAINED, **options).fit()
    return fi.NearestSolver(f, **options).fit()


def random_targets(solver, rng, n):
    """Attainable, close to the edge of what is, far away, and not finite."""
    y = solver.forward_(rng.uniform(-1.5, 1.5, size=(n, solver.n_features_in_)))
    scale = np.choose(rng.integers(0, 4, size=n), [1.0, 1.0, 1.3, 20.0])
    y = y * scale[:, None]
    y[rng.random(n) < 0.05] = np.inf
    return y


def check_solve(solver, y):
    """What `solve` claims against what f says; returns how often each status was met."""
    found = solver.solve(y)
    p, finite = solver.n_features_in_, np.isfinite(y).all(axis=1)
    assert ((found.status == Status.INVALID)[~finite]).all()
    assert np.isnan(found.x[~finite]).all()
    x, status = found.x[finite], found.status[finite]
    images = solver.forward_(x.reshape(-1, p)).reshape(*x.shape[:2], y.shape[1])
    residual = residuals(solver, images, y[finite][:, None])
    known = np.isfinite(residual)
    np.testing.assert_array_equal(status == Status.INVALID, ~known)
    np.testing.assert_allclose(
        found.residual[finite][known], residual[known], rtol=1e-12, atol=1e-14
    )
    tol, converged = solver.residual_tol_, status == Status.CONVERGED
    assert (residual[converged] <= tol * (1 + 1e-12)).all()
    assert converged[residual <= 1e-13].all()
    # What is CONVERGED, but far from exact, is near a root, by SciPy. A polish may end short of a
    # root that SciPy's other steps reach.
    for row, k in np.argwhere((residual > 1e-11) & converged)[:10]:
        left = residual_after_scipy(solver, y[finite][row], x[row, k])
        assert left < 1e-11, (left, residual[row, k])
    low, high = solver.bounds_.T
    assert ((x >= low) & (x <= high))[known].all()
    at_bound = ((x == low) | (x == high)).any(axis=2)
    # Of those that miss, the ones on a bound say so, unless nothing is near the target at all.
    missed = known & (status != Status.CONVERGED) & (status != Status.UNREACHABLE)
    np.testing.assert_array_equal((status == Status.OUT_OF_BOUNDS)[missed], at_bound[missed])
    unreachable = (status == Status.UNREACHABLE).any(axis=1)
    coverage = solver.options_.coverage
    gaps = residuals(solver, solver.anchors_y_[None], y[finite][:, None]).min(axis=1)
    beyond = (gaps > coverage) & (np.where(known, residual, np.inf).min(axis=1) > coverage)
    np.testing.assert_array_equal(unreachable, beyond & known.any(axis=1))
    return np.bincount(found.status.ravel(), minlength=6)


def check_solve_all(solver, y):
    found = solver.solve_all(y)
    p = solver.n_features_in_
    tol = 1e-9
    low, high = solver.bounds_.T
    for row in range(len(y)):
        n = found.count[row]
        x, status = found.x[row], found.status[row]
        assert (status[:n] == Status.CONVERGED).all()
        again = residuals(solver, solver.forward_(x[:n].reshape(-1, p)), y[row])
        assert (again <= tol * (1 + 1e-9) + 1e-14).all()
        np.testing.assert_allclose(found.residual[row, :n], again, rtol=1e-9, atol=1e-14)
        assert ((x[:n] >= low) & (x[:n] <= high)).all()
        if not np.isfinite(y[row]).all():
            assert (n, status[0]) == (0, Status.INVALID)
        elif n == 0:
            assert status[0] in (Status.UNREACHABLE, Status.APPROXIMATE)
            distance = residuals(solver, solver.forward_(x[0]), y[row])
            assert found.residual[row, 0] == pytest.approx(distance, rel=1e-12)
            assert distance > tol
        assert (status[max(n, 1) :] == Status.INVALID).all()
    return found.count


@settings(max_examples=60, deadline=None)
@given(
    which=st.integers(0, N_SOLVERS - 1),
    n=st.sampled_from([1, 7, 33]),
    seed=st.integers(0, 10_000),
)
def test_statuses_never_lie(which, n, seed):
    solver = random_solver(which)
    y = random_targets(solver, np.random.default_rng(seed), n)
    check_solve(solver, y)
    check_solve_all(solver, y)


def test_every_status_that_these_functions_have_is_met():
    met = np.zeros(6, dtype=int)
    counts = []
    for solver in map(random_solver, range(N_SOLVERS)):
        y = random_targets(solver, np.random.default_rng(7), 100)
        met += check_solve(solver, y)
        counts.extend(check_solve_all(solver, y))
    assert (
        met[[Status.CONVERGED, Status.OUT_OF_BOUNDS, Status.UNREACHABLE, Status.INVALID]] > 0
    ).all()
    assert {0, 1, 2} <= set(counts)


@settings(max_examples=25, deadline=None)
@given(
    which=st.integers(0, N_SOLVERS - 1),
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e12]),
    seed=st.integers(0, 999),
)
def test_a_bad_row_leaves_the_bits_of_the_others(which, bad, seed):
    solver = random_solver(which)
    rng = np.random.default_rng(seed)
    y = random_targets(solver, rng, 17)
    without = solver.solve(np.delete(y, 5, axis=0))
    every = solver.solve_all(np.delete(y, 5, axis=0))
    y[5] = bad
    others = np.arange(17) != 5
    for field in FIELDS:
        expected = getattr(without, field)
        np.testing.assert_array_equal(getattr(solver.solve(y)[others], field), expected)
        expected = getattr(every, field)
        np.testing.assert_array_equal(getattr(solver.solve_all(y)[others], field), expected)


# In words


@pytest.fixture(scope="module")
def arm():
    return fi.NearestSolver(ARM.forward, bounds=ARM.bounds, random_state=0).fit()


def test_words_for_solutions(arm):
    x = np.array([0.2, 0.9])
    found = arm.solve_all(ARM.forward(x))
    target, first, second = found.explain(0).split("\n")
    assert target.startswith("target (1.43366, 1.08988): ")
    assert "its nearest anchor, " in target
    assert "attainable ones are up to" in target
    tolerated = ", ".join(f"{unit * 1e-9:.3g}" for unit in arm.y_scale_)
    for i, line in enumerate((first, second)):
        number = f"{found.residual[0, i]:.3g}"
        error = ", ".join(f"{value:.3g}" for value in found.error[0, i])
        assert line == (
            f"{i + 1}. CONVERGED: residual {number}, tolerance 1e-09; error ({error}), "
            f"tolerated ({tolerated})"
        )


def test_words_for_tolerances_in_the_units_of_y(arm):
    y = ARM.forward([0.2, 0.9])
    line = arm.solve_all(y, error_tol=[0.25, 0.5]).explain(0).split("\n")[1]
    assert "tolerance" not in line
    assert line.endswith("tolerated (0.25, 0.5)")
    both = arm.solve_all(y, error_tol=[0.25, 1e-9], residual_tol=0.01).explain(0).split("\n")[1]
    assert "tolerance 0.01; error" in both
    assert both.endswith(f"tolerated ({0.01 * arm.y_scale_[0]:.3g}, 1e-09)")


def test_words_for_searches_that_did_not_end(arm):
    y = ARM.forward([0.2, 0.9])
    assert "search" not in arm.solve_all(y).explain(0)
    cut = arm.solve_all(y, max_solutions=1)
    assert cut.explain(0).split("\n")[-1] == f"search CUT: {fi.SearchStatus.CUT.description}"


def test_the_errors_of_solutions_in_words_need_their_solver(arm):
    found = pickle.loads(pickle.dumps(arm.solve_all(ARM.forward([0.2, 0.9]))))
    assert "; error" not in found.explain(0)
    assert "tolerated (" in found.explain(0)
    with pytest.raises(ValueError, match="error, x_error and isolated are known only"):
        found.error  # noqa: B018


def test_words_for_what_is_unreachable(arm):
    target, line = arm.solve_all([3.0, 0.0]).explain(0).split("\n")
    assert target.startswith("target (3, 0): its nearest anchor, ")
    residual = 1 / arm.y_scale_[0]
    assert line.startswith(
        f"1. UNREACHABLE, {Status.UNREACHABLE.description}: residual {residual:.3g}, "
        "tolerance 1e-09; error (-1, "
    )
    assert arm.solve([3.0, 0.0]).explain(0).count("\n") == 5


def test_words_for_a_bound():
    f = fi.forward(n_inputs=1, n_outputs=1)(_double)
    solver = fi.NearestSolver(f, bounds=[(0, 1)], random_state=0).fit()
    gap = solver.options_.coverage / 2
    assert gap > solver.residual_tol_
    found = solver.solve(2.0 + gap * solver.y_scale_, 1)
    assert found.status[0, 0] == Status.OUT_OF_BOUNDS
    line = found.explain(0).split("\n")[1]
    assert line.startswith(
        f"1. OUT_OF_BOUNDS, {Status.OUT_OF_BOUNDS.description}: residual {gap:.3g}"
    )
    assert line.endswith("; x[0] at its upper bound 1")


def _double(x, y):
    y[0] = 2.0 * x[0]


def test_words_for_what_is_not_finite(arm):
    for found in (arm.solve_all([np.nan, 0.0]), arm.solve([np.nan, 0.0], 1)):
        target, line = found.explain(0).split("\n")
        assert target == "target (nan, 0): it is not finite"
        assert line.startswith(f"1. INVALID, {Status.INVALID.description}: residual inf")


def test_words_for_the_others():
    """An unpolished network leaves APPROXIMATE candidates, and EXTRAPOLATED ones."""
    options = {"bounds": ARM.bounds, "random_state": 0, **BARELY_TRAINED}
    solver = fi.TwinSolver(ARM.forward, refine=False, residual_tol=0.0, **options).fit()
    _, y = ARM.sample(20, random_state=1)
    found = solver.solve(y)
    row = int(np.argmax(found.status[:, 0] == Status.APPROXIMATE))
    assert f"1. APPROXIMATE, {Status.APPROXIMATE.description}: residual" in found.explain(row)
    statuses = np.full_like(found.status, Status.EXTRAPOLATED)
    other = fi.Solutions(y, found.x, found.residual, found.anchor, statuses,
                         circumstances=found.circumstances)  # fmt: skip
    assert f"1. EXTRAPOLATED, {Status.EXTRAPOLATED.description}: residual" in other.explain(0)


def test_rows_and_indices(arm):
    y = ARM.sample(5, random_state=2)[1]
    found = arm.solve_all(y)
    assert found[3].explain(0) == found.explain(3) == found.explain(-2)
    assert found[1:].explain(0) == found.explain(1)
    with pytest.raises(IndexError, match="target 5 is out of range for 5 targets"):
        found.explain(5)
    for wrong in (None, 1.5, True, "0", slice(2), [0]):
        with pytest.raises(TypeError, match="i must be an integer, which says which target, got"):
            found.explain(wrong)
    assert found.explain(np.int64(3)) == found.explain(3)


def test_without_circumstances():
    made = fi.Solutions(
        np.zeros((1, 2)), np.zeros((1, 1, 2)), np.zeros((1, 1)), np.zeros((1, 1), np.int64),
        np.zeros((1, 1), np.int8),
    )  # fmt: skip
    with pytest.raises(ValueError, match="only solutions that a solver made"):
        made.explain(0)
