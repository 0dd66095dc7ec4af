"""Mixture likelihoods, and networks trained on them, over the C++ kernels."""

from __future__ import annotations

import numpy as np

from fastinv import _core
from fastinv._common.arrays import Float64Array, FloatArray
from fastinv.backends.checks import common as _checks
from fastinv.backends.cpp.mlp import Trainer
from fastinv.functions.networks import MixtureSpec, NetworkSpec

_TRAINERS = {
    _checks.FLOAT32: _core.MixtureTrainerFloat32,
    _checks.FLOAT64: _core.MixtureTrainerFloat64,
}


def mixture_nll(
    raw: FloatArray, targets: FloatArray, mixture: MixtureSpec, n_threads: int, isa: str
) -> tuple[FloatArray, FloatArray]:
    """Losses ``(n,)`` and their gradient ``(n, n_raw)`` in the dtype of `raw` and `targets`."""
    return _core.mixture_nll(
        raw,
        targets,
        mixture.n_components,
        mixture.n_dims,
        mixture.covariance_type,
        mixture.min_weight,
        mixture.min_scale,
        n_threads,
        isa,
    )


def mixture_modes(
    weights: Float64Array, means: Float64Array, lower: Float64Array, n_threads: int, isa: str
) -> tuple[Float64Array, Float64Array]:
    """Modes ``(n, m, D)``, padded with NaN, the highest first, and their weights ``(n, m)``."""
    n, k, d = means.shape
    x, mode_weights, count = _core.mixture_modes(
        np.ascontiguousarray(weights),
        np.ascontiguousarray(means),
        np.ascontiguousarray(lower).reshape(n, k, d * d),
        n_threads,
        isa,
    )
    found = np.arange(count.max(initial=0)) < count[:, None]
    m = found.shape[1]
    return np.where(found[:, :, None], x[:, :m], np.nan), np.where(found, mode_weights[:, :m], 0.0)


def mixture_trainer(
    spec: NetworkSpec,
    parameters: FloatArray,
    mixture: MixtureSpec,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    isa: str,
) -> Trainer:
    """A trainer on the mean of :func:`mixture_nll` over rows."""
    _checks.check_parameters("parameters", spec, parameters)
    _checks.check_mixture_network(spec, mixture)
    _checks.check_adam(beta_1, beta_2, epsilon)
    kernel = _TRAINERS[parameters.dtype](
        list(spec.layer_sizes),
        spec.activation,
        mixture.n_components,
        mixture.n_dims,
        mixture.covariance_type,
        mixture.min_weight,
        mixture.min_scale,
        beta_1,
        beta_2,
        epsilon,
        np.ascontiguousarray(parameters),
        isa,
    )
    return Trainer(spec, mixture.n_dims, parameters.dtype, kernel)
