"""The checked inputs of a solver's `fit`: a formula or measured pairs, bounds and anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from fastinv._common.arrays import Float64Array
from fastinv._common.outliers import without_outliers
from fastinv._common.validation import as_float64, check_bounds, check_integer, check_pairs
from fastinv.functions.conversion import as_forward
from fastinv.functions.function import Function
from fastinv.solvers.fitting.anchors import draw_anchors

Points = tuple[Float64Array, Float64Array]  # x (n, p) and y (n, q)


# Range of the x and y of anchors: beyond it, squares of differences overflow or vanish.
_LEAST_RANGE, _LARGEST_RANGE = 1e-100, 1e101
_NO_BOUNDS = "bounds must be given where fit gets no data: anchors are drawn there"


@dataclass(frozen=True, eq=False)
class FitData:
    """The data of a solver's fit. The arrays are read-only copies.

    Attributes
    ----------
    forward : Function or None
        f, None where it is to be learned.
    points : (x, y)
        Points with their images: the data, or what was drawn from the formula.
    anchors : (x, y)
        The same, unless other anchors were given; without those outside the bounds. If f is
        exact, so is y.
    measured : bool
        Whether y was given with the points, rather than computed by f.
    bounds : ndarray of shape (p, 2) or None
    y_ndim : int
        Dimensions of the given y; 2 without y.
    """

    forward: Function | None
    points: Points
    anchors: Points
    measured: bool
    bounds: Float64Array | None
    y_ndim: int


def check_fit_data(
    forward: Any,
    bounds: Any,
    n_anchors: int,
    X: Any,
    y: Any,
    anchors: Any,
    rng: np.random.Generator,
) -> FitData:
    """Check and combine a solver's parameters and the arguments of its `fit`.

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
    check_integer(n_anchors, "n_anchors")
    y_ndim = np.ndim(y) if measured else 2
    given_x, given_y = _split_anchors(anchors)
    if measured:
        X, y = without_outliers(*check_pairs(X, y), stacklevel=5)
    elif X is not None:
        X = _check_points(X, "X")
    examples = X if X is not None else given_x
    n_inputs = _n_inputs(forward, bounds, examples)
    box = None if bounds is None else check_bounds(bounds, n_inputs)
    f = None
    if known:
        n_outputs = y.shape[1] if measured else None
        f = as_forward(
            forward, n_inputs, n_outputs, probe_points=_probe_points(box, examples, n_inputs, rng)
        )
    if measured:
        points = X, y
    else:
        assert f is not None
        points = _points_of_formula(f, box, n_anchors, examples, rng)
    chosen = _anchors(f, points, given_x, given_y)
    return FitData(f, _own(points), _own(_inside(chosen, box)), measured, box, y_ndim)


def _split_anchors(anchors: Any) -> tuple[Float64Array | None, Float64Array | None]:
    """x and y of the given anchors; None for what was not given."""
    if anchors is None:
        return None, None
    if not isinstance(anchors, tuple):
        return _check_points(anchors, "anchors"), None
    if len(anchors) != 2:
        raise ValueError(f"anchors must be X or a tuple (X, y), got a tuple of {len(anchors)}")
    return check_pairs(*anchors)


def _points_of_formula(
    forward: Function,
    bounds: Float64Array | None,
    n_anchors: int,
    X: Float64Array | None,
    rng: np.random.Generator,
) -> Points:
    """The given points with their images, or points drawn inside the bounds."""
    if X is not None:
        return X, _finite_images(forward, X)
    if bounds is None:
        raise ValueError(_NO_BOUNDS)
    return draw_anchors(forward, bounds, n_anchors, rng)


def _anchors(
    forward: Function | None, points: Points, x: Float64Array | None, y: Float64Array | None
) -> Points:
    """Anchors (x, y): those given, else the points; with exact y if f is exact."""
    if x is None:
        x, y = points
    elif x.shape[1] != points[0].shape[1]:
        raise ValueError(f"anchors must have {points[0].shape[1]} inputs each, got {x.shape[1]}")
    if forward is not None and (y is None or forward.exact):
        return x, _finite_images(forward, x)
    if y is None:
        raise ValueError("anchors must be a tuple (X, y) where no forward function is known")
    if y.shape[1] != points[1].shape[1]:
        raise ValueError(f"anchors must have {points[1].shape[1]} outputs each, got {y.shape[1]}")
    return without_outliers(x, y, names=("anchors[0]", "anchors[1]"), stacklevel=6)


def _inside(anchors: Points, bounds: Float64Array | None) -> Points:
    """The anchors that are themselves admissible solutions."""
    if bounds is None:
        return anchors
    x, y = anchors
    inside = ((x >= bounds[:, 0]) & (x <= bounds[:, 1])).all(axis=1)
    if not inside.any():
        raise ValueError(f"bounds must contain anchors, got none of {len(x)} inside")
    return x[inside], y[inside]


def _own(points: Points) -> Points:
    """Read-only copies: solutions refer to them as long as the solver lives."""
    x, y = points[0].copy(), points[1].copy()
    x.flags.writeable = y.flags.writeable = False
    return x, y


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


def _n_inputs(forward: Any, bounds: Any, points: Float64Array | None) -> int:
    if points is not None:
        return int(points.shape[1])
    declared = getattr(forward, "n_inputs", None)
    if declared is not None:
        return int(declared)
    if bounds is None:
        raise ValueError(_NO_BOUNDS)
    return len(np.atleast_2d(as_float64(bounds, "bounds")))


def _probe_points(
    bounds: Float64Array | None,
    points: Float64Array | None,
    n_inputs: int,
    rng: np.random.Generator,
) -> Float64Array | None:
    """A few points of the domain at which to try a callable."""
    if points is not None:
        return points[:3]
    if bounds is None:
        return None
    return rng.uniform(bounds[:, 0], bounds[:, 1], size=(3, n_inputs))


def _check_points(X: Any, name: str) -> Float64Array:
    points = as_float64(X, name)
    if points.ndim != 2 or points.size == 0:
        raise ValueError(f"{name} must have shape (n, p) with n and p positive, got {points.shape}")
    _check_finite(points, f"{name} must be finite")
    return points


def check_range(values: Float64Array, name: str) -> None:
    """Squares of differences must neither overflow nor vanish: a polish could not tell whether it
    gets closer."""
    with np.errstate(over="ignore"):
        largest = float(np.ptp(values, axis=0).max())
    if largest > 0 and not _LEAST_RANGE <= largest <= _LARGEST_RANGE:
        raise ValueError(
            f"{name} must vary by {_LEAST_RANGE:g} to {_LARGEST_RANGE:g}, got {largest:g}: choose "
            "other units"
        )


def _finite_images(forward: Function, x: Float64Array) -> Float64Array:
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
