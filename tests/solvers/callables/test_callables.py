"""Solvers with an f that only Python can evaluate: they do all that they do with a formula."""

import ctypes
import ctypes.util
import pickle
import threading

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import fastinv as fi

ARM = fi.problems.two_link_arm
BOX = [(-1.5, 1.5)] * 2
FIELDS = ("x", "residual", "anchor", "status")


@fi.forward(n_inputs=2, n_outputs=2)
def swirl(x, y):
    y[0] = np.sin(2.0 * x[0]) + x[1] ** 3 - x[1]
    y[1] = x[0] * x[1] + 0.5 * x[0]


@fi.forward(n_inputs=2, n_outputs=1)
def radius(x, y):
    y[0] = x[0] ** 2 + x[1] ** 2


def swirl_of_rows(X):
    return swirl(X)


def radius_of_rows(X):
    return (X**2).sum(axis=1)


SOLVERS = {
    "nearest": lambda f, **options: fi.NearestSolver(f, **options),
    "twin": lambda f, **options: fi.TwinSolver(
        f,
        network=fi.TwinNetwork((12,), max_iter=2),
        pairs=fi.SolvedPairs(pairs_per_epoch=512),
        **options,
    ),
    "direct": lambda f, **options: fi.DirectSolver(
        f, network=fi.MLPRegressor((8,), max_iter=2, learning_rate="cosine"), **options
    ),
    "mixture": lambda f, **options: fi.MixtureSolver(
        f, density=fi.MixtureDensityNetwork(hidden_layer_sizes=(8,), max_iter=2), **options
    ),
}


def fitted(name, f, bounds=BOX, **options):
    return SOLVERS[name](f, bounds=bounds, n_anchors=200, random_state=0, **options).fit()


def targets_of(n, seed=0):
    return swirl(np.random.default_rng([630, seed]).uniform(-1.4, 1.4, size=(n, 2)))


@pytest.fixture(scope="module", params=SOLVERS)
def pair(request):
    """The same solver with f as a formula and as a callable, both polishing."""
    return [fitted(request.param, f, refine=True) for f in (swirl, swirl_of_rows)]


def assert_same(found, wanted, rows=slice(None)):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field)[rows])


def test_all_solutions_are_those_of_the_formula(pair):
    formula, callable_ = pair
    y = targets_of(100)
    y[:5] *= 10.0
    y[5, 0] = np.nan
    wanted, found = formula.solve_all(y), callable_.solve_all(y)
    np.testing.assert_array_equal(found.count, wanted.count)
    assert len(set(found.count.tolist())) > 2
    np.testing.assert_array_equal(found.status, wanted.status)
    solved = found.count > 0
    np.testing.assert_allclose(found.x[solved], wanted.x[solved], atol=1e-6)
    assert "f runs" not in found.explain(0)


def test_polished_solutions_are_those_of_the_formula(pair):
    formula, callable_ = pair
    assert formula.options_.polish
    assert callable_.options_.polish
    y = targets_of(50, 1)
    wanted, found = formula.solve(y), callable_.solve(y)
    np.testing.assert_array_equal(found.residual < 1e-9, wanted.residual < 1e-9)
    assert (found.residual[:, 0] < 1e-9).mean() > 0.6
    for row in range(len(y)):
        for x in wanted.x[row][wanted.residual[row] < 1e-12]:
            assert np.abs(found.x[row] - x).max(axis=1).min() < 1e-6


def test_frozen_it_gives_the_bits_of_solve(pair):
    _, solver = pair
    hot = solver.freeze()
    y, near = targets_of(7, 2), np.array([0.3, -0.4])
    assert_same(hot(y), solver.solve(y, hot.k))
    assert_same(hot(y, near=near), solver.solve(y, hot.k, near=near))
    one = hot(y[3], near=near)
    for field in FIELDS:
        wanted = getattr(solver.solve(y[3], hot.k, near=near), field)[0]
        np.testing.assert_array_equal(getattr(one, field), wanted)
    out = hot.empty()
    assert hot(y[3], near=near, out=out) is out
    np.testing.assert_array_equal(out.x, one.x)
    assert_same(pickle.loads(pickle.dumps(hot))(y), hot(y))


def test_paths_are_those_of_the_formula():
    formula, callable_ = (fitted("nearest", f) for f in (swirl, swirl_of_rows))
    angles = np.stack([np.linspace(0.2, 0.6, 9), np.linspace(-0.2, 0.5, 9)], axis=1)
    targets = swirl(angles)
    wanted, found = (s.solve_path(targets, angles[0]) for s in (formula, callable_))
    np.testing.assert_allclose(found.x, wanted.x, atol=1e-9)
    np.testing.assert_allclose(found.x, angles, atol=1e-9)
    np.testing.assert_array_equal(found.status, wanted.status)


def test_samples_lie_on_the_set_of_solutions():
    solver = fitted("nearest", radius_of_rows, [(-2, 2)] * 2)
    x = solver.sample_solutions(1.0, 100, random_state=0)
    np.testing.assert_allclose((x**2).sum(axis=1), 1.0, atol=1e-12)
    counts, _ = np.histogram(np.arctan2(x[:, 1], x[:, 0]), 8, (-np.pi, np.pi))
    assert (counts > 0).all()
    with pytest.raises(ValueError, match="not isolated"):
        fitted("nearest", swirl_of_rows).sample_solutions(targets_of(1)[0])


