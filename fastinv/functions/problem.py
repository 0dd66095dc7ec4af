"""What to solve: a function, the region of its inputs, and the units of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.functions.function import Function
from fastinv.functions.region import Region


@dataclass(frozen=True, eq=False)
class Problem:
    """Find all x in a region with f(x) = y, for targets y that each call gives.

    Parameters
    ----------
    function : Function
        f
    region : Region
        The allowed x.
    y_scale : ndarray of shape (q,), float64
        Units of the outputs: the size of changes that matter. Positive; so is 1 / y_scale.
    resolution : ndarray of shape (q,), float64, or None
        Errors of f, in the units of y, that its digits do not show, as where it has stairs.
    diff_step : ndarray of shape (p,), float64, or None, default=None
        How far differences of f reach, in units of the region's scale. None takes what f says;
        where that is None, too, truncation is balanced against rounding.

    Raises
    ------
    ValueError
        f has another number of inputs than the region, or the units are not as described.
    """

    function: Function
    region: Region
    y_scale: Float64Array
    resolution: Float64Array | None = None
    diff_step: Float64Array | None = None

    def __post_init__(self) -> None:
        q = self.function.n_outputs
        if self.y_scale.shape != (q,) or self.y_scale.dtype != np.float64:
            raise ValueError(
                f"y_scale must be float64 of shape ({q},), got {self.y_scale.dtype} of "
                f"{self.y_scale.shape}"
            )
        with np.errstate(over="ignore", divide="ignore"):
            usable = (self.y_scale > 0) & np.isfinite(self.y_scale) & np.isfinite(1 / self.y_scale)
        if not usable.all():
            raise ValueError(f"y_scale must be positive and finite, got {self.y_scale}")
        if self.resolution is not None and self.resolution.shape != (q,):
            raise ValueError(f"resolution must have shape ({q},), got {self.resolution.shape}")
        if self.function.n_inputs != self.region.n_inputs:
            raise ValueError(
                f"function must have as many inputs as region, {self.region.n_inputs}, "
                f"got {self.function.n_inputs}"
            )
        if self.diff_step is None and self.function.diff_step is not None:
            object.__setattr__(self, "diff_step", np.array(self.function.diff_step))

    @property
    def n_inputs(self) -> int:
        """p"""
        return self.function.n_inputs

    @property
    def n_outputs(self) -> int:
        """q"""
        return self.function.n_outputs

    @cached_property
    def y_weight(self) -> Float64Array:
        """1 / y_scale, (q,): errors times this are in units of the outputs."""
        return np.asarray(1 / self.y_scale)
