"""Outputs have units: what is found does not depend on them."""

import numpy as np
import pytest

import fastinv as fi

ARM = fi.problems.two_link_arm


def arm_in_units(first, second, **options):
    """The arm, its outputs times `first` and `second`."""

    @fi.forward(n_inputs=2, n_outputs=2)
    def arm(x, y):
        y[0] = first * (np.cos(x[0]) + np.cos(x[0] + x[1]))
        y[1] = second * (np.sin(x[0]) + np.sin(x[0] + x[1]))

    return fi.NearestSolver(arm, bounds=ARM.bounds, random_state=0, **options).fit()


@pytest.fixture(scope="module")
def targets():
    """Of three, two can be reached; the last third is beyond the arm's length."""
    y = ARM.sample(150, random_state=1)[1]
    beyond = 2.2 * y[:50] / np.linalg.norm(y[:50], axis=1, keepdims=True)
    return np.vstack([y, beyond])


@pytest.fixture(scope="module")
def plain(targets):
    return arm_in_units(1.0, 1.0).solve_all(targets)


@pytest.mark.parametrize(
    ("first", "second"),
    [(1e-4, 1), (1e-5, 1), (1e-12, 1), (1, 1e12), (1e-90, 1e-90), (1e90, 1e90), (1e-90, 1e90)],
)
def test_each_output_counts_in_its_own_unit(targets, plain, first, second):
    found = arm_in_units(first, second).solve_all(targets * [first, second])
    assert found.count.tolist() == plain.count.tolist()
    np.testing.assert_array_equal(found.status[:, 0], plain.status[:, 0])
    assert plain.count[:150].mean() > 1.6
    assert (plain.count[150:] == 0).all()
    k = found.x.shape[1]
    np.testing.assert_allclose(found.x, plain.x[:, :k], atol=1e-6)
    np.testing.assert_allclose(found.residual[150:, 0], plain.residual[150:, 0], rtol=1e-9)


@pytest.mark.parametrize("first", [1e-12, 1e6])
def test_residual_and_error_say_what_they_are(targets, first):
    solver = arm_in_units(first, 1.0)
    found = solver.solve_all(targets * [first, 1.0])
    assert solver.y_scale_.shape == (2,)
    given = np.isfinite(found.residual)
    rows = np.nonzero(given)[0]
    difference = solver.predict(found.x[given]) - found.targets[rows]
    np.testing.assert_allclose(found.error[given], difference, rtol=1e-6, atol=1e-15 * first)
    np.testing.assert_allclose(
        found.residual[given], np.linalg.norm(difference / solver.y_scale_, axis=1), atol=1e-15
    )
    assert (found.x_error[given & (found.status == fi.Status.CONVERGED)] < 1e-6).all()


def test_the_user_says_what_a_unit_is(targets):
    """A metre counts as much as a radian, whatever their spreads are."""
    solver = arm_in_units(1e-3, 1.0, y_scale=[1.0, 1.0])
    np.testing.assert_array_equal(solver.y_scale_, [1.0, 1.0])
    beyond = solver.solve_all(targets[150:] * [1e-3, 1.0])
    difference = solver.predict(beyond.x[:, 0]) - beyond.targets
    np.testing.assert_allclose(
        beyond.residual[:, 0], np.linalg.norm(difference, axis=1), atol=1e-15
    )


def test_a_tolerance_in_units_is_one_for_each_output():
    """1e-4 m and 1e-3 rad: what exceeds one of them is no solution."""
    solver = arm_in_units(1.0, 1e-6)
    beyond = [[2.0 + 0.9e-4, 0.0], [2.0 + 1.1e-4, 0.0]]
    found = solver.solve_all(beyond, error_tol=[1e-4, 1e-9])
    assert found.count.tolist() == [1, 0]
    assert found.status[:, 0].tolist() == [fi.Status.CONVERGED, fi.Status.UNREACHABLE]
    assert np.abs(found.error[0, 0]) == pytest.approx([0.9e-4, 0.0], rel=1e-6, abs=1e-9)


def test_measured_in_pascals_and_pascal_seconds():
    """A pressure of 1e5 and a viscosity of 1e-3: none of them is left out of what CONVERGED is."""
    rng = np.random.default_rng(3)
    X = rng.uniform(-1, 1, size=(400, 2))
    values = np.stack([X[:, 0] ** 2 + X[:, 1], X[:, 0] - 0.5 * X[:, 1] ** 2], axis=1)
    units = np.array([1e5, 1e-3])
    spread = values.std(axis=0)
    short = {"learning_rate": "cosine", "early_stopping": False}
    learned = fi.MLPRegressor((16,), max_iter=60, random_state=0, **short)
    inverse = fi.MLPRegressor((16,), max_iter=30, **short)
    for solver in (
        fi.NearestSolver(learned, random_state=0),
        fi.DirectSolver(learned, network=inverse, random_state=0),
    ):
        found = solver.fit(X, values * units).solve(values[:100] * units)
        converged = found.status == fi.Status.CONVERGED
        rows = np.nonzero(converged)[0]
        errors = (solver.predict(found.x[converged]) - found.targets[rows]) / units / spread
        assert np.abs(errors).max(initial=0.0) <= 1.01e-3
        assert converged.mean() < 0.5  # none is polished
