"""Images of proposed solutions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastinv.backends.protocol import Float64Array
from fastinv.functions.forward import Forward

Proposals = tuple[Float64Array, Float64Array, NDArray[np.uint8]]  # x (m, p), f(x) (m, q), flags


def images_of(forward: Forward, x: Float64Array) -> Float64Array:
    """f(x) for the rows of `x`; NaN for those that are not finite, which f never sees."""
    finite = np.isfinite(x).all(axis=1)
    if finite.all():
        return forward(x)
    images = np.full((len(x), forward.n_outputs), np.nan)
    images[finite] = forward(x[finite])
    return images


def noise_of(forward: Forward, points: tuple[Float64Array, Float64Array]) -> float:
    """Root mean square of f(x) - y over measured points (x, y)."""
    x, y = points
    return float(np.sqrt(((forward(x) - y) ** 2).sum(axis=1).mean()))
