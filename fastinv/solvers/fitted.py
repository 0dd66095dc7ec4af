"""What `fit` leaves in every solver: a problem, its anchors, and the chain that solves it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from fastinv._common.arrays import Float64Array
from fastinv._common.threads import resolve_n_threads
from fastinv._common.validation import RandomState, check_random_state
from fastinv.backends import get_backend
from fastinv.backends.protocol import (
    Anchors,
    Pipeline,
    PipelineOptions,
    Search,
    TwinModel,
)
from fastinv.functions.function import Function
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem
from fastinv.functions.region import Region
from fastinv.solutions.explanation import Circumstances
from fastinv.solvers.enumeration.judge import Judge
from fastinv.solvers.fitting.anchors import (
    branch_distance,
    coverage_of_data,
    coverage_of_formula,
)
from fastinv.solvers.fitting.declarations import check_declarations
from fastinv.solvers.fitting.differences import look_at_differences
from fastinv.solvers.fitting.fit_data import FitData, check_fit_data, check_range
from fastinv.solvers.fitting.learned_forward import noise_of, train_forward
from fastinv.solvers.fitting.refinement import (
    check_periods,
    evaluations_of,
    resolve_passes,
    resolve_refine,
    separation,
)
from fastinv.solvers.fitting.tolerances import (
    Tolerances,
    column_spread,
    output_units,
    resolve_tolerances,
)
from fastinv.solvers.fitting.unchanged import check_unchanged

AnchorChoice = Literal["spread", "nearest"]
Fitted = TypeVar("Fitted", bound="FittedChain")

# Largest residual of an enumerated solution.
_TOL, _TOL_LEARNED = 1e-9, 1e-5
_MADE_AGAIN = ("_anchors", "_pipeline", "_judge")  # native objects, from what is pickled


class FittedChain(BaseEstimator):  # type: ignore[misc]
    """The beginning and the end of every solver's `fit`, which trains between `_start` and
    `_finish`, and what that leaves."""

    forward: Any
    bounds: Any
    n_anchors: int
    residual_tol: float | None
    error_tol: Any
    y_scale: Any
    refine: bool | None
    periods: Any
    random_state: RandomState
    n_threads: int | None
    verbose: int
    _anchors: Anchors
    _pipeline: Pipeline
    _judge: Judge
    _falls_back_on_anchors = True  # if an anchor is closer than its candidate

    def _require_fit(self) -> None:
        if not hasattr(self, "problem_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")

    def _start(self, X: Any, y: Any, anchors: Any) -> tuple[FitData, np.random.Generator]:
        """The beginning of `fit`: checks, and everything that needs no training."""
        for name in ("forward_", "problem_", *_MADE_AGAIN):
            if hasattr(self, name):
                delattr(self, name)  # a fit that fails must not leave a mixture of two
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
        check_declarations(data, self.periods_)
        self._y_ndim = data.y_ndim
        self._tolerances = resolve_tolerances(self.residual_tol, self.error_tol, self.n_outputs_)
        self.residual_tol_, self.error_tol_ = self._tolerances
        self.y_scale_ = output_units(self.y_scale, data.anchors[1])
        self._anchors = get_backend(self.backend).anchors(*data.anchors, self.y_scale_)
        return data, rng

    def _known_or_learned(self, data: FitData, rng: np.random.Generator) -> Function:
        """f, or one trained on the data if f is not known."""
        if data.forward is not None:
            return data.forward
        seed = int(rng.integers(2**31))
        return train_forward(self.forward, data.points, self.backend, self.n_threads, seed)

    def _finish(self, data: FitData, twin: TwinModel | None, rng: np.random.Generator) -> None:
        """The end of `fit`: all that `solve` needs, as immutable descriptions."""
        backend = get_backend(self.backend)
        self.forward_ = function = self._known_or_learned(data, rng)
        self.anchors_x_, self.anchors_y_ = data.anchors
        if function.exact and self.bounds_ is not None:
            coverage = coverage_of_formula(backend, function, self.bounds_, self._anchors, rng)
        else:
            coverage = coverage_of_data(backend, self.anchors_y_, self.y_scale_)
        refines = resolve_refine(self.refine, function)
        if function.code is not None:
            check_range(self.anchors_x_, "the anchors' x")
            check_range(self.anchors_y_, "the anchors' y")
        scale = column_spread(self.anchors_x_)
        spreads = getattr(self, "anchor_choice", "nearest") == "spread"
        infinite = np.full(self.n_features_in_, np.inf)
        low, high = (-infinite, infinite) if self.bounds_ is None else self.bounds_.T
        region = Region(np.array(low), np.array(high), scale, self.periods_)
        self._twin_model = twin
        self.options_ = PipelineOptions(
            coverage=coverage,
            anchors_exact=self._falls_back_on_anchors and function.exact,
            trust_residual=function.exact,
            branch_distance=branch_distance(backend, self.anchors_x_, scale) if spreads else 0.0,
            n_passes=resolve_passes(getattr(self, "n_passes", 1), refines),
            polish=refines,
            max_evaluations=evaluations_of(function),
            separation=separation(function),
        )
        problem = Problem(function, region, self.y_scale_)
        self.problem_ = look_at_differences(problem, self.anchors_x_)
        self._make_native()
        noise = None if function.exact else noise_of(function, data.points)
        self._circumstances = Circumstances(
            self.anchors_y_, self.y_scale_, coverage, *self._tolerances, low, high, noise
        )

    def with_options(self: Fitted, **changes: Any) -> Fitted:
        """A copy of this fitted solver whose chain has other options.

        Parameters
        ----------
        **changes
            Fields of :class:`~fastinv.backends.solving.PipelineOptions`.

        Returns
        -------
        BaseSolver
            It shares what was learned with this one.
        """
        self._require_fit()
        other = copy.copy(self)
        other.options_ = replace(self.options_, **changes)
        other._make_native()
        return other

    def _make_native(self) -> None:
        """The objects that pickles leave out."""
        self._pipeline = self._make_pipeline()
        backend = get_backend(self.backend)
        self._judge = Judge(backend, self.problem_, self._anchors, self.options_)

    def _make_pipeline(self) -> Pipeline:
        return get_backend(self.backend).pipeline(
            self.problem_, self._anchors, self._twin_model, self.options_
        )

    def search(self) -> Search:
        """The search over this solver's problem and anchors, made when it is first needed.

        Returns
        -------
        fastinv.backends.Search
            It polishes starts and finds solutions without a solver's layers in between.

        Raises
        ------
        NotFittedError
        """
        self._require_fit()
        return self._judge.search

    def _goal(self, targets: Float64Array, near: Float64Array | None = None) -> Goal:
        """What `solve` asks for."""
        goal = self._tolerances.goal(targets, near)
        # Predictions of other regressors may have steps, and no derivative that leads to a root.
        goal.root &= self.forward_.exact or self.forward_.code is not None
        return goal

    def _tolerances_for_all(self, residual_tol: float | None, error_tol: Any) -> Tolerances:
        """Those of enumerated solutions."""
        if residual_tol is None and error_tol is None:
            error_tol = self.error_tol_
        default = _TOL if self.forward_.exact else _TOL_LEARNED
        return resolve_tolerances(residual_tol, error_tol, self.n_outputs_, default)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _MADE_AGAIN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "problem_" in state:
            backend = get_backend(self.backend)
            self._anchors = backend.anchors(self.anchors_x_, self.anchors_y_, self.y_scale_)
            self._make_native()
            check_unchanged(self.forward_, self.anchors_x_, self.anchors_y_)
