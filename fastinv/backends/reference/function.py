"""Values and derivatives of every kind of function, in float64, many rows at a time."""

from __future__ import annotations

import ctypes
from functools import singledispatchmethod

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.reference import mlp
from fastinv.backends.solving import limited
from fastinv.functions.code import CompiledCode, NetworkCode, RowCode
from fastinv.functions.problem import Problem

_ROW_CODE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
# The cube root of the rounding unit balances truncation against rounding.
_DIFFERENCE = float(np.cbrt(np.finfo(np.float64).eps))


class Derivatives:
    """Values and Jacobians of the function of a problem."""

    def __init__(self, problem: Problem) -> None:
        self._function, self._region = problem.function, problem.region
        self._diff_step = problem.diff_step
        self._code = code = problem.function.code
        self.p, self.q = problem.n_inputs, problem.n_outputs
        self._native_jacobian: RowCode | None = getattr(code, "jacobian", None)
        self._python_jacobian = code is None and problem.function.has_jacobian
        exactly = isinstance(code, NetworkCode) or self._native_jacobian or self._python_jacobian
        self.evaluations_per_jacobian = 1 if exactly else 2 * self.p
        # The rounding unit of what f computes with; the kernels' networks are in single precision.
        single = isinstance(code, NetworkCode)
        self.rounding = float(np.finfo(np.float32 if single else np.float64).eps)

    def values(self, x: Float64Array) -> Float64Array:
        """Images ``(..., q)`` of `x` ``(..., p)``."""
        return self._values(self._code, x)

    def jacobians(self, x: Float64Array, reach: Float64Array | None = None) -> Float64Array:
        """``dy_i / dx_j`` ``(n, q, p)`` at points `x` ``(n, p)``: the user's, the network's own, or
        differences that stay within the bounds, and reach `reach` ``(n,)`` times as far as they
        commonly do."""
        if self._native_jacobian is not None:
            return call_rows(self._native_jacobian, x, (len(x), self.q, self.p))
        if self._python_jacobian:
            return self._function.jacobians(x)
        if isinstance(self._code, NetworkCode):
            return np.array([network_derivative(self._code, row) for row in x]).reshape(
                -1, self.q, self.p
            )
        return self._differences(x, np.ones(len(x)) if reach is None else reach)

    @singledispatchmethod
    def _values(self, code: object, x: Float64Array) -> Float64Array:
        # Sums along rows of another layout could round differently.
        return np.ascontiguousarray(self._function.images(x))

    @_values.register
    def _(self, code: CompiledCode, x: Float64Array) -> Float64Array:
        return call_rows(code.values, x, (*x.shape[:-1], self.q))

    @_values.register
    def _(self, code: NetworkCode, x: Float64Array) -> Float64Array:
        return network_values(code, x)

    def _differences(self, x: Float64Array, reach: Float64Array) -> Float64Array:
        region, h = self._region, self._reach(x, reach)
        low = np.maximum(x - h, np.minimum(region.step_lower, x))
        high = np.minimum(x + h, np.maximum(region.step_upper, x))
        # Point i of each x moves coordinate i alone.
        one = np.eye(self.p, dtype=bool)
        below, above = (
            np.where(one, end[:, None, :], x[:, None, :]).reshape(-1, self.p) for end in (low, high)
        )
        images = self.values(np.concatenate([below, above]))
        shape = (len(x), self.p, self.q)
        below_images, above_images = (part.reshape(shape) for part in np.split(images, 2))
        width = (high - low)[:, :, None]
        slopes = np.where(
            width > 0, (above_images - below_images) / np.where(width > 0, width, 1.0), 0.0
        )
        return np.ascontiguousarray(slopes.transpose(0, 2, 1))

    def _reach(self, x: Float64Array, reach: Float64Array) -> Float64Array:
        """How far differences at `x` ``(n, p)`` reach, input by input, in units of x: as far as is
        said, or `reach` ``(n,)`` times as far as they commonly do."""
        scale = self._region.scale
        if self._diff_step is not None:
            return np.broadcast_to(self._diff_step * scale, x.shape)
        size = np.maximum(np.abs(x) / scale, 1.0)
        digits = 16 * float(np.finfo(np.float64).eps) * np.abs(x)
        return np.maximum(reach[:, None] * _DIFFERENCE * scale * np.cbrt(size), digits)

    def reach_along(self, v: Float64Array) -> Float64Array:
        """How far differences along unit vectors `v` ``(n, p)`` should reach, ``(n,)``, both in
        units of the region."""
        if self._diff_step is None:
            return np.full(len(v), _DIFFERENCE)
        return np.asarray(np.sqrt(((v * self._diff_step) ** 2).sum(axis=1)))


def network_values(code: NetworkCode, x: Float64Array) -> Float64Array:
    """Images ``(..., q)`` of `x` ``(..., p)`` by a network."""
    scaled = limited((x - code.x_mean) / code.x_scale)
    # Each row by itself: the last bits of a product of matrices depend on how many rows there are.
    rows = mlp.forward(code.spec, code.parameters.astype(np.float64), scaled[..., None, :])
    return np.asarray(code.y_mean + code.y_scale * rows[..., 0, :])


def network_derivative(code: NetworkCode, x: Float64Array) -> Float64Array:
    """The Jacobian ``(q, p)`` of :func:`network_values` at `x` ``(p,)``, by the chain rule."""
    spec = code.spec
    inputs = limited((x - code.x_mean) / code.x_scale)
    derivative = np.eye(spec.n_inputs)
    *hidden, last = spec.layers(code.parameters.astype(np.float64))
    for weights, biases in hidden:
        z = np.asarray(inputs @ weights + biases, dtype=np.float64)
        inputs = mlp.activate(spec.activation, z)
        slope = mlp.activation_derivative(spec.activation, z)
        derivative = slope[:, None] * (weights.T @ derivative)
    derivative = last[0].T @ derivative
    return np.asarray(code.y_scale[:, None] * derivative / code.x_scale)


def call_rows(code: RowCode, x: Float64Array, shape: tuple[int, ...]) -> Float64Array:
    """The result, of `shape`, of machine code for the rows of `x` ``(..., p)``."""
    x = np.ascontiguousarray(x)
    out = np.empty(shape)
    _ROW_CODE(code.address)(x.ctypes.data, out.ctypes.data, x.size // x.shape[-1])
    return out
