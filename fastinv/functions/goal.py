"""What one call asks for."""

from __future__ import annotations

from dataclasses import dataclass

from fastinv._common.arrays import Float64Array


@dataclass(slots=True, eq=False)
class Goal:
    """What one call asks of y and x. Every stage of the chain receives it whole.

    Parameters
    ----------
    targets : ndarray of shape (n, q), float64
        A row that is not finite marks its own results and no others.
    tol : float
        Largest residual of a solution, in the units of y.
    near : ndarray of shape (n, p), float64, or None
        States that solutions are preferred near; finite.
    """

    targets: Float64Array
    tol: float
    near: Float64Array | None = None

    def __len__(self) -> int:
        return len(self.targets)
