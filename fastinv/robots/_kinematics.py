"""Frames of a chain by plain matrix products in NumPy, to check the compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastinv.robots.chain import SerialChain

Float64Array = NDArray[np.float64]


class Located(NamedTuple):
    """Frames of n configurations, in the base frame.

    Attributes
    ----------
    axes, origins : ndarray of shape (n, p, 3)
        Direction of each joint's axis, and a point on it.
    end : ndarray of shape (n, 4, 4)
    """

    axes: Float64Array
    origins: Float64Array
    end: Float64Array


def locate(chain: SerialChain, X: Float64Array) -> Located:
    """The frames of `chain` for joint values `X` (n, p)."""
    n, p = X.shape
    axes, origins = np.empty((n, p, 3)), np.empty((n, p, 3))
    frames = np.tile(np.eye(4), (n, 1, 1))
    for j, (axis, kind) in enumerate(zip(chain.axes, chain.joint_types, strict=True)):
        frames = frames @ chain.fixed[j]
        axes[:, j] = frames[:, :3, :3] @ axis
        origins[:, j] = frames[:, :3, 3]
        if kind == "prismatic":
            frames[:, :3, 3] += X[:, j, None] * axes[:, j]
        else:
            frames[:, :3, :3] = frames[:, :3, :3] @ rotations_about(axis, X[:, j])
    return Located(axes, origins, frames @ chain.fixed[p])


def rotations_about(axis: Float64Array, angles: Float64Array) -> Float64Array:
    """Rotations (n, 3, 3) about the unit vector `axis` by `angles` (n,): Rodrigues' formula."""
    x, y, z = axis
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    with np.errstate(invalid="ignore"):  # infinite angles give NaN
        sine, cosine = np.sin(angles), np.cos(angles)
    return np.asarray(np.eye(3) + sine[:, None, None] * K + (1.0 - cosine)[:, None, None] * (K @ K))


def angles_between(A: Float64Array, B: Float64Array) -> Float64Array:
    """Angles in [0, π] of the rotations (..., 3, 3) from `A` to `B`, accurate near 0 and near π."""
    relative = np.swapaxes(A, -1, -2) @ B
    skew = relative - np.swapaxes(relative, -1, -2)
    sine = np.sqrt(skew[..., 0, 1] ** 2 + skew[..., 0, 2] ** 2 + skew[..., 1, 2] ** 2) / 2.0
    cosine = (np.trace(relative, axis1=-2, axis2=-1) - 1.0) / 2.0
    return np.asarray(np.arctan2(sine, cosine))
