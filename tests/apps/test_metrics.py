"""`fi.metrics`: what a solver finds of held-out rows, and how near it is without a polish."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastinv as fi

ARM = fi.problems.two_link_arm
QUARTIC = fi.problems.quartic
X, Y = ARM.sample(101, random_state=5)


@pytest.fixture(scope="module")
def solver():
    return fi.NearestSolver(ARM.forward, bounds=ARM.bounds, random_state=0).fit()


def test_recall_counts_rows_whose_x_is_found(solver):
    for k, tol in ((None, 0.05), (1, 0.05), (3, 1e-9), (40, 0.5), (1, 0.0)):
        found = solver.solve(Y, k)
        gaps = (found.x - X[:, None]) / solver.problem_.region.scale
        expected = (np.linalg.norm(gaps, axis=2) <= tol).any(axis=1).mean()
        assert fi.metrics.recall(solver, X, Y, k=k, tol=tol) == expected
    assert fi.metrics.recall(solver, X, Y, k=40) == 1.0
    assert fi.metrics.recall_scorer(solver, X, Y) == fi.metrics.recall(solver, X, Y)
    assert fi.metrics.recall_scorer(solver, X) == fi.metrics.recall(solver, X, Y)
    assert fi.metrics.recall(solver, X + 1.0, Y) < 0.1


def test_recall_is_modulo_periods():
    turning = fi.NearestSolver(
        ARM.forward, bounds=[(-np.pi, np.pi)] * 2, periods=2 * np.pi, random_state=0
    ).fit()
    turned = X + 2 * np.pi * np.random.default_rng(0).integers(-2, 3, size=X.shape)
    assert fi.metrics.recall(turning, turned, Y) == fi.metrics.recall(turning, X, Y) > 0.8


def test_residual_is_of_what_is_not_polished(solver):
    plain = fi.NearestSolver(ARM.forward, bounds=ARM.bounds, refine=False, random_state=0).fit()
    expected = np.sqrt(np.mean(plain.solve(Y, 1).residual ** 2))
    assert fi.metrics.residual(solver, X, Y) == pytest.approx(expected, rel=1e-12)
    assert fi.metrics.residual_scorer(solver, X, Y) == -fi.metrics.residual(solver, X, Y)
    assert fi.metrics.residual_scorer(solver, X) == fi.metrics.residual_scorer(solver, X, Y)
    assert fi.metrics.residual(solver, X, Y, polish=True) < 1e-12
    spoiled = Y.copy()
    spoiled[3, 1] = np.nan
    assert fi.metrics.residual_scorer(solver, X, spoiled) == -np.inf


def test_one_output_may_come_as_a_vector():
    solver = fi.NearestSolver(QUARTIC.forward, bounds=QUARTIC.bounds, random_state=0).fit()
    x, y = QUARTIC.sample(33, random_state=0)
    for metric in (fi.metrics.recall, fi.metrics.residual):
        assert metric(solver, x, np.ravel(y)) == metric(solver, x, np.reshape(y, (-1, 1)))


@pytest.mark.parametrize(
    "scoring",
    [
        fi.metrics.recall_scorer,
        fi.metrics.residual_scorer,
        functools.partial(fi.metrics.recall, k=2),
    ],
)
def test_a_grid_search_tells_networks_apart(scoring):
    """`score` gives all of them 1.0."""
    solver = fi.TwinSolver(
        ARM.forward,
        bounds=ARM.bounds,
        refine=False,
        network=fi.TwinNetwork(max_iter=12),
        pairs=fi.SolvedPairs(n_pairs=8_000, pairs_per_epoch=8_000),
        random_state=0,
    )
    grid = {"network__hidden_layer_sizes": [(1,), (48, 48)]}
    search = GridSearchCV(solver, grid, scoring=scoring, cv=2).fit(*ARM.sample(200, random_state=1))
    worse, better = search.cv_results_["mean_test_score"]
    assert better > worse
    assert search.best_estimator_.score(X, Y) == 1.0


@pytest.mark.parametrize("metric", [fi.metrics.recall, fi.metrics.residual])
def test_refusals(solver, metric):
    with pytest.raises(NotFittedError):
        metric(fi.NearestSolver(ARM.forward, bounds=ARM.bounds), X, Y)
    with pytest.raises(TypeError, match="solver must be one of fastinv's solvers, got Pipeline"):
        metric(make_pipeline(StandardScaler(), solver), X, Y)
    for wrong in (X[0], X[:, :1], X[:0]):
        with pytest.raises(ValueError, match=r"X must have shape \(n, 2\) with n positive"):
            metric(solver, wrong, Y)
    with pytest.raises(ValueError, match="X and y must have as many rows, got 101 and 100"):
        metric(solver, X, Y[1:])
    with pytest.raises(ValueError, match="y must have shape"):
        metric(solver, X, Y[:, :1])


def test_bad_options(solver):
    with pytest.raises(ValueError, match="tol must be"):
        fi.metrics.recall(solver, X, Y, tol=-1.0)
    with pytest.raises(ValueError, match="k must be"):
        fi.metrics.recall(solver, X, Y, k=0)
