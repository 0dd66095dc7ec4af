"""The baseline without a network: look up the nearest anchors."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastinv._common.parameters import refuses_moved
from fastinv._common.validation import RandomState, check_n_neighbors
from fastinv.backends.protocol import Backend
from fastinv.solvers.anchored import AnchoredSolver
from fastinv.solvers.composition import ComposedSolver
from fastinv.solvers.fitted import AnchorChoice

_MOVED = {"n_neighbors": "is called n_candidates now: NearestSolver(n_candidates=...)"}


class NearestSolver(ComposedSolver, AnchoredSolver):
    """Inverse by lookup: the x of the anchors whose y are nearest to the target.

    Section 4.4 of Wetzel (2026). Neighbours are never averaged, for the mean of two solutions is
    in general none. Its residual falls only with the distance between anchors, which makes it the
    yardstick for everything else.

    Parameters
    ----------
    forward : ForwardFunction, callable, regressor or None, default=None
        f, to draw anchors from and to rank by. None learns it from the data given to `fit`: up to
        2,000 pairs with a :class:`DistilledRegressor`, more with an :class:`MLPRegressor`. A
        regressor that is not fitted yet is cloned and trained.
    bounds : array-like of shape (p, 2), default=None
        ``(low, high)`` of each input; where anchors are drawn if `fit` gets no data.
    n_anchors : int, default=1000
        Anchors to draw.
    n_candidates : int, default=5
        Anchors tried, hence candidates, per target.
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
    anchor_choice : {"spread", "nearest"}, default="spread"
        "nearest" tries the anchors nearest to the target in y, as the paper does. "spread" tries
        of those the nearest ones that are far apart in x first, which lie on different branches.
    refine : bool or None, default=None
        Polish what is found: damped Gauss-Newton steps inside the bounds, down to rounding error.
        None does so where f is exact and runs natively: what an evaluation costs is not known of
        an f that only Python can evaluate, and a polish takes dozens per candidate.
    periods : float or array-like of shape (p,), default=None
        Periods of inputs, such as 2 pi for an angle; infinite for the others. Distances are
        modulo them, and an input whose bounds span its period has no bounds.
        `fit` raises where a known f, at a few anchors, has other values one period away; what is
        learned from data is periodic only as nearly as it learned, and is not checked.
    backend : {"auto", "cpp", "reference"} or Backend, default="auto"
    n_threads : int or None, default=None
        None takes as many as pay.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        1 shows a progress bar for calls that take long, on standard error.

    Attributes
    ----------
    forward_ : Forward
        f as it is used.
    anchors_x_, anchors_y_ : ndarray of shape (n_anchors, p), (n_anchors, q)
    bounds_ : ndarray of shape (p, 2) or None
    residual_tol_ : float
    error_tol_ : ndarray of shape (q,) or None
    y_scale_ : ndarray of shape (q,)
        The tolerances and units in use.
    n_features_in_, n_outputs_ : int
        p and q.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> X = np.linspace(-2, 2, 401)[:, None]
    >>> solver = fi.NearestSolver(lambda x: x**2, n_candidates=2).fit(X)
    >>> solver.solve(1.0 + 1e-6).x.round(3).ravel().tolist()
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
        residual_tol: float | None = None,
        error_tol: ArrayLike | None = None,
        y_scale: ArrayLike | None = None,
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
        self.residual_tol = residual_tol
        self.error_tol = error_tol
        self.y_scale = y_scale
        self.anchor_choice = anchor_choice
        self.refine = refine
        self.periods = periods
        self.backend = backend
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, *, anchors: Any = None
    ) -> NearestSolver:
        """Take the anchors, or draw them.

        Parameters
        ----------
        X : array-like of shape (n, p), default=None
            Anchors; None draws `n_anchors` of them inside `bounds`.
        y : array-like of shape (n,) or (n, q), default=None
            Their measured images; None computes them with `forward`.
        anchors : array-like of shape (m, p) or tuple (X, y), default=None
            Other anchors than the data.

        Returns
        -------
        NearestSolver
            Itself.

        Warns
        -----
        UserWarning
            Constant columns; measured rows that are left out, see :meth:`TwinSolver.fit`.
        """
        self._check_effects(X, anchors)
        data, rng = self._start(X, y, anchors)
        check_n_neighbors(self.n_candidates, len(data.anchors[0]), "n_candidates")
        self._finish(data, None, rng)
        return self
