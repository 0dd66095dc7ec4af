"""Functions, regions, problems and anchors in the extension."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from fastinv import _core
from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.checks import solving as checks
from fastinv.backends.solving import Anchors as AnyAnchors
from fastinv.backends.solving import TwinModel
from fastinv.functions.code import CompiledCode, NetworkCode
from fastinv.functions.problem import Problem


class Anchors:
    """Anchors with a KD-tree; see :class:`fastinv.backends.solving.Anchors`.

    Parameters
    ----------
    x : ndarray of shape (n, p), float64
    y : ndarray of shape (n, q), float64
    y_scale : ndarray of shape (q,), float64
        Units of the outputs.
    isa : str
        The instruction set, one of ``fastinv._core.isas()``.
    """

    def __init__(self, x: Float64Array, y: Float64Array, y_scale: Float64Array, isa: str) -> None:
        checks.check_anchors(x, y, y_scale)
        self.x, self.y, self.y_scale = x, y, y_scale
        self.native = _core.Anchors(
            np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(y_scale), isa
        )

    def __len__(self) -> int:
        return len(self.x)

    def nearest(
        self, targets: Float64Array, k: int, *, n_threads: int = 1
    ) -> tuple[Float64Array, IntArray]:
        """Distances in y ``(n, k)`` and indices ``(n, k)`` of the nearest anchors."""
        checks.check_nearest_call(self, targets, k, n_threads)
        distances = np.empty((len(targets), k))
        indices = np.empty((len(targets), k), dtype=np.int64)
        self.native.nearest(np.ascontiguousarray(targets), k, distances, indices, n_threads)
        return distances, indices


def native_anchors(anchors: AnyAnchors) -> _core.Anchors:
    """The extension's anchors. Raises a TypeError for those of another backend."""
    if not isinstance(anchors, Anchors):
        raise TypeError(f"anchors must be made by the cpp backend, got {type(anchors).__name__}")
    return anchors.native


@singledispatch
def native_function(code: object, problem: Problem, isa: str) -> _core.Function | None:
    """The kernels' form of f; None if only Python can evaluate it."""
    return None


@native_function.register
def _(code: CompiledCode, problem: Problem, isa: str) -> _core.Function:
    return _core.compiled_function(
        code.n_inputs, code.n_outputs, code.values, code.jacobian, problem.diff_step
    )


@native_function.register
def _(code: NetworkCode, problem: Problem, isa: str) -> _core.Function:
    return _core.learned_function(network_fields(code), isa)


def native_problem(problem: Problem, isa: str) -> _core.Problem:
    """The problem, with its function if that runs natively."""
    region, resolution = problem.region, problem.resolution
    return _core.Problem(
        native_function(problem.function.code, problem, isa),
        _core.Region(
            np.ascontiguousarray(region.lower),
            np.ascontiguousarray(region.upper),
            np.ascontiguousarray(region.scale),
            np.ascontiguousarray(region.periods),
        ),
        np.ascontiguousarray(problem.y_scale),
        np.zeros(problem.n_outputs) if resolution is None else np.ascontiguousarray(resolution),
    )


def network_fields(network: TwinModel | NetworkCode) -> dict[str, Any]:
    """The fields of a network with the scalings that both kinds have."""
    return {
        "layer_sizes": list(network.spec.layer_sizes),
        "activation": network.spec.activation,
        "parameters": np.ascontiguousarray(network.parameters, dtype=np.float32),
        "y_mean": np.ascontiguousarray(network.y_mean),
        "y_scale": np.ascontiguousarray(network.y_scale),
        "x_mean": np.ascontiguousarray(network.x_mean),
        "x_scale": np.ascontiguousarray(network.x_scale),
    }


def twin_fields(twin: TwinModel) -> dict[str, Any]:
    """The fields of a twin network with all of its scalings."""
    return {
        **network_fields(twin),
        "dy_scale": np.ascontiguousarray(twin.dy_scale),
        "dx_scale": np.ascontiguousarray(twin.dx_scale),
        "reach": float(twin.reach),
    }
