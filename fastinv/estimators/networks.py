"""What every estimator that trains a network needs: scaling, first weights, a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastinv._common.arrays import Float64Array, IntArray
from fastinv._common.validation import RandomState, check_integer, check_number
from fastinv.functions.networks import NetworkSpec

Float32Array = NDArray[np.float32]


def mean_and_scale(values: Float64Array, name: str) -> tuple[Float64Array, Float64Array]:
    """Mean and standard deviation of the columns of `values` ``(n, d)``, each ``(d,)``.

    The scale of a constant column is 1. Raises a ValueError, which calls the values `name`, where
    float64 cannot hold a deviation.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = values.mean(axis=0), values.std(axis=0)
    if not (np.isfinite(mean) & np.isfinite(scale)).all():
        raise ValueError(
            f"{name} must be small enough for its variance to be finite, "
            f"got values up to {np.abs(values).max():.3g}"
        )
    # A constant column can have a tiny standard deviation, by the rounding of its mean.
    constant = (values.max(axis=0) == values.min(axis=0)) | (scale == 0.0)
    return mean, np.where(constant, 1.0, scale)


def standardize(values: Float64Array, mean: Float64Array, scale: Float64Array) -> Float32Array:
    """``(values - mean) / scale``, computed in float64, as float32."""
    with np.errstate(over="ignore"):  # becomes infinity, which training and callers detect
        return ((values - mean) / scale).astype(np.float32)


def initial_parameters(spec: NetworkSpec, rng: np.random.Generator) -> Float32Array:
    """First weights and biases, uniform in ``+-sqrt(6 / (n_in + n_out))`` of each layer.

    Glorot & Bengio 2010, eq. 16; biases likewise, as scikit-learn does.
    """
    parameters = np.empty(spec.n_parameters, dtype=np.float32)
    for weights, biases in spec.layers(parameters):
        bound = np.sqrt(6.0 / sum(weights.shape))
        weights[:] = rng.uniform(-bound, bound, size=weights.shape)
        biases[:] = rng.uniform(-bound, bound, size=biases.shape)
    return parameters


def check_hidden_layer_sizes(hidden_layer_sizes: int | Sequence[int]) -> tuple[int, ...]:
    """A tuple of positive integers, from such a sequence, a 1-D array or one integer."""
    sizes: Any = hidden_layer_sizes
    if isinstance(sizes, Integral):
        sizes = (sizes,)
    elif isinstance(sizes, np.ndarray) and sizes.ndim == 1 and sizes.dtype.kind in "iu":
        sizes = sizes.tolist()
    elif not isinstance(sizes, Sequence) or isinstance(sizes, str | bytes | bytearray | memoryview):
        raise TypeError(
            f"hidden_layer_sizes must be an integer or a sequence of integers, got {sizes!r}"
        )
    return tuple(check_integer(size, "hidden_layer_sizes") for size in sizes)


def check_resumable(checkpoint: object, random_state: RandomState) -> None:
    """Refuse a checkpoint without a seed: the training could not be continued."""
    if checkpoint is not None and random_state is None:
        raise ValueError(
            "checkpoint needs a random_state, without which no training can be repeated; "
            "got random_state=None"
        )


def split_rows(
    n: int, validation_fraction: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Rows to train on and rows to validate on, both ascending, drawn from ``range(n)``.

    The validation set has ``ceil(validation_fraction * n)`` rows, as scikit-learn's.
    """
    check_number(validation_fraction, "validation_fraction", above=0.0, below=1.0)
    n_validation = int(np.ceil(validation_fraction * n))
    if n_validation >= n:
        raise ValueError(
            f"early_stopping with validation_fraction={validation_fraction} leaves no row to "
            f"train on, got n_samples={n}"
        )
    order = rng.permutation(n)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


def training_flops(spec: NetworkSpec, batch_size: int) -> float:
    """Floating-point operations of one step: forward, backward to inputs, and to weights."""
    return 6.0 * spec.n_parameters * batch_size