def test_a_foreign_regressor_is_searched_too():
    rng = np.random.default_rng(631)
    X = rng.uniform(-1, 1, size=(50, 2))
    y = X @ np.array([[1.0, 0.5], [-0.3, 2.0]]) + 0.1
    solver = fi.NearestSolver(LinearRegression().fit(X, y), bounds=[(-1, 1)] * 2, refine=True)
    solver.fit(X, y)
    targets = y[:5]
    np.testing.assert_allclose(solver.solve(targets).best, X[:5], atol=1e-9)
    found = solver.solve_all(targets)
    assert found.count.tolist() == [1] * 5
    np.testing.assert_allclose(found.x[:, 0], X[:5], atol=1e-9)
    assert_same(solver.freeze()(targets), solver.solve(targets))


@pytest.mark.parametrize("n", [1, 7, 33])
def test_the_bits_do_not_depend_on_the_other_rows(n):
    solver = fitted("nearest", swirl_of_rows, refine=True)
    y = targets_of(n, 3)
    found, listed = solver.solve(y), solver.solve_all(y)
    for row in range(n):
        assert_same(solver.solve(y[row]), found, slice(row, row + 1))
        alone, k = solver.solve_all(y[row]), listed.count[row]
        np.testing.assert_array_equal(alone.x[0], listed.x[row, :k])
        np.testing.assert_array_equal(alone.residual[0], listed.residual[row, :k])


def test_f_is_called_in_the_thread_of_the_caller():
    threads = set()

    def watched(X):
        threads.add(threading.get_ident())
        return swirl(X)

    solver = SOLVERS["nearest"](watched, bounds=BOX, n_threads=8, random_state=0, refine=True).fit()
    y = targets_of(33)
    solver.solve(y)
    solver.solve_all(y)
    solver.solve_path(y[:2], [0.0, 0.0])
    solver.freeze()(y)
    assert threads == {threading.get_ident()}


class Moody:
    """Fails in the chosen way when told to; cannot be copied or pickled."""

    def __init__(self):
        self.lock = threading.Lock()
        self.act = swirl

    def __call__(self, X):
        with self.lock:
            return self.act(X)


def calls_of(solver, y):
    hot = solver.freeze()
    return {
        "predict": lambda: solver.predict(np.zeros((2, 2))),
        "solve": lambda: solver.solve(y),
        "solve_all": lambda: solver.solve_all(y),
        "solve_path": lambda: solver.solve_path(y, [0.1, 0.2]),
        "sample_solutions": lambda: solver.sample_solutions(y[0], 3),
        "hot": lambda: hot(y),
        "hot, one": lambda: hot(y[0]),
    }


def test_what_f_raises_surfaces_and_the_solver_goes_on():
    f, y = Moody(), targets_of(3)
    solver = fitted("nearest", f, refine=True)
    calls = calls_of(solver, y)
    before = solver.solve_all(y)

    def broken(X):
        raise ZeroDivisionError("of f")

    for act, error, message in [
        (broken, ZeroDivisionError, "^of f$"),
        (lambda X: swirl(X)[:, :1], ValueError, r"Moody must return an array of shape"),
        (lambda X: swirl(X)[1:], ValueError, r"Moody must return an array of shape"),
    ]:
        f.act = act
        for call in calls.values():
            with pytest.raises(error, match=message):
                call()
        with pytest.raises(error, match=message):
            solver.freeze()
        f.act = swirl
        assert_same(solver.solve_all(y), before)


def test_a_fit_that_f_breaks_leaves_an_unfitted_solver():
    f = Moody()
    solver = fitted("nearest", f)

    def broken(X):
        raise KeyError("of f")

    f.act = broken
    with pytest.raises(KeyError, match="of f"):
        solver.fit()
    f.act = swirl
    assert (solver.fit().solve_all(targets_of(5)).count > 0).all()


def test_nan_of_f_loses_only_its_rows():
    solver = fitted("nearest", swirl_of_rows, refine=True)
    f = Moody()
    holed = fitted("nearest", f, refine=True)
    f.act = lambda X: np.where(X[:, :1] > 1.0, np.nan, swirl(X))
    y = targets_of(40, 4)
    wanted, found = solver.solve_all(y), holed.solve_all(y)
    assert np.isfinite(found.residual[:, 0]).all()
    for row in range(len(y)):
        for x in wanted.x[row, : wanted.count[row]]:
            gaps = np.abs(found.x[row, : found.count[row]] - x).max(axis=1)
            assert (gaps.min(initial=np.inf) < 1e-6) == (x[0] <= 1.0)
    assert np.isfinite(holed.solve(y).residual[:, 0]).all()


def test_a_frozen_solver_shares_f_but_nothing_else():
    f = Moody()
    solver = fitted("nearest", f)
    hot = solver.freeze()
    y = targets_of(5)
    wanted = solver.solve(y)
    solver.set_params(n_anchors=50).fit()
    assert_same(hot(y), wanted)
    hot._solver.anchors_x_.flags.writeable = False
    assert hot._solver.forward is f


# C functions


LIBM = ctypes.CDLL(ctypes.util.find_library("m") or None)
C_HYPOT = LIBM.hypot
C_HYPOT.argtypes, C_HYPOT.restype = [ctypes.c_double, ctypes.c_double], ctypes.c_double


@fi.forward(n_inputs=2, n_outputs=2)
def polar(x, y):
    y[0] = C_HYPOT(x[0], x[1])
    y[1] = x[0] * x[1]


def test_a_c_function_inside_a_formula():
    solver = fitted("nearest", polar, [(0, 2)] * 2)
    x = np.random.default_rng(632).uniform(0.1, 1.9, size=(20, 2))
    y = np.stack([np.hypot(*x.T), x[:, 0] * x[:, 1]], axis=1)
    np.testing.assert_allclose(polar(x), y, rtol=1e-15)
    found = solver.solve_all(y)
    assert (found.count == 2).all()  # (a, b) and (b, a)
    assert (np.abs(found.x[:, :2] - x[:, None]).max(axis=2).min(axis=1) < 1e-6).all()
    assert solver.freeze()._is_native
