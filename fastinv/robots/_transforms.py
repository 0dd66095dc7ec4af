"""Homogeneous transforms: their checks, and the screws of Denavit-Hartenberg parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.validation import as_float64

Float64Array = NDArray[np.float64]

_ORTHONORMAL = 1e-6  # holds for printed matrices of seven digits
_RIGHT_ANGLE = 1e-15


def check_transforms(T: ArrayLike, name: str) -> Float64Array:
    """Rigid transforms, each ``[[R, p], [0, 0, 0, 1]]`` with a rotation R.

    Parameters
    ----------
    T : array-like of shape (4, 4) or (n, 4, 4)
    name : str
        Its name in errors.

    Returns
    -------
    ndarray of shape (n, 4, 4), float64
        One transform is a batch of one.

    Raises
    ------
    ValueError
        Wrong shape, NaN or infinity, another last row, or columns of R that are not orthonormal
        within 1e-6 or form a left-handed frame.
    """
    transforms = as_float64(T, name)
    if transforms.ndim not in (2, 3) or transforms.shape[-2:] != (4, 4):
        raise ValueError(f"{name} must have shape (4, 4) or (n, 4, 4), got {transforms.shape}")
    transforms = transforms.reshape(-1, 4, 4)
    for i, transform in enumerate(transforms):
        fault = _fault(transform)
        if fault:
            raise ValueError(f"{name} must hold rigid transforms, but transform {i} {fault}")
    return transforms


def check_transform(T: ArrayLike, name: str) -> Float64Array:
    """One rigid transform (4, 4), by the rules of :func:`check_transforms`."""
    transform = as_float64(T, name)
    if transform.shape != (4, 4):
        raise ValueError(f"{name} must have shape (4, 4), got {transform.shape}")
    return check_transforms(transform, name).reshape(4, 4)


def _fault(transform: Float64Array) -> str | None:
    """Why a 4x4 matrix is not a rigid transform; None if it is one."""
    if not np.isfinite(transform).all():
        return "has NaN or infinity"
    if not np.allclose(transform[3], [0.0, 0.0, 0.0, 1.0], rtol=0.0, atol=_ORTHONORMAL):
        return f"has the last row {transform[3].tolist()}, not [0, 0, 0, 1]"
    rotation = transform[:3, :3]
    error = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if error > _ORTHONORMAL:
        return f"has a rotation R with |RᵀR - I| up to {error:.1e}, more than {_ORTHONORMAL:.0e}"
    determinant = float(np.linalg.det(rotation))
    if determinant < 0.0:
        return f"mirrors: its rotation has determinant {determinant:.3g}, not 1"
    return None


def snapped(transforms: Float64Array) -> Float64Array:
    """A copy with exact 0 and ±1 where the rotations differ from these by rounding only.

    cos(π/2) is 6e-17 in floating point, though a right angle is meant. Exact zeros vanish from
    the compiled function.
    """
    transforms = transforms.copy()
    rotations = transforms[:, :3, :3]
    whole = np.round(rotations)
    near = np.abs(rotations - whole) <= _RIGHT_ANGLE
    rotations[near] = whole[near]
    transforms[:, 3] = [0.0, 0.0, 0.0, 1.0]
    return transforms + 0.0  # no -0.0


def screws_x(alpha: Float64Array, a: Float64Array) -> Float64Array:
    """Rotations by `alpha` (n,) about x with translations by `a` (n,) along it: (n, 4, 4)."""
    return _screws(alpha, a, 0)


def screws_z(theta: Float64Array, d: Float64Array) -> Float64Array:
    """Rotations by `theta` (n,) about z with translations by `d` (n,) along it: (n, 4, 4)."""
    return _screws(theta, d, 2)


def _screws(angles: Float64Array, shifts: Float64Array, axis: int) -> Float64Array:
    transforms = np.tile(np.eye(4), (len(angles), 1, 1))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    transforms[:, i, i] = transforms[:, j, j] = np.cos(angles)
    transforms[:, j, i] = np.sin(angles)
    transforms[:, i, j] = -transforms[:, j, i]
    transforms[:, axis, 3] = shifts
    return snapped(transforms)  # before products spread rounding errors of zeros


def z_to(axis: Float64Array) -> Float64Array:
    """A rotation that takes the z axis to the unit vector `axis`; axes map to axes exactly."""
    smallest = np.zeros(3)
    smallest[np.abs(axis).argmin()] = 1.0
    if axis[2] == 1.0:
        return np.eye(3)
    y = np.cross(axis, smallest)
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, axis), y, axis], axis=1)
