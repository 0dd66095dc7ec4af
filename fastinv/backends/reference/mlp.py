"""Multilayer perceptrons in float64: forward pass, losses, backpropagation, Adam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fastinv._common.arrays import Float64Array, FloatArray, IntArray
from fastinv.backends.checks import common as _checks
from fastinv.functions.networks import Activation, Loss, NetworkSpec


def activate(activation: Activation, z: Float64Array) -> Float64Array:
    """The activation at pre-activations `z` of any shape."""
    if activation == "relu":
        return np.maximum(z, 0.0)
    if activation == "silu":
        return np.asarray(z * expit(z))
    if activation == "tanh":
        return np.tanh(z)
    return z


def activation_derivative(activation: Activation, z: Float64Array) -> Float64Array:
    """The derivative of the activation at `z`; that of ReLU at 0 is 0."""
    if activation == "relu":
        return np.where(z > 0.0, 1.0, 0.0)
    if activation == "silu":
        return np.asarray(expit(z) * (1.0 + z * (1.0 - expit(z))))
    if activation == "tanh":
        return 1.0 - np.tanh(z) ** 2
    return np.ones_like(z)


def element_losses(loss: Loss, huber_delta: float, r: Float64Array) -> Float64Array:
    """The loss of each residual ``r = prediction - target``.

    squared_error is r², absolute_error is |r|, huber is r²/2 up to `huber_delta` and
    ``huber_delta (|r| - huber_delta / 2)`` beyond it (Huber 1964).
    """
    if loss == "squared_error":
        return r**2
    if loss == "absolute_error":
        return np.abs(r)
    beyond = huber_delta * (np.abs(r) - 0.5 * huber_delta)
    return np.where(np.abs(r) <= huber_delta, 0.5 * r**2, beyond)


def element_derivatives(loss: Loss, huber_delta: float, r: Float64Array) -> Float64Array:
    """The derivative of :func:`element_losses` by `r`; that of |r| at 0 is 0."""
    if loss == "squared_error":
        return 2.0 * r
    if loss == "absolute_error":
        return np.sign(r)
    return np.clip(r, -huber_delta, huber_delta)


class OutputLoss(Protocol):
    """A loss of a network's outputs and targets ``(n, n_targets)``."""

    @property
    def n_targets(self) -> int: ...

    def __call__(self, outputs: Float64Array, targets: Float64Array) -> tuple[float, Float64Array]:
        """The mean loss, and its gradient by `outputs` ``(n, n_outputs)``."""
        ...


@dataclass(frozen=True)
class ElementLoss:
    """The mean of :func:`element_losses` over rows and `n_targets` outputs."""

    n_targets: int
    loss: Loss
    huber_delta: float

    def __call__(self, outputs: Float64Array, targets: Float64Array) -> tuple[float, Float64Array]:
        r = outputs - targets
        value = float(element_losses(self.loss, self.huber_delta, r).mean())
        return value, element_derivatives(self.loss, self.huber_delta, r) / r.size


def forward(spec: NetworkSpec, parameters: Float64Array, X: Float64Array) -> Float64Array:
    """Outputs ``(n, n_outputs)`` of the rows of `X` ``(n, n_inputs)``."""
    *hidden, (weights, biases) = spec.layers(parameters)
    h: Any = X
    for hidden_weights, hidden_biases in hidden:
        h = activate(spec.activation, h @ hidden_weights + hidden_biases)
    return np.asarray(h @ weights + biases)


def loss_and_gradient(
    spec: NetworkSpec,
    parameters: Float64Array,
    X: Float64Array,
    Y: Float64Array,
    loss: OutputLoss,
) -> tuple[float, Float64Array]:
    """Mean loss, and its gradient by backpropagation, flat."""
    layers = spec.layers(parameters)
    inputs: list[Any] = [X]  # inputs of each layer
    pre_activations: list[Any] = []
    for weights, biases in layers:
        pre_activations.append(inputs[-1] @ weights + biases)
        inputs.append(activate(spec.activation, pre_activations[-1]))

    dz: Any
    value, dz = loss(pre_activations[-1], Y)
    gradient = np.empty(spec.n_parameters)
    gradient_views = spec.layers(gradient)
    for layer in reversed(range(len(layers))):
        d_weights, d_biases = gradient_views[layer]
        d_weights[:] = inputs[layer].T @ dz
        d_biases[:] = dz.sum(axis=0)
        if layer > 0:
            slope = activation_derivative(spec.activation, pre_activations[layer - 1])
            dz = (dz @ layers[layer][0].T) * slope
    return value, gradient


