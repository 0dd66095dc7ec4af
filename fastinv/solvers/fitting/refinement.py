"""Whether and how solvers polish candidates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64, check_integer
from fastinv.functions.function import Function

# A start that needs more steps has been slowed down by damping.
_MAX_STEPS = 40
# In units of the region. Where f folds, the two copies of a double root agree to the square root of
# the rounding unit, 1e-8.
_SEPARATION = 1e-6
_SEPARATION_LEARNED = 1e-3  # the same for networks, in single precision


def evaluations_of(function: Function, n_steps: int = _MAX_STEPS) -> int:
    """Evaluations of f for `n_steps` steps of a polish, with their derivatives."""
    return n_steps * (2 if function.has_jacobian else 2 * function.n_inputs + 1)


def separation(function: Function) -> float:
    """Largest distance in x, in units of the region, between solutions that count as the same."""
    return _SEPARATION if function.exact else _SEPARATION_LEARNED


def resolve_refine(refine: Any, function: Function) -> bool:
    """Whether to polish: `refine`, or for None, whether f is exact and runs natively.

    A polish takes dozens of evaluations of f per candidate. What one costs is not known of an f
    that only Python can evaluate.

    Raises
    ------
    TypeError
        `refine` is neither a bool nor None.
    """
    if refine is None:
        return function.exact and function.code is not None
    if not isinstance(refine, bool | np.bool_):
        raise TypeError(f"refine must be True, False or None, got {refine!r}")
    return bool(refine)


def resolve_passes(n_passes: int | None, refines: bool) -> int:
    """How often a twin network is applied: by default once before a polish, else two times."""
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
