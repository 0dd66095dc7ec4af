"""The smallest chain: seven anchors on the parabola y = x², for rules that are checked by hand."""

from __future__ import annotations

import numpy as np
from chains import Setup, candidates_of

import fastinv as fi
from fastinv.backends import TwinModel
from fastinv.functions import NetworkSpec


@fi.forward(n_inputs=1, n_outputs=1)
def square(x, y):
    y[0] = x[0] * x[0]


def parabola(**changes) -> Setup:
    """Anchors -3, …, 3 with p = q = 1, no twin, no bounds; f is y = x²."""
    given = {
        "anchors_x": np.arange(-3.0, 4.0)[:, None], "function": square, "tol": 0.1,
        "anchors_exact": False,
    } | changes  # fmt: skip
    given.setdefault("anchors_y", given["anchors_x"] ** 2)
    return Setup(**given)


def affine_twin(weights=(0.0, 0.0, 0.0), bias=0.0, reach=np.inf) -> TwinModel:
    """A network whose step is a weighted sum of y - y_a, y_a and x_a, and a bias."""
    one, zero = np.ones(1), np.zeros(1)
    parameters = np.array([*weights, bias], dtype=np.float32)
    net = NetworkSpec((3, 1), "identity")
    return TwinModel(net, parameters, one, zero, one, zero, one, one, reach)


def row_of(residuals, *, x=None, flags=None, anchor=None, distance=0.0, target=0.0):
    """One row of candidates whose images lie `residuals` above the target."""
    n = len(residuals)
    residuals = np.asarray(residuals, dtype=float).reshape(1, n, 1)
    x = np.asarray(np.arange(n) if x is None else x, dtype=float).reshape(1, n, 1)
    return candidates_of(
        x, target + residuals, anchor=anchor, flags=flags, anchor_distance=distance
    )


def verify_residuals(
    backend, residuals, *, x=None, flags=None, anchor=None, distance=0.0, target=0.0, n_threads=1,
    **changes,
):  # fmt: skip
    """Such a row, verified."""
    candidates = row_of(
        residuals, x=x, flags=flags, anchor=anchor, distance=distance, target=target
    )
    setup = parabola(**changes)
    goal = setup.goal([[target]])
    return setup.pipeline(backend).verify(goal, candidates, n_threads=n_threads)


def rank_residuals(
    backend, residuals, *, x=None, flags=None, anchor=None, k=None, near=None, distance=0.0,
    target=0.0, verified=False, **changes,
):  # fmt: skip
    """Such a row, ranked, or verified and ranked."""
    candidates = row_of(
        residuals, x=x, flags=flags, anchor=anchor, distance=distance, target=target
    )
    setup = parabola(**changes)
    states = None if near is None else np.array([[float(near)]])
    goal, pipeline = setup.goal([[target]], states), setup.pipeline(backend)
    if verified:
        candidates = pipeline.verify(goal, candidates)
    return pipeline.rank(goal, candidates, k or len(residuals))
