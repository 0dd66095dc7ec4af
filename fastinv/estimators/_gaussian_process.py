"""Gaussian-process regression of one output, for functions known from few noisy points.

Rasmussen & Williams 2006, chapters 2, 4 and 5: the mean of the posterior is the function that is
learned, and the evidence chooses all hyperparameters, so that no points are set aside. Written
here rather than taken from scikit-learn for noise that grows with the size of y, and for time: a
gradient of the evidence takes a third of scikit-learn's, predictions at many points a tenth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from fastinv._common.arrays import Float64Array

Kernel = Literal["gaussian", "matern"]
Rows = tuple[Float64Array, Float64Array, Float64Array]  # x (n, p), z (n,), squared level (n,)

_CHUNK = 1024  # rows of a prediction at a time: the matrix of covariances stays in the cache
# Added to the diagonal, relative to it: keeps the Cholesky factor real if rows repeat.
_JITTER = 1e-10
# Logarithms of variances and lengths, in units of z's variance and of the widths of x.
_SIGNAL_BOUNDS = np.log([1e-2, 1e4])
_LENGTH_BOUNDS = np.log([2e-2, 1e2])
_NOISE_BOUNDS = np.log([1e-8, 1e1])
_MAX_ITER = 60  # of the optimiser: the last digits of the evidence do not show in the mean


def _gaussian(square: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The correlation at squared scaled distances, and its derivative by them."""
    correlation = np.exp(-0.5 * square)
    return correlation, -0.5 * correlation


