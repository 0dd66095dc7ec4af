"""Robot arms by their published parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.validation import as_float64
from fastinv.robots.chain import SerialChain

UR5_A = (0.0, -0.425, -0.39225, 0.0, 0.0, 0.0)
UR5_ALPHA = (np.pi / 2, 0.0, 0.0, np.pi / 2, -np.pi / 2, 0.0)
UR5_D = (0.089159, 0.0, 0.0, 0.10915, 0.09465, 0.0823)


def ur5() -> SerialChain:
    """Universal Robots' UR5, 6 joints, up to 8 solutions for a pose.

    Standard Denavit-Hartenberg parameters in metres from Universal Robots' article *DH parameters
    for calculations of kinematics and dynamics*; the end frame is the tool flange. The limits are
    one turn, -π to π, in each joint. The robot itself allows two, -2π to 2π, which adds no
    reachable pose and repeats every solution up to 64 times (``ur5().replace(limits=...)``).
    """
    return SerialChain.from_dh(UR5_A, UR5_ALPHA, UR5_D, name="ur5")


def panda() -> SerialChain:
    """Franka Emika's Panda, 7 joints: a pose has curves of solutions.

    Modified Denavit-Hartenberg parameters in metres and joint limits in radians from Franka's
    documentation, *Robot and interface specifications* for the Panda (frankaemika.github.io/docs/
    control_parameters.html); the end frame is the flange, 0.107 m beyond joint 7.
    """
    quarter = np.pi / 2
    flange = np.eye(4)
    flange[2, 3] = 0.107
    return SerialChain.from_dh(
        a=[0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088],
        alpha=[0.0, -quarter, quarter, quarter, -quarter, quarter, quarter],
        d=[0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0],
        convention="modified",
        limits=[
            (-2.8973, 2.8973),
            (-1.7628, 1.7628),
            (-2.8973, 2.8973),
            (-3.0718, -0.0698),
            (-2.8973, 2.8973),
            (-0.0175, 3.7525),
            (-2.8973, 2.8973),
        ],
        tool=flange,
        name="panda",
    )


def planar(lengths: ArrayLike) -> SerialChain:
    """Links of the given `lengths` (m) in the xy plane, one revolute joint before each.

    Parameters
    ----------
    lengths : array-like of shape (p,)
        Finite. All joints turn about z; at 0 the arm lies along x.

    Raises
    ------
    ValueError
        No links, or a length that is not finite.
    """
    links = as_float64(lengths, "lengths")
    if links.ndim != 1 or links.size == 0 or not np.isfinite(links).all():
        raise ValueError(f"lengths must be finite, of shape (p,), got {links.tolist()}")
    zeros = np.zeros(len(links))
    return SerialChain.from_dh(links, zeros, zeros, name="planar")
