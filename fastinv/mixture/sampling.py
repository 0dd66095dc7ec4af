"""Draws from mixtures of Gaussians; each row has its own random stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastinv._common.arrays import Float64Array, IntArray
from fastinv._common.validation import RandomState, check_random_state


def draw(
    weights: Float64Array,
    means: Float64Array,
    lower: Float64Array,
    n_samples: int,
    random_state: RandomState | Sequence[int],
    row_ids: IntArray,
) -> Float64Array:
    """Samples ``(n, n_samples, D)`` of mixtures ``(n, K)`` with Cholesky factors `lower`."""
    n, _, n_dims = means.shape
    uniform = np.empty((n, n_samples))
    normal = np.empty((n, n_samples, n_dims))
    for i, key in enumerate(_keys(random_state, row_ids)):
        rng = np.random.Generator(np.random.Philox(key=key))
        uniform[i] = rng.random(n_samples)
        normal[i] = rng.standard_normal((n_samples, n_dims))

    ends = np.cumsum(weights, axis=1)
    ends /= ends[:, -1:]  # exactly 1 at and after the last component of positive weight
    component = np.zeros((n, n_samples), np.intp)
    for end in ends.T:
        component += uniform >= end[:, None]
    rows = np.arange(n)[:, None]
    samples = means[rows, component]
    for j in range(n_dims):  # by columns: the factors of all samples would take D^2 numbers each
        samples += lower[rows, component, :, j] * normal[:, :, j, None]
    return samples


def _keys(random_state: RandomState | Sequence[int], row_ids: IntArray) -> NDArray[np.uint64]:
    """Keys ``(n, 2)`` of the rows' Philox streams (Salmon et al. 2011)."""
    keys = np.zeros((len(row_ids), 2), np.uint64)
    if isinstance(random_state, Sequence | np.ndarray) and not isinstance(random_state, str):
        if len(random_state) != len(row_ids):
            raise ValueError(
                f"random_state must hold a seed for each of {len(row_ids)} rows, got "
                f"{len(random_state)}"
            )
        keys[:, 0] = [_word(check_random_state(seed)) for seed in random_state]
        return keys
    keys[:, 0] = _word(check_random_state(random_state))
    keys[:, 1] = row_ids
    return keys


def _word(rng: np.random.Generator) -> int:
    return int(rng.integers(2**64, dtype=np.uint64))
