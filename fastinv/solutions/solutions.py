"""The result of a solve: every solution found, ranked, each with its residual and status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastinv import _core
from fastinv.functions.status import SearchStatus, Status
from fastinv.solutions.explanation import Circumstances, explain


class Judge(Protocol):
    """Tells more of solutions than a solver must know to find them."""

    def errors(
        self, targets: NDArray[np.float64], x: NDArray[np.float64]
    ) -> NDArray[np.float64]: ...
    def facts(
        self, targets: NDArray[np.float64], x: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]: ...


@dataclass(frozen=True, eq=False, init=False)
class Solutions:
    """Ranked solutions of ``f(x) = y`` for a batch of targets.

    Attributes
    ----------
    targets : ndarray of shape (n, q), float64
    x : ndarray of shape (n, k, p), float64
        Solutions, best first.
    residual : ndarray of shape (n, k), float64
        ``sqrt(sum(((f(x) - y) / y_scale)**2))`` over the outputs, with the solver's `y_scale_`, by
        the exact or the learned f; ``inf`` where the status is INVALID.
    anchor : ndarray of shape (n, k), int64
        Row of the solver's ``anchors_x_`` that each solution came from, -1 if none.
    status : ndarray of shape (n, k), int8
        A :class:`Status` each.
    count : ndarray of shape (n,), int64, or None
        From `solve_all`: how many solutions each target has; the others are padding. None from
        `solve`, which gives k candidates.
    search_status : ndarray of shape (n,), int8, or None
        From `solve_all`: how the search ended, a :class:`SearchStatus` each.
    near_ignored : ndarray of shape (n,), bool, or None
        Targets whose `near` was not finite; they were solved without. None where there is none.
    error : ndarray of shape (n, k, q), float64
        ``f(x) - y``, in the units of y; NaN for padding.
    x_error : ndarray of shape (n, k), float64
        How far the true root is from x at most, in standard deviations of the anchors' x: by f's
        rounding, or its noise, and its derivative. ``inf`` where no root is known to be near.
    isolated : ndarray of shape (n, k), bool
        Whether the root is isolated, as opposed to one of a curve or a surface of roots; False
        where no root is known.

    Notes
    -----
    `error`, `x_error` and `isolated` are computed when they are first asked for, which evaluates f,
    and only for solutions that a solver made, not for those loaded from a pickle.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> X = np.linspace(-1, 1, 201)[:, None]
    >>> solver = fi.NearestSolver(n_candidates=2).fit(X, X**2)
    >>> solutions = solver.solve([[0.25]])
    >>> sorted(solutions.x.ravel().round(2).tolist())
    [-0.5, 0.5]
    >>> solutions.best.shape
    (1, 1)
    """

    targets: NDArray[np.float64]
    x: NDArray[np.float64]
    residual: NDArray[np.float64]
    anchor: NDArray[np.int64]
    status: NDArray[np.int8]
    count: NDArray[np.int64] | None = None
    circumstances: Circumstances | None = None
    search_status: NDArray[np.int8] | None = None
    judge: Judge | None = None
    near_ignored: NDArray[np.bool_] | None = None

    def __init__(
        self,
        targets: NDArray[np.float64],
        x: NDArray[np.float64],
        residual: NDArray[np.float64],
        anchor: NDArray[np.int64],
        status: NDArray[np.int8],
        count: NDArray[np.int64] | None = None,
        circumstances: Circumstances | None = None,
        search_status: NDArray[np.int8] | None = None,
        judge: Judge | None = None,
        near_ignored: NDArray[np.bool_] | None = None,
    ) -> None:
        # The __init__ of a frozen dataclass takes more than twice the time.
        fields = self.__dict__
        fields["targets"] = targets
        fields["x"] = x
        fields["residual"] = residual
        fields["anchor"] = anchor
        fields["status"] = status
        fields["count"] = count
        fields["circumstances"] = circumstances
        fields["near_ignored"] = near_ignored
        fields["search_status"] = search_status
        fields["judge"] = judge

    @cached_property
    def error(self) -> NDArray[np.float64]:
        return self._judge.errors(self.targets, self.x)

    @property
    def x_error(self) -> NDArray[np.float64]:
        return self._facts[0]

    @property
    def isolated(self) -> NDArray[np.bool_]:
        return self._facts[1]

    @cached_property
    def _facts(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        return self._judge.facts(self.targets, self.x)

    @property
    def _judge(self) -> Judge:
        if self.judge is None:
            raise ValueError(
                "error, x_error and isolated are known only of solutions that a solver made, in "
                "the process that made them"
            )
        return self.judge

    def refilled(
        self, circumstances: Circumstances, judge: Judge, near_ignored: NDArray[np.bool_] | None
    ) -> Solutions:
        """This object, after its arrays were written to; what was computed of them is forgotten."""
        fields = self.__dict__
        fields.pop("error", None)
        fields.pop("_facts", None)
        fields["circumstances"], fields["judge"] = circumstances, judge
        fields["near_ignored"] = near_ignored
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "judge": None}

    @property
    def best(self) -> NDArray[np.float64]:
        """The first solution of each target, shape (n, p)."""
        return self.x[:, 0]

    @property
    def n_solutions(self) -> int:
        """Solutions per target, k."""
        return int(self.x.shape[1])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: int | slice | NDArray[np.intp] | NDArray[np.bool_]) -> Solutions:
        """The solutions of some targets; an integer keeps the leading dimension."""
        if isinstance(rows, int | np.integer):
            n = len(self)
            if not -n <= rows < n:
                raise IndexError(f"target {rows} is out of range for {n} targets")
            rows = slice(int(rows) % n, int(rows) % n + 1)
        return Solutions(
            self.targets[rows],
            self.x[rows],
            self.residual[rows],
            self.anchor[rows],
            self.status[rows],
            None if self.count is None else self.count[rows],
            self.circumstances,
            None if self.search_status is None else self.search_status[rows],
            self.judge,
            None if self.near_ignored is None else self.near_ignored[rows],
        )

    def explain(self, i: int) -> str:
        """Describe the solutions of target `i` in words.

        For each solution: the status and its reason; the residual and its tolerance; the errors,
        and how large each may be at most, in the units of y; the noise of the data; the bounds that
        it lies on. For the target: the distance to its nearest anchor, and whether its `near` was
        ignored. And how a search for all solutions ended, unless all starts were tried.

        Parameters
        ----------
        i : int
            Which target.

        Returns
        -------
        str
            A line per solution, after one or two about the target.

        Raises
        ------
        TypeError
            `i` is not an integer.
        ValueError
            These solutions were not made by a solver.
        IndexError
            There is no such target.

        Examples
        --------
        >>> import fastinv as fi
        >>> arm = fi.problems.two_link_arm
        >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0).fit()
        >>> print(solver.solve_all([3.0, 0.0]).explain(0))  # doctest: +ELLIPSIS
        target (3, 0): its nearest anchor, 684, is 1.35 away in y, in units of (0.742, 1.28); \
