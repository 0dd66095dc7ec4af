"""An f in stairs: a table, few digits. Differences reach over them, and solutions are found."""

import ctypes
import ctypes.util
import pickle

import numpy as np
import pytest

import fastinv as fi

LIBM = ctypes.CDLL(ctypes.util.find_library("m") or None)
RINT = LIBM.rint
RINT.argtypes, RINT.restype = [ctypes.c_double], ctypes.c_double
WAVE = np.round(np.sin(3.0 * np.linspace(-1.0, 1.0, 1 << 16)) * (1 << 15)) / (1 << 15)


@fi.forward(n_inputs=1, n_outputs=1)
def table(x, y):
    """A table of 2**16 values of 16 bits each; C finds the place."""
    y[0] = WAVE[int(RINT((x[0] + 1.0) * 32767.5))]


@fi.forward(n_inputs=2, n_outputs=2)
def swirl(x, y):
    y[0] = np.sin(2.0 * x[0]) + x[1] ** 3 - x[1]
    y[1] = x[0] * x[1] + 0.5 * x[0]


def rounded(n_bits):
    def swirl_in_stairs(X):
        return np.round(swirl(X) * 2.0**n_bits) / 2.0**n_bits

    return swirl_in_stairs


def in_single_precision(X):
    a, b = X.astype(np.float32).T
    return np.stack([np.sin(2 * a) + b**3 - b, a * b + np.float32(0.5) * a], axis=1)


def fitted(f, p=2, **options):
    bound = 1.0 if p == 1 else 1.5
    return fi.NearestSolver(f, bounds=[(-bound, bound)] * p, random_state=0, **options).fit()


def points(n, p, seed=0):
    return np.random.default_rng([640, seed]).uniform(-0.95, 0.95, size=(n, p))


@pytest.mark.parametrize("refine", [None, False])
def test_a_table_of_16_bits_behind_c(refine):
    solver = fitted(table, 1, refine=refine)
    x = points(200, 1)
    found = solver.solve_all(table(x))
    assert (found.status[:, 0] == fi.Status.CONVERGED).all()
    gaps = np.abs(found.x[:, :, 0] - x)
    # The stair at the top is wide, and solutions beside it are one.
    errors = 2 * found.x_error * solver.problem_.region.scale
    assert (gaps <= errors).any(axis=1).all()
    assert np.median(np.nanmin(gaps, axis=1)) < 1e-4
    assert (found.count == 2).mean() > 0.9
    assert 1e-3 < solver.problem_.diff_step[0] < 0.1
    assert 1e-5 < solver.problem_.resolution[0] < 2e-4
    errors = np.abs(table(found.best) - table(x))
    np.testing.assert_allclose(found.residual[:, :1], errors / solver.y_scale_, atol=1e-15)
    assert (errors <= solver.problem_.resolution).all()


@pytest.mark.parametrize("n_bits", [6, 8, 12, 16, 20])
def test_attainable_targets_are_found_whatever_the_height_of_a_stair(n_bits):
    f = rounded(n_bits)
    solver, smooth = fitted(f), fitted(swirl)
    x = points(200, 2)
    found, wanted = solver.solve_all(f(x)), smooth.solve_all(swirl(x))
    assert not (found.status[:, 0] == fi.Status.UNREACHABLE).any()
    if n_bits > 6:
        assert (found.count > 0).all()
        np.testing.assert_allclose(solver.problem_.resolution, 2.0**-n_bits, rtol=0.5)
    if n_bits > 10:
        # Those on the two sides of a fold can be one, as far as f tells.
        assert (found.count <= wanted.count).all()
        assert (found.count == wanted.count).mean() > 0.8
        gaps = np.abs(found.x - x[:, None]).max(axis=2)
        assert (np.nanmin(gaps, axis=1) < 100 * 2.0**-n_bits).mean() > 0.9


def test_single_precision():
    solver = fitted(in_single_precision)
    x = points(200, 2)
    found = solver.solve_all(in_single_precision(x))
    assert (found.count > 0).all()
    gaps = np.abs(found.x - x[:, None]).max(axis=2)
    assert (np.nanmin(gaps, axis=1) < 1e-4).mean() > 0.97


def test_what_is_not_attainable_is_not_found():
    solver = fitted(table, 1)
    found = solver.solve_all([1.5, -1.1])
    assert found.count.tolist() == [0, 0]
    assert (found.status[:, 0] == fi.Status.UNREACHABLE).all()
    away = found.residual[:, 0] * solver.y_scale_[0]
    np.testing.assert_allclose(away, [0.5, 0.1], atol=1e-4)