class Network:
    """A network for inference; see :class:`fastinv.backends.protocol.Network`."""

    def __init__(self, spec: NetworkSpec, parameters: FloatArray) -> None:
        _checks.check_parameters("parameters", spec, parameters)
        self._spec = spec
        self._parameters = np.array(parameters, dtype=np.float64)

    def forward(
        self, X: FloatArray, *, out: FloatArray | None = None, n_threads: int = 1
    ) -> FloatArray:
        """Outputs ``(n, n_outputs)``, float64; `out`, if given, is float64, too."""
        _checks.check_inputs(self._spec, X, out, n_threads, _checks.FLOATS, _checks.FLOAT64)
        outputs = forward(self._spec, self._parameters, X.astype(np.float64))
        if out is None:
            return outputs
        out[:] = outputs
        return out


class Trainer:
    """Adam (Kingma & Ba 2015, algorithm 1); see :class:`fastinv.backends.protocol.Trainer`."""

    def __init__(
        self,
        spec: NetworkSpec,
        parameters: FloatArray,
        loss: OutputLoss,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> None:
        _checks.check_parameters("parameters", spec, parameters)
        _checks.check_adam(beta_1, beta_2, epsilon)
        self._spec = spec
        self._loss = loss
        self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon
        self._parameters = np.array(parameters, dtype=np.float64)
        self._first_moment = np.zeros(spec.n_parameters)
        self._second_moment = np.zeros(spec.n_parameters)
        self._step = 0

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
        _checks.check_pairs(self._spec, self._loss.n_targets, X, Y, n_threads)
        _checks.check_epoch(order, len(X), batch_size, learning_rate)
        total = 0.0
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            loss, gradient = self._loss_and_gradient(X[rows], Y[rows])
            self._adam_step(gradient, learning_rate)
            total += loss * len(rows)
        return total / len(order)

    def loss(self, X: FloatArray, Y: FloatArray, *, n_threads: int = 1) -> float:
        """Mean loss at the present parameters."""
        _checks.check_pairs(self._spec, self._loss.n_targets, X, Y, n_threads)
        outputs = forward(self._spec, self._parameters, X.astype(np.float64))
        return self._loss(outputs, Y.astype(np.float64))[0]

    def parameters(self) -> FloatArray:
        """A copy of the present parameters, flat, float64."""
        return self._parameters.copy()

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of the parameters, both moments and the number of steps taken."""
        return {
            "parameters": self._parameters.copy(),
            "first_moment": self._first_moment.copy(),
            "second_moment": self._second_moment.copy(),
            "step": np.array(self._step, dtype=np.int64),
        }

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what :meth:`state` returned."""
        _checks.check_state(self._spec, state, _checks.FLOATS)
        self._parameters = np.array(state["parameters"], dtype=np.float64)
        self._first_moment = np.array(state["first_moment"], dtype=np.float64)
        self._second_moment = np.array(state["second_moment"], dtype=np.float64)
        self._step = int(state["step"])

    def _loss_and_gradient(self, X: FloatArray, Y: FloatArray) -> tuple[float, Float64Array]:
        return loss_and_gradient(
            self._spec,
            self._parameters,
            X.astype(np.float64),
            Y.astype(np.float64),
            self._loss,
        )

    def _adam_step(self, g: Float64Array, learning_rate: float) -> None:
        self._step += 1
        self._first_moment = self._beta_1 * self._first_moment + (1.0 - self._beta_1) * g
        self._second_moment = self._beta_2 * self._second_moment + (1.0 - self._beta_2) * g**2
        correction_1 = 1.0 - self._beta_1**self._step
        correction_2 = 1.0 - self._beta_2**self._step
        denominator = np.sqrt(self._second_moment) / np.sqrt(correction_2) + self._epsilon
        self._parameters -= learning_rate / correction_1 * self._first_moment / denominator
