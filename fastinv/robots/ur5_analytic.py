"""All inverse kinematics of the UR5 in closed form, to test solvers against.

After K. P. Hawkins, *Analytic inverse kinematics for the Universal Robots UR-5/UR-10 arms*
(Georgia Tech, 2013), with angles from atan2 wherever an arccosine would lose digits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import acos, atan2, cos, hypot, pi, sin

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv.robots._transforms import check_transform, screws_x, screws_z
from fastinv.robots.chain import SerialChain
from fastinv.robots.models import UR5_A, UR5_ALPHA, UR5_D, ur5

Float64Array = NDArray[np.float64]

_VERIFIED = 1e-9  # largest error in metres, and in entries of the rotation
_SAME = 1e-7  # radians; at a fold the error is the square root of rounding
_SLACK = 1e-9  # rounding may put a stretched arm beyond the range of the arccosine
_SINGULAR = 1e-12

_chain = functools.cache(ur5)


def ur5_inverse(T: ArrayLike) -> Float64Array:
    """All joint angles of :func:`ur5` that reach a pose of its flange.

    Parameters
    ----------
    T : array-like of shape (4, 4)
        Rigid transform in the base frame, metres.

    Returns
    -------
    ndarray of shape (m, 6), float64
        m is 0 to 8; angles in (-π, π]. Each is verified by forward kinematics to 1e-9. They are
        in the order of the branches (shoulder, wrist, elbow); branches that meet are one row.
        Where the wrist is singular (joint 5 at 0 or π, the axes of joints 4 and 6 parallel) a
        branch is a curve of solutions on which joint 6 moves freely within reach. One or two
        points represent it: those with joint 6 at 0 or, if the elbow does not reach these, those
        that put the origin of frame 4 nearest to the shoulder, or else farthest from it.

    Raises
    ------
    ValueError
        `T` is not a rigid transform.

    Examples
    --------
    >>> import fastinv as fi
    >>> arm = fi.robots.ur5()
    >>> x = [0.3, -1.0, 1.2, 0.4, 0.9, -0.5]
    >>> solutions = fi.robots.ur5_inverse(arm.transform(x))
    >>> solutions.shape
    (8, 6)
    >>> float(abs(solutions - x).max(axis=1).min()) < 1e-9
    True
    """
    wanted = check_transform(T, "T")
    found: list[Float64Array] = []
    for shoulder in _shoulders(wanted):
        for wrist in (1.0, -1.0):
            for joints in _postures(wanted, shoulder, wrist):
                x = _wrapped(np.array(joints))
                if _reaches(_chain(), x, wanted) and not _known(x, found):
                    found.append(x)
    return np.array(found).reshape(-1, 6)


def _shoulders(T: Float64Array) -> Iterator[float]:
    """Values of joint 1: the wrist's centre is `d4` from the arm's plane, on either side."""
    centre = T[:3, 3] - UR5_D[5] * T[:3, 2]
    radius = hypot(centre[0], centre[1])
    if radius < UR5_D[3] * (1.0 - _SLACK):
        return
    aside = acos(min(1.0, UR5_D[3] / radius))
    for sign in (1.0, -1.0):
        yield atan2(centre[1], centre[0]) + sign * aside + pi / 2


def _postures(T: Float64Array, first: float, wrist: float) -> list[tuple[float, ...]]:
    """Joints 1 to 6 for both elbows, given joint 1 and the sign of joint 5."""
    # The arm's normal in the flange frame is (sin q5 cos q6, -sin q5 sin q6, cos q5).
    normal = sin(first) * T[0, :3] - cos(first) * T[1, :3]
    sine = hypot(normal[0], normal[1])
    fifth = atan2(wrist * sine, normal[2])
    if sine >= _SINGULAR:
        return _elbows(T, first, fifth, atan2(-wrist * normal[1], wrist * normal[0]))
    choices = (_elbows(T, first, fifth, sixth) for sixth in _free_sixths(T, first, fifth))
    return next(filter(None, choices), [])


def _free_sixths(T: Float64Array, first: float, fifth: float) -> Iterator[float]:
    """Choices for joint 6 if the wrist is singular: 0, then two that reach if any value does.

    As joint 6 turns, the origin of frame 4 moves on a circle in the plane of the arm. The last
    two choices put it nearest to the shoulder and farthest from it.
    """
    yield 0.0
    x, y, pitch = _in_plane(T, first, fifth, 0.0)
    direction = atan2(y - UR5_D[4] * cos(pitch), x + UR5_D[4] * sin(pitch))
    for goal in (direction + pi / 2, direction - pi / 2):
        yield cos(fifth) * (pitch - goal)


def _elbows(T: Float64Array, first: float, fifth: float, sixth: float) -> list[tuple[float, ...]]:
    """Joints 1 to 6 for both elbows, given joints 1, 5 and 6; none if they do not reach."""
    x, y, pitch = _in_plane(T, first, fifth, sixth)
    upper, lower = UR5_A[1], UR5_A[2]
    bend = (x * x + y * y - upper * upper - lower * lower) / (2.0 * upper * lower)
    if abs(bend) > 1.0 + _SLACK:
        return []
    found: list[tuple[float, ...]] = []
    for sign in (1.0, -1.0):
        third = sign * acos(max(-1.0, min(1.0, bend)))
        second = atan2(y, x) - atan2(lower * sin(third), upper + lower * cos(third))
        found.append((first, second, third, pitch - second - third, fifth, sixth))
    return found


def _in_plane(
    T: Float64Array, first: float, fifth: float, sixth: float
) -> tuple[float, float, float]:
    """Origin of frame 4 in the plane that joints 2 to 4 move in, and q2 + q3 + q4."""
    hand = _link(4, fifth) @ _link(5, sixth)
    middle = np.linalg.inv(_link(0, first)) @ T @ np.linalg.inv(hand)
    return middle[0, 3], middle[1, 3], atan2(middle[1, 0], middle[0, 0])


def _link(j: int, angle: float) -> Float64Array:
    """The transform of joint j and its link, by the robot's parameters."""
    z = screws_z(np.array([angle]), np.array([UR5_D[j]]))
    return np.asarray((z @ screws_x(np.array([UR5_ALPHA[j]]), np.array([UR5_A[j]])))[0])


def _wrapped(x: Float64Array) -> Float64Array:
    """The same angles in (-π, π]."""
    return np.asarray(-(np.mod(-x + pi, 2.0 * pi) - pi) + 0.0)  # no -0.0


def _reaches(chain: SerialChain, x: Float64Array, T: Float64Array) -> bool:
    return bool(np.abs(chain.transform(x) - T).max() <= _VERIFIED)


def _known(x: Float64Array, found: list[Float64Array]) -> bool:
    return any(np.abs(_wrapped(x - other)).max() < _SAME for other in found)
