"""Training pairs for a twin network: their arrays and their scaling.

A pair is an anchor (x_a, y_a) and another point (x, y). The network maps (y, y_a, x_a) to
x - x_a: eq. (5) of Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural Network
Regression".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.solving import TwinModel, twin_features
from fastinv.estimators.networks import Float32Array, mean_and_scale
from fastinv.functions.networks import NetworkSpec
from fastinv.training import EpochSource, Rows

# How far beyond the pairs an output may lie before it counts as an extrapolation.
REACH_MARGIN = 1.1


@dataclass(frozen=True, eq=False)
class PairScaling:
    """Scales of the network's inputs and outputs, in the notation of TwinModel."""

    dy_scale: Float64Array
    y_mean: Float64Array
    y_scale: Float64Array
    x_mean: Float64Array
    x_scale: Float64Array
    dx_scale: Float64Array
    reach: float

    @classmethod
    def of_pairs(
        cls, pairs: Pairs, x: Float64Array, y: Float64Array, dx_scale: Float64Array | None = None
    ) -> PairScaling:
        """Scales that bring `pairs` to order one; `x`, `y` are the anchors.

        Without `dx_scale` the steps are scaled by their root mean square in each coordinate.
        """
        steps = pairs.x - pairs.x_anchor
        if dx_scale is None:
            dx_scale = positive(np.sqrt(np.mean(steps**2, axis=0)))
        y_mean, y_scale = mean_and_scale(y, "y")
        x_mean, x_scale = mean_and_scale(x, "X")
        return cls(
            dy_scale=positive(np.sqrt(np.mean((pairs.y - pairs.y_anchor) ** 2, axis=0))),
            y_mean=y_mean,
            y_scale=y_scale,
            x_mean=x_mean,
            x_scale=x_scale,
            dx_scale=dx_scale,
            # If no pair has a step, for example if f is a step function, the network has to stay at
            # 0.
            reach=REACH_MARGIN * (float(np.abs(steps / dx_scale).max()) or 1.0),
        )

    def rows(self, pairs: Pairs) -> tuple[Float32Array, Float32Array]:
        """Inputs ``(n, 2q + p)`` and targets ``(n, p)`` of the network."""
        inputs = twin_features(self, pairs.y, pairs.y_anchor, pairs.x_anchor)
        targets = (pairs.x - pairs.x_anchor) / self.dx_scale
        return inputs.astype(np.float32), targets.astype(np.float32)

    def network(self, spec: NetworkSpec, parameters: Float32Array) -> TwinModel:
        """The trained network with these scales."""
        return TwinModel(
            spec,
            parameters,
            self.dy_scale,
            self.y_mean,
            self.y_scale,
            self.x_mean,
            self.x_scale,
            self.dx_scale,
            self.reach,
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """n pairs: points `x` ``(n, p)``, `y` ``(n, q)`` and their anchors, shaped alike."""

    x: Float64Array
    y: Float64Array
    x_anchor: Float64Array
    y_anchor: Float64Array

    def split(self, n: int) -> tuple[Pairs, Pairs]:
        """The first `n` pairs, at most half of all, and the others."""
        n = min(n, len(self.x) // 2)
        columns = (self.x, self.y, self.x_anchor, self.y_anchor)
        return Pairs(*(c[:n] for c in columns)), Pairs(*(c[n:] for c in columns))


class PairSource(NamedTuple):
    """Training data of a twin network: scales, epochs, and validation rows."""

    scaling: PairScaling
    epochs: EpochSource
    validation: Rows


def positive(scale: Float64Array) -> Float64Array:
    """`scale` with 1 for coordinates without any difference."""
    return np.where(scale > 0.0, scale, 1.0)
