"""Turns Denavit-Hartenberg parameters of both conventions into a chain's fixed transforms.

A link is a screw about z, by its joint angle θ and offset d, and a screw about x, by its twist α
and length a. The standard convention has z before x, with the parameters of the link after the
joint; the modified one (J. J. Craig, *Introduction to Robotics*, section 3.4) has x before z, with
those of the link before it. In both the variable part is at the z of the joint.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.validation import as_float64, check_option
from fastinv.robots._transforms import check_transform, screws_x, screws_z

Float64Array = NDArray[np.float64]

CONVENTIONS: Sequence[str] = ("standard", "modified")


def dh_transforms(
    a: ArrayLike,
    alpha: ArrayLike,
    d: ArrayLike,
    theta_offset: ArrayLike,
    convention: str,
    base: ArrayLike | None,
    tool: ArrayLike | None,
) -> Float64Array:
    """The transforms (p + 1, 4, 4) before, between and after joints about z.

    Parameters
    ----------
    a, alpha, d : array-like of shape (p,)
    theta_offset : array-like of shape (p,) or number
    convention : {"standard", "modified"}
    base, tool : array-like of shape (4, 4) or None
        None is the identity.
    """
    check_option(convention, "convention", CONVENTIONS)
    lengths = _parameters(a, "a", None)
    n_joints = len(lengths)
    offsets = (
        np.broadcast_to(theta_offset, n_joints) if np.ndim(theta_offset) == 0 else theta_offset
    )
    z = screws_z(_parameters(offsets, "theta_offset", n_joints), _parameters(d, "d", n_joints))
    x = screws_x(_parameters(alpha, "alpha", n_joints), lengths)
    fixed = np.tile(np.eye(4), (n_joints + 1, 1, 1))
    if convention == "standard":
        fixed[1:] = z @ x
    else:
        fixed[:-1] = x
        fixed[1:] = z @ fixed[1:]
    if base is not None:
        fixed[0] = check_transform(base, "base") @ fixed[0]
    if tool is not None:
        fixed[-1] = fixed[-1] @ check_transform(tool, "tool")
    return fixed


def _parameters(values: ArrayLike, name: str, n_joints: int | None) -> Float64Array:
    """Finite values (p,), one for each joint."""
    array = as_float64(values, name)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must have shape (p,), one value a joint, got {array.shape}")
    if n_joints is not None and len(array) != n_joints:
        raise ValueError(f"{name} must have {n_joints} values, as a has, got {len(array)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    return array
