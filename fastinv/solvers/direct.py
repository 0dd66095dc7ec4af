"""The baseline that fails: one network trained on the inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.validation import RandomState, check_integer
from fastinv.backends.protocol import Backend, Ranked
from fastinv.estimators.mlp import MLPRegressor
from fastinv.functions.goal import Goal
from fastinv.functions.networks import Activation, Loss
from fastinv.solvers.base import BaseSolver


class DirectSolver(BaseSolver):
    """Inverse by regression: one network from y to x, for comparison.

    Where several x share a y the network learns their mean (or median), which in general is no
    solution; the residual says so. It has one candidate per target.

    Parameters
    ----------
    forward, bounds, n_anchors, residual_tol, refine, periods, backend, n_threads,
    random_state
        As in :class:`TwinSolver`; the anchors drawn are the training data, by default 1000.
    hidden_layer_sizes : int or sequence of int, default=(128, 128)
    activation : {"relu", "silu", "tanh", "identity"}, default="silu"
    loss : {"absolute_error", "squared_error", "huber"}, default="squared_error"
    batch_size : int, default=32
    learning_rate_init : float, default=3e-3
        Falls to 0 along a cosine.
    max_iter : int, default=200
    early_stopping : bool, default=True
        Set a tenth of the data aside and keep the weights that were best on it.
    verbose : int, default=0

    Attributes
    ----------
    regressor_ : MLPRegressor
        The network from y to x.
    n_iter_ : int
        Epochs that it was trained for.
    forward_, anchors_x_, anchors_y_, bounds_, residual_tol_, n_features_in_, n_outputs_
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

    def __init__(
        self,
        forward: Any = None,
        *,
        bounds: Any = None,
        n_anchors: int = 1000,
        hidden_layer_sizes: int | Sequence[int] = (128, 128),
        activation: Activation = "silu",
        loss: Loss = "squared_error",
        batch_size: int = 32,
        learning_rate_init: float = 3e-3,
        max_iter: int = 200,
        early_stopping: bool = True,
        residual_tol: float = 1e-3,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.residual_tol = residual_tol
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
            As in :meth:`TwinSolver.fit`; anchors only tell which targets are reachable.

        Notes
        -----
        `near` of :meth:`solve` has no effect: there is one candidate.

        Returns
        -------
        DirectSolver
            Itself.
        """
        data, rng = self._start(X, y, anchors)
        self.regressor_ = MLPRegressor(
            self.hidden_layer_sizes,
            self.activation,
            loss=self.loss,
            batch_size=self.batch_size,
            learning_rate="cosine",
            learning_rate_init=self.learning_rate_init,
            max_iter=self.max_iter,
            early_stopping=self.early_stopping,
            n_iter_no_change=None,
            backend=self.backend,
            n_threads=self.n_threads,
            random_state=int(rng.integers(2**31)),
            verbose=self.verbose,
        ).fit(data.points[1], data.points[0])
        self.n_iter_ = self.regressor_.n_iter_
        self._finish(data, None, rng)
        return self

    def _ranked(self, goal: Goal, k: int | None) -> Ranked:
        if k is not None and check_integer(k, "k") > 1:
            raise ValueError(f"k must be 1: a direct network has one candidate, got {k}")
        targets = goal.targets
        x = np.full((len(targets), 1, self.n_features_in_), np.nan)
        finite = np.isfinite(targets).all(axis=1)
        x[finite, 0] = self.regressor_.predict(targets[finite]).reshape(-1, self.n_features_in_)
        return self._ranked_proposals(goal, x, 1)
