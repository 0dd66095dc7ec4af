"""Learns a forward function from measured pairs if a solver is given none."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from fastinv._common.arrays import Float64Array
from fastinv.backends.protocol import Backend
from fastinv.estimators.distilled import DistilledRegressor
from fastinv.estimators.mlp import MLPRegressor
from fastinv.functions.function import Function
from fastinv.functions.wrapped import LearnedFunction
from fastinv.solvers.fitting.fit_data import Points

# Up to this many pairs the network learns from Gaussian processes, which are better with few data.
MAX_DISTILLED = 2000


def train_forward(
    forward: Any, points: Points, backend: str | Backend, n_threads: int | None, random_state: int
) -> Function:
    """A forward function trained on `points`: `forward`, cloned, or a network of our own.

    With None that is a :class:`DistilledRegressor` for up to ``MAX_DISTILLED`` points, and a
    :class:`MLPRegressor` for more.
    """
    x, y = points
    model = _own_network(len(x), backend, n_threads) if forward is None else clone(forward)
    if "random_state" in model.get_params() and model.get_params()["random_state"] is None:
        model.set_params(random_state=random_state)
    model.fit(x, y.ravel() if y.shape[1] == 1 else y)
    return LearnedFunction(model, x.shape[1], y.shape[1])


def noise_of(function: Function, points: Points) -> Float64Array:
    """Root mean square ``(q,)`` of f(x) - y over measured points (x, y), in the units of y."""
    x, y = points
    return np.asarray(np.sqrt(((function(x) - y) ** 2).mean(axis=0)))


def _own_network(n_points: int, backend: str | Backend, n_threads: int | None) -> MLPRegressor:
    if n_points <= MAX_DISTILLED:
        return DistilledRegressor(backend=backend, n_threads=n_threads)
    return MLPRegressor(
        (128, 128),
        "silu",
        loss="squared_error",
        learning_rate="cosine",
        learning_rate_init=3e-3,
        n_iter_no_change=None,
        backend=backend,
        n_threads=n_threads,
    )
