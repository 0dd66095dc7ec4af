"""Correction of proposed solutions by a twin network: the proposal serves as its own anchor."""

from __future__ import annotations

import numpy as np

from fastinv.backends.distances import distance
from fastinv.backends.protocol import (
    FEATURE_LIMIT,
    Backend,
    CandidateFlag,
    Float64Array,
    TwinModel,
)
from fastinv.functions.forward import Forward
from fastinv.solvers.images import Proposals, images_of


def corrected(
    backend: Backend,
    twin: TwinModel,
    forward: Forward,
    bounds: tuple[Float64Array, Float64Array],
    targets: Float64Array,
    proposals: Proposals,
    n_threads: int,
) -> Proposals:
    """Each proposal moved by the twin network, or left where that brings its image no closer.

    ``x = x_0 + F(y, f(x_0), x_0)``: eq. (6) of Wetzel (2026), "Inverting Non-Injective Functions
    with Twin Neural Network Regression", with the proposal x_0 in place of an anchor.

    Parameters
    ----------
    backend : Backend
    twin : TwinModel
    forward : Forward
    bounds : tuple of ndarrays of shape (p,)
        Lower and upper; a corrected x beyond them is moved onto them and flagged CLIPPED.
    targets : ndarray of shape (m, q)
        Finite, in the units of y.
    proposals : (x, images, flags)
    n_threads : int

    Returns
    -------
    (x, images, flags)
        New arrays. A residual is never above that of its proposal. EXTRAPOLATED flags a step
        beyond the network's reach.
    """
    x, images, flags = proposals
    # A proposal without a finite image cannot be an anchor; zeros keep its row harmless.
    usable = np.asarray(np.isfinite(images).all(axis=1))
    features = np.hstack(
        [
            (targets - images) / twin.dy_scale,
            (images - twin.y_mean) / twin.y_scale,
            (x - twin.x_mean) / twin.x_scale,
        ]
    )
    features = np.where(usable[:, None], np.clip(features, -FEATURE_LIMIT, FEATURE_LIMIT), 0.0)
    network = backend.network(twin.spec, twin.parameters)
    steps = network.forward(features.astype(twin.parameters.dtype), n_threads=n_threads)
    steps = steps.astype(np.float64)
    moved = x + twin.dx_scale * steps
    inside = np.clip(moved, *bounds)
    new_flags = CandidateFlag.EXTRAPOLATED * (np.abs(steps) > twin.reach).any(axis=1)
    new_flags |= CandidateFlag.CLIPPED * (inside != moved).any(axis=1)
    new_images = images_of(forward, inside)
    better = np.asarray(usable & (distance(new_images, targets) < distance(images, targets)))
    return (
        np.where(better[:, None], inside, x),
        np.where(better[:, None], new_images, images),
        np.where(better, new_flags, flags).astype(np.uint8),
    )
