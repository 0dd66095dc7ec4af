"""The distinct solutions of many targets, as they are found."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array, IntArray
from fastinv.functions.region import Region


class Collection:
    """Up to k distinct solutions of each of n targets.

    Attributes
    ----------
    x : ndarray of shape (n, k, p)
        NaN where there is none.
    residual, rank : ndarray of shape (n, k)
        A rank is the residual, or zero if that is only rounding.
    anchor : ndarray of shape (n, k), int64
    count : ndarray of shape (n,), int64
    """

    def __init__(self, n: int, k: int, region: Region, separation: float) -> None:
        self._region, self._separation = region, separation
        self.x = np.full((n, k, region.n_inputs), np.nan)
        self.residual, self.rank = np.full((n, k), np.inf), np.full((n, k), np.inf)
        self.anchor = np.full((n, k), -1, dtype=np.int64)
        self.count = np.zeros(n, dtype=np.int64)

    def add(
        self,
        targets: IntArray,
        x: Float64Array,
        residual: Float64Array,
        rank: Float64Array,
        anchor: IntArray,
    ) -> BoolArray:
        """Add one solution for each of some `targets`; of two that are the same, the better one
        stays. Says which are new."""
        known = self._region.distance(x[:, None], self.x[targets]) <= self._separation
        is_known, place = known.any(axis=1), known.argmax(axis=1)
        is_new = ~is_known & (self.count[targets] < self.x.shape[1])
        place = np.where(is_new, self.count[targets], place)
        better = is_known & (residual < self.residual[targets, place])
        taken = is_new | better
        at = targets[taken], place[taken]
        self.x[at], self.residual[at] = x[taken], residual[taken]
        self.rank[at], self.anchor[at] = rank[taken], anchor[taken]
        self.count[targets[is_new]] += 1
        return is_new

    def sort(self) -> None:
        """By rank, then by coordinates, of which differences below the separation do not count:
        rounding must not decide."""
        unit = self._separation * self._region.scale
        places = np.round(self.x / unit) if (unit > 0).all() else self.x
        p = self.x.shape[2]
        order = np.lexsort([*(places[:, :, i] for i in reversed(range(p))), self.rank], axis=1)
        self.x = np.take_along_axis(self.x, order[:, :, None], axis=1)
        for name in ("residual", "rank", "anchor"):
            setattr(self, name, np.take_along_axis(getattr(self, name), order, axis=1))
