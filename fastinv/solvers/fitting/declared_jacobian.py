"""Whether the derivative that the user declares is that of f."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.reference.function import call_rows
from fastinv.functions.code import CompiledCode
from fastinv.functions.function import Function
from fastinv.functions.problem import Problem
from fastinv.functions.region import Region
from fastinv.solvers.fitting.differences import look_at_differences
from fastinv.solvers.fitting.places import in_words, spread_rows

_N_PLACES = 8
_LEAST_PLACES = 3  # at one or two, differences may mislead by chance
_EPS = float(np.finfo(np.float64).eps)
# In units of the region. The first balances truncation against rounding; the second sees through
# the stairs of an f that is not computed in double precision, or looked up in a table.
_STEPS = (float(np.cbrt(_EPS)), 1e-2)
_SAFETY = 10.0  # errors are estimated from a few values
# A derivative that is this close, relative to itself and to the largest of its row, does no harm.
_SLACK, _SLACK_OF_ROW = 1e-3, 1e-6
_TELLING = 0.5  # the largest relative error of differences that show a derivative to be wrong


class _Differences(NamedTuple):
    """Derivatives ``(n, q, p)`` by central differences, what their errors may be, and where f is
    the same to the last bit at all steps."""

    slopes: Float64Array
    errors: Float64Array
    constant: BoolArray


class _Verdict(NamedTuple):
    """Whether differences show an entry to be right, or wrong; neither where they do not tell."""

    agrees: BoolArray
    contradicts: BoolArray


def check_jacobian(function: Function, region: Region, anchors_x: Float64Array) -> None:
    """Compare the user's derivative with central differences of f at a few anchors.

    An entry is wrong where it contradicts them at most of the places where they tell anything:
    they do not at a kink, or where f is too rough or too noisy.

    Raises
    ------
    ValueError
        An entry is wrong.
    """
    if not function.has_jacobian:
        return
    x = anchors_x[spread_rows(len(anchors_x), _N_PLACES)]
    width = region.upper - region.lower
    units = region.scale * np.cbrt(np.maximum(np.abs(x) / region.scale, 1.0))
    steps = [np.minimum(step * units, width / 8.0) for step in _STEPS]
    x = np.clip(x, region.lower + 2.0 * steps[-1], region.upper - 2.0 * steps[-1])
    declared = _declared(function, x)
    problem = Problem(function, region, np.ones(function.n_outputs))
    resolution = look_at_differences(problem, anchors_x).resolution
    fine = _differences(function, x, steps[0])
    coarse = _differences(function, x, steps[1], 0.0 if resolution is None else resolution)
    with np.errstate(all="ignore"):
        by_fine, by_coarse = (_compare(declared, d, region.scale) for d in (fine, coarse))
        steeper = np.abs(declared - coarse.slopes) <= fine.errors  # only fine steps would see it
    tells = ~(fine.constant & ~coarse.constant)  # on stairs, only coarse steps see the slope
    agrees = by_fine.agrees & tells | by_coarse.agrees
    by_fine_steps = by_fine.contradicts & tells
    contradicts = (by_fine_steps | by_coarse.contradicts & ~steeper) & ~agrees
    n_wrong, n_right = contradicts.sum(axis=0), agrees.sum(axis=0)
    wrong = contradicts & (n_wrong > n_right) & (n_wrong >= min(_LEAST_PLACES, len(x)))
    if wrong.any():
        place, i, j = np.argwhere(wrong)[0].tolist()
        found = fine if by_fine_steps[place, i, j] else coarse
        raise ValueError(
            f"jacobian of {function.name} must be the derivative of f: at "
            f"x = {in_words(x[place])} its J[{i}, {j}] is {declared[place, i, j]:.9g}, but "
            f"differences of f give {found.slopes[place, i, j]:.9g}"
        )


def _declared(function: Function, x: Float64Array) -> Float64Array:
    """The user's derivative ``(n, q, p)``, as solvers evaluate it."""
    code = function.code
    if isinstance(code, CompiledCode) and code.jacobian is not None:
        return call_rows(code.jacobian, x, (len(x), function.n_outputs, function.n_inputs))
    return function.jacobians(x)


def _differences(
    function: Function, x: Float64Array, step: Float64Array, height: Float64Array | float = 0.0
) -> _Differences:
    """Over `step` ``(n, p)`` at `x` ``(n, p)``; `height` ``(q,)`` is that of stairs of f."""
    n, p = x.shape
    points = np.tile(x, (5, p, 1, 1))
    for j in range(p):
        points[:, j, :, j] += np.arange(-2.0, 3.0)[:, None] * step[:, j]
    at = np.stack([points[:, j, :, j] for j in range(p)], axis=1)[..., None]
    with np.errstate(all="ignore"):
        images = function(points.reshape(-1, p)).reshape(5, p, n, -1)
        central = (images[3] - images[1]) / (at[3] - at[1])
        wide = (images[4] - images[0]) / (at[4] - at[0])
        rounding = (_EPS * np.abs(images).max(axis=0) + height) / (at[3] - at[1])
        # At a kink, at a jump and in noise, the slopes of the four intervals make no smooth curve.
        slopes = np.diff(images, axis=0) / np.diff(at, axis=0)
        roughness = np.abs(slopes[3] - 3.0 * slopes[2] + 3.0 * slopes[1] - slopes[0])
        errors = _SAFETY * (np.abs(central - wide) + roughness + rounding)
    constant = (images == images[2]).all(axis=0)
    return _Differences(*(np.moveaxis(part, 0, 2) for part in (central, errors, constant)))


def _compare(declared: Float64Array, found: _Differences, scale: Float64Array) -> _Verdict:
    size = np.abs(found.slopes)
    of_row = (size * scale).max(axis=2, keepdims=True) / scale
    errors = found.errors + _SLACK * size + _SLACK_OF_ROW * of_row
    agrees = np.abs(declared - found.slopes) <= errors
    largest = np.maximum(np.where(np.isfinite(declared), np.abs(declared), np.inf), size)
    tells = errors <= _TELLING * np.maximum(largest, of_row)
    return _Verdict(agrees & tells, ~agrees & tells)
