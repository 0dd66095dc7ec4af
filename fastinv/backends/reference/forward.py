"""A function R^p -> R^q, compiled or learned, and its derivatives, in float64."""

from __future__ import annotations

import ctypes

import numpy as np

from fastinv.backends.protocol import (
    FEATURE_LIMIT,
    Float64Array,
    LearnedForward,
    PipelineSpec,
)
from fastinv.backends.reference import mlp

_COMPILED_FORWARD = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
# The cube root of the rounding unit balances truncation against rounding.
_DIFFERENCE = float(np.cbrt(np.finfo(np.float64).eps))


def limited(features: Float64Array) -> Float64Array:
    """Scaled inputs of a network, those far beyond the usual set to the limit."""
    return np.clip(features, -FEATURE_LIMIT, FEATURE_LIMIT)


class Forward:
    """f and its Jacobian; of `spec`, which has a ``forward``."""

    def __init__(self, spec: PipelineSpec) -> None:
        assert spec.forward is not None
        self.p = spec.anchors_x.shape[1]
        self.q = spec.anchors_y.shape[1]
        self._forward = spec.forward
        self._jacobian = None if spec.refine is None else spec.refine.jacobian
        by_differences = self._jacobian is None and not isinstance(spec.forward, LearnedForward)
        self.evaluations_per_jacobian = 2 * self.p if by_differences else 1

    def values(self, x: Float64Array) -> Float64Array:
        """Images ``(..., q)`` of `x` ``(..., p)``."""
        if isinstance(self._forward, LearnedForward):
            return evaluate_learned(self._forward, x)
        return call_compiled(self._forward, x, (*x.shape[:-1], self.q))

    def jacobian(
        self, x: Float64Array, lower: Float64Array, upper: Float64Array, scale: Float64Array
    ) -> Float64Array:
        """``dy_i / dx_j`` ``(q, p)`` at one x ``(p,)``: the user's, the network's own, or
        differences, which are not taken across the bounds."""
        if self._jacobian is not None:
            return call_compiled(self._jacobian, x, (self.q, self.p))
        if isinstance(self._forward, LearnedForward):
            return learned_derivative(self._forward, x)
        return self._differences(x, lower, upper, scale)

    def _differences(
        self, x: Float64Array, lower: Float64Array, upper: Float64Array, scale: Float64Array
    ) -> Float64Array:
        h = _DIFFERENCE * scale * np.cbrt(np.maximum(np.abs(x) / scale, 1.0))
        low, high = np.maximum(x - h, lower), np.minimum(x + h, upper)
        # Row i moves coordinate i alone.
        below, above = (np.where(np.eye(self.p) > 0, end, x) for end in (low, high))
        difference = (self.values(above) - self.values(below)).T
        width = high - low
        return np.where(width > 0, difference / np.where(width > 0, width, 1.0), 0.0)


def evaluate_learned(forward: LearnedForward, x: Float64Array) -> Float64Array:
    """Images ``(..., q)`` of `x` ``(..., p)`` by a network."""
    scaled = limited((x - forward.x_mean) / forward.x_scale)
    net = mlp.forward(forward.spec, forward.parameters.astype(np.float64), scaled)
    return np.asarray(forward.y_mean + forward.y_scale * net)


def learned_derivative(forward: LearnedForward, x: Float64Array) -> Float64Array:
    """The Jacobian ``(q, p)`` of :func:`evaluate_learned` at `x` ``(p,)``, by the chain rule."""
    spec = forward.spec
    inputs = limited((x - forward.x_mean) / forward.x_scale)
    derivative = np.eye(spec.n_inputs)
    *hidden, last = spec.layers(forward.parameters.astype(np.float64))
    for weights, biases in hidden:
        z = np.asarray(inputs @ weights + biases, dtype=np.float64)
        inputs = mlp.activate(spec.activation, z)
        slope = mlp.activation_derivative(spec.activation, z)
        derivative = slope[:, None] * (weights.T @ derivative)
    derivative = last[0].T @ derivative
    return np.asarray(forward.y_scale[:, None] * derivative / forward.x_scale)


def call_compiled(address: int, x: Float64Array, shape: tuple[int, ...]) -> Float64Array:
    """What ``void(const double *x, double *out, int64_t n_rows)`` writes to `out`, of `shape`."""
    x = np.ascontiguousarray(x)
    out = np.empty(shape)
    _COMPILED_FORWARD(address)(x.ctypes.data, out.ctypes.data, x.size // x.shape[-1])
    return out
