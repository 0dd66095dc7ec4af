"""Inverse twin neural network regression: the solver that this package is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from fastinv._common.parameters import refuses_moved
from fastinv._common.validation import RandomState, check_integer, check_n_neighbors
from fastinv.backends import get_backend
from fastinv.backends.protocol import Backend, TwinModel
from fastinv.estimators.networks import check_resumable
from fastinv.estimators.twin_network import TwinNetwork
from fastinv.solvers.anchored import AnchoredSolver
from fastinv.solvers.composition import ComposedSolver, moved_to
from fastinv.solvers.fitted import AnchorChoice
from fastinv.solvers.pairs.sources import TrainingPairs, default_pairs

_MOVED = moved_to("TwinSolver", "network", TwinNetwork) | {
    "n_neighbors": "is called n_candidates now: TwinSolver(n_candidates=...)",
    "training_pairs": "is an object now: TwinSolver(pairs=fi.SolvedPairs()) for 'solved', "
    "TwinSolver(pairs=fi.NearPairs()) for 'near'",
    "n_pairs": "is a parameter of the pairs now: TwinSolver(pairs=fi.SolvedPairs(n_pairs=...))",
    "pairs_per_epoch": "is a parameter of the pairs now: "
    "TwinSolver(pairs=fi.SolvedPairs(pairs_per_epoch=...))",
    "pair_radius": "is a parameter of the pairs now: TwinSolver(pairs=fi.SolvedPairs(radius=...))",
    "n_pair_neighbors": "is a parameter of the pairs now: "
    "TwinSolver(pairs=fi.NearPairs(n_neighbors=...))",
    "validation_fraction": "is a parameter of the pairs now: "
    "TwinSolver(pairs=fi.NearPairs(validation_fraction=...))",
}


class TwinSolver(ComposedSolver, AnchoredSolver):
    """All x with f(x) = y, by a network that corrects the anchors nearest to y.

    Inverse twin neural network regression (Wetzel 2026, "Inverting Non-Injective Functions with
    Twin Neural Network Regression", algorithms 1 and 2). One network F is trained to predict
    ``x - x_a`` from ``(y, y_a, x_a)``, eq. (5). To solve, the anchors nearest to the target *in y*
    are each corrected by F, eq. (6); every anchor leads to the solution on its own branch, or to
    another one where its branch ends before the target; candidates are ranked by
    ``||f(x) - y||``.

    The paper trains on points that are near each other in x; here, unless `pairs` says otherwise,
    F is trained on what it will be asked: targets, the anchors near them in y, and the solutions
    there. With a formula for f residuals are exact. From measured data a network that is learned
    from them stands for f, unless a forward function is given, too.

    Parameters
    ----------
    forward : ForwardFunction, callable, regressor or None, default=None
        f. None learns it from the data given to `fit`: up to 2,000 pairs with a
        :class:`DistilledRegressor`, more with an :class:`MLPRegressor`. A regressor that is not
        fitted yet is cloned and trained.
    bounds : array-like of shape (p, 2), default=None
        ``(low, high)`` of each input. Solutions stay inside; anchors are drawn there if `fit`
        gets none.
    n_anchors : int, default=1000
        Anchors to draw.
    n_candidates : int, default=5
        Anchors tried, hence candidates, per target.
    network : TwinNetwork or None, default=None
        What is trained, and how. None is ``TwinNetwork()``. A copy is trained, which has
        `backend`, `n_threads` and `verbose` from the solver where it leaves them open, and
        continues the solver's random numbers unless it has a `random_state`.
    pairs : SolvedPairs, NearPairs or None, default=None
        What it is trained on. None takes ``SolvedPairs()``, but ``NearPairs()`` where f is a
        regressor of another kind than fastinv's, which may be slow or without a derivative.
    residual_tol : float, default=None
        Largest residual of a CONVERGED solution: of the norm of its errors, each in the unit of its
        output. f - y must also have a root near it, as far as f tells. None takes 1e-3, or no limit
        where `error_tol` is given.
    error_tol : float or array-like of shape (q,), default=None
        Largest error of each output of a CONVERGED solution, in the units of y, such as 0.5, or
        ``[1e-4, 1e-3]`` for metres and radians. What it allows counts whether or not f reaches the
        target.
    y_scale : float or array-like of shape (q,), default=None
        The unit of each output, in which distances in y are measured: the size of changes that
        matter. None takes the standard deviation over the anchors.
    n_passes : int or None, default=None
        How often the network is applied to each candidate: first to an anchor, then to what came
        of it, with its image by f, in the anchor's place. What comes no closer is left out. Each
        further pass costs an evaluation of f. None takes 1 where candidates are polished, else 2.
    anchor_choice : {"spread", "nearest"}, default="spread"
        "nearest" tries the anchors nearest to the target in y, as the paper does. "spread" tries
        of those the nearest ones that are far apart in x first, which lie on different branches.
    refine : bool or None, default=None
        Polish what is found: damped Gauss-Newton steps inside the bounds, down to rounding error.
        None does so where f is exact and runs natively: what an evaluation costs is not known of
        an f that only Python can evaluate, and a polish takes dozens per candidate.
    periods : float or array-like of shape (p,), default=None
        Periods of inputs, such as 2 pi for an angle; infinite for the others. Distances are
        modulo them, and for the polish an input whose bounds span its period has no bounds.
        `fit` raises where a known f, at a few anchors, has other values one period away; what is
        learned from data is periodic only as nearly as it learned, and is not checked.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"
    n_threads : int or None, default=None
        None takes as many as pay.
    random_state : int, RandomState, Generator or None, default=None
        Seed of anchors, pairs and weights. An integer gives the same bits every time.
    verbose : int, default=0
        1 shows a progress bar, of the training and of other calls that take long, 2 also a line
        per epoch, both on standard error.

    Attributes
    ----------
    forward_ : Forward
        f as it is used.
    anchors_x_, anchors_y_ : ndarray of shape (n_anchors, p), (n_anchors, q)
    bounds_ : ndarray of shape (p, 2) or None
    network_ : TwinNetwork
        The trained network.
    pairs_ : SolvedPairs or NearPairs
        The kind of pairs it was trained on.
    twin_ : TwinModel
        The trained network with its scales, ``network_.model_``.
    residual_tol_ : float
    error_tol_ : ndarray of shape (q,) or None
    y_scale_ : ndarray of shape (q,)
        The tolerances and units in use.
    loss_curve_, validation_loss_curve_, n_iter_, stopped_
        Those of `network_`.
    n_features_in_, n_outputs_ : int
        p and q.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> @fi.forward(n_inputs=1, n_outputs=1)
    ... def parabola(x, y):
    ...     y[0] = x[0] ** 2
    >>> network = fi.TwinNetwork(max_iter=10)
    >>> solver = fi.TwinSolver(parabola, bounds=[(-2, 2)], network=network, random_state=0)
    >>> solutions = solver.fit().solve(1.0)
    >>> sorted(set(solutions.x.ravel().round(2).tolist()))
    [-1.0, 1.0]
    """

    _moved = _MOVED

    @refuses_moved(_MOVED)
    def __init__(
        self,
        forward: Any = None,
        *,
        bounds: Any = None,
        n_anchors: int = 1000,
        n_candidates: int = 5,
        network: TwinNetwork | None = None,
        pairs: TrainingPairs | None = None,
        residual_tol: float | None = None,
        error_tol: ArrayLike | None = None,
        y_scale: ArrayLike | None = None,
        n_passes: int | None = None,
        anchor_choice: AnchorChoice = "spread",
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
        self.n_candidates = n_candidates
        self.network = network
        self.pairs = pairs
        self.residual_tol = residual_tol
        self.error_tol = error_tol
        self.y_scale = y_scale
        self.n_passes = n_passes
        self.anchor_choice = anchor_choice
        self.refine = refine
        self.periods = periods
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, *, anchors: Any = None
    ) -> TwinSolver:
        """Train the network, and the forward function if it is not given.

        Parameters
        ----------
        X : array-like of shape (n, p), default=None
            With y: measured inputs. Without y: anchors, their images computed by `forward`. None
            draws `n_anchors` anchors inside `bounds`.
        y : array-like of shape (n,) or (n, q), default=None
            Measured outputs.
        anchors : array-like of shape (m, p) or tuple (X, y), default=None
            Anchors to solve from where they are not the data. Without a known f they come with
            their outputs.

        Returns
        -------
        TwinSolver
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter of the wrong kind or out of range; neither f nor data; wrong shapes; NaN
            or infinity in the data; fewer anchors than `n_candidates`; a checkpoint that is
            damaged or of another training.
        FloatingPointError
            If training diverges.

        Warns
        -----
        UserWarning
            Constant columns; measured rows that are left out; and an interruption (Ctrl-C), which
            keeps the best weights.

        Notes
        -----
        A measured row is left out of all that is learned, of scales and of anchors, if a value in
        it is absurdly far from all others of its column: a hundred times and more as far as the
        tail of the others explains, so that of 600 values of order one it is about a thousand. The
        warning names row, column and value. At most one row in a hundred is left out for a column;
        what is more frequent is taken as it is, and so is everything that a formula gives.
        """
        self._check_effects(X, anchors)
        network: TwinNetwork = self._part("network", TwinNetwork)
        network.check()
        check_resumable(network.checkpoint, self.random_state)
        pairs: TrainingPairs = self._part("pairs", TrainingPairs)
        pairs.check(measured=y is not None)
        if self.n_passes is not None:
            check_integer(self.n_passes, "n_passes")
        data, rng = self._start(X, y, anchors)
        check_n_neighbors(self.n_candidates, len(data.anchors[0]), "n_candidates")
        data = replace(data, forward=self._known_or_learned(data, rng))
        self.pairs_ = pairs
        self.network_ = network.fit_pairs(
            pairs.source(data, self._anchors, get_backend(self.backend), rng), rng
        )
        self._finish(data, self.twin_, rng)
        return self

    @property
    def twin_(self) -> TwinModel:
        return self.network_.model_

    @property
    def loss_curve_(self) -> list[float]:
        return self.network_.loss_curve_

    @property
    def validation_loss_curve_(self) -> list[float] | None:
        return self.network_.validation_loss_curve_

    @property
    def n_iter_(self) -> int:
        return self.network_.n_iter_

    @property
    def stopped_(self) -> str:
        return self.network_.stopped_

    def _default_parts(self) -> dict[str, BaseEstimator]:
        return {"network": TwinNetwork(), "pairs": default_pairs(self.forward)}
