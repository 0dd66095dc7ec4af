"""Points with their images, searched by brute force."""

from __future__ import annotations

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.checks import solving as checks
from fastinv.backends.reference.neighbors import NeighborIndex


class Anchors:
    """Anchors; see :class:`fastinv.backends.solving.Anchors`."""

    def __init__(self, x: Float64Array, y: Float64Array, y_scale: Float64Array) -> None:
        checks.check_anchors(x, y, y_scale)
        self.x, self.y, self.y_scale = x, y, y_scale
        self._index = NeighborIndex(y * (1 / y_scale), leaf_size=16)

    def __len__(self) -> int:
        return len(self.x)

    def nearest(
        self, targets: Float64Array, k: int, *, n_threads: int = 1
    ) -> tuple[Float64Array, IntArray]:
        """Distances in y ``(n, k)`` and indices ``(n, k)`` of the nearest anchors."""
        checks.check_nearest_call(self, targets, k, n_threads)
        distances, indices = self._index.query(targets * (1 / self.y_scale), k)
        return distances.astype("float64"), indices
