"""Checks of the arguments of mixtures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64, check_option
from fastinv.backends.reference.mixtures.likelihood import log_sum_exp
from fastinv.functions.networks import COVARIANCES, Covariance
from fastinv.mixture.densities import LARGEST_SCALE


def check_components(
    log_weights: ArrayLike, means: ArrayLike, scales: ArrayLike, covariance_type: Covariance
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Copies of normalised log weights, means and scales that fit together."""
    check_option(covariance_type, "covariance_type", COVARIANCES)
    means = as_float64(means, "means").copy()
    if means.ndim != 3 or 0 in means.shape[1:]:
        raise ValueError(
            f"means must have shape (n, K, D) with K and D at least 1, got shape {means.shape}"
        )
    _check_finite(means, "means")
    return (
        _check_log_weights(log_weights, means),
        means,
        _check_scales(scales, means, covariance_type),
    )


def _check_log_weights(log_weights: ArrayLike, means: Float64Array) -> Float64Array:
    checked = as_float64(log_weights, "log_weights")
    if checked.shape != means.shape[:2]:
        raise ValueError(
            f"log_weights must have shape (n, K) = {means.shape[:2]}, as means of shape "
            f"{means.shape} ask, got shape {checked.shape}"
        )
    if np.isnan(checked).any() or np.isposinf(checked).any():
        raise ValueError("log_weights must be finite or -inf, got NaN or inf")
    empty = np.flatnonzero(np.isneginf(checked).all(axis=1))
    if len(empty):
        raise ValueError(
            f"log_weights must leave a component with a positive weight in every row, got -inf "
            f"throughout row {empty[0]}"
        )
    below = checked - checked.max(axis=1, keepdims=True)
    return np.asarray(below - log_sum_exp(below)[:, None])


def _check_scales(
    scales: ArrayLike, means: Float64Array, covariance_type: Covariance
) -> Float64Array:
    checked = as_float64(scales, "scales").copy()
    n, n_components, n_dims = means.shape
    name, shape = {
        "spherical": ("(n, K)", (n, n_components)),
        "diag": ("(n, K, D)", (n, n_components, n_dims)),
        "full": ("(n, K, D, D)", (n, n_components, n_dims, n_dims)),
    }[covariance_type]
    if checked.shape != shape:
        raise ValueError(
            f"scales must have shape {name} = {shape} for covariance_type {covariance_type!r}, "
            f"got shape {checked.shape}"
        )
    _check_finite(checked, "scales")
    what, positive = "scales", checked
    if covariance_type == "full":
        if np.triu(checked, 1).any():
            raise ValueError(
                "scales must be lower Cholesky factors, got entries other than 0 above a diagonal"
            )
        what, positive = "diagonals of scales", np.diagonal(checked, axis1=2, axis2=3)
    if (positive <= 0.0).any():
        raise ValueError(f"{what} must be positive, got {positive.min()}")
    if max(np.abs(checked).max(initial=1.0), (1.0 / positive).max(initial=1.0)) > LARGEST_SCALE:
        raise ValueError(
            f"scales must be between {1.0 / LARGEST_SCALE:g} and {LARGEST_SCALE:g} in size, got "
            f"{positive.min()} to {np.abs(checked).max()}"
        )
    return checked


def check_values(y: ArrayLike, n: int, n_dims: int) -> tuple[Float64Array, bool]:
    """Values ``(n, m, D)`` or ``(1, m, D)``, and whether one was given for each row."""
    given = as_float64(y, "y")
    if n_dims == 1 and given.shape == (n,):
        given = given[:, None]
    if given.shape == (n, n_dims):
        return given[:, None], True
    if given.ndim == 3 and given.shape[0] in (1, n) and given.shape[2] == n_dims:
        return given, False
    one_dimensional = f", ({n},)" if n_dims == 1 else ""
    raise ValueError(
        f"y must have shape ({n}, {n_dims}){one_dimensional}, ({n}, m, {n_dims}) or "
        f"(1, m, {n_dims}) for {n} rows in {n_dims} dimensions, got shape {given.shape}"
    )


def check_probabilities(p: ArrayLike, n: int) -> tuple[Float64Array, bool]:
    """Probabilities ``(n, m)``, and whether a single number was given."""
    given = as_float64(p, "p")
    if given.ndim > 2 or (given.ndim == 2 and len(given) != n):
        raise ValueError(f"p must have shape (), (m,) or ({n}, m), got shape {given.shape}")
    bad = given[~((given >= 0.0) & (given <= 1.0))]
    if len(bad):
        raise ValueError(f"p must be in [0, 1], got {bad[0]}")
    return np.broadcast_to(given, (n, given.shape[-1] if given.ndim else 1)), given.ndim == 0


def check_one_dimension(method: str, n_dims: int) -> None:
    if n_dims != 1:
        raise ValueError(f"{method} is for mixtures in one dimension, this one has {n_dims}")


def _check_finite(array: Float64Array, name: str) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise ValueError(f"{name} must be finite, got {array[tuple(bad[0])]} in row {bad[0][0]}")
