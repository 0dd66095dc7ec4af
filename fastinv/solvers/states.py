"""States that solutions shall be near, as `near` gives them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv._common.validation import as_float64


class States(NamedTuple):
    """States ``x`` (n, p), one for each target, and which rows are ``ignored`` (n,) because they
    are not finite; None where all are finite."""

    x: Float64Array
    ignored: BoolArray | None


def check_states(near: ArrayLike, n: int, p: int) -> States:
    """The states of `n` targets.

    Parameters
    ----------
    near : array-like of shape (p,) or (n, p)
    n, p : int

    Raises
    ------
    ValueError
        `near` has another shape, or does not hold real numbers.
    """
    x = as_float64(near, "near")
    if x.shape not in ((p,), (n, p)):
        raise ValueError(f"near must have shape ({p},) or ({n}, {p}), got {x.shape}")
    finite = np.isfinite(x).all(axis=-1)
    ignored = None if finite.all() else np.broadcast_to(~finite, n).copy()
    return States(np.ascontiguousarray(np.broadcast_to(x, (n, p))), ignored)
