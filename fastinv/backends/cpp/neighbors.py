"""Nearest neighbours by the C++ KD-tree."""

from __future__ import annotations

import numpy as np

from fastinv import _core
from fastinv._common.arrays import FloatArray, IntArray
from fastinv.backends.checks import common as _checks

_KDTREES = {_checks.FLOAT32: _core.KDTreeFloat32, _checks.FLOAT64: _core.KDTreeFloat64}


class NeighborIndex:
    """A KD-tree; see :class:`fastinv.backends.protocol.NeighborIndex`.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
    leaf_size : int
    isa : str
        The instruction set, one of ``fastinv._core.isas()``.
    n_threads : int, default=1
        Threads that build the tree, which is the same for any number of them.
    """

    def __init__(self, points: FloatArray, leaf_size: int, isa: str, n_threads: int = 1) -> None:
        _checks.check_points(points, leaf_size)
        _checks.check_count("n_threads", n_threads)
        self._shape = points.shape
        self._dtype = points.dtype
        contiguous = np.ascontiguousarray(points)
        self._kernel = _KDTREES[points.dtype](contiguous, leaf_size, isa, n_threads)
        self.try_query = self._kernel.try_query  # avoids a Python call

    def query(
        self, queries: FloatArray, k: int, *, n_threads: int = 1
    ) -> tuple[FloatArray, IntArray]:
        """Distances ``(n, k)`` in the dtype of the points, and indices ``(n, k)``."""
        _checks.check_query(self._shape, queries, k, n_threads, (self._dtype,))
        distances = np.empty((len(queries), k), dtype=self._dtype)
        indices = np.empty((len(queries), k), dtype=np.int64)
        self._kernel.query(np.ascontiguousarray(queries), k, distances, indices, n_threads)
        return distances, indices
