"""Inverse by a mixture density network: p(x | y), its modes and its samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from fastinv._common.arrays import Float64Array
from fastinv._common.outliers import computed_pairs
from fastinv._common.parameters import Effect, check_effects, refuses_moved
from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_integer,
    check_option,
    check_targets,
)
from fastinv.backends.protocol import Backend, Ranked
from fastinv.estimators.mdn import MixtureDensityNetwork
from fastinv.functions.goal import Goal
from fastinv.mixture import Mixture
from fastinv.solvers.base import BaseSolver
from fastinv.solvers.composition import ComposedSolver, moved_to, with_seed
from fastinv.solvers.fitting.fit_data import FitData
from fastinv.solvers.twin import TwinSolver

Propose = Literal["modes", "samples"]
PROPOSE: tuple[Propose, ...] = ("modes", "samples")
_TARGETS_AT_ONCE = 2**13
_NUMBERS_AT_ONCE = 2**23
# Only its network is used.
_CORRECTOR_EFFECTS = (
    Effect(
        ("forward", "bounds", "n_anchors", "n_candidates", "residual_tol", "error_tol", "y_scale",
         "n_passes", "anchor_choice", "refine", "periods"),
        lambda given: False,
        "in a corrector that is not fitted: only its network is used, and f, bounds, anchors and "
        "units are those of the MixtureSolver",
        "a corrector that is fitted",
    ),
)  # fmt: skip
_MOVED = moved_to("MixtureSolver", "density", MixtureDensityNetwork)


class MixtureSolver(ComposedSolver, BaseSolver):
    """Solutions of f(x) = y as modes of a learned p(x | y).

    A mixture density network (Bishop 1994) is trained on the swapped data, from y to x. Where
    several x share a y it gives each its own mode, instead of their mean. Proposals are ranked by
    forward consistency, ``||f(x) - y||``, as in every solver. Modes are as exact as the network's
    density; a `corrector` brings them closer.

    Parameters
    ----------
    forward, bounds, residual_tol, error_tol, y_scale, refine, periods, backend, n_threads,
    random_state
        As in :class:`TwinSolver`.
    n_anchors : int, default=5000
        Training points to draw, with a formula. p(x | y) is then that of x uniform in the bounds.
    density : MixtureDensityNetwork or None, default=None
        The network from y to p(x | y). None is ``MixtureDensityNetwork(10, activation="tanh")``:
        it takes more components than there are solutions. A copy is trained, which has `backend`,
        `n_threads` and `verbose` from the solver where it leaves them at their defaults, and a
        seed of the solver unless it has a `random_state`.
    propose : {"modes", "samples"}, default="modes"
        Modes first, densest first, and samples where they are too few; or samples only.
    n_candidates : int, default=5
        Proposals per target.
    corrector : TwinSolver, default=None
        Moves each proposal by its twin network, with the proposal as the anchor, where that lowers
        the residual. One that is not fitted is cloned, and trained on the same f, bounds and data;
        beside `network`, `pairs` and what these share, its parameters stay at their defaults.
    verbose : int, default=0
        As in :class:`TwinSolver`.

    Attributes
    ----------
    density_ : MixtureDensityNetwork
        The network that was trained.
    corrector_ : TwinSolver or None
    n_iter_, stopped_
        Those of `density_`.
    forward_, anchors_x_, anchors_y_, bounds_, residual_tol_, error_tol_, y_scale_, n_features_in_,
    n_outputs_
        As in :class:`TwinSolver`.

    Examples
    --------
    >>> import fastinv as fi
    >>> x, y = fi.problems.wave.sample(500, random_state=0)
    >>> density = fi.MixtureDensityNetwork(5, max_iter=100)
    >>> solver = fi.MixtureSolver(fi.problems.wave.forward, density=density, random_state=0)
    >>> solver = solver.fit(x, y)
    >>> bool(abs(fi.problems.wave.forward(solver.solve(0.5).best) - 0.5).max() < 0.1)
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
        n_anchors: int = 5000,
        density: MixtureDensityNetwork | None = None,
        propose: Propose = "modes",
        n_candidates: int = 5,
        corrector: TwinSolver | None = None,
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
        self.density = density
        self.propose = propose
        self.n_candidates = n_candidates
        self.corrector = corrector
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
    ) -> MixtureSolver:
        """Train the network on the swapped data, and the corrector that is not fitted.

        Parameters
        ----------
        X, y, anchors
            As in :meth:`TwinSolver.fit`, which says, too, which measured rows are left out;
            anchors only tell which targets are reachable, and serve a corrector.

        Returns
        -------
        MixtureSolver
            Itself.

        Raises
        ------
        TypeError, ValueError
            As :meth:`TwinSolver.fit`; a corrector that is no TwinSolver, or was fitted for other
            numbers of inputs or outputs.
        FloatingPointError
            If training diverges.
        """
        check_option(self.propose, "propose", PROPOSE)
        check_integer(self.n_candidates, "n_candidates")
        self._check_effects(X, anchors)
        self._check_corrector()
        density: MixtureDensityNetwork = self._part("density", MixtureDensityNetwork)
        data, rng = self._start(X, y, anchors)
        points_x, points_y = data.points
        with computed_pairs(not data.measured):
            self.density_ = with_seed(density, int(rng.integers(2**31))).fit(points_y, points_x)
        self.corrector_ = self._fitted_corrector(data, int(rng.integers(2**31)))
        if data.forward is None and self.corrector_ is not None and self.forward is None:
            data = replace(data, forward=self.corrector_.forward_)  # learned from the same data
        self._sampling_seed = int(rng.integers(2**31))
        twin = None if self.corrector_ is None else self.corrector_.twin_
        self._finish(data, twin, rng)
        return self

    def posterior(self, y: ArrayLike) -> Mixture:
        """p(x | y) of each target, not cut off at the bounds.

        Parameters
        ----------
        y : array-like of shape (n, q) or (q,); (n,) or a number where q is 1
            Finite targets.

        Returns
        -------
        Mixture
            A batch of n.

        Raises
        ------
        NotFittedError
        ValueError
            Wrong shape, NaN or infinity.
        """
        check_is_fitted(self, "density_")
        return self.density_.predict_distribution(check_targets(y, self.n_outputs_))

    def sample(
        self, y: ArrayLike, n_samples: int = 1, random_state: RandomState = None
    ) -> Float64Array:
        """Draws from p(x | y).

        Parameters
        ----------
        y : array-like
            As in :meth:`posterior`.
        n_samples : int, default=1
            For each target.
        random_state : int, RandomState, Generator or None, default=None

        Returns
        -------
        ndarray of shape (n, n_samples, p), float64
        """
        check_integer(n_samples, "n_samples", minimum=0)
        return self.posterior(y).sample(n_samples, random_state)

    def log_prob(self, X: ArrayLike, y: ArrayLike) -> Float64Array:
        """log p(x | y) of each row, in nats, a density in the units of x.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of n targets, as in :meth:`posterior`

        Returns
        -------
        ndarray of shape (n,), float64
        """
        posterior = self.posterior(y)
        x = as_float64(X, "X")
        if x.shape != (len(posterior), self.n_features_in_):
            raise ValueError(
                f"X must have shape ({len(posterior)}, {self.n_features_in_}), a row for each "
                f"target, got {x.shape}"
            )
        return posterior.log_prob(x)

    @property
    def n_iter_(self) -> int:
        return self.density_.n_iter_

    @property
    def stopped_(self) -> str:
        return self.density_.stopped_

    def _default_parts(self) -> dict[str, BaseEstimator]:
        return {"density": MixtureDensityNetwork(10, activation="tanh")}

    def _check_corrector(self) -> None:
        if self.corrector is None:
            return
        if not isinstance(self.corrector, TwinSolver):
            raise TypeError(
                f"corrector must be a TwinSolver or None, got {type(self.corrector).__name__}"
            )
        if not hasattr(self.corrector, "twin_"):
            check_effects(self.corrector, _CORRECTOR_EFFECTS)

    def _fitted_corrector(self, data: FitData, random_state: int) -> TwinSolver | None:
        """The corrector, trained if it is not."""
        corrector = self.corrector
        if corrector is None:
            return None
        if not hasattr(corrector, "twin_"):
            own = {"forward": self.forward, "bounds": self.bounds, "y_scale": self.y_scale_}
            corrector = clone(corrector).set_params(**own)
            if corrector.random_state is None:
                corrector.set_params(random_state=random_state)
            x, y = data.points
            corrector.fit(x, y if data.measured else None, anchors=data.anchors)
            return cast(TwinSolver, corrector)
        found = corrector.n_features_in_, corrector.n_outputs_
        if found != (self.n_features_in_, self.n_outputs_):
            raise ValueError(
                f"corrector must have {self.n_features_in_} inputs and {self.n_outputs_} outputs, "
                f"got {found[0]} and {found[1]}"
            )
        return corrector

    def _ranked(self, goal: Goal, k: int | None) -> Ranked:
        k = self.n_candidates if k is None else check_integer(k, "k")
        n_candidates = max(k, self.n_candidates)
        step = self._targets_at_once()
        parts = []
        for first in range(0, max(1, len(goal)), step):  # Ctrl-C is heard between two
            rows = slice(first, first + step)
            near = None if goal.near is None else goal.near[rows]
            part = replace(goal, targets=goal.targets[rows], near=near)
            parts.append(self._ranked_at_once(part, k, n_candidates))
        return Ranked(*map(np.concatenate, zip(*parts, strict=True)))

    def _targets_at_once(self) -> int:
        """How many targets take neither long nor much memory."""
        mixture = self.density_.mixture_spec_
        numbers = mixture.n_components * (mixture.n_dims + 1) ** 2
        return max(1, min(_TARGETS_AT_ONCE, _NUMBERS_AT_ONCE // numbers))

    def _ranked_at_once(self, goal: Goal, k: int, n_candidates: int) -> Ranked:
        # The network sees finite targets only; `rank` marks the rows of the others.
        finite = np.isfinite(goal.targets).all(axis=1, keepdims=True)
        seen = np.where(finite, goal.targets, self.anchors_y_[0])
        x = self._modes_and_samples(seen, n_candidates)
        return self._ranked_proposals(goal, x, k, n_passes=0 if self.corrector_ is None else 1)

    def _modes_and_samples(self, goals: Float64Array, n_candidates: int) -> Float64Array:
        """Proposals ``(n, n_candidates, p)`` for finite `goals` ``(n, q)``: modes, then samples.

        Every target's samples are made of the same random numbers, so that it does not matter in
        which batch it comes.
        """
        posterior = self.density_.predict_distribution(goals)
        x = _samples(posterior, n_candidates, np.random.default_rng(self._sampling_seed))
        if self.propose == "modes":
            modes = posterior.modes(backend=self.backend, n_threads=self.n_threads)
            modes_x = modes.x[:, :n_candidates]
            found = np.isfinite(modes_x).all(axis=2, keepdims=True)
            places = slice(modes_x.shape[1])
            x[:, places] = np.where(found, modes_x, x[:, places])
        return x


def _samples(mixture: Mixture, n_samples: int, rng: np.random.Generator) -> Float64Array:
    """Samples ``(n, n_samples, p)``, those of all rows from the same random numbers."""
    cumulative = np.cumsum(mixture.weights, axis=1)[:, :-1]
    component = (rng.uniform(size=(n_samples, 1)) > cumulative[:, None]).sum(axis=2)
    noise = rng.standard_normal((n_samples, mixture.n_dims))
    rows = np.arange(len(mixture))[:, None]
    factors = np.linalg.cholesky(mixture.covariances)[rows, component]
    return np.asarray(mixture.means[rows, component] + np.einsum("nsij,sj->nsi", factors, noise))
