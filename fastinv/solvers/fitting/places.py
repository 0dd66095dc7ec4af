"""Places at which what a user says about f is looked at."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray


def spread_rows(n: int, n_wanted: int) -> IntArray:
    """At most `n_wanted` of `n` rows, ascending, evenly spread, the first and the last included."""
    return np.unique(np.linspace(0, n - 1, min(n, n_wanted)).astype(np.int64))


def in_words(values: Float64Array) -> str:
    """A vector in a message, to nine digits."""
    return "(" + ", ".join(f"{value:.9g}" for value in values) + ")"
