"""What a user says about f, looked at before anything is built on it."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.estimators.networks import mean_and_scale
from fastinv.functions.region import Region
from fastinv.solvers.fitting.declared_jacobian import check_jacobian
from fastinv.solvers.fitting.declared_periods import check_periods_hold
from fastinv.solvers.fitting.fit_data import FitData
from fastinv.solvers.fitting.unchanged import check_compiled


def check_declarations(data: FitData, periods: Float64Array) -> None:
    """Refuse periods and a derivative that are not those of f, and machine code that is stale.

    Functions that are learned from data are left alone: they have a period only as nearly as they
    learned it.

    Raises
    ------
    ValueError
        With the place, and both numbers.
    """
    function, (x, y) = data.forward, data.anchors
    if function is None or not function.exact:
        return
    infinite = np.full(len(periods), np.inf)
    low, high = (-infinite, infinite) if data.bounds is None else data.bounds.T.copy()
    region = Region(low, high, mean_and_scale(x, "X")[1], periods)
    check_periods_hold(function, region, x)
    check_jacobian(function, region, x)
    check_compiled(function, x, y)
