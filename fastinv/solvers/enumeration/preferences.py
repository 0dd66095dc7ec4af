"""The order of equally good solutions: near a state, or by a user's cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64, check_number
from fastinv.functions.region import Region
from fastinv.solutions import Solutions, Status

Cost = Callable[[Float64Array], ArrayLike]


@dataclass(frozen=True)
class Preference:
    """A user's preference, not yet checked."""

    near: ArrayLike | None
    weights: ArrayLike | None
    within: float | None
    cost: Cost | None

    def checked(self, n: int, region: Region) -> Callable[[Float64Array], Float64Array] | None:
        """A function from solutions (n, k, p) to keys (n, k), the lowest preferred, ``inf`` for
        what is not wanted; None where nothing is preferred."""
        if self.near is None:
            for name in ("weights", "within"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} needs near, the states that distances are from")
            return None if self.cost is None else _by_cost(self.cost)
        if self.cost is not None:
            raise ValueError("cost and near cannot both say which solutions come first")
        p = region.n_inputs
        states = as_float64(self.near, "near").copy()  # it may be a part of `out`
        if states.shape not in ((p,), (n, p)):
            raise ValueError(f"near must have shape ({p},) or ({n}, {p}), got {states.shape}")
        if not np.isfinite(states).all():
            raise ValueError("near must be finite, got NaN or infinity")
        if self.within is not None:
            check_number(self.within, "within", minimum=0.0)
        weights = _checked_weights(self.weights, region)
        return _by_distance(np.broadcast_to(states, (n, p)), weights, region, self.within)


def prefer(found: Solutions, keys: Callable[[Float64Array], Float64Array] | None) -> Solutions:
    """`found` in the order of `keys`, without what they exclude; equals stay in order."""
    if keys is None or found.count is None:
        return found
    n, k = found.residual.shape
    is_solution = np.arange(k) < found.count[:, None]
    key = np.where(is_solution, keys(found.x), np.inf)
    wanted = np.isfinite(key)
    # Rows that are not solutions stay at the end, and so does the nearest attainable point.
    order = np.argsort(key, axis=1, kind="stable")
    rows = np.arange(n)[:, None]
    excluded = (is_solution & ~wanted)[rows, order]
    x, residual = found.x[rows, order], found.residual[rows, order]
    anchor, status = found.anchor[rows, order], found.status[rows, order]
    x[excluded], residual[excluded], anchor[excluded] = np.nan, np.inf, -1
    status[excluded] = Status.INVALID
    count = wanted.sum(axis=1)
    return replace(
        found, x=x, residual=residual, anchor=anchor, status=status, count=count.astype(np.int64)
    )


def _checked_weights(weights: Any, region: Region) -> Float64Array:
    if weights is None:
        return np.asarray(1.0 / region.scale**2)
    p = region.n_inputs
    array = as_float64(weights, "weights")
    if array.shape != (p,):
        raise ValueError(f"weights must have shape ({p},), got {array.shape}")
    if not ((array >= 0) & np.isfinite(array)).all():
        raise ValueError(f"weights must be finite and not negative, got {array}")
    return array


def _by_distance(
    states: Float64Array, weights: Float64Array, region: Region, within: float | None
) -> Callable[[Float64Array], Float64Array]:
    def keys(x: Float64Array) -> Float64Array:
        difference = region.difference(x, states[:, None])
        distance = np.sqrt((weights * difference**2).sum(axis=2))
        return distance if within is None else np.where(distance <= within, distance, np.inf)

    return keys


def _by_cost(cost: Any) -> Callable[[Float64Array], Float64Array]:
    if not callable(cost):
        raise TypeError(f"cost must be callable, got {cost!r}")

    def keys(x: Float64Array) -> Float64Array:
        n, k, p = x.shape
        flat = x.reshape(-1, p)
        present = np.isfinite(flat).all(axis=1)
        values = np.full(len(flat), np.inf)
        given = as_float64(cost(flat[present]), "what cost returns")
        if given.shape != (present.sum(),):
            raise ValueError(
                f"cost must return shape ({present.sum()},) for that many solutions, "
                f"got {given.shape}"
            )
        if np.isnan(given).any():
            raise ValueError("cost must not return NaN")
        values[present] = given
        return values.reshape(n, k)

    return keys
