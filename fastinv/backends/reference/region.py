"""Where x may be, and how far apart two of them are: bounds, units and periods of coordinates."""

from __future__ import annotations

import numpy as np

from fastinv.backends.protocol import Float64Array, PipelineSpec


class Region:
    """Bounds, units (``x_spread``) and periods of a pipeline's x.

    ``lower`` and ``upper`` are the bounds that hold: a periodic coordinate whose bounds span its
    period has none.
    """

    def __init__(self, spec: PipelineSpec) -> None:
        self._spec = spec
        self.scale = spec.x_spread
        p = spec.anchors_x.shape[1]
        self._periods = np.full(p, np.inf) if spec.refine is None else spec.refine.periods
        periodic = np.isfinite(self._periods)
        self._cyclic = periodic & (spec.upper - spec.lower >= (1 - 1e-12) * self._periods)
        self.lower = np.where(self._cyclic, -np.inf, spec.lower)
        self.upper = np.where(self._cyclic, np.inf, spec.upper)

    def wrap(self, x: Float64Array) -> Float64Array:
        """`x`, coordinates without bounds of their own in the period around the middle of the
        bounds, and exactly inside those: rounding may have left them outside."""
        with np.errstate(invalid="ignore"):
            middle = 0.5 * (self._spec.lower + self._spec.upper)
            middle = np.where(np.isfinite(middle), middle, 0.0)
            wrapped = np.clip(
                middle + self._nearest(x - middle), self._spec.lower, self._spec.upper
            )
            return np.where(self._cyclic, wrapped, x)

    def contains(self, x: Float64Array) -> bool:
        """Whether `x` ``(p,)`` lies within the bounds as they were given."""
        return bool(((self._spec.lower <= x) & (x <= self._spec.upper)).all())

    def touches(self, x: Float64Array) -> bool:
        """Whether a coordinate of `x` ``(p,)`` lies on a bound that holds."""
        return bool(((x <= self.lower) | (x >= self.upper))[~self._cyclic].any())

    def distance(self, a: Float64Array, b: Float64Array) -> Float64Array:
        """Over the last axis, in units of the scale, modulo the periods."""
        with np.errstate(over="ignore", invalid="ignore"):
            difference = self._nearest(a - b) / self.scale
            return np.asarray(np.sqrt((difference**2).sum(axis=-1)))

    def _nearest(self, difference: Float64Array) -> Float64Array:
        """The difference of least size among those that are the same modulo the period."""
        turns = difference / self._periods
        rounded = np.trunc(turns + np.copysign(0.5, turns))  # halves away from zero
        periods = np.where(np.isfinite(self._periods), self._periods, 0.0)
        return np.asarray(difference - periods * rounded)
