"""What all solvers share: `predict`, `solve`, and the pipeline behind it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, validate_data

from fastinv._common.threads import resolve_n_threads
from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_number,
    check_random_state,
    check_targets,
)
from fastinv.backends import get_backend
from fastinv.backends.checks.common import FLOAT64
from fastinv.backends.checks.pipeline import check_no_overlap, check_out, check_written
from fastinv.backends.protocol import (
    CandidateFlag,
    Float64Array,
    Pipeline,
    PipelineSpec,
    Ranked,
    TwinNetwork,
)
from fastinv.estimators.networks import mean_and_scale
from fastinv.functions.forward import Forward
from fastinv.solutions import Solutions
from fastinv.solutions.explanation import Circumstances
from fastinv.solvers.anchors import (
    coverage_of_data,
    coverage_of_formula,
    overall_spread,
)
from fastinv.solvers.enumeration import EnumerationMixin
from fastinv.solvers.fit_data import FitData, check_fit_data, check_range
from fastinv.solvers.frozen import FrozenSolver, NativeCall
from fastinv.solvers.images import Proposals, noise_of
from fastinv.solvers.learned_forward import train_forward
from fastinv.solvers.refinement import (
    branch_distance,
    check_periods,
    is_cyclic,
    native_forward,
    refine_spec,
    resolve_passes,
    resolve_refine,
)

AnchorChoice = Literal["spread", "nearest"]

_MADE_AGAIN = ("_pipeline", "_search")  # native objects, from what is pickled


class BaseSolver(EnumerationMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the solvers: subclasses train in `fit`, between `_start` and `_finish`, and say in
    `_ranked` where candidates come from."""

    forward: Any
    bounds: Any
    n_anchors: int
    residual_tol: float
    refine: bool | None
    periods: Any
    random_state: RandomState
    _pipeline: Pipeline
    _falls_back_on_anchors = True  # where an anchor is closer than what was made of it

    def predict(self, X: ArrayLike) -> Float64Array:
        """The forward prediction: f(x), exact or learned.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        ndarray of shape (n, q), or (n,) if y was 1-D in `fit`; float64
        """
        check_is_fitted(self, "forward_")
        inputs = validate_data(self, X, reset=False, dtype=np.float64, ensure_min_samples=0)
        images = self.forward_(inputs)
        return images.ravel() if self._y_ndim == 1 else images

    def solve(
        self,
        y: ArrayLike,
        k: int | None = None,
        *,
        near: ArrayLike | None = None,
        out: Solutions | None = None,
    ) -> Solutions:
        """Solutions x of f(x) = y, best first.

        Parameters
        ----------
        y : array-like of shape (n, q) or (q,); (n,) or a number where q is 1
            Targets. One that is NaN or infinite gets INVALID solutions, one that is farther from
            all anchors, and from the images of all candidates, than attainable targets are from
            their nearest anchor gets UNREACHABLE ones; other rows are not affected.
        k : int, default=None
            Solutions per target. None gives as many as the solver tries by itself.
        near : array-like of shape (p,) or (n, p), default=None
            Prefer solutions near these states: the CONVERGED ones come first, by their distance
            to the state in standard deviations of the anchors; the others follow by residual.
            Four times as many anchors are tried.
        out : Solutions, default=None
            Solutions of as many targets, k each, whose arrays are written to instead of new ones;
            `near` may be a part of them.

        Returns
        -------
        Solutions
            `out` where it is given.

        Raises
        ------
        NotFittedError
        TypeError
            `out` is no Solutions, or its arrays have other dtypes.
        ValueError
            Wrong shapes, `near` not finite, `k` above the number of anchors, or two arrays of
            `out` overlap.
        """
        if not hasattr(self, "pipeline_spec_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")
        targets = _own_targets(y, self.n_outputs_)
        states = None if near is None else self._check_near(near, len(targets))
        if out is None:
            ranked = self._ranked(targets, k, states)
            return Solutions(targets, *ranked, circumstances=self._circumstances)
        if not isinstance(out, Solutions):
            raise TypeError(f"out must be a Solutions, got {type(out).__name__}")
        check_written("out.targets", out.targets, targets.shape, FLOAT64)
        arrays = Ranked(out.x, out.residual, out.anchor, out.status)
        check_no_overlap("out.targets", out.targets, arrays)
        self._ranked_into(arrays, targets, k, states)
        np.copyto(out.targets, targets)
        return out

    def freeze(self, k: int | None = None) -> FrozenSolver:
        """An immutable copy to call in hot loops, which takes one target at the cost of its
        arithmetic.

        Parameters
        ----------
        k : int, default=None
            Solutions per target, as in :meth:`solve`.

        Returns
        -------
        FrozenSolver
            Independent of this solver, which may be fitted again.

        Raises
        ------
        NotFittedError
        TypeError
            If f runs only in Python.
        ValueError
            If `k` is above the number of anchors.

        Examples
        --------
        >>> import fastinv as fi
        >>> arm = fi.problems.two_link_arm
        >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0).fit()
        >>> hot = solver.freeze(k=2)
        >>> solution = hot([1.4, 0.9])
        >>> bool((solution.x == solver.solve([1.4, 0.9], k=2).x[0]).all())
        True
        """
        return FrozenSolver(self, k)

    @abstractmethod
    def _ranked(
        self, targets: Float64Array, k: int | None, near: Float64Array | None
    ) -> Ranked: ...

    def _ranked_into(
        self, out: Ranked, targets: Float64Array, k: int | None, near: Float64Array | None
    ) -> None:
        ranked = self._ranked(targets, k, near)
        check_out(out, *ranked.x.shape)
        ranked.copied_into(out)

    def _native_call(self, k: int) -> NativeCall | None:
        """How to have `k` solutions of one target from native code alone; None where candidates
        are made in Python."""
        return None

    def _check_near(self, near: ArrayLike, n: int) -> Float64Array:
        p = self.n_features_in_
        states = as_float64(near, "near")
        if states.shape not in ((p,), (n, p)):
            raise ValueError(f"near must have shape ({p},) or ({n}, {p}), got {states.shape}")
        if not np.isfinite(states).all():
            raise ValueError("near must be finite, got NaN or infinity")
        return np.ascontiguousarray(np.broadcast_to(states, (n, p)))

    def _start(self, X: Any, y: Any, anchors: Any) -> tuple[FitData, np.random.Generator]:
        """The beginning of `fit`: checks, and everything that needs no training."""
        for name in ("forward_", "pipeline_spec_", *_MADE_AGAIN):
            if hasattr(self, name):
                delattr(self, name)  # a fit that fails must not leave a mixture of two
        check_number(self.residual_tol, "residual_tol", minimum=0.0)
        choice = getattr(self, "anchor_choice", "nearest")
        if choice not in get_args(AnchorChoice):
            raise ValueError(f"anchor_choice must be 'spread' or 'nearest', got {choice!r}")
        resolve_n_threads(self.n_threads)
        rng = check_random_state(self.random_state)
        as_given = {"dtype": np.float64, "ensure_all_finite": False}  # check_fit_data looks closer
        if X is not None and y is not None:
            separately = (as_given, {**as_given, "ensure_2d": False})
            X, y = validate_data(self, X, y, validate_separately=separately)
        elif X is not None:
            X = validate_data(self, X, **as_given)
        data = check_fit_data(self.forward, self.bounds, self.n_anchors, X, y, anchors, rng)
        self.bounds_ = data.bounds
        self.n_features_in_, self.n_outputs_ = (array.shape[1] for array in data.points)
        self.periods_ = check_periods(self.periods, self.n_features_in_)
        self._y_ndim = data.y_ndim
        return data, rng

    def _known_or_learned(self, data: FitData, rng: np.random.Generator) -> Forward:
        """f, trained on the data where it is not known."""
        if data.forward is not None:
            return data.forward
        seed = int(rng.integers(2**31))
        return train_forward(self.forward, data.points, self.backend, self.n_threads, seed)

    def _finish(self, data: FitData, twin: TwinNetwork | None, rng: np.random.Generator) -> None:
        """The end of `fit`: all that `solve` needs, as one immutable description."""
        backend = get_backend(self.backend)
        self.forward_ = forward = self._known_or_learned(data, rng)
        self.anchors_x_, self.anchors_y_ = data.anchors
        self.residual_tol_ = self.residual_tol * overall_spread(self.anchors_y_)
        if forward.exact and self.bounds_ is not None:
            coverage = coverage_of_formula(backend, forward, self.bounds_, self.anchors_y_, rng)
        else:
            coverage = coverage_of_data(backend, self.anchors_y_)
        refines = resolve_refine(self.refine, forward)
        if native_forward(forward) is not None:
            check_range(self.anchors_x_, "the anchors' x")
            check_range(self.anchors_y_, "the anchors' y")
        x_spread = mean_and_scale(self.anchors_x_, "X")[1]
        spreads = getattr(self, "anchor_choice", "nearest") == "spread"
        infinite = np.full(self.n_features_in_, np.inf)
        low, high = (-infinite, infinite) if self.bounds_ is None else self.bounds_.T
        self.pipeline_spec_ = PipelineSpec(
            anchors_x=self.anchors_x_,
            anchors_y=self.anchors_y_,
            twin=twin,
            forward=native_forward(forward),
            lower=np.ascontiguousarray(low),
            upper=np.ascontiguousarray(high),
            tol=self.residual_tol_,
            coverage=coverage,
            x_spread=x_spread,
            anchors_exact=self._falls_back_on_anchors and forward.exact,
            trust_residual=forward.exact,
            apart=branch_distance(backend, self.anchors_x_, x_spread) if spreads else 0.0,
            n_passes=resolve_passes(getattr(self, "n_passes", 1), refines),
            refine=refine_spec(forward, self.periods_) if refines else None,
        )
        self._pipeline = backend.pipeline(self.pipeline_spec_)
        noise = None if forward.exact else noise_of(forward, data.points)
        self._circumstances = Circumstances(
            self.anchors_y_, coverage, self.residual_tol_, low, high, noise
        )

    def _polished(self, targets: Float64Array, proposals: Proposals) -> Proposals:
        """Proposals, images and flags, one for each of `targets`, polished where that is on."""
        if self.pipeline_spec_.refine is None:
            return proposals
        x, images, flags = proposals
        finite = np.isfinite(x).all(axis=1) & np.isfinite(targets).all(axis=1)
        polished = self._make_search().polish(
            np.ascontiguousarray(targets[finite]), np.ascontiguousarray(x[finite])
        )
        x, images, flags = x.copy(), images.copy(), flags.copy()
        x[finite], images[finite] = polished.x, polished.fx
        low, high = self.pipeline_spec_.lower, self.pipeline_spec_.upper
        bounded = ~is_cyclic(low, high, self.periods_)
        at_bound = (((x <= low) | (x >= high)) & bounded).any(axis=1)
        flags[finite] &= ~np.uint8(CandidateFlag.CLIPPED)
        flags[finite & at_bound] |= CandidateFlag.CLIPPED
        return x, images, flags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _MADE_AGAIN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "pipeline_spec_" in state:
            # A compiled formula has another address in every process.
            spec = replace(self.pipeline_spec_, forward=native_forward(self.forward_))
            if spec.refine is not None:
                spec = replace(spec, refine=refine_spec(self.forward_, self.periods_))
            self.pipeline_spec_ = spec
            self._pipeline = get_backend(self.backend).pipeline(self.pipeline_spec_)


def _own_targets(y: ArrayLike, n_outputs: int) -> Float64Array:
    """A copy ``(n, q)`` of the targets `y`, since the caller may reuse them."""
    if (  # what passes here passes the checks
        type(y) is np.ndarray
        and y.dtype == FLOAT64
        and 1 <= y.ndim <= 2
        and y.shape[-1] == n_outputs
    ):
        return np.array(y, ndmin=2, order="C")
    return check_targets(y, n_outputs).copy()
