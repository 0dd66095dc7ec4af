"""The methods of all solvers: `predict`, `solve` and those that enumerate solutions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import RandomState, check_integer, check_targets
from fastinv.backends.chain import finish
from fastinv.backends.checks.common import FLOAT64
from fastinv.backends.checks.solving import check_no_overlap, check_out, check_written
from fastinv.backends.protocol import CandidateFlag, Candidates, Ranked
from fastinv.functions.goal import Goal
from fastinv.solutions import SolutionPath, Solutions
from fastinv.solvers.enumeration.all_solutions import all_solutions
from fastinv.solvers.enumeration.paths import solution_path
from fastinv.solvers.enumeration.preferences import Preference
from fastinv.solvers.enumeration.samples import sample_solutions
from fastinv.solvers.fitted import FittedChain
from fastinv.solvers.frozen import FrozenSolver, NativeCall
from fastinv.solvers.states import check_states
from fastinv.training.progress import target_progress

_FLOPS_PER_PROPOSAL = 20_000.0  # evaluation, polish and ranking
_TARGETS_AT_ONCE = 1024  # where proposals are made in Python


class BaseSolver(MultiOutputMixin, RegressorMixin, FittedChain):  # type: ignore[misc]
    """Base of the solvers: subclasses train in `fit`, between `_start` and `_finish`, and say in
    `_ranked` where candidates come from."""

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

        Solutions that are exact to rounding are equally good, and come first, by coordinates; the
        others follow by residual.

        Parameters
        ----------
        y : array-like of shape (n, q) or (q,); (n,) or a number where q is 1
            Targets. One that is NaN or infinite gets INVALID solutions, one that is farther from
            all anchors, and from the images of all candidates, than attainable targets are from
            their nearest anchor gets UNREACHABLE ones; other rows are not affected.
        k : int, default=None
            Solutions per target. None gives as many as the solver tries by itself.
        near : array-like of shape (p,) or (n, p), default=None
            Prefer solutions near these states: those that are exact to rounding come first, by
            their distance to the state in standard deviations of the anchors; then other CONVERGED
            ones likewise; the others follow by residual. Four times as many anchors are tried. A
            state that is not finite is ignored: its target is solved as without `near`, and
            `Solutions.explain` says so.
        out : Solutions, default=None
            Solutions of as many targets, k each, whose arrays are written to instead of new ones;
            `near` may be a part of them. After Ctrl-C they hold what was found until then; rows
            that were not finished are INVALID, with NaN, ``inf`` and -1.

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
            Wrong shapes, `k` above the number of anchors, or two arrays of `out` overlap.
        """
        self._require_fit()
        targets = _own_targets(y, self.n_outputs_)
        states, ignored = None, None
        if near is not None:
            states, ignored = check_states(near, len(targets), self.n_features_in_)
        goal = self._goal(targets, states)
        if not self.verbose:
            return self._solved(goal, ignored, k, out)
        with target_progress(len(goal), self.verbose) as goal.progress:
            return self._solved(goal, ignored, k, out)

    def _solved(
        self, goal: Goal, ignored: BoolArray | None, k: int | None, out: Solutions | None
    ) -> Solutions:
        targets = goal.targets
        if out is None:
            ranked = self._ranked_without(ignored, goal, k)
            return Solutions(
                targets,
                *ranked,
                circumstances=self._circumstances,
                judge=self._judge,
                near_ignored=ignored,
            )
        if not isinstance(out, Solutions):
            raise TypeError(f"out must be a Solutions, got {type(out).__name__}")
        check_written("out.targets", out.targets, targets.shape, FLOAT64)
        arrays = Ranked(out.x, out.residual, out.anchor, out.status)
        check_no_overlap("out.targets", out.targets, arrays)
        try:
            self._ranked_without(ignored, goal, k, arrays)
        except (TypeError, ValueError):
            raise  # refused: `out` is as it was
        except BaseException:
            # Interrupted: `out` has what was found until then.
            np.copyto(out.targets, targets)
            out.refilled(self._circumstances, self._judge, ignored)
            raise
        np.copyto(out.targets, targets)
        return out.refilled(self._circumstances, self._judge, ignored)

    def solve_all(
        self,
        y: ArrayLike,
        *,
        residual_tol: float | None = None,
        error_tol: ArrayLike | None = None,
        max_solutions: int | None = None,
        effort: float = 1.0,
        near: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        within: float | None = None,
        cost: Callable[[Float64Array], ArrayLike] | None = None,
        out: Solutions | None = None,
    ) -> Solutions:
        """Every distinct solution of f(x) = y inside the bounds, polished.

        Each anchor's derivative says how far the target is from it *in x*; from those that are
        nearest, one for each place they point to, damped Gauss-Newton steps lead to solutions; and
        from each solution near a fold a second start looks for its partner on the other side.
        Solutions that f cannot tell apart are counted once, as a multiple root is. A set of
        solutions that are not isolated is represented by up to eight members.

        Parameters
        ----------
        y : array-like of targets
            As in :meth:`solve`.
        residual_tol : float, default=None
            Largest residual of a solution. None takes 1e-9, or 1e-5 where f is a learned network,
            which computes in single precision. f - y must also have a root near a solution, as far
            as f tells; one that is exact to f's rounding is a solution in any case.
        error_tol : float or array-like of shape (q,), default=None
            Largest error of each output of a solution, in the units of y: everything up to it is a
            solution, whether f reaches the target or not. None takes the solver's, unless
            `residual_tol` is given.
        max_solutions : int, default=None
            Per target; None keeps all. Where there are more, `search_status` is CUT.
        effort : float, default=1.0
            At most 24 times this many starts are polished per target: more starts find more
            of the solutions that are hard to find, and take longer.
        near : array-like of shape (p,) or (n, p), default=None
            Sort by the distance in x to these states. One that is not finite is ignored, with
            `within`, and `Solutions.explain` says so.
        weights : array-like of shape (p,), default=None
            Weights of the squared differences in that distance and in `within`; None
            takes 1 / variance of the anchors.
        within : float, default=None
            Keep only solutions at most this far from `near`.
        cost : callable, default=None
            ``cost(x)`` of solutions (m, p) gives (m,); sort by that, lowest first: -inf before all
            others, inf behind them. Not with `near`.
        out : Solutions, default=None
            What `solve_all` gave for as many targets, to be filled and returned; `max_solutions` is
            then its number of places, or None. After Ctrl-C it holds what was found until then;
            rows that were not finished have count 0 and are INVALID.

        Returns
        -------
        Solutions
            Padded with NaN, ``inf``, -1 and INVALID; ``count`` (n,) says how many there are of
            each target, ``search_status`` (n,) how the search ended. They are sorted by residual,
            all that is rounding counting as zero, then by coordinates. A target without a solution
            has count 0 and in its first place the nearest attainable point that was found, its
            residual being the distance: UNREACHABLE, or APPROXIMATE if evaluations ran out on the
            way.

        Raises
        ------
        NotFittedError
        TypeError
            `cost` is not callable.
        ValueError
            Wrong shapes or numbers; `within` or `weights` without `near`; `cost` with `near`, or
            NaN.

        Notes
        -----
        With more inputs than outputs solutions are not isolated, but fill curves or surfaces: a few
        members stand for all, and `search_status` is SET. :meth:`sample_solutions` goes along the
        set.

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
        tolerances = self._tolerances_for_all(residual_tol, error_tol)
        goal = tolerances.goal(check_targets(y, self.n_outputs_).copy())
        with target_progress(len(goal), self.verbose) as goal.progress:
            return all_solutions(
                search,
                goal,
                max_solutions=max_solutions,
                effort=effort,
                preference=Preference(near, weights, within, cost),
                known=replace(
                    self._circumstances,
                    residual_tol=tolerances.residual,
                    error_tol=tolerances.error,
                ),
                judge=self._judge,
                n_threads=self.n_threads,
                out=out,
            )

    def solve_path(
        self,
        targets: ArrayLike,
        start: ArrayLike,
        *,
        residual_tol: float | None = None,
        error_tol: ArrayLike | None = None,
        effort: float = 1.0,
        out: SolutionPath | None = None,
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
        residual_tol, error_tol : default=None
            As in :meth:`solve_all`.
        effort : float, default=1.0
            As in :meth:`solve_all`, where it has to jump.
        out : SolutionPath, default=None
            A path of as many targets, to be filled and returned. After Ctrl-C it holds the path
            until then; the targets after that are INVALID.

        Returns
        -------
        SolutionPath

        Raises
        ------
        NotFittedError
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
        tolerances = self._tolerances_for_all(residual_tol, error_tol)
        return solution_path(
            self.search(),
            targets,
            start,
            tolerances=tolerances,
            effort=effort,
            verbose=self.verbose,
            out=out,
        )

    def sample_solutions(
        self,
        y: ArrayLike,
        n_samples: int = 100,
        *,
        residual_tol: float | None = None,
        error_tol: ArrayLike | None = None,
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
        residual_tol, error_tol : default=None
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
        search, tolerances = self.search(), self._tolerances_for_all(residual_tol, error_tol)
        return sample_solutions(
            search,
            tolerances.goal(check_targets(y, self.n_outputs_)),
            n_samples,
            n_steps=n_steps,
            random_state=random_state,
            verbose=self.verbose,
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
        ValueError
            If `k` is above the number of anchors; or f has changed, by a few points, since `fit`.

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

    def _ranked_without(
        self, ignored: BoolArray | None, goal: Goal, k: int | None, out: Ranked | None = None
    ) -> Ranked:
        """All rows, where the targets whose state is `ignored` have none."""
        if ignored is None:
            return self._ranked_in_blocks(goal, k, out)
        assert goal.near is not None
        n_places = getattr(self, "n_candidates", 1) if k is None else check_integer(k, "k")
        n, p = len(goal), self.n_features_in_
        out = Ranked.empty(n, n_places, p) if out is None else out
        check_out(out, n, n_places, p)
        parts = [
            (rows, replace(goal, targets=goal.targets[rows], near=near))
            for rows, near in ((~ignored, goal.near[~ignored]), (ignored, None))
        ]
        out.clear()
        for rows, part in parts:
            ranked = self._ranked_in_blocks(part, k)
            out.x[rows], out.residual[rows] = ranked.x, ranked.residual
            out.anchor[rows], out.status[rows] = ranked.anchor, ranked.status
        return out

    def _ranked_in_blocks(self, goal: Goal, k: int | None, out: Ranked | None = None) -> Ranked:
        """All rows, a block after the other, so that those of `out` are there when the call is
        interrupted."""
        n, p = len(goal), self.n_features_in_
        k = getattr(self, "n_candidates", 1) if k is None else check_integer(k, "k")
        if out is None:
            if n <= _TARGETS_AT_ONCE:
                return self._ranked(goal, k)
            out = Ranked.empty(n, k, p)
        check_out(out, n, k, p)
        if goal.near is not None:
            goal = replace(goal, near=goal.near.copy())  # it may lie in `out`
        out.clear()
        for begin in range(0, n, _TARGETS_AT_ONCE):
            part = goal.part(begin, begin + _TARGETS_AT_ONCE)
            self._ranked(part, k).copied_into(out.part(begin, begin + len(part)))
            goal.report(begin + len(part))
        return out

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
