"""Whether f has the periods that the user says it has."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.functions.function import Function
from fastinv.functions.region import Region
from fastinv.solvers.fitting.places import in_words, spread_rows

_N_PLACES = 5
_EPS = float(np.finfo(np.float64).eps)
# Rounding errors are estimated from a few values. A wrong period is wrong by far more.
_SAFETY = 100.0
_STEP = 1e-6  # in periods: beside a place, to see how steep f is there, and how it is rounded
_STEPS = np.arange(1.0, 5.0)
_FOURTH_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])  # of a smooth f: only noise


def check_periods_hold(function: Function, region: Region, anchors_x: Float64Array) -> None:
    """Compare f at a few anchors with f one period away.

    Both may differ by what rounding of x, and of f near there, explains. An f in Python is asked
    only where solving asks it, too: not beyond bounds that are narrower than the period.

    Raises
    ------
    ValueError
        They differ by more; or f has no value beyond bounds that are as wide as the period, which
        steps may cross.
    """
    may_leave = region.cyclic | (function.code is not None)
    inputs = np.flatnonzero(np.isfinite(region.periods) & may_leave)
    if not len(inputs):
        return
    x = anchors_x[spread_rows(len(anchors_x), _N_PLACES)]
    periods = region.periods[inputs]
    towards_middle = np.where(region.upper - x >= x - region.lower, 1.0, -1.0)[:, inputs]
    step = np.minimum(_STEP * periods, (region.upper - region.lower)[inputs] / 8.0)
    # Of each input: where it is, one period away, and four small steps away.
    moves = np.concatenate([np.zeros((1, len(inputs))), periods[None], _STEPS[:, None] * step])
    points = np.tile(x, (len(moves), len(inputs), 1, 1))
    for i, j in enumerate(inputs.tolist()):
        points[:, i, :, j] += moves[:, i, None] * towards_middle[:, i]
    with np.errstate(all="ignore"):
        images = function(points.reshape(-1, x.shape[1])).reshape(*points.shape[:3], -1)
        here, shifted, beside = images[0], images[1], images[[0, 2, 3, 4, 5]]
        slope = np.abs(np.diff(beside, axis=0)).max(axis=0) / step[:, None, None]
        noise = np.abs(np.tensordot(_FOURTH_DIFFERENCE, beside, axes=1))
        moved = _EPS * (np.abs(x[:, inputs].T) + periods[:, None])[:, :, None]
        rounding = _EPS * (np.abs(here) + np.abs(shifted)) + slope * moved + noise
        wrong = np.isfinite(shifted) & (np.abs(shifted - here) > _SAFETY * rounding)
    unusable = region.cyclic[inputs] & ~np.isfinite(shifted).all(axis=2).any(axis=1)
    wrong |= unusable[:, None, None]
    if wrong.any():
        i, place, _ = np.argwhere(wrong)[0].tolist()
        j = int(inputs[i])
        raise ValueError(
            f"periods must be periods of {function.name}, got {periods[i]:.9g} for input {j}: at "
            f"x = {in_words(x[place])} f(x) is {in_words(here[i, place])}, but "
            f"{in_words(shifted[i, place])} where x[{j}] is {points[1, i, place, j]:.9g}"
        )
