"""Polynomial systems, experiments 5 and 6, inverted by elimination to one variable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastinv.functions.compiled import forward
from fastinv.problems._newton import polish, real_roots
from fastinv.problems.problem import Noise, Problem

Float64Array = NDArray[np.float64]


@forward(n_inputs=2, n_outputs=2)
def bivariate_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.5)."""
    y[0] = x[0] ** 3 - 2.0 * x[0] * x[1] ** 2 + 5.0 * x[0] + 5.0 * x[1]
    y[1] = x[1] ** 2 - 2.0 * x[0] * x[1] + 3.0 * x[0] - 2.0 * x[1]


@forward(n_inputs=3, n_outputs=3)
def trivariate_forward(x: Float64Array, y: Float64Array) -> None:
    """Equation (A.6)."""
    y[0] = x[0] ** 2 - x[1] ** 2 + x[2]
    y[1] = 2.0 * x[0] * x[1] + x[2]
    y[2] = x[0] + x[1] + x[2] ** 2


def _bivariate_inverse(targets: Float64Array) -> Float64Array:
    """Eliminate v from f(u, v) = (a, b).

    The second equation is ``v² = (2u + 2) v - (3u - b)``. With it the first becomes linear in v,
    ``Q v + P = 0`` with ``P = u³ + 6u² + (5 - 2b) u - a`` and ``Q = 5 - 4u - 4u²``, and v leaves
    the second: ``P² + (2u + 2) P Q + (3u - b) Q² = 0``, of degree 6 with leading coefficient -7.

    Each root u gives two v by the second equation rather than ``-P/Q``, which fails where Q
    vanishes. The one that does not belong leads :func:`polish` to some solution or nowhere.
    """
    a, b = targets.T
    P = _polynomial(1.0, 6.0, 5.0 - 2.0 * b, -a)
    Q = _polynomial(-4.0, -4.0, np.full_like(a, 5.0))
    resultant = (
        _multiply(P, P)
        + _multiply(_polynomial(2.0, np.full_like(a, 2.0)), P, Q)
        - _multiply(_polynomial(0.0, -3.0, b), Q, Q)
    )
    u = real_roots(resultant)
    half_gap = _real_sqrt((u + 1.0) ** 2 - 3.0 * u + b[:, None])
    starts = np.concatenate(
        [np.stack([u, u + 1.0 + sign * half_gap], axis=2) for sign in (-1.0, 1.0)], axis=1
    )
    return polish(bivariate_forward.python_function, _bivariate_jacobian, starts, targets)


def _trivariate_inverse(targets: Float64Array) -> Float64Array:
    """Eliminate w, then u, from f(u, v, w) = (a, b, c).

    ``w = b - 2uv`` leaves ``u² = 2uv + v² + d`` with ``d = a - b``, and
    ``u + v + (b - 2uv)² = c``. With the former the latter becomes linear in u, ``S u + R = 0``
    with ``R = 4v⁴ + 4d v² + v + b² - c`` and ``S = 8v³ - 4b v + 1``, and u leaves the former:
    ``R² + 2v R S - (v² + d) S² = 0``, of degree 8 with leading coefficient 16.

    Each root v gives two u by the former, as in :func:`_bivariate_inverse`.
    """
    a, b, c = targets.T
    d = a - b
    R = _polynomial(4.0, 0.0, 4.0 * d, 1.0, b**2 - c)
    S = _polynomial(8.0, 0.0, -4.0 * b, 1.0)
    resultant = (
        _multiply(R, R)
        + _multiply(_polynomial(2.0, np.zeros_like(a)), R, S)
        - _multiply(_polynomial(1.0, 0.0, d), S, S)
    )
    v = real_roots(resultant)
    half_gap = _real_sqrt(2.0 * v**2 + d[:, None])
    starts = []
    for sign in (-1.0, 1.0):
        u = v + sign * half_gap
        starts.append(np.stack([u, v, b[:, None] - 2.0 * u * v], axis=2))
    return polish(
        trivariate_forward.python_function,
        _trivariate_jacobian,
        np.concatenate(starts, axis=1),
        targets,
    )


def _bivariate_jacobian(x: Float64Array) -> Float64Array:
    u, v = x
    return _matrices(
        [
            [3.0 * u**2 - 2.0 * v**2 + 5.0, 5.0 - 4.0 * u * v],
            [3.0 - 2.0 * v, 2.0 * v - 2.0 * u - 2.0],
        ]
    )


def _trivariate_jacobian(x: Float64Array) -> Float64Array:
    u, v, w = x
    one = np.ones_like(u)
    return _matrices([[2.0 * u, -2.0 * v, one], [2.0 * v, 2.0 * u, one], [one, one, 2.0 * w]])


def _matrices(entries: list[list[Float64Array]]) -> Float64Array:
    """Entries (m,) of square matrices, as (m, p, p)."""
    return np.moveaxis(np.array(entries), -1, 0)


def _polynomial(*coefficients: float | Float64Array) -> Float64Array:
    """Coefficients (n, d + 1), highest power first, from numbers and columns (n,)."""
    return np.stack(np.broadcast_arrays(*coefficients), axis=1)


def _multiply(*factors: Float64Array) -> Float64Array:
    """Product of polynomials (n, d_i + 1), row by row."""
    product, *others = factors
    for factor in others:
        degree = factor.shape[1] - 1
        padded = np.pad(product, ((0, 0), (0, degree)))
        # Rolling moves in only zeros: the padding is as long as the longest shift.
        product = sum(
            (factor[:, [k]] * np.roll(padded, k, axis=1) for k in range(degree + 1)),
            np.zeros_like(padded),
        )
    return product


def _real_sqrt(values: Float64Array) -> Float64Array:
    """Square root; zero if rounding made a double root's discriminant negative."""
    return np.sqrt(np.maximum(values, 0.0))


bivariate = Problem(
    name="bivariate",
    title="Bivariate polynomial",
    experiment=5,
    forward=bivariate_forward,
    bounds=np.array([[-3.0, 3.0]] * 2),
    formula="y = (x₁³ - 2x₁x₂² + 5x₁ + 5x₂, x₂² - 2x₁x₂ + 3x₁ - 2x₂)",
    noise=Noise("relative normal", 0.01),
    inverse=_bivariate_inverse,
)

trivariate = Problem(
    name="trivariate",
    title="Trivariate polynomial",
    experiment=6,
    forward=trivariate_forward,
    bounds=np.array([[-3.0, 3.0]] * 3),
    formula="y = (x₁² - x₂² + x₃, 2x₁x₂ + x₃, x₁ + x₂ + x₃²)",
    noise=Noise("relative normal", 0.01),
    inverse=_trivariate_inverse,
)
