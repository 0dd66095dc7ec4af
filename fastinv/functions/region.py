"""The allowed x and the distance between two of them: bounds, units and periods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array

# Bounds that span a period within rounding count as spanning it.
_WHOLE_PERIOD = 1 - 1e-12


@dataclass(frozen=True, eq=False)
class Region:
    """Bounds, units and periods of the inputs x of a function.

    A periodic input whose bounds span its period may have every value modulo the period: it is
    cyclic, and steps may cross its bounds.

    Parameters
    ----------
    lower, upper : ndarray of shape (p,), float64
        Bounds; infinite where an input has none.
    scale : ndarray of shape (p,), float64
        Units of distances: the size of changes that matter. Positive.
    periods : ndarray of shape (p,), float64
        Infinite where an input is not periodic.

    Raises
    ------
    ValueError
        The shapes differ, a lower bound is above its upper one, or a scale or period is not
        positive.
    """

    lower: Float64Array
    upper: Float64Array
    scale: Float64Array
    periods: Float64Array

    def __post_init__(self) -> None:
        shape = self.lower.shape
        for name in ("lower", "upper", "scale", "periods"):
            array = getattr(self, name)
            if array.shape != shape or array.ndim != 1 or array.dtype != np.float64:
                raise ValueError(
                    f"{name} must be float64 of shape {shape}, got {array.dtype} of {array.shape}"
                )
        if not (self.lower <= self.upper).all():
            raise ValueError(
                f"lower must be at most upper in every input, got {self.lower} and {self.upper}"
            )
        if not ((self.scale > 0) & np.isfinite(self.scale)).all():
            raise ValueError(f"scale must be positive and finite, got {self.scale}")
        if not (self.periods > 0).all():
            raise ValueError(f"periods must be positive, got {self.periods}")

    @property
    def n_inputs(self) -> int:
        """p"""
        return len(self.lower)

    @cached_property
    def cyclic(self) -> BoolArray:
        """Which inputs may have every value modulo their period, (p,)."""
        width = self.upper - self.lower
        return np.isfinite(self.periods) & (width >= _WHOLE_PERIOD * self.periods)

    @cached_property
    def step_lower(self) -> Float64Array:
        """The lower bounds that steps respect, (p,): none for cyclic inputs."""
        return np.where(self.cyclic, -np.inf, self.lower)

    @cached_property
    def step_upper(self) -> Float64Array:
        """The upper bounds that steps respect, (p,): none for cyclic inputs."""
        return np.where(self.cyclic, np.inf, self.upper)

    def clip(self, x: Float64Array) -> Float64Array:
        """`x` ``(..., p)``, moved onto the bounds where it is beyond them."""
        return np.clip(x, self.lower, self.upper)

    def clip_step(self, x: Float64Array) -> Float64Array:
        """`x` ``(..., p)``, moved onto the bounds that steps respect."""
        return np.clip(x, self.step_lower, self.step_upper)

    def wrap(self, x: Float64Array) -> Float64Array:
        """`x` ``(..., p)`` with cyclic inputs in the period around the middle of their bounds.

        They end exactly inside those: rounding may have left them outside. Where one bound is
        infinite, it is the period beside the other; where both are, the one around 0.
        """
        with np.errstate(invalid="ignore"):
            wrapped = self.clip(self._middle + self._nearest(x - self._middle))
            return np.where(self.cyclic, wrapped, x)

    def contains(self, x: Float64Array) -> BoolArray:
        """Whether each of `x` ``(..., p)`` lies within the bounds; ``(...)``."""
        return np.asarray(((self.lower <= x) & (x <= self.upper)).all(axis=-1))

    def allows(self, x: Float64Array) -> BoolArray:
        """Whether each of `x` ``(..., p)`` lies within the bounds, cyclic inputs anywhere."""
        return np.asarray(((self.step_lower <= x) & (x <= self.step_upper)).all(axis=-1))

    def touches(self, x: Float64Array) -> BoolArray:
        """Whether each of `x` ``(..., p)`` lies on a bound of an input that is not cyclic."""
        on_bound = (x <= self.step_lower) | (x >= self.step_upper)
        return np.asarray((on_bound & ~self.cyclic).any(axis=-1))

    def difference(self, a: Float64Array, b: Float64Array) -> Float64Array:
        """``a - b``, the smallest in size of the differences that are equal modulo the periods."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._nearest(a - b)

    def distance(self, a: Float64Array, b: Float64Array) -> Float64Array:
        """Euclidean distances over the last axis, in units of the scale, modulo the periods."""
        with np.errstate(over="ignore", invalid="ignore"):
            difference = self.difference(a, b) / self.scale
            return np.asarray(np.sqrt((difference**2).sum(axis=-1)))

    def units(self, x: Float64Array, separation: float) -> Float64Array:
        """`x` ``(..., p)`` in units of `separation` times the scale, rounded, to compare by
        coordinates: smaller differences do not count, so that rounding does not decide."""
        unit = separation * self.scale
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(unit > 0, np.round(x / unit), x)

    @cached_property
    def _middle(self) -> Float64Array:
        """Of the period that :meth:`wrap` moves cyclic inputs into, (p,)."""
        below, above, half = np.isfinite(self.lower), np.isfinite(self.upper), 0.5 * self.periods
        with np.errstate(invalid="ignore"):
            return np.select(
                [below & above, below & self.cyclic, above & self.cyclic],
                [0.5 * (self.lower + self.upper), self.lower + half, self.upper - half],
            )

    def _nearest(self, difference: Float64Array) -> Float64Array:
        turns = difference / self.periods
        whole = np.trunc(turns)
        rounded = whole + np.where(np.abs(turns - whole) >= 0.5, np.sign(turns), 0.0)
        return np.where(np.isfinite(self.periods), difference - self.periods * rounded, difference)
