"""Local maxima of mixtures of Gaussians: what :meth:`fastinv.mixture.Mixture.modes` returns.

Shapes: n rows, K components, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv._common.threads import threads_that_pay
from fastinv.backends.protocol import Backend

_LOOKS_PER_START = 5.0  # steps of a climb, most of which end early
_FLOPS_AT_ONCE = 2.5e8  # Ctrl-C waits for that much
_NUMBERS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Modes:
    """Local maxima of the densities of n mixtures, the highest first.

    Rows with fewer than m modes end in padding: x is NaN, log_prob -inf, weight 0.

    Attributes
    ----------
    x : ndarray of shape (n, m, D), float64
    log_prob : ndarray of shape (n, m), float64
        Log density at `x`, in nats.
    weight : ndarray of shape (n, m), float64
        Sum of the weights of the components whose means lead here. 0 for a mode
        that no mean leads to: components that cross can have one between them.
    count : ndarray of shape (n,), int64
        Modes of each row.
    """

    x: Float64Array
    log_prob: Float64Array
    weight: Float64Array
    count: IntArray

    def __len__(self) -> int:
        return len(self.count)


def find_modes(
    backend: Backend,
    weights: Float64Array,
    means: Float64Array,
    lower: Float64Array,
    n_threads: int | None,
) -> tuple[Float64Array, Float64Array]:
    """:meth:`Backend.mixture_modes`, on as many threads as pay."""
    n, n_components, n_dims = means.shape
    threads = threads_that_pay(n_threads, n * _flops_per_row(n_components, n_dims))
    return backend.mixture_modes(weights, means, lower, n_threads=threads)


def rows_at_once(n_components: int, n_dims: int) -> int:
    """How many rows are little enough work and memory for one call that nothing interrupts."""
    by_work = _FLOPS_AT_ONCE / _flops_per_row(n_components, n_dims)
    by_memory = _NUMBERS_AT_ONCE / (_n_starts(n_components) * (n_components + n_dims))
    return max(1, int(min(by_work, by_memory)))


def joined(parts: Sequence[Modes], n_dims: int) -> Modes:
    """The modes of all rows of `parts`, padded to the same number."""
    n = sum(map(len, parts))
    m = max((part.x.shape[1] for part in parts), default=0)
    all_rows = Modes(
        np.full((n, m, n_dims), np.nan),
        np.full((n, m), -np.inf),
        np.zeros((n, m)),
        np.zeros(n, np.int64),
    )
    first = 0
    for part in parts:
        rows, places = slice(first, first + len(part)), slice(part.x.shape[1])
        all_rows.x[rows, places] = part.x
        all_rows.log_prob[rows, places] = part.log_prob
        all_rows.weight[rows, places] = part.weight
        all_rows.count[rows] = part.count
        first += len(part)
    return all_rows


def _n_starts(n_components: int) -> int:
    return n_components * (n_components + 1) // 2 + 1


def _flops_per_row(n_components: int, n_dims: int) -> float:
    flops_per_look = n_components * (60.0 + 6.0 * n_dims**2)
    return _LOOKS_PER_START * _n_starts(n_components) * flops_per_look
