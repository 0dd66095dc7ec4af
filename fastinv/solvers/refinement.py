"""Whether and how solvers polish what they find."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.validation import as_float64, check_integer
from fastinv.backends.protocol import Backend, Float64Array, LearnedForward, RefineSpec
from fastinv.estimators.mlp import MLPRegressor
from fastinv.functions.forward import Forward

BoolArray = NDArray[np.bool_]

# A start that needs more steps is one that damping has brought to a crawl.
_MAX_STEPS = 40
# In units of x_spread. Where f folds, the two copies of a double root agree to the square root of
# the rounding unit, 1e-8.
_SEPARATION = 1e-6
_SEPARATION_LEARNED = 1e-3  # the same for networks, in single precision
# In distances between neighbouring anchors: two that are farther apart may be on two branches.
_APART = 2.5


def native_forward(forward: Forward) -> int | LearnedForward | None:
    """What compiled code can evaluate by itself: a compiled formula or our own network."""
    if forward.address is not None:
        return forward.address
    regressor = getattr(forward, "regressor", None)
    return regressor.learned_forward() if isinstance(regressor, MLPRegressor) else None


def native_jacobian(forward: Forward) -> int | None:
    """The address of the derivative that came with a formula."""
    return getattr(forward, "jacobian_address", None)


def refine_spec(forward: Forward, periods: Float64Array) -> RefineSpec:
    """How to polish with `forward`, whose inputs have `periods`."""
    evaluations = 2 if native_jacobian(forward) is not None else 2 * forward.n_inputs + 1
    return RefineSpec(
        jacobian=native_jacobian(forward),
        max_evaluations=_MAX_STEPS * evaluations,
        periods=periods,
        separation=_SEPARATION if forward.exact else _SEPARATION_LEARNED,
    )


def resolve_refine(refine: Any, forward: Forward) -> bool:
    """Whether to polish: `refine`, or with None where f is exact and runs natively.

    Raises
    ------
    TypeError
        `refine` is neither a bool nor None, or True for an f that only Python can evaluate.
    """
    native = native_forward(forward) is not None
    if refine is None:
        return forward.exact and native
    if not isinstance(refine, bool | np.bool_):
        raise TypeError(f"refine must be True, False or None, got {refine!r}")
    if refine and not native:
        raise TypeError(
            f"refine=True needs an f that runs natively, got {forward.name}, which only Python can "
            "evaluate: declare the formula with @fastinv.forward, or let fastinv learn it"
        )
    return bool(refine)


def resolve_passes(n_passes: int | None, refines: bool) -> int:
    """How often a twin network is applied: with None once where a polish follows, else twice."""
    if n_passes is None:
        return 1 if refines else 2
    return check_integer(n_passes, "n_passes")


def check_periods(periods: ArrayLike | None, n_inputs: int) -> Float64Array:
    """`periods` (p,), infinite where there is none; a number holds for all inputs.

    Raises
    ------
    ValueError
        They have another shape or are not positive.
    """
    if periods is None:
        return np.full(n_inputs, np.inf)
    array = as_float64(periods, "periods")
    if array.ndim == 0:
        array = np.full(n_inputs, float(array))
    if array.shape != (n_inputs,):
        raise ValueError(f"periods must be a number or of shape ({n_inputs},), got {array.shape}")
    if not (array > 0).all():
        raise ValueError(
            f"periods must be positive, infinite where an input is not periodic, got {array}"
        )
    return array


def is_cyclic(lower: Float64Array, upper: Float64Array, periods: Float64Array) -> BoolArray:
    """Which inputs may have every value modulo their period, and so have no bounds; (p,)."""
    return np.isfinite(periods) & (upper - lower >= (1 - 1e-12) * periods)


def branch_distance(backend: Backend, anchors_x: Float64Array, x_spread: Float64Array) -> float:
    """How far apart anchors near the same target must be to count as on different branches."""
    scaled = np.unique(anchors_x / x_spread, axis=0)
    if len(scaled) < 2:
        return 0.0
    distances = backend.neighbors(scaled).query(scaled, 2)[0][:, 1]
    return _APART * float(np.median(distances))
