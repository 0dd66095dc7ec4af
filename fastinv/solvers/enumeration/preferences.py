"""The order of equally good solutions: near a state, or by a user's cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv._common.validation import as_float64, check_number
from fastinv.functions.region import Region
from fastinv.solutions import Solutions, Status
from fastinv.solvers.states import States, check_states

Cost = Callable[[Float64Array], ArrayLike]


@dataclass(frozen=True)
class Preference:
    """A user's preference, not yet checked."""

    near: ArrayLike | None
    weights: ArrayLike | None
    within: float | None
    cost: Cost | None

    def checked(self, n: int, region: Region) -> Keys:
        """How to sort the solutions of `n` targets."""
        if self.near is None:
            for name in ("weights", "within"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} needs near, the states that distances are from")
            return Keys(None if self.cost is None else _by_cost(self.cost))
        if self.cost is not None:
            raise ValueError("cost and near cannot both say which solutions come first")
        states = check_states(self.near, n, region.n_inputs)
        states = states._replace(x=states.x.copy())  # it may be a part of `out`
        if self.within is not None:
            check_number(self.within, "within", minimum=0.0)
        weights = _checked_weights(self.weights, region)
        return Keys(_by_distance(states, weights, region, self.within), states.ignored)


class Keys(NamedTuple):
    """``of`` takes solutions (n, k, p) to keys (n, k), the lowest preferred, NaN for what is not
    wanted; None where nothing is preferred. For ``ignored`` (n,) targets nothing is."""

    of: Callable[[Float64Array], Float64Array] | None
    ignored: BoolArray | None = None


def prefer(found: Solutions, keys: Keys) -> Solutions:
    """`found` in the order of `keys`, without what they exclude; equals stay in order."""
    if keys.of is None or found.count is None:
        return found
    n, k = found.residual.shape
    is_solution = np.arange(k) < found.count[:, None]
    key = keys.of(found.x)
    wanted = is_solution & ~np.isnan(key)
    # Rows that are not solutions stay at the end, and so does the nearest attainable point.
    group = np.where(wanted, 0, np.where(is_solution, 1, 2))
    order = np.lexsort((np.where(wanted, key, 0.0), group), axis=-1)
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
    states: States, weights: Float64Array, region: Region, within: float | None
) -> Callable[[Float64Array], Float64Array]:
    def keys(x: Float64Array) -> Float64Array:
        difference = region.difference(x, states.x[:, None])
        with np.errstate(over="ignore"):
            distance = np.asarray(np.sqrt((weights * difference**2).sum(axis=2)))
        if within is not None:
            distance = np.where(distance <= within, distance, np.nan)
        if states.ignored is not None:
            distance[states.ignored] = 0.0
        return distance

    return keys


def _by_cost(cost: Any) -> Callable[[Float64Array], Float64Array]:
    if not callable(cost):
        raise TypeError(f"cost must be callable, got {cost!r}")

    def keys(x: Float64Array) -> Float64Array:
        n, k, p = x.shape
        flat = x.reshape(-1, p)
        present = np.isfinite(flat).all(axis=1)
        values = np.full(len(flat), np.nan)
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
