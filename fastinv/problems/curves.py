"""Functions of one variable: experiments 1 to 3 and the wave of the tutorial."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fastinv.functions.compiled import forward
from fastinv.problems._newton import polish, real_roots
from fastinv.problems.problem import Noise, Problem

Float64Array = NDArray[np.float64]

_WAVE_AMPLITUDE = 0.3


@forward(n_inputs=1, n_outputs=1)
def cubic_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.1)."""
    y[0] = x[0] ** 3 - x[0]


@forward(n_inputs=1, n_outputs=1)
def quartic_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.2), which prints 4x; the paper's code and results have 4x²."""
    y[0] = x[0] ** 4 - 4.0 * x[0] ** 2


@forward(n_inputs=1, n_outputs=1)
def sine_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.3)."""
    y[0] = np.sin(5.0 * x[0])


@forward(n_inputs=1, n_outputs=1)
def wave_forward(x: Float64Array, y: Float64Array) -> None:
    """The noisy wave, a textbook example of mixture density networks (Bishop 1994, section 5)."""
    y[0] = x[0] + _WAVE_AMPLITUDE * np.sin(2.0 * np.pi * x[0])


def _cubic_inverse(targets: Float64Array) -> Float64Array:
    coefficients = np.tile([1.0, 0.0, -1.0, 0.0], (len(targets), 1))
    coefficients[:, 3] = -targets[:, 0]
    starts = real_roots(coefficients)[:, :, None]
    return polish(cubic_forward.python_function, _cubic_jacobian, starts, targets)


def _cubic_jacobian(x: Float64Array) -> Float64Array:
    return np.asarray(3.0 * x[0] ** 2 - 1.0)[:, None, None]


def _quartic_inverse(targets: Float64Array) -> Float64Array:
    """x² = 2 ± sqrt(4 + y), the lower sign without cancellation near its fold at y = 0."""
    height = 4.0 + targets
    # At the lowest points, x = ±√2, rounding may put the image just below -4.
    height = np.where(np.abs(height) <= 1e-14, 0.0, height)
    root = np.sqrt(height)
    outer, inner = np.sqrt(2.0 + root), np.sqrt(-targets / (2.0 + root))
    return np.stack([-outer, -inner, inner, outer], axis=1)


def _sine_inverse(targets: Float64Array) -> Float64Array:
    """5x = asin(y) + 2πk or π - asin(y) + 2πk, for all k that can reach [-10, 10]."""
    angle = np.arcsin(targets)
    turns = 2.0 * np.pi * np.arange(-2, 3)
    return (np.hstack([angle + turns, np.pi - angle + turns]) / 5.0)[:, :, None]


def _wave_inverse(targets: Float64Array) -> Float64Array:
    """At most one root in each of the three intervals between the wave's turning points."""
    turning = np.arccos(-1.0 / (2.0 * np.pi * _WAVE_AMPLITUDE)) / (2.0 * np.pi)
    ends = np.array([0.0, turning, 1.0 - turning, 1.0])
    values = _wave(ends)
    solutions = np.full((len(targets), 3, 1), np.nan)
    for piece in range(3):
        a, b = ends[piece], ends[piece + 1]
        low, high = sorted(values[piece : piece + 2])
        # A target that rounding put just beyond a turning point belongs to that point.
        near = np.clip(targets[:, 0], low, high)
        for i in np.flatnonzero(np.abs(near - targets[:, 0]) <= 4.0 * np.finfo(np.float64).eps):
            solutions[i, piece, 0] = brentq(
                lambda x, y: _wave(x) - y, a, b, args=(near[i],), xtol=1e-15
            )
    return solutions


def _wave(x: Float64Array) -> Float64Array:
    y = np.empty((1, *np.shape(x)))
    wave_forward.python_function(np.asarray(x)[None], y)
    return np.asarray(y[0])


cubic = Problem(
    name="cubic",
    title="Cubic polynomial",
    experiment=1,
    forward=cubic_forward,
    bounds=np.array([[-2.0, 2.0]]),
    formula="y = x³ - x",
    noise=Noise("relative normal", 0.01),
    inverse=_cubic_inverse,
)

quartic = Problem(
    name="quartic",
    title="Quartic polynomial",
    experiment=2,
    forward=quartic_forward,
    bounds=np.array([[-2.0, 2.0]]),
    formula="y = x⁴ - 4x²",
    noise=Noise("relative normal", 0.01),
    inverse=_quartic_inverse,
)

sine = Problem(
    name="sine",
    title="Sine",
    experiment=3,
    forward=sine_forward,
    bounds=np.array([[-2.0, 2.0]]),
    formula="y = sin 5x",
    noise=Noise("relative normal", 0.01),
    inverse=_sine_inverse,
)

wave = Problem(
    name="wave",
    title="Noisy wave",
    experiment=None,
    forward=wave_forward,
    bounds=np.array([[0.0, 1.0]]),
    formula="y = x + 0.3 sin 2πx",
    noise=Noise("uniform", 0.1, by_default=True),
    inverse=_wave_inverse,
)
