"""The baseline that fails: one network trained on the inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from fastinv._common.outliers import computed_pairs
from fastinv._common.parameters import refuses_moved
from fastinv._common.validation import RandomState, check_integer
from fastinv.backends.protocol import Backend, Ranked
from fastinv.estimators.mlp import MLPRegressor
from fastinv.functions.goal import Goal
from fastinv.solvers.base import BaseSolver
from fastinv.solvers.composition import ComposedSolver, moved_to, with_seed

_MOVED = moved_to("DirectSolver", "network", MLPRegressor)


class DirectSolver(ComposedSolver, BaseSolver):
    """Inverse by regression: one network from y to x, for comparison.

    Where several x share a y the network learns their mean (or median), which in general is no
    solution; the residual says so. It has one candidate per target.

    Parameters
    ----------
    forward, bounds, n_anchors, residual_tol, error_tol, y_scale, refine, periods, backend,
    n_threads, random_state
        As in :class:`TwinSolver`; the anchors drawn are the training data, by default 1000.
    network : MLPRegressor or None, default=None
        From y to x. None is ``MLPRegressor((128, 128), "silu", loss="squared_error",
        learning_rate="cosine", learning_rate_init=3e-3, n_iter_no_change=None)``. A copy is
        trained, which has `backend`, `n_threads` and `verbose` from the solver where it leaves
        them at their defaults, and a seed of the solver unless it has a `random_state`.
    verbose : int, default=0
        As in :class:`TwinSolver`.

    Attributes
    ----------
    network_ : MLPRegressor
        The network that was trained.
    n_iter_, stopped_
        Those of `network_`.
    forward_, anchors_x_, anchors_y_, bounds_, residual_tol_, error_tol_, y_scale_, n_features_in_,
    n_outputs_
        As in :class:`TwinSolver`.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> X = np.linspace(-2, 2, 401)[:, None]
    >>> solver = fi.DirectSolver(lambda x: x**2, random_state=0).fit(X)
    >>> bool(abs(solver.solve(1.0).best[0, 0]) < 0.5)  # between the solutions -1 and 1
    True
    """

    _falls_back_on_anchors = False

    _moved = _MOVED

    @refuses_moved(_MOVED)
    def __init__(
        self,
        forward: Any = None,
        *,
        bounds: Any = None,
        n_anchors: int = 1000,
        network: MLPRegressor | None = None,
        residual_tol: float | None = None,
        error_tol: ArrayLike | None = None,
        y_scale: ArrayLike | None = None,
        refine: bool | None = None,
        periods: float | ArrayLike | None = None,
        backend: str | Backend = "auto",
        n_threads: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.forward = forward
        self.bounds = bounds
        self.n_anchors = n_anchors
        self.network = network
        self.residual_tol = residual_tol
        self.error_tol = error_tol
        self.y_scale = y_scale
        self.refine = refine
        self.periods = periods
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, *, anchors: Any = None
    ) -> DirectSolver:
        """Train the network on the swapped data.

        Parameters
        ----------
        X, y, anchors
            As in :meth:`TwinSolver.fit`, which says, too, which measured rows are left out;
            anchors only tell which targets are reachable.

        Notes
        -----
        `near` of :meth:`solve` has no effect: there is one candidate.

        Returns
        -------
        DirectSolver
            Itself.
        """
        self._check_effects(X, anchors)
        network: MLPRegressor = self._part("network", MLPRegressor)
        data, rng = self._start(X, y, anchors)
        seeded = with_seed(network, int(rng.integers(2**31)))
        with computed_pairs(not data.measured):
            self.network_ = seeded.fit(data.points[1], data.points[0])
        self._finish(data, None, rng)
        return self

    @property
    def n_iter_(self) -> int:
        return self.network_.n_iter_

    @property
    def stopped_(self) -> str:
        return self.network_.stopped_

    def _default_parts(self) -> dict[str, BaseEstimator]:
        network = MLPRegressor(
            (128, 128),
            "silu",
            loss="squared_error",
            learning_rate="cosine",
            learning_rate_init=3e-3,
            n_iter_no_change=None,
        )
        return {"network": network}

    def _ranked(self, goal: Goal, k: int | None) -> Ranked:
        if k is not None and check_integer(k, "k") > 1:
            raise ValueError(f"k must be 1: a direct network has one candidate, got {k}")
        targets = goal.targets
        x = np.full((len(targets), 1, self.n_features_in_), np.nan)
        finite = np.isfinite(targets).all(axis=1)
        x[finite, 0] = self.network_.predict(targets[finite]).reshape(-1, self.n_features_in_)
        return self._ranked_proposals(goal, x, 1)