attainable ones are up to 0.181
        1. UNREACHABLE, nothing found is near enough to the target: residual 1.35, tolerance \
1e-09; error (-1, ...), tolerated (7.42e-10, 1.28e-09)
        """
        if not isinstance(i, int | np.integer) or isinstance(i, bool):
            raise TypeError(f"i must be an integer, which says which target, got {i!r}")
        if self.circumstances is None:
            raise ValueError("only solutions that a solver made can be explained")
        row = self[i]
        is_padding = np.zeros(self.n_solutions, dtype=bool)
        if row.count is not None:
            is_padding[max(1, int(row.count[0])) :] = True
        error = None if row.judge is None else row.error[0][~is_padding]
        lines = explain(
            row.targets[0],
            row.x[0][~is_padding],
            row.residual[0][~is_padding],
            error,
            [list(Status)[s] for s in row.status[0][~is_padding]],
            self.circumstances,
            near_ignored=row.near_ignored is not None and bool(row.near_ignored[0]),
        )
        if row.search_status is None or not np.isfinite(row.targets).all():
            return lines
        ended = list(SearchStatus)[row.search_status[0]]
        if ended == SearchStatus.ENDED:
            return lines
        return f"{lines}\nsearch {ended.name}: {ended.description}"

    def __iter__(self) -> Iterator[Solutions]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        n, k, p = self.x.shape
        number = f"{k} each" if self.count is None else f"{int(self.count.sum())} in all"
        heading = f"Solutions: {n} target{'s' * (n != 1)}, {number}, x in R^{p}"
        if n == 0:
            return heading
        counts = {status.name: int(np.sum(self.status[:, 0] == status)) for status in Status}
        first = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        finite = self.residual[:, 0][np.isfinite(self.residual[:, 0])]
        if len(finite):
            first += f"; median residual {np.median(finite):.3g}, largest {finite.max():.3g}"
        return f"{heading}\nbest: {first}"


@dataclass(frozen=True, eq=False)
class SolutionPath:
    """A solution followed along a path of targets.

    Attributes
    ----------
    targets : ndarray of shape (n, q), float64
    x : ndarray of shape (n, p), float64
        One solution per target; where there is none, the last one, and NaN for a target that is
        not finite. Inputs that may have all values of their period go on beyond their bounds.
    residual : ndarray of shape (n,), float64
    status : ndarray of shape (n,), int8
        CONVERGED, or UNREACHABLE where no solution was found; INVALID for a target that is not
        finite.
    jumped : ndarray of shape (n,), bool
        Where the branch ended, and another had to be taken.
    """

    targets: NDArray[np.float64]
    x: NDArray[np.float64]
    residual: NDArray[np.float64]
    status: NDArray[np.int8]
    jumped: NDArray[np.bool_]

    @property
    def n_jumps(self) -> int:
        """How often the branch ended and the path jumped."""
        return int(self.jumped.sum())

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        n, p = self.x.shape
        reached = int((self.status == Status.CONVERGED).sum())
        jumps = f"{self.n_jumps} jump{'s' * (self.n_jumps != 1)}"
        return f"SolutionPath: {n} targets, {reached} reached, {jumps}, x in R^{p}"


class Solution(_core.SolutionBuffer):
    """Ranked solutions of ``f(x) = y`` for one target, as a frozen solver returns them.

    All values lie in one piece of memory, made in tens of nanoseconds. An attribute is a view of
    it, made at each access: keep the ones that a loop needs. Filling the object again (``out=``)
    changes the views.

    Attributes
    ----------
    target : ndarray of shape (q,), float64
    x : ndarray of shape (k, p), float64
        Solutions, best first.
    residual : ndarray of shape (k,), float64
    anchor : ndarray of shape (k,), int64
    status : ndarray of shape (k,), int8
        As in :class:`Solutions`.
    best : ndarray of shape (p,), float64
        The first solution.

    Examples
    --------
    >>> import fastinv as fi
    >>> arm = fi.problems.two_link_arm
    >>> solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, refine=False, random_state=0)
    >>> hot = solver.fit().freeze(k=2)
    >>> hot([1.4, 0.9])
    Solution: 2 solutions, x in R^2; best APPROXIMATE, residual 0.0244
    >>> hot([1.4, 0.9]).x.shape
    (2, 2)
    """

    __slots__ = ()

    @property
    def n_solutions(self) -> int:
        """The number of solutions, k."""
        return len(self)

    def as_solutions(self) -> Solutions:
        """The same values, not copied, as a batch of one target.

        :meth:`FrozenSolver.as_solutions` makes a copy that knows its solver, and can explain.
        """
        return Solutions(
            self.target[None], self.x[None], self.residual[None], self.anchor[None],
            self.status[None],
        )  # fmt: skip

    def __repr__(self) -> str:
        k, p = self.x.shape
        status = list(Status)[int(self.status[0])]
        best = f"best {status.name}, residual {self.residual[0]:.3g}"
        return f"Solution: {k} solution{'s' * (k != 1)}, x in R^{p}; {best}"

    def __reduce__(self) -> tuple[Any, ...]:
        values = self.target, self.x, self.residual, self.anchor, self.status
        return _restored, tuple(value.copy() for value in values)


def _restored(
    target: NDArray[np.float64],
    x: NDArray[np.float64],
    residual: NDArray[np.float64],
    anchor: NDArray[np.int64],
    status: NDArray[np.int8],
) -> Solution:
    solution = Solution(x.shape[0], x.shape[1], len(target))
    solution.target[:] = target
    solution.x[:] = x
    solution.residual[:] = residual
    solution.anchor[:] = anchor
    solution.status[:] = status
    return solution
