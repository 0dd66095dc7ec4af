"""Robot arms with links of length 1, experiments 7 to 9, inverted in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastinv.functions.compiled import forward
from fastinv.problems._three_link import distance_to_curve
from fastinv.problems._two_link import elbow_solutions
from fastinv.problems.problem import Noise, Problem

Float64Array = NDArray[np.float64]


@forward(n_inputs=2, n_outputs=2)
def two_link_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.7)."""
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + np.sin(x[0] + x[1])


@forward(n_inputs=3, n_outputs=2)
def three_link_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.8)."""
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1]) + np.cos(x[0] + x[1] + x[2])
    y[1] = np.sin(x[0]) + np.sin(x[0] + x[1]) + np.sin(x[0] + x[1] + x[2])


@forward(n_inputs=3, n_outputs=3)
def yaw_pitch_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.9): yaw x[0], then pitches x[1] and x[2]."""
    y[0] = np.cos(x[0]) * np.cos(x[1]) + np.cos(x[0]) * np.cos(x[1] + x[2])
    y[1] = np.sin(x[0]) * np.cos(x[1]) + np.sin(x[0]) * np.cos(x[1] + x[2])
    y[2] = np.sin(x[1]) + np.sin(x[1] + x[2])


def _two_link_inverse(targets: Float64Array) -> Float64Array:
    return np.stack([elbow_solutions(targets, side) for side in (-1.0, 1.0)], axis=1)


def _yaw_pitch_inverse(targets: Float64Array) -> Float64Array:
    """Solutions in both orientations of the arm's vertical plane.

    Forwards the arm reaches the radius ``hypot(y₁, y₂)`` at the yaw of the target; backwards,
    leaning over its base, minus that radius at the opposite yaw. Straight above the base every
    yaw is a solution, and yaw 0 stands for all of them.
    """
    radius = np.hypot(targets[:, 0], targets[:, 1])
    candidates = []
    for sign in (-1.0, 1.0):
        yaw = np.arctan2(sign * targets[:, 1], sign * targets[:, 0])
        plane = np.stack([sign * radius, targets[:, 2]], axis=1)
        for side in (-1.0, 1.0):
            candidates.append(np.column_stack([yaw, elbow_solutions(plane, side)]))
    return np.stack(candidates, axis=1)


def _three_link_distance(X: Float64Array, targets: Float64Array) -> Float64Array:
    return distance_to_curve(X, targets, three_link_arm.bounds)


two_link_arm = Problem(
    name="two_link_arm",
    title="Planar arm with two links",
    experiment=7,
    forward=two_link_forward,
    bounds=np.array([[-np.pi / 2, np.pi / 2]] * 2),
    formula="y = (cos x₁ + cos(x₁ + x₂), sin x₁ + sin(x₁ + x₂))",
    noise=Noise("relative normal", 0.01),
    inverse=_two_link_inverse,
)

three_link_arm = Problem(
    name="three_link_arm",
    title="Planar arm with three links",
    experiment=8,
    forward=three_link_forward,
    bounds=np.array([[-np.pi / 2, np.pi / 2]] * 3),
    formula=(
        "y = (cos x₁ + cos(x₁ + x₂) + cos(x₁ + x₂ + x₃), sin x₁ + sin(x₁ + x₂) + sin(x₁ + x₂ + x₃))"
    ),
    noise=Noise("relative normal", 0.01),
    distance=_three_link_distance,
)

yaw_pitch_arm = Problem(
    name="yaw_pitch_arm",
    title="Arm with yaw, pitch and pitch",
    experiment=9,
    forward=yaw_pitch_forward,
    bounds=np.array([[-np.pi / 2, np.pi / 2]] * 3),
    formula=(
        "y = (cos x₁ (cos x₂ + cos(x₂ + x₃)), sin x₁ (cos x₂ + cos(x₂ + x₃)), "
        "sin x₂ + sin(x₂ + x₃))"
    ),
    noise=Noise("relative normal", 0.01),
    inverse=_yaw_pitch_inverse,
)
