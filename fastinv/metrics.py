"""How good solvers are on held-out rows, also as scorers for scikit-learn's searches.

The ``score`` of a solver is scikit-learn's R² of ``predict``: it rates f, not the inverse. For a
formula it is 1.0 whatever the solver is like.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64, check_number, check_targets
from fastinv.solvers.base import BaseSolver

__all__ = ["recall", "recall_scorer", "residual", "residual_scorer"]


def recall(
    solver: BaseSolver,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    k: int | None = None,
    tol: float = 0.05,
) -> float:
    """Share of rows whose own x is among the solutions of their y.

    Parameters
    ----------
    solver : TwinSolver, NearestSolver, MixtureSolver or DirectSolver
        Fitted.
    X : array-like of shape (n, p)
        Rows that the solver has not seen.
    y : array-like of shape (n,) or (n, q), default=None
        Their images; None takes ``solver.predict(X)``.
    k : int, default=None
        Solutions per target, as in `solve`.
    tol : float, default=0.05
        Largest distance between an x and a solution that count as the same, in standard deviations
        of the anchors, modulo periods.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    NotFittedError
    TypeError
        `solver` is none of these.
    ValueError
        Wrong shapes or numbers, or no rows.

    Examples
    --------
    >>> import fastinv as fi
    >>> quartic = fi.problems.quartic
    >>> solver = fi.NearestSolver(quartic.forward, bounds=quartic.bounds, random_state=0).fit()
    >>> X, y = quartic.sample(200, random_state=1)
    >>> fi.metrics.recall(solver, X, y, k=1) < 0.7 < fi.metrics.recall(solver, X, y)
    True
    """
    inputs, targets = _held_out(solver, X, y)
    check_number(tol, "tol", minimum=0.0)
    found = solver.solve(targets, k)
    distance = solver.problem_.region.distance(found.x, inputs[:, None, :])
    return float((distance <= tol).any(axis=1).mean())


def residual(
    solver: BaseSolver, X: ArrayLike, y: ArrayLike | None = None, *, polish: bool = False
) -> float:
    """Root mean square, over rows, of the residual of the best solution.

    Parameters
    ----------
    solver, X, y
        As in :func:`recall`; X is used only where y is None.
    polish : bool, default=False
        Whether solutions are polished, if the solver does that: nearly all residuals are rounding
        errors then. Without it they tell what the solver has learned.

    Returns
    -------
    float
        In the units of ``Solutions.residual``; infinite if a row has only INVALID solutions.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        As :func:`recall`.

    Examples
    --------
    >>> import fastinv as fi
    >>> arm = fi.problems.two_link_arm
    >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0).fit()
    >>> X, y = arm.sample(200, random_state=1)
    >>> fi.metrics.residual(solver, X, y, polish=True) < 1e-12 < fi.metrics.residual(solver, X, y)
    True
    """
    _, targets = _held_out(solver, X, y)
    if not polish:
        solver = solver.with_options(polish=False)
    best = solver.solve(targets, 1).residual[:, 0]
    return float(np.sqrt(np.mean(best**2)))


def recall_scorer(solver: BaseSolver, X: ArrayLike, y: ArrayLike | None = None) -> float:
    """:func:`recall` with its defaults, as scikit-learn's ``scoring=``.

    For other ones: ``scoring=functools.partial(fi.metrics.recall, k=10)``.

    Examples
    --------
    >>> import fastinv as fi
    >>> from sklearn.model_selection import GridSearchCV
    >>> arm = fi.problems.two_link_arm
    >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds)
    >>> grid = {"n_candidates": [1, 5]}
    >>> search = GridSearchCV(solver, grid, scoring=fi.metrics.recall_scorer)
    >>> search.fit(*arm.sample(300, random_state=0)).best_params_
    {'n_candidates': 5}
    """
    return recall(solver, X, y)


def residual_scorer(solver: BaseSolver, X: ArrayLike, y: ArrayLike | None = None) -> float:
    """The negative of :func:`residual` before polish, as scikit-learn's ``scoring=``.

    Examples
    --------
    >>> import fastinv as fi
    >>> from sklearn.model_selection import cross_validate
    >>> arm = fi.problems.two_link_arm
    >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds)
    >>> scoring = {"recall": fi.metrics.recall_scorer, "residual": fi.metrics.residual_scorer}
    >>> found = cross_validate(solver, *arm.sample(300, random_state=0), scoring=scoring)
    >>> bool((found["test_residual"] < 0).all())
    True
    """
    return -residual(solver, X, y)


def _held_out(solver: Any, X: ArrayLike, y: ArrayLike | None) -> tuple[Float64Array, Float64Array]:
    """x (n, p) and y (n, q) of the rows, n positive."""
    if not isinstance(solver, BaseSolver):
        raise TypeError(f"solver must be one of fastinv's solvers, got {type(solver).__name__}")
    check_is_fitted(solver, "problem_")
    p = solver.problem_.n_inputs
    inputs = as_float64(X, "X")
    if inputs.ndim != 2 or inputs.shape[1] != p or not len(inputs):
        raise ValueError(f"X must have shape (n, {p}) with n positive, got {inputs.shape}")
    images = solver.predict(inputs) if y is None else y
    targets = check_targets(images, solver.n_outputs_)
    if len(targets) != len(inputs):
        raise ValueError(f"X and y must have as many rows, got {len(inputs)} and {len(targets)}")
    return inputs, targets
