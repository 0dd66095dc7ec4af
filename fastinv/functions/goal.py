"""What one call asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fastinv._common.arrays import Float64Array


@dataclass(slots=True, eq=False)
class Goal:
    """What one call asks for. Every stage of the chain receives all of it.

    Parameters
    ----------
    targets : ndarray of shape (n, q), float64
        A row that is not finite makes only its own results INVALID.
    tol : float
        Largest residual of a solution: the norm of its errors in units of the outputs, which the
        problem says. May be infinite.
    near : ndarray of shape (n, p), float64, or None
        States; solutions near them are preferred. Finite.
    error_tol : ndarray of shape (q,), float64, or None
        Largest error of each output of a solution, in the units of y.
    root : bool
        Whether f - y must have a root near a solution, as far as f tells. One that is exact to f's
        rounding is a solution then whatever the tolerance.
    progress : callable or None
        ``progress(n_done)`` is called now and then, in calls that take long, with the number of
        targets that are finished. What it raises ends the call.
    """

    targets: Float64Array
    tol: float
    near: Float64Array | None = None
    error_tol: Float64Array | None = None
    root: bool = False
    progress: Callable[[int], None] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, begin: int, end: int) -> Goal:
        """The same for the targets from `begin` to `end`; `progress` goes on from `begin`."""
        report = self.progress
        return replace(
            self,
            targets=self.targets[begin:end],
            near=None if self.near is None else self.near[begin:end],
            progress=None if report is None else lambda n_done: report(begin + n_done),
        )

    def report(self, n_done: int) -> None:
        """Tell `progress`, where there is one, how many targets are finished."""
        if self.progress is not None:
            self.progress(n_done)
