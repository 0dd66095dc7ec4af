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
    coverage : float
        Largest distance of an attainable target from its nearest anchor.
    tol : float
        Largest residual of a CONVERGED solution.
    lower, upper : ndarray of shape (p,)
    noise : float or None
        Root mean square of f(x) - y on the data that f was learned from; None for an exact f.
    """

    anchors_y: Float64Array
    coverage: float
    tol: float
    lower: Float64Array
    upper: Float64Array
    noise: float | None


def explain(
    target: Float64Array,
    x: Float64Array,
    residual: Float64Array,
    status: Sequence[Described],
    known: Circumstances,
) -> str:
    """A line about the `target` (q,) and one for each of its solutions `x` (k, p)."""
    lines = [f"target {_numbers(target)}: {_about_target(target, known)}"]
    if np.isfinite(target).all() and np.isnan(x).all():
        return "\n".join([*lines, "nothing that was found is wanted, or finite"])
    for i in range(len(x)):
        reason = "" if status[i].name == "CONVERGED" else f", {status[i].description}"
        facts = f"residual {residual[i]:.3g}, tolerance {known.tol:.3g}"
        if known.noise is not None:
            facts += f", noise of the data {known.noise:.3g}"
        lines.append(f"{i + 1}. {status[i].name}{reason}: {facts}{_bounds_hit(x[i], known)}")
    return "\n".join(lines)


def _about_target(target: Float64Array, known: Circumstances) -> str:
    if not np.isfinite(target).all():
        return "it is not finite"
    distances = np.linalg.norm(known.anchors_y - target, axis=1)
    nearest = int(distances.argmin())
    return (
        f"its nearest anchor, {nearest}, is {distances[nearest]:.3g} away in y; attainable ones "
        f"are up to {known.coverage:.3g}"
    )


def _bounds_hit(x: Float64Array, known: Circumstances) -> str:
    hit = [
        f"x[{i}] at its {side} bound {bound[i]:.3g}"
        for side, bound in (("lower", known.lower), ("upper", known.upper))
        for i in np.flatnonzero(x == bound)
    ]
    return "; " + ", ".join(hit) if hit else ""


def _numbers(values: Float64Array) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"
