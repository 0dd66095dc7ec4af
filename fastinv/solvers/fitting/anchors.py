"""Draws anchors, and derives limits on targets and tolerances from their spread."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from fastinv._common.arrays import Float64Array
from fastinv.backends.protocol import Anchors, Backend
from fastinv.functions.function import Function

_MAX_ROUNDS = 30  # draws, if f is not defined everywhere inside the bounds
_N_COVERAGE_SAMPLES = 2000
# The largest distance in a sample is less than the largest there is.
_COVERAGE_MARGIN = 1.5
# In distances between neighbouring anchors: two with a larger distance may be on two branches.
_BRANCH_GAPS = 2.5


def draw_anchors(
    function: Function, bounds: Float64Array, n_anchors: int, rng: np.random.Generator
) -> tuple[Float64Array, Float64Array]:
    """`n_anchors` points of a scrambled Halton sequence in `bounds` where f is finite.

    Returns
    -------
    x : ndarray of shape (n_anchors, p)
    y : ndarray of shape (n_anchors, q)

    Raises
    ------
    ValueError
        If f is finite almost nowhere inside the bounds.
    """
    sampler = qmc.Halton(len(bounds), scramble=True, rng=rng)
    xs: list[Float64Array] = []
    ys: list[Float64Array] = []
    found = drawn = 0
    for _ in range(_MAX_ROUNDS):
        x = qmc.scale(sampler.random(n_anchors), bounds[:, 0], bounds[:, 1])
        y = function(x)
        finite = np.isfinite(y).all(axis=1)
        xs.append(x[finite])
        ys.append(y[finite])
        found += int(finite.sum())
        drawn += n_anchors
        if found >= n_anchors:
            return np.concatenate(xs)[:n_anchors], np.concatenate(ys)[:n_anchors]
    raise ValueError(
        f"{function.name} must be finite inside bounds: of {drawn} points drawn there only {found} "
        f"have a finite image, n_anchors={n_anchors} are wanted"
    )


def coverage_of_formula(
    backend: Backend,
    function: Function,
    bounds: Float64Array,
    anchors: Anchors,
    rng: np.random.Generator,
) -> float:
    """How far an attainable y may be from its nearest anchor, in units of the outputs, by a sample
    of attainable ones."""
    x = rng.uniform(bounds[:, 0], bounds[:, 1], size=(_N_COVERAGE_SAMPLES, len(bounds)))
    y = function(x)
    y = np.ascontiguousarray(y[np.isfinite(y).all(axis=1)])
    if not len(y):
        return coverage_of_data(backend, anchors.y, anchors.y_scale)
    return _COVERAGE_MARGIN * float(anchors.nearest(y, 1)[0].max())


def coverage_of_data(backend: Backend, anchors_y: Float64Array, y_scale: Float64Array) -> float:
    """The same from anchors alone: the largest distance of one to the nearest different one."""
    different = np.unique(anchors_y * (1 / y_scale), axis=0)
    if len(different) == 1:
        return float("inf")
    distances = backend.neighbors(different).query(different, 2)[0][:, 1]
    return _COVERAGE_MARGIN * float(distances.max())


def branch_distance(backend: Backend, anchors_x: Float64Array, scale: Float64Array) -> float:
    """How far apart in x anchors near the same target must be to count as on different branches."""
    scaled = np.unique(anchors_x / scale, axis=0)
    if len(scaled) < 2:
        return 0.0
    distances = backend.neighbors(scaled).query(scaled, 2)[0][:, 1]
    return _BRANCH_GAPS * float(np.median(distances))
