"""Networks and their training over the C++ kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastinv import _core
from fastinv._common.arrays import FloatArray, IntArray
from fastinv.backends.checks import common as _checks
from fastinv.functions.networks import Loss, NetworkSpec

_NETWORKS = {_checks.FLOAT32: _core.NetworkFloat32, _checks.FLOAT64: _core.NetworkFloat64}
_TRAINERS = {_checks.FLOAT32: _core.TrainerFloat32, _checks.FLOAT64: _core.TrainerFloat64}


class Network:
    """A network for inference; see :class:`fastinv.backends.protocol.Network`."""

    def __init__(self, spec: NetworkSpec, parameters: FloatArray, isa: str) -> None:
        _checks.check_parameters("parameters", spec, parameters)
        self._spec = spec
        self._dtype = parameters.dtype
        self._kernel = _NETWORKS[parameters.dtype](
            list(spec.layer_sizes), spec.activation, np.ascontiguousarray(parameters), isa
        )

    def forward(
        self, X: FloatArray, *, out: FloatArray | None = None, n_threads: int = 1
    ) -> FloatArray:
        """Outputs ``(n, n_outputs)`` in the dtype of the parameters, which is that of `X`."""
        _checks.check_inputs(self._spec, X, out, n_threads, (self._dtype,), self._dtype)
        if out is None:
            out = np.empty((len(X), self._spec.n_outputs), dtype=self._dtype)
        self._kernel.forward(np.ascontiguousarray(X), out, n_threads)
        return out


class Trainer:
    """Adam (Kingma & Ba 2015, algorithm 1); see :class:`fastinv.backends.protocol.Trainer`.

    Use :func:`element_trainer` or :func:`fastinv.backends.cpp.mixture.mixture_trainer`, whose
    kernels differ in the loss.
    """

    def __init__(
        self, spec: NetworkSpec, n_targets: int, dtype: np.dtype[Any], kernel: Any
    ) -> None:
        self._spec = spec
        self._n_targets = n_targets
        self._dtype = dtype
        self._kernel = kernel

    def train_epoch(
        self,
        X: FloatArray,
        Y: FloatArray,
        order: IntArray,
        *,
        batch_size: int,
        learning_rate: float,
        n_threads: int = 1,
    ) -> float:
        """One step per batch of `order`; the mean loss over its rows before their steps."""
        self._check_pairs(X, Y, n_threads)
        _checks.check_epoch(order, len(X), batch_size, learning_rate)
        return float(
            self._kernel.train_epoch(
                np.ascontiguousarray(X),
                np.ascontiguousarray(Y),
                np.ascontiguousarray(order),
                batch_size,
                learning_rate,
                n_threads,
            )
        )

    def loss(self, X: FloatArray, Y: FloatArray, *, n_threads: int = 1) -> float:
        """Mean loss at the present parameters."""
        self._check_pairs(X, Y, n_threads)
        X, Y = np.ascontiguousarray(X), np.ascontiguousarray(Y)
        return float(self._kernel.loss(X, Y, n_threads))

    def parameters(self) -> FloatArray:
        """A copy of the present parameters, flat."""
        parameters: FloatArray = self._kernel.parameters()
        return parameters

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the parameters, both moments and the number of steps taken."""
        return {
            "parameters": self._kernel.parameters(),
            "first_moment": self._kernel.first_moment(),
            "second_moment": self._kernel.second_moment(),
            "step": np.array(self._kernel.step, dtype=np.int64),
        }

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what :meth:`state` returned."""
        _checks.check_state(self._spec, state, (self._dtype,))
        self._kernel.load_state(
            np.ascontiguousarray(state["parameters"]),
            np.ascontiguousarray(state["first_moment"]),
            np.ascontiguousarray(state["second_moment"]),
            int(state["step"]),
        )

    def _check_pairs(self, X: FloatArray, Y: FloatArray, n_threads: int) -> None:
        _checks.check_pairs(self._spec, self._n_targets, X, Y, n_threads, (self._dtype,))


def element_trainer(
    spec: NetworkSpec,
    parameters: FloatArray,
    loss: Loss,
    huber_delta: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    isa: str,
) -> Trainer:
    """A trainer on the mean of `loss` over rows and outputs."""
    _checks.check_parameters("parameters", spec, parameters)
    _checks.check_loss(loss, huber_delta)
    _checks.check_adam(beta_1, beta_2, epsilon)
    kernel = _TRAINERS[parameters.dtype](
        list(spec.layer_sizes),
        spec.activation,
        loss,
        huber_delta,
        beta_1,
        beta_2,
        epsilon,
        np.ascontiguousarray(parameters),
        isa,
    )
    return Trainer(spec, spec.n_outputs, parameters.dtype, kernel)


def loss_and_gradient(
    trainer: Trainer, X: FloatArray, Y: FloatArray, n_threads: int
) -> tuple[float, FloatArray]:
    """Mean loss, and its gradient, at the trainer's parameters."""
    trainer._check_pairs(X, Y, n_threads)
    X, Y = np.ascontiguousarray(X), np.ascontiguousarray(Y)
    loss, gradient = trainer._kernel.gradient(X, Y, n_threads)
    return float(loss), gradient
