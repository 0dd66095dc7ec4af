"""The other side of a fold: where f turns back, solutions come in pairs.

The rules are told in ``csrc/solve/search/folds.cpp``.
"""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.systems import factors, solved_systems
from fastinv.functions.problem import Problem

_REACH = 6  # in anchor spacings: longest distance to a partner
_DAMPING = 1e-14  # relative to ||J||^2
_ITERATIONS = 6


def partners(
    problem: Problem, f: Derivatives, x: Float64Array, fx: Float64Array, spacing: float
) -> Float64Array:
    """About where the partners of solutions `x` ``(n, p)`` with images `fx` lie; NaN for a solution
    that is far from a fold, or where f may not be defined beside it.

    Along a direction v in which the derivative vanishes, a partner is at -2 sigma / c to second
    order, where sigma is the smallest singular value and c the second derivative along v, both
    along the image of v.
    """
    found, region, weight = np.full(x.shape, np.nan), problem.region, problem.y_weight
    if f.p > f.q or not len(x):  # solutions are not isolated
        return found
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        v, sigma = _weakest_directions(f.jacobians(x) * region.scale * weight[:, None])
        h = f.reach_along(v)[:, None]
        below, above = x - h * region.scale * v, x + h * region.scale * v
        inside = (sigma > 0) & region.allows(below) & region.allows(above)
        low, high = np.split(f.values(np.concatenate([below[inside], above[inside]])), 2)
        x, fx, v, sigma, h = x[inside], fx[inside], v[inside], sigma[inside], h[inside]
        along = (high - low) * weight / (2 * h)  # sigma times a unit vector
        curvature = (along * ((high + low - 2 * fx) * weight / h**2)).sum(axis=1)
        steps = -2 * sigma**2 / curvature
        near = np.abs(steps) < _REACH * spacing
        moved = region.clip_step(x + steps[:, None] * region.scale * v)
        found[inside] = np.where(near[:, None], moved, np.nan)
    return found


def _weakest_directions(jac: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Unit vectors ``(n, p)`` along which f changes least, and how much, ``(n,)``; 0 where a
    derivative is not finite."""
    n, p = len(jac), jac.shape[2]
    size = (jac**2).sum(axis=(1, 2))
    factor, regular = factors(jac, np.full(n, _DAMPING * p))
    # Inverse iteration from a start that favours no coordinate.
    v = np.tile(1.0 / np.arange(1, p + 1), (n, 1))
    for _ in range(_ITERATIONS):
        v = solved_systems(factor, v)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
    sigma = np.linalg.norm(np.einsum("nqp,np->nq", jac, v), axis=1)
    usable = regular & np.isfinite(size) & np.isfinite(v).all(axis=1)
    return np.where(usable[:, None], v, 0.0), np.where(usable, sigma, 0.0)
