"""Walks along the set of solutions where it is not made of isolated points."""

from __future__ import annotations

import numpy as np

from fastinv.backends.protocol import Float64Array, PipelineSpec, Search
from fastinv.functions.forward import Forward

# Of the largest singular value: what is below is zero but for the error of differences. The pose of
# an arm has 12 numbers and 6 degrees of freedom.
_NULL = 1e-6
_STEP = 0.5  # root mean square length of a step, in units of x_spread


def walk(
    forward: Forward,
    search: Search,
    spec: PipelineSpec,
    target: Float64Array,
    starts: Float64Array,
    n_steps: int,
    rng: np.random.Generator,
    tol: float,
) -> Float64Array:
    """Where `n_steps` random steps from each of `starts` (n, p) lead.

    A step is a normal vector projected onto the null space of f's derivative, then polished onto
    the set again by the shortest steps; one that does not come back to a residual of `tol` is not
    taken.
    """
    x = starts.copy()
    goals = np.ascontiguousarray(np.broadcast_to(target, (len(x), len(target))))
    for _ in range(n_steps):
        noise = rng.standard_normal(x.shape) * _STEP
        moved = x + spec.x_spread * tangential(noise, jacobians(forward, x, spec))
        polished = search.polish(goals, np.clip(moved, spec.lower, spec.upper))
        taken = polished.residual <= tol
        x[taken] = polished.x[taken]
    return x


def n_free(jacobian: Float64Array) -> int:
    """Dimension of the null space of a derivative (q, p)."""
    return int(jacobian.shape[1] - np.linalg.matrix_rank(jacobian, rtol=_NULL))


def tangential(steps: Float64Array, jacobian: Float64Array) -> Float64Array:
    """`steps` (n, p) without what changes f, by `jacobian` (n, q, p)."""
    return np.asarray(
        steps - np.einsum("npq,nqr,nr->np", np.linalg.pinv(jacobian, rcond=_NULL), jacobian, steps)
    )


def jacobians(forward: Forward, x: Float64Array, spec: PipelineSpec) -> Float64Array:
    """df/dx (n, q, p) in units of x_spread, by central differences inside the bounds."""
    p = x.shape[1]
    sizes = np.maximum(np.abs(x) / spec.x_spread, 1.0)
    h = np.cbrt(np.finfo(float).eps * sizes) * spec.x_spread
    columns = []
    for i in range(p):
        low, high = x.copy(), x.copy()
        low[:, i] = np.maximum(x[:, i] - h[:, i], spec.lower[i])
        high[:, i] = np.minimum(x[:, i] + h[:, i], spec.upper[i])
        width = (high[:, i] - low[:, i])[:, None]
        columns.append(spec.x_spread[i] * (forward(high) - forward(low)) / width)
    return np.stack(columns, axis=2)
