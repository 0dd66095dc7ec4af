"""A fitted solver as one immutable callable, for hot loops."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError

from fastinv import _core
from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64, check_integer
from fastinv.backends.protocol import Ranked
from fastinv.functions.wrapped import CallableFunction
from fastinv.solutions import Solution, Solutions, Status
from fastinv.solvers.states import check_states

if TYPE_CHECKING:
    from fastinv.solvers.base import BaseSolver

_N_PROBES = 8  # targets whose time decides whether other Python threads may run meanwhile


class NativeCall(NamedTuple):
    """A compiled pipeline (None: there is none), and how many candidates it tries without and with
    `near`."""

    pipeline: _core.Pipeline | None
    n_candidates: int
    n_candidates_near: int


class FrozenSolver(_core.FrozenCall):
    """What :meth:`BaseSolver.freeze` returns: ``hot(y, *, near=None, out=None)``.

    The results have the bits of :meth:`BaseSolver.solve`. It holds copies of everything it needs,
    so that the solver may be fitted again, and cannot be changed: threads may share it. It can be
    pickled.

    A float64 array of shape (q,), with the C++ backend and a TwinSolver or NearestSolver, goes
    straight to native code, as do `near` and `out` where they are as described. Everything else
    gives the same, but takes as long as `solve`; so does every call where only Python can evaluate
    f, which is called in the thread of the caller. Such an f is not copied.

    A native call lets other Python threads run meanwhile only where f is slow: where one of a few
    targets took more than 20 microseconds when the solver was frozen. Batches always do.

    Parameters
    ----------
    solver : BaseSolver
        Fitted.
    k : int, default=None
        Solutions per target, as in `solve`.

    Parameters of a call
    --------------------
    y : array-like of shape (q,) or (n, q); a number where q is 1
        One target, or many. One that is NaN or infinite gets INVALID solutions.
    near : array-like of shape (p,), for many targets also (n, p), default=None
        As in `solve`: ignored where it is not finite. It may be a part of `out`.
    out : Solution or Solutions, default=None
        What :meth:`empty` gave, to be filled and returned: nothing is allocated for one target.

    Returns of a call
    -----------------
    Solution
        For one target.
    Solutions
        For many.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> arm = fi.problems.two_link_arm
    >>> hot = fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0).fit().freeze()
    >>> hot
    FrozenSolver of a NearestSolver: R^2 to 5 solutions in R^2 each
    >>> hot(np.array([1.4, 0.9])).best.round(2)
    array([-0.02,  1.18])
    >>> hot(np.array([[1.4, 0.9], [0.5, 1.8]])).x.shape
    (2, 5, 2)

    A control loop, which allocates nothing, and stays where it is when a target has no solution:

    >>> out, state = hot.empty(), np.zeros(2)
    >>> for y in np.array([[1.4, 0.9], [np.nan, 0.0], [1.4, 0.8]]):
    ...     if hot(y, near=state, out=out).status[0] == fi.Status.CONVERGED:
    ...         state[:] = out.best
    >>> bool(np.isfinite(state).all())
    True
    """

    __slots__ = ()

    def __init__(self, solver: BaseSolver, k: int | None = None) -> None:
        if not hasattr(solver, "problem_"):
            raise NotFittedError(f"this {type(solver).__name__} is not fitted yet: call fit first")
        # A callable is shared: it may hold what cannot be copied, such as a library that is open.
        forward = getattr(solver, "forward", None)
        shares = callable(forward) and not hasattr(forward, "predict")
        own = copy.deepcopy(solver, {id(forward): forward} if shares else {})
        _lock(value for value in vars(own).values() if value is not forward)
        probes = own.anchors_y_[:_N_PROBES]
        k = own.solve(probes[:1], k).n_solutions
        native = own._native_call(k) or NativeCall(None, 0, 0)
        super().__init__(
            own,
            native.pipeline,
            native.n_candidates,
            native.n_candidates_near,
            k,
            own.residual_tol_,
            [] if own.error_tol_ is None else own.error_tol_.tolist(),
            Solution,
            probes,
        )

    if TYPE_CHECKING:  # the native base has it

        @overload
        def __call__(
            self, y: ArrayLike, *, near: ArrayLike | None = None, out: None = None
        ) -> Any: ...
        @overload
        def __call__(
            self, y: ArrayLike, *, near: ArrayLike | None = None, out: Solution
        ) -> Solution: ...
        @overload
        def __call__(
            self, y: ArrayLike, *, near: ArrayLike | None = None, out: Solutions
        ) -> Solutions: ...
        def __call__(
            self, y: ArrayLike, *, near: ArrayLike | None = None, out: Any = None
        ) -> Any: ...

    @property
    def n_inputs(self) -> int:
        """Dimension p of x."""
        return int(self._solver.n_features_in_)

    @property
    def n_outputs(self) -> int:
        """Dimension q of y."""
        return int(self._solver.n_outputs_)

    @property
    def n_threads(self) -> int | None:
        """The solver's number of threads for batches; None for as many as pay."""
        n_threads: int | None = self._solver.n_threads
        return n_threads

    @overload
    def empty(self, n: None = None) -> Solution: ...
    @overload
    def empty(self, n: int) -> Solutions: ...
    def empty(self, n: int | None = None) -> Solution | Solutions:
        """A result to be filled, by ``out=``; its status is INVALID until then.

        Parameters
        ----------
        n : int, default=None
            Number of targets; None for a single one.

        Returns
        -------
        Solution
            For a single target.
        Solutions
            For `n` targets.
        """
        p, q, k = self.n_inputs, self.n_outputs, self.k
        if n is None:
            return Solution(k, p, q)
        n = check_integer(n, "n", minimum=0)
        return Solutions(
            np.full((n, q), np.nan),
            np.full((n, k, p), np.nan),
            np.full((n, k), np.inf),
            np.full((n, k), -1, dtype=np.int64),
            np.full((n, k), Status.INVALID, dtype=np.int8),
        )

    def as_solutions(self, solution: Solution) -> Solutions:
        """A copy of a call's result that can tell more: its `error`, `x_error`, `isolated`, and
        :meth:`Solutions.explain`.

        Parameters
        ----------
        solution : Solution
            Of this solver.

        Returns
        -------
        Solutions
            A batch of one target.

        Raises
        ------
        TypeError
            It is no Solution.
        ValueError
            It is for other numbers of solutions, inputs or outputs.
        """
        self._check_solution(solution, "solution")
        known = copy.deepcopy(solution).as_solutions()
        return known.refilled(self._solver._circumstances, self._solver._judge, None)

    def _check_solution(self, solution: Any, name: str) -> None:
        if not isinstance(solution, Solution):
            raise TypeError(
                f"{name} must be a Solution for one target, got {type(solution).__name__}"
            )
        wanted = self.k, self.n_inputs, self.n_outputs
        if (sizes := (*solution.x.shape, len(solution.target))) != wanted:
            raise ValueError(f"{name} must be for (k, p, q) = {wanted}, got {sizes}")

    def _solve(self, y: ArrayLike, near: ArrayLike | None, out: Any) -> Solution | Solutions:
        """Solve what native code does not: lists, other dtypes, batches, and bad arguments."""
        values, q = as_float64(y, "y"), self.n_outputs
        if values.ndim == 2 and values.shape[1] == q:
            many: Solutions = self._solver.solve(values, self.k, near=near, out=out)
            return many
        if values.shape != (q,) and not (values.ndim == 0 and q == 1):
            number = " (or a number)" if q == 1 else ""
            raise ValueError(
                f"y must have shape ({q},){number} for one target or (n, {q}) for many, "
                f"got {values.shape}"
            )
        return self._solve_one(values, near, out)

    def _solve_one(self, target: Float64Array, near: ArrayLike | None, out: Any) -> Solution:
        """`out`, filled, for a `target` of q numbers in any shape."""
        solution = self.empty() if out is None else out
        self._check_solution(solution, "out")
        state = None
        if near is not None:
            states, ignored = check_states(near, 1, self.n_inputs)
            state = states[0] if ignored is None else None
        if self._is_native:
            # Copies have the exact types for native code, whatever they are copied from.
            state = None if state is None else np.array(state)
            return self(np.array(target.ravel()), near=state, out=solution)
        found = self._solver.solve(target.reshape(1, -1), self.k, near=state)
        np.copyto(solution.target, found.targets[0])
        Ranked(found.x[0], found.residual[0], found.anchor[0], found.status[0]).copied_into(
            Ranked(solution.x, solution.residual, solution.anchor, solution.status)
        )
        return solution

    def __repr__(self) -> str:
        return (
            f"FrozenSolver of a {type(self._solver).__name__}: R^{self.n_outputs} to {self.k} "
            f"solution{'s' * (self.k != 1)} in R^{self.n_inputs} each"
        )

    def __copy__(self) -> FrozenSolver:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenSolver:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenSolver, (self._solver, self.k)


def _lock(values: Iterable[Any]) -> None:
    """Makes the arrays among `values`, and in dataclasses among them, read-only."""
    for value in values:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        elif is_dataclass(value) and not isinstance(value, CallableFunction):
            _lock(vars(value).values())
