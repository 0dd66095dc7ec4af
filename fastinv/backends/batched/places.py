"""The places that the starts of many targets led to, and which of them are distinct solutions."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array, IntArray
from fastinv.backends.reference.sets import BETWEEN_MEMBERS, MOST_MEMBERS
from fastinv.functions.region import Region

_FIRST_CAPACITY = 4

Where = tuple[IntArray, IntArray]  # rows of targets, and their places


class Places:
    """Places x of each of n targets, in the order in which they were found.

    What is within the separation of a known place is that place. The arrays have as many columns as
    any target has needed; ``count`` (n,) says how many are used.

    Attributes
    ----------
    x, fx : ndarray of shape (n, k, p), (n, k, q)
        NaN where unused.
    residual : ndarray of shape (n, k)
    exact : ndarray of shape (n, k), bool
        Whether the residual is only rounding.
    anchor : ndarray of shape (n, k), int64
        -1 where unused.
    x_error : ndarray of shape (n, k)
        NaN until it is known.
    is_solution, in_set : ndarray of shape (n, k), bool
        Which are distinct solutions; which of those are members of a set.
    """

    def __init__(self, n: int, q: int, region: Region, separation: float) -> None:
        k, p = _FIRST_CAPACITY, region.n_inputs
        self._region, self._separation = region, separation
        self.count = np.zeros(n, dtype=np.int64)
        self.x, self.fx = np.full((n, k, p), np.nan), np.full((n, k, q), np.nan)
        self.residual, self.x_error = np.full((n, k), np.inf), np.full((n, k), np.nan)
        self.anchor = np.full((n, k), -1, dtype=np.int64)
        self.exact, self.is_solution, self.in_set = (
            np.zeros((n, k), dtype=np.bool_) for _ in range(3)
        )

    def add(
        self,
        target: IntArray,
        x: Float64Array,
        fx: Float64Array,
        residual: Float64Array,
        exact: BoolArray,
        anchor: IntArray,
    ) -> None:
        """Add one point for each of different targets; of those at one place the best stays."""
        known = self._region.distance(x[:, None], self.x[target]) <= self._separation
        is_known, place = known.any(axis=1), known.argmax(axis=1)
        place[~is_known] = self.count[target[~is_known]]
        self._make_room(int(place.max(initial=-1)) + 1)
        taken = ~is_known | (residual < self.residual[target, place])
        at = target[taken], place[taken]
        self.x[at], self.fx[at], self.residual[at] = x[taken], fx[taken], residual[taken]
        self.exact[at], self.anchor[at] = exact[taken], anchor[taken]
        self.count[target[~is_known]] += 1

    def unknown(self) -> Where:
        """Places whose error is not known yet."""
        used = np.arange(self.x.shape[1]) < self.count[:, None]
        target, place = np.nonzero(used & np.isnan(self.x_error))
        return target, place

    def tell_apart(self, where: Where) -> Where:
        """Of places with known errors, those that f can tell from each other and from all earlier
        solutions. They count as solutions then."""
        target, place = where
        fresh = np.zeros(len(target), dtype=np.bool_)
        for rows in in_turns(target):
            t, at = target[rows], (target[rows], place[rows])
            gaps = self._region.distance(self.x[at][:, None], self.x[t])
            # Where one is not exact yet, the other may be what it would become.
            share = np.where(self.exact[t] & self.exact[at][:, None], 0.5, 2.0)
            blurred = share * (self.x_error[t] + self.x_error[at][:, None])
            same = (gaps <= self._separation) | (gaps <= blurred)
            self.is_solution[at] = fresh[rows] = ~(same & self.is_solution[t]).any(axis=1)
        return target[fresh], place[fresh]

    def thin_out(self, where: Where, is_member: BoolArray) -> None:
        """Of solutions that are members of sets keep a few, far from each other."""
        members = where[0][is_member], where[1][is_member]
        self.is_solution[members] = False
        for rows in in_turns(members[0]):
            t, at = members[0][rows], (members[0][rows], members[1][rows])
            gaps = self._region.distance(self.x[at][:, None], self.x[t])
            crowded = (self.in_set[t] & (gaps < BETWEEN_MEMBERS)).any(axis=1)
            crowded |= self.in_set[t].sum(axis=1) >= MOST_MEMBERS
            self.is_solution[at] = self.in_set[at] = ~crowded

    def order(self) -> IntArray:
        """The places ``(n, k)`` of each target: solutions by rank, then by coordinates, of which
        differences below the separation do not count; then the others."""
        rank = np.where(self.exact, 0.0, self.residual)
        units = self._region.units(self.x, self._separation)
        p = self.x.shape[2]
        keys = [*(units[:, :, i] for i in reversed(range(p))), rank, ~self.is_solution]
        return np.lexsort(keys, axis=1)

    def _make_room(self, n_places: int) -> None:
        missing = n_places - self.x.shape[1]
        if missing <= 0:
            return
        missing = max(missing, self.x.shape[1])
        for name, padding in _PADDING.items():
            array = getattr(self, name)
            more = np.full((len(array), missing, *array.shape[2:]), padding, dtype=array.dtype)
            setattr(self, name, np.concatenate([array, more], axis=1))


_PADDING = {
    "x": np.nan, "fx": np.nan, "residual": np.inf, "x_error": np.nan, "anchor": -1,
    "exact": False, "is_solution": False, "in_set": False,
}  # fmt: skip


def in_turns(target: IntArray) -> list[IntArray]:
    """The rows of `target` in groups: the first rows of all targets, then the second ones, and so
    on."""
    order = np.argsort(target, kind="stable")
    first = np.searchsorted(target[order], target[order])
    turn = np.empty(len(target), dtype=np.int64)
    turn[order] = np.arange(len(target)) - first
    return [np.flatnonzero(turn == t) for t in range(int(turn.max(initial=-1)) + 1)]
