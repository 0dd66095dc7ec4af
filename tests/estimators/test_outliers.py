"""Learning from measured pairs with a gross outlier: as without its row, and with a word."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

import fastinv as fi

SEED = 57
ARM = fi.problems.two_link_arm
ROW = 17
NETWORK = fi.MLPRegressor((8,), max_iter=2, n_iter_no_change=None)


def measured(where=None, value=1e6):
    """600 rows of the arm; with `where` ("X" or "y"), one value is wrong."""
    X, y = ARM.sample(600, random_state=SEED, noise=0.0)
    if where is not None:
        (X if where == "X" else y)[ROW, 1] = value
    return X, y


def quick(solver):
    """Two epochs, for a comparison of bits; f is learned by a small network."""
    return solver.set_params(forward=NETWORK, random_state=0)


SOLVERS = {
    "nearest": lambda: quick(fi.NearestSolver()),
    "direct": lambda: quick(fi.DirectSolver(network=NETWORK)),
    "mixture": lambda: quick(
        fi.MixtureSolver(density=fi.MixtureDensityNetwork(3, max_iter=2, init_means="random"))
    ),
    "twin": lambda: quick(fi.TwinSolver(network=fi.TwinNetwork((8,), max_iter=2))),
}
ESTIMATORS = {
    "mlp": lambda: clone(NETWORK).set_params(random_state=0),
    "distilled": lambda: fi.DistilledRegressor((8,), max_iter=2, n_points=100, random_state=0),
    "mdn": lambda: fi.MixtureDensityNetwork(2, max_iter=2, random_state=0),
    "mdn, chosen": lambda: fi.MixtureDensityNetwork(
        "bic", max_components=2, max_iter=2, random_state=0
    ),
}


@pytest.mark.parametrize("where", ["X", "y"])
@pytest.mark.parametrize("kind", list(SOLVERS))
def test_solvers_learn_what_they_learn_without_the_row(kind, where):
    X, y = measured(where)
    with pytest.warns(UserWarning, match=rf"^1 of 600 rows.* {where}\[17, 1\] = 1e\+06\.") as told:
        solver = SOLVERS[kind]().fit(X, y)
    assert [warning.filename for warning in told] == [__file__]
    alone = SOLVERS[kind]().fit(np.delete(X, ROW, axis=0), np.delete(y, ROW, axis=0))
    targets = y[100:110]
    assert len(solver.anchors_x_) == 599
    assert solver.residual_tol_ == alone.residual_tol_
    np.testing.assert_array_equal(solver.solve(targets).x, alone.solve(targets).x)
    np.testing.assert_array_equal(solver.predict(X[:9]), alone.predict(X[:9]))


@pytest.mark.parametrize("kind", list(ESTIMATORS))
def test_estimators_learn_what_they_learn_without_the_row(kind):
    X, y = measured("y")
    with pytest.warns(UserWarning, match=r"^1 of 600 rows.* y\[17, 1\] = 1e\+06\.") as told:
        model = ESTIMATORS[kind]().fit(X, y)
    assert [warning.filename for warning in told] == [__file__]
    alone = ESTIMATORS[kind]().fit(np.delete(X, ROW, axis=0), np.delete(y, ROW, axis=0))
    np.testing.assert_array_equal(model.predict(X[:9]), alone.predict(X[:9]))


@pytest.mark.parametrize("where", ["X", "y"])
def test_solutions_are_as_good_as_without_the_outlier(where):
    """True residuals: by the f that the solver does not know."""

    def median_residual(solver, X, y):
        found = solver.fit(X, y).solve(ARM.sample(200, random_state=1)[1])
        return np.median(np.linalg.norm(ARM.forward(found.best) - found.targets, axis=1))

    network = fi.TwinNetwork((64, 64), max_iter=10)
    solver = fi.TwinSolver(network=network, random_state=0)
    with pytest.warns(UserWarning, match="1 of 600 rows left out"):
        spoiled = median_residual(solver, *measured(where))
    assert spoiled < 1.5 * median_residual(solver, *measured())
    assert spoiled < 0.05


def test_given_anchors_are_measured_too():
    X, y = measured()
    far = y.copy()
    far[ROW, 0] = -1e9
    solver = quick(fi.NearestSolver())
    with pytest.warns(UserWarning, match=r"anchors\[1\]\[17, 0\] = -1e\+09") as told:
        solver.fit(X, y, anchors=(X, far))
    assert [warning.filename for warning in told] == [__file__]
    assert len(solver.anchors_x_) == 599


@pytest.mark.parametrize("kind", ["nearest", "direct", "mixture", "twin"])
def test_what_a_formula_gives_is_taken_as_it_is(kind):
    @fi.forward(n_inputs=1, n_outputs=1)
    def step(x, y):
        y[0] = x[0] if x[0] < 0.997 else 1e6 * x[0]

    solver = SOLVERS[kind]().set_params(forward=step, bounds=[(0, 1)], n_anchors=600)
    assert solver.fit().anchors_y_.max() > 9e5  # and no warning, which would be an error
    assert len(solver.anchors_y_) == 600


def test_honest_data_of_a_wide_range_are_all_taken():
    X = np.random.default_rng(SEED).uniform(-3.0, 3.0, (600, 1))
    solver = quick(fi.NearestSolver()).fit(X, np.exp(5.0 * X))
    assert len(solver.anchors_x_) == 600
