"""Describes a target and its solutions in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


class Described(Protocol):
    """A status: its name, and its message."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Circumstances:
    """What a solver knows apart from its solutions.

    Attributes
    ----------
    anchors_y : ndarray of shape (n_anchors, q)
    y_scale : ndarray of shape (q,)
        Units of the outputs, of distances in y.
    coverage : float
        Largest distance of an attainable target from its nearest anchor.
    residual_tol : float
        Largest residual of a CONVERGED solution.
    error_tol : ndarray of shape (q,) or None
        Largest error of each output of one, in the units of y.
    lower, upper : ndarray of shape (p,)
    noise : ndarray of shape (q,) or None
        Root mean square of f(x) - y, in the units of y, on the data that f was learned from; None
        for an exact f.
    """

    anchors_y: Float64Array
    y_scale: Float64Array
    coverage: float
    residual_tol: float
    error_tol: Float64Array | None
    lower: Float64Array
    upper: Float64Array
    noise: Float64Array | None


def explain(
    target: Float64Array,
    x: Float64Array,
    residual: Float64Array,
    error: Float64Array | None,
    status: Sequence[Described],
    known: Circumstances,
    *,
    near_ignored: bool = False,
) -> str:
    """A line or two about the `target` (q,) and one for each of its solutions `x` (k, p), with
    their errors (k, q) where those are known."""
    lines = [f"target {_numbers(target)}: {_about_target(target, known)}"]
    if near_ignored:
        lines.append("near was not finite and was ignored")
    if np.isfinite(target).all() and np.isnan(x).all():
        return "\n".join([*lines, "nothing that was found is wanted, or finite"])
    for i in range(len(x)):
        reason = "" if status[i].name == "CONVERGED" else f", {status[i].description}"
        facts = how_far(
            residual[i],
            None if error is None else error[i],
            known.residual_tol,
            known.error_tol,
            known.y_scale,
        )
        if known.noise is not None:
            facts += f", noise of the data {_numbers(known.noise, 3)}"
        lines.append(f"{i + 1}. {status[i].name}{reason}: {facts}{_bounds_hit(x[i], known)}")
    return "\n".join(lines)


def how_far(
    residual: float,
    error: Float64Array | None,
    residual_tol: float,
    error_tol: Float64Array | None,
    y_scale: Float64Array,
) -> str:
    """A residual and the errors ``(q,)`` behind it, if known, with what is tolerated of each: of an
    error, if all others are zero."""
    facts = f"residual {residual:.3g}"
    if np.isfinite(residual_tol):
        facts += f", tolerance {residual_tol:.3g}"
    if error is not None:
        facts += f"; error {_numbers(error, 3)}"
    tolerated = residual_tol * y_scale
    if error_tol is not None:
        tolerated = np.minimum(tolerated, error_tol)
    return f"{facts}, tolerated {_numbers(tolerated, 3)}"


def _about_target(target: Float64Array, known: Circumstances) -> str:
    if not np.isfinite(target).all():
        return "it is not finite"
    distances = np.linalg.norm((known.anchors_y - target) / known.y_scale, axis=1)
    nearest = int(distances.argmin())
    return (
        f"its nearest anchor, {nearest}, is {distances[nearest]:.3g} away in y, in units of "
        f"{_numbers(known.y_scale, 3)}; attainable ones are up to {known.coverage:.3g}"
    )


def _bounds_hit(x: Float64Array, known: Circumstances) -> str:
    hit = [
        f"x[{i}] at its {side} bound {bound[i]:.3g}"
        for side, bound in (("lower", known.lower), ("upper", known.upper))
        for i in np.flatnonzero(x == bound)
    ]
    return "; " + ", ".join(hit) if hit else ""


def _numbers(values: Float64Array, digits: int = 6) -> str:
    return "(" + ", ".join(f"{value:.{digits}g}" for value in values) + ")"
