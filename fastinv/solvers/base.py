"""The base of all solvers: `predict`, `solve` and related methods, and the chain they use."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, validate_data

from fastinv._common.arrays import Float64Array
from fastinv._common.threads import resolve_n_threads, threads_that_pay
from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_number,
    check_random_state,
    check_targets,
)
from fastinv.backends import get_backend
from fastinv.backends.chain import finish
from fastinv.backends.checks.common import FLOAT64
from fastinv.backends.checks.solving import (
    check_no_overlap,
    check_out,
    check_runs_natively,
    check_written,
)
from fastinv.backends.protocol import (
    Anchors,
    CandidateFlag,
    Candidates,
    Pipeline,
    PipelineOptions,
    Ranked,
    Search,
    TwinModel,
)
from fastinv.estimators.networks import mean_and_scale
from fastinv.functions.function import Function
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem
from fastinv.functions.region import Region
from fastinv.solutions import SolutionPath, Solutions
from fastinv.solutions.explanation import Circumstances
from fastinv.solvers.enumeration.all_solutions import all_solutions
from fastinv.solvers.enumeration.paths import solution_path
from fastinv.solvers.enumeration.preferences import Preference
from fastinv.solvers.enumeration.samples import sample_solutions
from fastinv.solvers.fitting.anchors import (
    branch_distance,
    coverage_of_data,
    coverage_of_formula,
    overall_spread,
)
from fastinv.solvers.fitting.fit_data import FitData, check_fit_data, check_range
from fastinv.solvers.fitting.learned_forward import noise_of, train_forward
from fastinv.solvers.fitting.refinement import (
    check_periods,
    evaluations_of,
    resolve_passes,
    resolve_refine,
    separation,
)
from fastinv.solvers.frozen import FrozenSolver, NativeCall

AnchorChoice = Literal["spread", "nearest"]
Solver = TypeVar("Solver", bound="BaseSolver")

_FLOPS_PER_PROPOSAL = 20_000.0  # evaluation, polish and ranking
# Largest residual of an enumerated solution, in units of the spread of y.
_TOL, _TOL_LEARNED = 1e-9, 1e-5
_MADE_AGAIN = ("_anchors", "_pipeline", "_search")  # native objects, from what is pickled


class BaseSolver(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the solvers: subclasses train in `fit`, between `_start` and `_finish`, and say in
    `_ranked` where candidates come from."""

    forward: Any
    bounds: Any
    n_anchors: int
    residual_tol: float
    refine: bool | None
    periods: Any
    random_state: RandomState
    n_threads: int | None
    _anchors: Anchors
    _pipeline: Pipeline
    _falls_back_on_anchors = True  # if an anchor is closer than its candidate

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
        self._require_fit()
        targets = _own_targets(y, self.n_outputs_)
        states = None if near is None else self._check_near(near, len(targets))
        goal = Goal(targets, self.residual_tol_, states)
        if out is None:
            ranked = self._ranked(goal, k)
            return Solutions(targets, *ranked, circumstances=self._circumstances)
        if not isinstance(out, Solutions):
            raise TypeError(f"out must be a Solutions, got {type(out).__name__}")
        check_written("out.targets", out.targets, targets.shape, FLOAT64)
        arrays = Ranked(out.x, out.residual, out.anchor, out.status)
        check_no_overlap("out.targets", out.targets, arrays)
        self._ranked_into(arrays, goal, k)
        np.copyto(out.targets, targets)
        return out

    def solve_all(
        self,
        y: ArrayLike,
        *,
        residual_tol: float | None = None,
        max_solutions: int = 16,
        effort: float = 1.0,
        near: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        within: float | None = None,
        cost: Callable[[Float64Array], ArrayLike] | None = None,
    ) -> Solutions:
        """Every distinct solution of f(x) = y inside the bounds, polished.

        Each anchor's derivative says how far the target is from it *in x*; from those that are
        nearest, one for each place they point to, damped Gauss-Newton steps lead to solutions; and
        from each solution near a fold a second start looks for its partner on the other side.
        Solutions that are the same are counted once.

        Parameters
        ----------
        y : array-like of targets
            As in :meth:`solve`.
        residual_tol : float, default=None
            Largest residual of a solution, in units of the spread of the anchors' y. None takes
            1e-9, or 1e-5 where f is a learned network, which computes in single precision.
        max_solutions : int, default=16
            Per target.
        effort : float, default=1.0
            At most 24 times this many starts are polished per target: more starts find more
            of the solutions that are hard to find, and take longer.
        near : array-like of shape (p,) or (n, p), default=None
            Sort by the distance in x to these states.
        weights : array-like of shape (p,), default=None
            Weights of the squared differences in that distance and in `within`; None
            takes 1 / variance of the anchors.
        within : float, default=None
            Keep only solutions at most this far from `near`.
        cost : callable, default=None
            ``cost(x)`` of solutions (m, p) gives (m,); sort by that, lowest first. Not with `near`.

        Returns
        -------
        Solutions
            Padded with NaN, ``inf``, -1 and INVALID; ``count`` (n,) says how many there are of
            each target. They are sorted by residual, all that is rounding counting as zero, then
            by coordinates. A target without a solution has count 0 and in its first place the
            nearest attainable point that was found, its residual being the distance: UNREACHABLE,
            or APPROXIMATE if evaluations ran out on the way.

        Raises
        ------
        NotFittedError
        TypeError
            f runs only in Python, or `cost` is not callable.
        ValueError
            Wrong shapes or numbers; `within` or `weights` without `near`; `cost` with `near`.

        Notes
        -----
        With more inputs than outputs solutions are not isolated: there is one per start then, the
        one nearest to it. :meth:`sample_solutions` goes along the set.

        Examples
        --------
        >>> import fastinv as fi
        >>> arm = fi.problems.two_link_arm
        >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0).fit()
        >>> found = solver.solve_all([[1.4, 0.9], [3.0, 0.0]])
        >>> found.count.tolist()
        [2, 0]
        """
        search = self.search()
        goal = Goal(check_targets(y, self.n_outputs_).copy(), self._largest_residual(residual_tol))
        return all_solutions(
            search,
            goal,
            max_solutions=max_solutions,
            effort=effort,
            preference=Preference(near, weights, within, cost),
            known=replace(self._circumstances, tol=goal.tol),
            n_threads=self.n_threads,
        )

    def solve_path(
        self,
        targets: ArrayLike,
        start: ArrayLike,
        *,
        residual_tol: float | None = None,
        effort: float = 1.0,
    ) -> SolutionPath:
        """The solution that begins at `start`, followed along a path of targets.

        It stays on its branch while that lasts, in shorter pieces where steps are long; where the
        branch ends, it jumps to the solution nearest to where it was, and says so.

        Parameters
        ----------
        targets : array-like of shape (n, q); (n,) where q is 1
            In order.
        start : array-like of shape (p,)
            The state before the first target, for example the present one. Inputs that may have
            all values of their period may lie outside their bounds, as in the path.
        residual_tol : float, default=None
            As in :meth:`solve_all`.
        effort : float, default=1.0
            As in :meth:`solve_all`, where it has to jump.

        Returns
        -------
        SolutionPath

        Raises
        ------
        NotFittedError
        TypeError
            f runs only in Python.
        ValueError
            Wrong shapes, or `start` not finite or outside the bounds.

        Examples
        --------
        >>> import numpy as np, fastinv as fi
        >>> arm = fi.problems.two_link_arm
        >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0).fit()
        >>> turn = np.linspace(0, 2 * np.pi, 100)
        >>> circle = np.stack([1.4 + 0.1 * np.cos(turn), 0.9 + 0.1 * np.sin(turn)], axis=1)
        >>> path = solver.solve_path(circle, solver.solve_all(circle[0]).best[0])
        >>> path.n_jumps, bool((path.residual < 1e-12).all())
        (0, True)
        """
        search, tol = self.search(), self._largest_residual(residual_tol)
        return solution_path(search, targets, start, tol=tol, effort=effort)

    def sample_solutions(
        self,
        y: ArrayLike,
        n_samples: int = 100,
        *,
        residual_tol: float | None = None,
        n_steps: int = 20,
        random_state: RandomState = None,
    ) -> Float64Array:
        """Solutions spread along the set of all solutions, where they are not isolated: where
        there are more inputs than (independent) outputs, for example for the pose of
        an arm with seven joints.

        Random walks start at solutions of different anchors; each step goes along the null space
        of f's derivative, inside the bounds, and is polished back onto the set. They spread over
        all of its pieces that an anchor leads to; their density means nothing.

        Parameters
        ----------
        y : array-like of shape (q,)
            One target.
        n_samples : int, default=100
        residual_tol : float, default=None
            As in :meth:`solve_all`.
        n_steps : int, default=20
            Steps of each walk.
        random_state : int, RandomState, Generator or None, default=None

        Returns
        -------
        ndarray of shape (n_samples, p), float64

        Raises
        ------
        NotFittedError
        TypeError
            f runs only in Python.
        ValueError
            `y` is not one finite target, has no solution, or only isolated ones.

        Examples
        --------
        >>> import numpy as np, fastinv as fi
        >>> @fi.forward(n_inputs=2, n_outputs=1)
        ... def radius(x, y):
        ...     y[0] = x[0] ** 2 + x[1] ** 2
        >>> solver = fi.NearestSolver(radius, bounds=[(-2, 2)] * 2, random_state=0).fit()
        >>> circle = solver.sample_solutions([1.0], 50, random_state=0)
        >>> bool(np.allclose((circle**2).sum(axis=1), 1.0))
        True
        """
        search, tol = self.search(), self._largest_residual(residual_tol)
        return sample_solutions(
            search,
            check_targets(y, self.n_outputs_),
            n_samples,
            tol=tol,
            n_steps=n_steps,
            random_state=random_state,
        )

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
    def _ranked(self, goal: Goal, k: int | None) -> Ranked: ...

    def _ranked_into(self, out: Ranked, goal: Goal, k: int | None) -> None:
        ranked = self._ranked(goal, k)
        check_out(out, *ranked.x.shape)
        ranked.copied_into(out)

    def _ranked_proposals(
        self, goal: Goal, x: Float64Array, k: int, *, n_passes: int = 0
    ) -> Ranked:
        """The best `k` of proposals `x` ``(n, m, p)`` that no anchor led to, after `n_passes` of
        the twin network."""
        n, m = x.shape[:2]
        flops = _FLOPS_PER_PROPOSAL * n * m
        n_threads = threads_that_pay(self.n_threads, flops)
        nearest = self._pipeline.propose(goal, 1, n_threads=n_threads)
        region = self.problem_.region
        clipped = region.clip(x)
        outside = (clipped != x).any(axis=2)
        proposals = Candidates(
            x=clipped,
            fx=np.empty((n, m, self.n_outputs_)),
            anchor=np.repeat(nearest.anchor, m, axis=1),
            flags=CandidateFlag.CLIPPED * outside.astype(np.uint8),
            anchor_distance=nearest.anchor_distance,
        )
        proposals = self._pipeline.evaluate(goal, proposals, n_threads=n_threads)
        ranked = finish(self._pipeline, goal, proposals, k, n_passes=n_passes, n_threads=n_threads)
        ranked.anchor[:] = -1
        return ranked

    def _native_call(self, k: int) -> NativeCall | None:
        """How to have `k` solutions of one target from native code alone; None where candidates
        are made in Python."""
        return None

    def _require_fit(self) -> None:
        if not hasattr(self, "problem_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")

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
        for name in ("forward_", "problem_", *_MADE_AGAIN):
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
        self._anchors = get_backend(self.backend).anchors(*data.anchors)
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
        self.residual_tol_ = self.residual_tol * overall_spread(self.anchors_y_)
        if function.exact and self.bounds_ is not None:
            coverage = coverage_of_formula(backend, function, self.bounds_, self._anchors, rng)
        else:
            coverage = coverage_of_data(backend, self.anchors_y_)
        refines = resolve_refine(self.refine, function)
        if function.code is not None:
            check_range(self.anchors_x_, "the anchors' x")
            check_range(self.anchors_y_, "the anchors' y")
        scale = mean_and_scale(self.anchors_x_, "X")[1]
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
        self.problem_ = Problem(function, region)
        self._pipeline = self._make_pipeline()
        noise = None if function.exact else noise_of(function, data.points)
        self._circumstances = Circumstances(
            self.anchors_y_, coverage, self.residual_tol_, low, high, noise
        )

    def with_options(self: Solver, **changes: Any) -> Solver:
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
        other._pipeline = other._make_pipeline()
        return other

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
        TypeError
            f runs only in Python.
        """
        self._require_fit()
        search: Search | None = getattr(self, "_search", None)
        if search is not None:
            return search
        check_runs_natively(self.problem_)
        backend, anchors = get_backend(self.backend), self._anchors
        if not self.forward_.exact:
            # A value measured at an anchor is not f there, but starts need f.
            anchors = backend.anchors(anchors.x, self.forward_.images(anchors.x))
        self._search = backend.search(self.problem_, anchors, self.options_)
        return self._search

    def _largest_residual(self, residual_tol: float | None) -> float:
        """Largest residual of an enumerated solution, in the units of y."""
        if residual_tol is None:
            residual_tol = _TOL if self.forward_.exact else _TOL_LEARNED
        check_number(residual_tol, "residual_tol", minimum=0.0)
        return residual_tol * overall_spread(self.anchors_y_)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _MADE_AGAIN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "problem_" in state:
            backend = get_backend(self.backend)
            self._anchors = backend.anchors(self.anchors_x_, self.anchors_y_)
            self._pipeline = self._make_pipeline()


def _own_targets(y: ArrayLike, n_outputs: int) -> Float64Array:
    """A copy ``(n, q)`` of the targets `y`, since the caller may reuse them."""
    if (  # these targets need no further checks
        type(y) is np.ndarray
        and y.dtype == FLOAT64
        and 1 <= y.ndim <= 2
        and y.shape[-1] == n_outputs
    ):
        return np.array(y, ndmin=2, order="C")
    return check_targets(y, n_outputs).copy()
