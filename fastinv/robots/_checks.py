"""Checks of the description of a chain: joint types, axes, limits and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.validation import as_float64, check_option

Float64Array = NDArray[np.float64]
JointType = Literal["revolute", "prismatic"]

JOINT_TYPES: dict[str, JointType] = {"revolute": "revolute", "prismatic": "prismatic"}


def check_axes(axes: ArrayLike) -> Float64Array:
    """Unit vectors along `axes` (p, 3), p of 1 or more."""
    vectors = as_float64(axes, "axes")
    if vectors.ndim != 2 or vectors.shape[1] != 3 or len(vectors) == 0:
        raise ValueError(
            f"axes must have shape (p, 3), one axis for each joint, got shape {vectors.shape}"
        )
    lengths = np.linalg.norm(vectors, axis=1)
    for j, length in enumerate(lengths.tolist()):
        if not (np.isfinite(length) and length > 0.0):
            raise ValueError(
                f"axes must be finite and longer than 0, got {vectors[j].tolist()} for joint {j}"
            )
    return np.asarray(vectors / lengths[:, None] + 0.0)  # no -0.0


def check_joint_types(joint_types: str | Sequence[str], n_joints: int) -> tuple[JointType, ...]:
    """The type of each of `n_joints` joints; one string stands for all."""
    if isinstance(joint_types, str):
        joint_types = [joint_types] * n_joints
    _check_length(joint_types, "joint_types", n_joints)
    names = tuple(JOINT_TYPES)
    return tuple(JOINT_TYPES[check_option(kind, "joint_types", names)] for kind in joint_types)


def check_limits(limits: ArrayLike | None, joint_types: Sequence[str]) -> Float64Array:
    """The range (p, 2) of each joint; by default a full turn about 0."""
    if limits is None:
        if "prismatic" in joint_types:
            raise ValueError(
                "limits must be given for a chain with a prismatic joint: joint "
                f"{joint_types.index('prismatic')} has no natural range"
            )
        return np.tile([-np.pi, np.pi], (len(joint_types), 1))
    box = as_float64(limits, "limits")
    if box.shape != (len(joint_types), 2):
        raise ValueError(
            f"limits must have shape ({len(joint_types)}, 2), a (low, high) for each joint, got "
            f"shape {box.shape}"
        )
    for j, (low, high) in enumerate(box.tolist()):
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(
                f"limits must be finite with low < high, got ({low}, {high}) for joint {j}"
            )
    return box.copy()


def check_names(names: Sequence[str] | None, n_joints: int) -> tuple[str, ...]:
    """A name for each joint, all different; by default joint1, joint2, ..."""
    if names is None:
        return tuple(f"joint{j + 1}" for j in range(n_joints))
    if isinstance(names, str):
        raise TypeError(f"joint_names must be a sequence of str, got {names!r}")
    _check_length(names, "joint_names", n_joints)
    for name in names:
        check_name(name, "joint_names")
    if len(set(names)) < n_joints:
        raise ValueError(f"joint_names must differ from each other, got {list(names)}")
    return tuple(names)


def check_name(value: str, name: str) -> str:
    """A string that can be printed, and is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be str, got {value!r}")
    if not value or not value.isprintable():
        raise ValueError(f"{name} must be printable and not empty, got {value!r}")
    return value


def _check_length(values: Sequence[str], name: str, n_joints: int) -> None:
    if len(values) != n_joints:
        raise ValueError(
            f"{name} must have one entry for each joint, {n_joints}, got {len(values)}"
        )