@pytest.mark.parametrize("number", range(1, 10))
def test_where_f_is_smooth_nothing_changes(number):
    problem = fi.problems.experiment(number)
    solver = fitted_problem(problem)
    assert solver.problem_.diff_step is None
    assert solver.problem_.resolution is None


def fitted_problem(problem):
    return fi.NearestSolver(problem.forward, bounds=problem.bounds, random_state=0).fit()


@fi.forward(n_inputs=2, n_outputs=3)
def partly_idle(x, y):
    """The second input has no effect, the third output is a constant but for rounding."""
    y[0] = x[0] ** 3
    y[1] = np.sin(300.0 * x[0])
    y[2] = np.sin(x[0]) ** 2 + np.cos(x[0]) ** 2


def test_inputs_without_effect_and_constant_outputs_are_no_stairs():
    solver = fitted(partly_idle)
    assert solver.problem_.diff_step is None
    assert solver.problem_.resolution is None


def test_one_input_in_stairs():
    def half(X):
        a, b = np.round(X[:, 0] * 256) / 256, X[:, 1]
        return np.stack([np.sin(a) + b, a * b], axis=1)

    solver = fitted(half, refine=True)
    assert solver.problem_.diff_step[0] > 1e-3
    assert solver.problem_.diff_step[1] < 1e-5


def test_noise_without_anything_behind_it_is_named():
    def noise(X):
        return np.modf(1e9 * np.sin(1e5 * X.sum(axis=1)))[0]

    with pytest.warns(UserWarning, match="differences of noise along input 0 do not agree"):
        fitted(noise, refine=True)


def test_what_f_says_comes_first():
    f = fi.CallableFunction(rounded(12), 2, 2, diff_step=0.01)
    solver = fitted(f, refine=True)
    assert solver.problem_.diff_step.tolist() == [0.01, 0.01]
    np.testing.assert_allclose(solver.problem_.resolution, 2.0**-12, rtol=0.5)
    assert (solver.solve_all(f(points(50, 2))).count > 0).all()


calls = []


def watched(X):
    calls.append(len(X))
    return rounded(16)(X)


def test_with_a_derivative_of_its_own_only_the_resolution_counts():
    def slopes(X):
        a, b = X.T
        rows = [2 * np.cos(2 * a), 3 * b**2 - 1, b + 0.5, a]
        return np.stack(rows, axis=1).reshape(-1, 2, 2)

    f = rounded(12)
    solver = fitted(fi.CallableFunction(f, 2, 2, jacobian=slopes), refine=True)
    assert solver.problem_.diff_step is None
    np.testing.assert_allclose(solver.problem_.resolution, 2.0**-12, rtol=0.5)
    assert (solver.solve_all(f(points(50, 2))).count > 0).all()


@pytest.mark.parametrize("shift", [-40, 7, 40])
def test_powers_of_two_change_no_bits(shift):
    """Of the unit of an output, or of an input."""
    f = rounded(10)
    x = points(20, 2)
    plain = fitted(f)
    found = plain.solve_all(f(x))
    unit = 2.0**shift
    in_y = fi.NearestSolver(
        lambda X: f(X) * np.array([unit, 1.0]), bounds=[(-1.5, 1.5)] * 2, random_state=0
    ).fit()
    other = in_y.solve_all(f(x) * np.array([unit, 1.0]))
    np.testing.assert_array_equal(other.x, found.x)
    np.testing.assert_array_equal(in_y.problem_.diff_step, plain.problem_.diff_step)
    resolution = plain.problem_.resolution * np.array([unit, 1.0])
    np.testing.assert_array_equal(in_y.problem_.resolution, resolution)


def test_f_is_looked_at_in_fit_alone():
    calls.clear()
    solver = fitted(watched)
    assert calls[-2:] == [6 * 2 * 16, 14 * 2 * 16]
    y = watched(points(3, 2))
    first = solver.solve_all(y)
    calls.clear()
    again = pickle.loads(pickle.dumps(solver))
    assert sum(calls) < 50  # what is compared on loading
    np.testing.assert_array_equal(again.solve_all(y).x, first.x)
    refitted = solver.set_params(forward=swirl).fit()
    assert refitted.problem_.diff_step is None
