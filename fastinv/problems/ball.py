"""The upper half of the unit ball, experiment 4: every height has a circle of solutions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastinv.functions.compiled import forward
from fastinv.problems.problem import Noise, Problem

Float64Array = NDArray[np.float64]


@forward(n_inputs=2, n_outputs=1)
def half_ball_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.4); NaN outside the unit circle."""
    y[0] = np.sqrt(1.0 - x[0] ** 2 - x[1] ** 2)


def _accept(X: Float64Array) -> NDArray[np.bool_]:
    """Points in the disc that the paper's code samples: the slope is infinite at the rim."""
    return np.asarray(X[:, 0] ** 2 + X[:, 1] ** 2 < 0.99)


def _distance(X: Float64Array, targets: Float64Array) -> Float64Array:
    """Distance to the circle of radius sqrt(1 - y²); infinity if y is not in [0, 1]."""
    height = targets[:, 0]
    reachable = (height >= 0.0) & (height <= 1.0)
    clipped = np.clip(height, 0.0, 1.0)
    radius = np.sqrt((1.0 - clipped) * (1.0 + clipped))
    return np.where(reachable, np.abs(np.hypot(X[:, 0], X[:, 1]) - radius), np.inf)


half_ball = Problem(
    name="half_ball",
    title="Upper half of the unit ball",
    experiment=4,
    forward=half_ball_forward,
    bounds=np.array([[-1.0, 1.0], [-1.0, 1.0]]),
    formula="y = sqrt(1 - x₁² - x₂²)",
    noise=Noise("relative normal", 0.02),
    distance=_distance,
    accept=_accept,
    radius=0.999,
)
