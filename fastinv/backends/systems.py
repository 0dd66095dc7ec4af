"""Small systems of equations with positive definite matrices, many at a time.

Each is solved by itself: its last bits do not depend on the others.
"""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array

_SMALLEST_PIVOT = 1e-15  # relative to a diagonal entry


def factors(jac: Float64Array, damping: Float64Array) -> tuple[Float64Array, BoolArray]:
    """Cholesky factors ``(n, m, m)`` of ``J^T J`` or, if smaller, ``J J^T``, damped; and which
    of the matrices are regular within rounding."""
    q, p = jac.shape[1:]
    # Not by `@`: the library behind it may round one matrix otherwise than the same among others.
    sums = "nqi,nqj->nij" if p <= q else "nip,njp->nij"
    matrix = np.einsum(sums, jac, jac)
    m = matrix.shape[1]
    size = (jac**2).sum(axis=(1, 2))
    matrix = matrix + (damping * size / m)[:, None, None] * np.eye(m)
    diagonal = np.einsum("nii->ni", matrix)
    factor = _cholesky(matrix)
    pivots = np.einsum("nii->ni", factor)
    regular = (pivots**2 > _SMALLEST_PIVOT * diagonal).all(axis=1)
    factor[~regular] = np.eye(m)
    return factor, regular


def _cholesky(matrix: Float64Array) -> Float64Array:
    """Factors ``(n, m, m)``, column by column; zeros on the diagonal from the column where a matrix
    is singular. NumPy's would fail for all if one is singular."""
    factor = np.zeros_like(matrix)
    for i in range(matrix.shape[1]):
        rest = matrix[:, i:, i] - np.einsum("nij,nj->ni", factor[:, i:, :i], factor[:, i, :i])
        pivot = np.sqrt(np.maximum(rest[:, :1], 0.0))
        factor[:, i:, i] = np.divide(rest, pivot, out=np.zeros_like(rest), where=pivot > 0)
    return factor


def damped_steps(jac: Float64Array, factor: Float64Array, residual: Float64Array) -> Float64Array:
    """``-(J^T J + d)^-1 J^T r = -J^T (J J^T + d)^-1 r`` (n, p): the shortest steps for p > q."""
    q, p = jac.shape[1:]
    if p <= q:
        return -solved_systems(factor, np.einsum("nqp,nq->np", jac, residual))
    return np.asarray(-np.einsum("nqp,nq->np", jac, solved_systems(factor, residual)))


def solved_systems(factor: Float64Array, b: Float64Array) -> Float64Array:
    """x ``(n, m)`` with ``L L^T x = b``."""
    x, m = b.copy(), b.shape[1]
    for i in range(m):
        x[:, i] = (x[:, i] - (factor[:, i, :i] * x[:, :i]).sum(axis=1)) / factor[:, i, i]
    for i in reversed(range(m)):
        x[:, i] = (x[:, i] - (factor[:, i + 1 :, i] * x[:, i + 1 :]).sum(axis=1)) / factor[:, i, i]
    return x
