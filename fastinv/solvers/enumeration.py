"""Every solution of f(x) = y, paths of solutions, and samples where there are infinitely many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError

from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_integer,
    check_number,
    check_random_state,
    check_targets,
)
from fastinv.backends import get_backend
from fastinv.backends.protocol import Backend, Float64Array, PipelineSpec, Search
from fastinv.functions.forward import Forward
from fastinv.solutions import SolutionPath, Solutions
from fastinv.solutions.explanation import Circumstances
from fastinv.solvers.anchors import overall_spread
from fastinv.solvers.images import images_of
from fastinv.solvers.null_space import jacobians, n_free, walk
from fastinv.solvers.preferences import Preference, prefer
from fastinv.solvers.refinement import is_cyclic, refine_spec

_STARTS = 24  # per target at effort 1
_TOL, _TOL_LEARNED = 1e-9, 1e-5  # in units of the spread of y
_MOST_STARTS = 2.0**31
_FLOPS_PER_START = 20_000.0


class EnumerationMixin:
    """What a fitted solver can do with an f that runs natively: `solve_all`, `solve_path` and
    `sample_solutions`."""

    pipeline_spec_: PipelineSpec
    forward_: Forward
    periods_: Float64Array
    n_features_in_: int
    n_outputs_: int
    backend: str | Backend
    n_threads: int | None
    _circumstances: Circumstances

    def solve_all(
        self,
        y: ArrayLike,
        *,
        tol: float | None = None,
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
        tol : float, default=None
            Largest residual of a solution, in units of the spread of the anchors' y. None takes
            1e-9, or 1e-5 where f is a learned network, which computes in single precision.
        max_solutions : int, default=16
            Per target.
        effort : float, default=1.0
            24 times as many starts are polished per target, at most: more of them find more of
            what is hard to find, and take longer.
        near : array-like of shape (p,) or (n, p), default=None
            Sort by the distance in x to these states.
        weights : array-like of shape (p,), default=None
            Of the squared differences in that distance, and in `within`; None takes 1 / variance
            of the anchors.
        within : float, default=None
            Keep only what is at most so far from `near`.
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
        search = self._make_search()
        targets = check_targets(y, self.n_outputs_).copy()
        k = check_integer(max_solutions, "max_solutions")
        preference = Preference(near, weights, within, cost).checked(
            len(targets), self.n_features_in_, self.pipeline_spec_.x_spread, self.periods_
        )
        n_starts = _starts(effort)
        largest = self._largest_residual(tol)
        ranked, count = search.solve_all(
            targets,
            k=k,
            n_starts=n_starts,
            tol=largest,
            n_threads=threads_that_pay(self.n_threads, _FLOPS_PER_START * n_starts * len(targets)),
        )
        known = replace(self._circumstances, tol=largest)
        found = Solutions(targets, *ranked, count=count, circumstances=known)
        return prefer(found, preference)

    def solve_path(
        self, targets: ArrayLike, start: ArrayLike, *, tol: float | None = None, effort: float = 1.0
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
        tol : float, default=None
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
        search = self._make_search()
        goals = _goals(targets, self.n_outputs_)
        state = as_float64(start, "start")
        p = self.n_features_in_
        if state.shape != (p,):
            raise ValueError(f"start must have shape ({p},), got {state.shape}")
        if not np.isfinite(state).all():
            raise ValueError("start must be finite, got NaN or infinity")
        spec = self.pipeline_spec_
        inside = (spec.lower <= state) & (state <= spec.upper)
        if not (inside | is_cyclic(spec.lower, spec.upper, self.periods_)).all():
            raise ValueError(f"start must lie inside the bounds, got {state}")
        track = search.solve_path(
            goals,
            state,
            n_starts=_starts(effort),
            tol=self._largest_residual(tol),
        )
        return SolutionPath(goals, *track)

    def sample_solutions(
        self,
        y: ArrayLike,
        n_samples: int = 100,
        *,
        tol: float | None = None,
        n_steps: int = 20,
        random_state: RandomState = None,
    ) -> Float64Array:
        """Solutions spread along the set of all solutions, where they are not isolated: where
        there are more inputs than outputs, or than outputs that are independent, as of the pose of
        an arm with seven joints.

        Random walks start at solutions of different anchors; each step goes along the null space
        of f's derivative, inside the bounds, and is polished back onto the set. They spread over
        all of its pieces that an anchor leads to; their density means nothing.

        Parameters
        ----------
        y : array-like of shape (q,)
            One target.
        n_samples : int, default=100
        tol : float, default=None
            As in :meth:`solve_all`.
        n_steps : int, default=20
            Of each walk.
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
        search = self._make_search()
        target = check_targets(y, self.n_outputs_)
        if len(target) != 1:
            raise ValueError(f"y must be one target, got {len(target)}")
        if not np.isfinite(target).all():
            raise ValueError(f"y must be finite, got {target[0]}")
        n_samples = check_integer(n_samples, "n_samples", minimum=0)
        n_steps = check_integer(n_steps, "n_steps", minimum=0)
        found = self.solve_all(target, tol=tol, max_solutions=64, effort=4.0)
        assert found.count is not None
        if not found.count[0]:
            raise ValueError(
                f"y must be attainable, got {target[0]}; the nearest point found is at a distance "
                f"of {found.residual[0, 0]:.3g}"
            )
        points = found.x[0, : found.count[0]]
        if not any(map(n_free, jacobians(self.forward_, points, self.pipeline_spec_))):
            raise ValueError(
                "sample_solutions is for solutions that are not isolated, got one where every "
                f"direction changes {self.forward_.name}: use solve_all"
            )
        rng = check_random_state(random_state)
        starts = found.x[0, rng.integers(found.count[0], size=n_samples)]
        return walk(
            self.forward_, search, self.pipeline_spec_, target[0], starts, n_steps, rng,
            self._largest_residual(tol),
        )  # fmt: skip

    def _largest_residual(self, tol: float | None) -> float:
        """Of a solution, in the units of y."""
        if tol is None:
            tol = _TOL if self.forward_.exact else _TOL_LEARNED
        return check_number(tol, "tol", minimum=0.0) * overall_spread(self.pipeline_spec_.anchors_y)

    def _make_search(self) -> Search:
        """The search, made when it is first needed."""
        if not hasattr(self, "pipeline_spec_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")
        search: Search | None = getattr(self, "_search", None)
        if search is not None:
            return search
        spec = self.pipeline_spec_
        if spec.forward is None:
            raise TypeError(
                f"f must run natively, got {self.forward_.name}, which only Python can evaluate: "
                "declare the formula with @fastinv.forward, or let fastinv learn it"
            )
        if spec.refine is None:
            spec = replace(spec, refine=refine_spec(self.forward_, self.periods_))
        if not self.forward_.exact:
            # What was measured at an anchor is not what f gives there, and starts from it.
            spec = replace(spec, anchors_y=images_of(self.forward_, spec.anchors_x))
        self._search = get_backend(self.backend).search(spec)
        return self._search


def _goals(targets: ArrayLike, n_outputs: int) -> Float64Array:
    """A copy (n, q) of the targets of a path."""
    goals = as_float64(targets, "targets")
    if goals.ndim == 1 and n_outputs == 1:
        goals = goals[:, None]
    if goals.ndim != 2 or goals.shape[1] != n_outputs:
        raise ValueError(f"targets must have shape (n, {n_outputs}), got {goals.shape}")
    return goals.copy()


def _starts(effort: float) -> int:
    check_number(effort, "effort", above=0.0)
    return ceil(min(effort * _STARTS, _MOST_STARTS))  # of anchors there are fewer
