"""What `fit` of a solver is told: a formula or measured pairs, bounds and anchors, all checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from fastinv._validation import as_float64, check_bounds, check_integer, check_pairs
from fastinv.backends.protocol import Backend, Float64Array
from fastinv.estimators.mlp import MLPRegressor
from fastinv.forward import EstimatorForward, Forward, as_forward
from fastinv.solvers.anchors import draw_anchors

Points = tuple[Float64Array, Float64Array]  # x (n, p) and y (n, q)


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What a solver starts from.

    Attributes
    ----------
    forward : Forward or None
        f, None where it is to be learned.
    points : (x, y)
        Points with their images: the data, or what was drawn from the formula.
    anchors : (x, y)
        The same, unless other anchors were given; without those outside the bounds.
    measured : bool
        Whether y was given with the points, rather than computed by f.
    bounds : ndarray of shape (p, 2) or None
    y_ndim : int
        Of y as it was given, 2 where it was not.
    """

    forward: Forward | None
    points: Points
    anchors: Points
    measured: bool
    bounds: Float64Array | None
    y_ndim: int


def gather(
    forward: Any,
    bounds: Any,
    n_anchors: int,
    X: Any,
    y: Any,
    anchors: Any,
    rng: np.random.Generator,
) -> Knowledge:
    """Make sense of a solver's parameters and of the arguments of its `fit`.

    Raises
    ------
    TypeError, ValueError
        Neither a forward function nor measured pairs; no bounds where anchors must be drawn;
        wrong shapes, NaN or infinity.
    """
    measured = y is not None
    if measured and X is None:
        raise ValueError("X must be given together with y")
    known = forward is not None and not _is_unfitted(forward)
    if not known and not measured:
        raise ValueError(
            "without a forward function fit requires y to be passed, but the target y is None: "
            "call fit(X, y), or pass forward= (a formula, a callable or a fitted regressor)"
        )
    y_ndim = np.ndim(y) if measured else 2
    if measured:
        X, y = check_pairs(X, y)
    elif X is not None:
        X = _check_points(X, "X")
    given = X if X is not None else (anchors[0] if isinstance(anchors, tuple) else anchors)
    n_inputs = _n_inputs(forward, bounds, given)
    box = None if bounds is None else check_bounds(bounds, n_inputs)
    f = None
    if known:
        n_outputs = y.shape[1] if measured else None
        probe = _probe_points(box, given, n_inputs, rng)
        f = as_forward(forward, n_inputs, n_outputs, probe_points=probe)
    if f is not None and not measured:
        X, y = _points_of_formula(f, box, n_anchors, X, anchors, rng)
    inside = _inside(_check_anchors(anchors, f, (X, y)), box)
    return Knowledge(f, (X, y), inside, measured, box, y_ndim)


def learned(
    forward: Any, points: Points, backend: str | Backend, n_threads: int | None, random_state: int
) -> Forward:
    """A forward function trained on `points`: `forward`, cloned, or a network of our own."""
    if forward is None:
        model = MLPRegressor(
            (128, 128),
            "silu",
            loss="squared_error",
            learning_rate="cosine",
            learning_rate_init=3e-3,
            n_iter_no_change=200,
            tol=0.0,
            backend=backend,
            n_threads=n_threads,
        )
    else:
        model = clone(forward)
    if "random_state" in model.get_params() and model.get_params()["random_state"] is None:
        model.set_params(random_state=random_state)
    x, y = points
    model.fit(x, y.ravel() if y.shape[1] == 1 else y)
    return EstimatorForward(model, x.shape[1], y.shape[1])


def _points_of_formula(
    forward: Forward,
    bounds: Float64Array | None,
    n_anchors: int,
    X: Float64Array | None,
    anchors: Any,
    rng: np.random.Generator,
) -> Points:
    """The given points with their images, or such as are drawn inside the bounds."""
    if X is not None:
        return X, _finite_images(forward, X)
    if anchors is not None:
        return _check_anchors(anchors, forward, None)
    if bounds is None:
        raise ValueError("bounds must be given where fit gets no data: anchors are drawn there")
    return draw_anchors(forward, bounds, check_integer(n_anchors, "n_anchors"), rng)


def _check_anchors(anchors: Any, forward: Forward | None, points: Points | None) -> Points:
    """Anchors that were given separately, as (x, y); `points` where none were."""
    if anchors is None:
        assert points is not None
        return points
    if isinstance(anchors, tuple):
        x, y = check_pairs(*anchors)
    elif forward is not None:
        x = _check_points(anchors, "anchors")
        y = _finite_images(forward, x)
    else:
        raise ValueError("anchors must be a tuple (X, y) where no forward function is known")
    for found, wanted, name in zip((x, y), points or (), "xy", strict=False):
        if found.shape[1] != wanted.shape[1]:
            raise ValueError(
                f"{name} of the anchors must have {wanted.shape[1]} columns, got {found.shape[1]}"
            )
    return x, y


def _inside(anchors: Points, bounds: Float64Array | None) -> Points:
    """The anchors that are themselves admissible solutions."""
    if bounds is None:
        return anchors
    x, y = anchors
    inside = ((x >= bounds[:, 0]) & (x <= bounds[:, 1])).all(axis=1)
    if not inside.any():
        raise ValueError(f"bounds must contain anchors, got none of {len(x)} inside")
    return x[inside], y[inside]


def _is_unfitted(forward: Any) -> bool:
    """Whether `forward` is a regressor that is still to be trained."""
    if not hasattr(forward, "predict") or isinstance(forward, type):
        return False
    try:
        check_is_fitted(forward)
    except NotFittedError:
        return True
    except TypeError:  # not a scikit-learn estimator
        return False
    return False


def _n_inputs(forward: Any, bounds: Any, points: Any) -> int:
    if points is not None:
        return int(np.shape(points)[-1])
    declared = getattr(forward, "n_inputs", None)
    if declared is not None:
        return int(declared)
    if bounds is None:
        raise ValueError("bounds must be given where fit gets no data: anchors are drawn there")
    return len(bounds)


def _probe_points(
    bounds: Float64Array | None, points: Any, n_inputs: int, rng: np.random.Generator
) -> Float64Array | None:
    """A few points of the domain at which to try a callable."""
    if points is not None:
        return as_float64(points, "X").reshape(-1, n_inputs)[:3]
    if bounds is None:
        return None
    return rng.uniform(bounds[:, 0], bounds[:, 1], size=(3, n_inputs))


def _check_points(X: Any, name: str) -> Float64Array:
    points = as_float64(X, name)
    if points.ndim != 2 or points.size == 0:
        raise ValueError(f"{name} must have shape (n, p) with n and p positive, got {points.shape}")
    _check_finite(points, f"{name} must be finite")
    return points


def _finite_images(forward: Forward, x: Float64Array) -> Float64Array:
    y = forward(x)
    _check_finite(y, f"{forward.name} must be finite at every anchor")
    return y


def _check_finite(rows: Float64Array, demand: str) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{demand}, got NaN or infinity in {len(bad)} of {len(rows)} rows, the first is row "
            f"{bad[0]}"
        )