def _matern(square: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The same for the Matern kernel with nu = 5/2: functions with two derivatives."""
    distance = np.sqrt(5.0 * square)
    decay = np.exp(-distance)
    return (1.0 + distance + 5.0 / 3.0 * square) * decay, -5.0 / 6.0 * (1.0 + distance) * decay


_CORRELATIONS: dict[Kernel, Callable[[Float64Array], tuple[Float64Array, Float64Array]]] = {
    "gaussian": _gaussian,
    "matern": _matern,
}


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """The parameters that the evidence chooses, all positive.

    Attributes
    ----------
    kernel : {"gaussian", "matern"}
    signal : float
        Variance of the function.
    lengths : ndarray of shape (p,)
        Lengths over which the function varies, in each input.
    noise : float
        Variance of noise that is the same everywhere.
    relative_noise : float
        Variance of noise, per squared level.
    evidence : float
        Log marginal likelihood of the rows used to choose them.
    """

    kernel: Kernel
    signal: float
    lengths: Float64Array
    noise: float
    relative_noise: float = 0.0
    evidence: float = -np.inf

    def correlations(self, a: Float64Array, b: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Correlations (m, n) of points `a` (m, p) and `b` (n, p), and derivatives by their squared
        scaled distances."""
        a, b = a / self.lengths, b / self.lengths
        square = a @ (-2.0 * b.T)
        square += (a * a).sum(axis=1)[:, None]
        square += (b * b).sum(axis=1)
        return _CORRELATIONS[self.kernel](np.maximum(square, 0.0, out=square))

    def noise_variances(self, level2: Float64Array) -> Float64Array:
        """Noise variances (n,) of rows with squared levels (n,)."""
        return self.noise + self.relative_noise * level2

    def factor(self, x: Float64Array, level2: Float64Array) -> Float64Array:
        """Lower Cholesky factor (n, n) of the covariance of noisy values at `x` (n, p)."""
        covariance = self.signal * self.correlations(x, x)[0]
        np.einsum("ii->i", covariance)[:] = self.signal * (1.0 + _JITTER) + self.noise_variances(
            level2
        )
        return np.asarray(cholesky(covariance, lower=True, overwrite_a=True, check_finite=False))


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A Gaussian process of mean 0, conditioned on rows `x` ``(n, p)``.

    Attributes
    ----------
    hyperparameters : Hyperparameters
    x : ndarray of shape (n, p)
    level2 : ndarray of shape (n,)
        Squared levels there, see :meth:`Hyperparameters.noise_variances`.
    weights : ndarray of shape (n,)
        Weights of the covariances with the rows, in the mean.
    """

    hyperparameters: Hyperparameters
    x: Float64Array
    level2: Float64Array
    weights: Float64Array

    @classmethod
    def conditioned(cls, chosen: Hyperparameters, rows: Rows) -> GaussianProcess:
        x, z, level2 = rows
        lower = chosen.factor(x, level2)
        return cls(chosen, x, level2, cho_solve((lower, True), z, check_finite=False))

    def mean(self, x: Float64Array) -> Float64Array:
        """Posterior mean (m,) at points (m, p)."""
        means = np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            means[rows] = self.hyperparameters.correlations(x[rows], self.x)[0] @ self.weights
        return self.hyperparameters.signal * means

    def variance(self, x: Float64Array) -> Float64Array:
        """Variance (m,) of the function without noise, at points (m, p).

        The factor is computed at each call rather than stored with every model.
        """
        lower = self.hyperparameters.factor(self.x, self.level2)
        signal = self.hyperparameters.signal
        variances = np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            covariances = signal * self.hyperparameters.correlations(self.x, x[rows])[0]
            half = solve_triangular(lower, covariances, lower=True, check_finite=False)
            variances[rows] = signal - (half * half).sum(axis=0)
        return np.maximum(variances, 0.0)


def choose_hyperparameters(rows: Rows, start: Hyperparameters) -> Hyperparameters:
    """The hyperparameters with the highest evidence of `rows`, by L-BFGS-B from `start`.

    Noise per squared level is among them if `start` has some.
    """
    x = rows[0]
    relative = start.relative_noise > 0.0
    noises = [start.noise, start.relative_noise] if relative else [start.noise]
    first = np.log([start.signal, *start.lengths, *noises])
    bounds = [_SIGNAL_BOUNDS, *[_LENGTH_BOUNDS] * x.shape[1], *[_NOISE_BOUNDS] * len(noises)]

    def negative_evidence(logs: Float64Array) -> tuple[float, Float64Array]:
        evidence, gradient = _evidence(_from_logs(start.kernel, logs, x.shape[1]), rows)
        return -evidence, -gradient[: len(logs)]

    found = minimize(
        negative_evidence,
        np.clip(first, *np.transpose(bounds)),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _MAX_ITER, "ftol": 1e-6},
    )
    return replace(_from_logs(start.kernel, found.x, x.shape[1]), evidence=-float(found.fun))


def _from_logs(kernel: Kernel, logs: Float64Array, n_inputs: int) -> Hyperparameters:
    signal, *others = np.exp(logs).tolist()
    noises = others[n_inputs:]
    return Hyperparameters(kernel, signal, np.array(others[:n_inputs]), *noises)


def _evidence(chosen: Hyperparameters, rows: Rows) -> tuple[float, Float64Array]:
    """Log marginal likelihood and its gradient by the logarithms of signal, lengths, noise and
    noise per squared level (Rasmussen & Williams, equations 5.8 and 5.9)."""
    x, z, level2 = rows
    correlation, slope = chosen.correlations(x, x)
    covariance = chosen.signal * correlation
    np.einsum("ii->i", covariance)[:] += chosen.signal * _JITTER + chosen.noise_variances(level2)
    lower = cholesky(covariance, lower=True, check_finite=False)
    weights = cho_solve((lower, True), z, check_finite=False)
    n = len(x)
    evidence = -0.5 * z @ weights - np.log(np.diag(lower)).sum() - 0.5 * n * np.log(2 * np.pi)
    inverse = np.tril(dpotri(lower, lower=True)[0])
    inverse += np.tril(inverse, -1).T
    by_covariance = 0.5 * (np.outer(weights, weights) - inverse)
    by_square = chosen.signal * by_covariance * slope
    # The sum over pairs of by_square (x_a - x_b)^2, without a matrix of differences per input.
    scaled = x / chosen.lengths
    spread = 2.0 * (
        by_square.sum(axis=1) @ (scaled * scaled) - (scaled * (by_square @ scaled)).sum(axis=0)
    )
    diagonal = np.diag(by_covariance)
    gradient = [
        chosen.signal * ((by_covariance * correlation).sum() + _JITTER * diagonal.sum()),
        *(-2.0 * spread),
        chosen.noise * diagonal.sum(),
        chosen.relative_noise * (diagonal @ level2),
    ]
    return float(evidence), np.array(gradient)
