"""What one call asks for."""

from __future__ import annotations

from dataclasses import dataclass

from fastinv._common.arrays import Float64Array


@dataclass(slots=True, eq=False)
class Goal:
    """What one call asks for. Every stage of the chain receives all of it.

    Parameters
    ----------
    targets : ndarray of shape (n, q), float64
        A row that is not finite makes only its own results INVALID.
    tol : float
        Largest residual of a solution, in the units of y.
    near : ndarray of shape (n, p), float64, or None
        States; solutions near them are preferred. Finite.
    """

    targets: Float64Array
    tol: float
    near: Float64Array | None = None

    def __len__(self) -> int:
        return len(self.targets)
