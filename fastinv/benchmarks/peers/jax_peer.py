"""JAX's side of the works: everything in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastinv._common.arrays import FloatArray
from fastinv.benchmarks.peers.peers import load, require_processors
from fastinv.benchmarks.work import Side, TrainingTask
from fastinv.functions.networks import NetworkSpec

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


def jax_with(n_threads: int) -> Any:
    """The module; see :func:`fastinv.benchmarks.peers.peers.load`.

    Raises
    ------
    PeerUnavailable
        Also if this process may use more or fewer than `n_threads` processors: JAX uses all.
    """
    require_processors(n_threads)
    return load("jax")


def _layers(jax: Any, spec: NetworkSpec, parameters: FloatArray) -> Any:
    return [
        (jax.numpy.array(weights), jax.numpy.array(biases))
        for weights, biases in spec.layers(parameters)
    ]


def _forward(jax: Any, layers: Any, x: Any) -> Any:
    *hidden, (last_weights, last_biases) = layers
    for weights, biases in hidden:
        x = jax.nn.relu(x @ weights + biases)
    return x @ last_weights + last_biases


def _epoch(jax: Any, learning_rate: float) -> Any:
    """``(state, X (steps, batch, n_in), Y) -> (state, losses)`` by Adam, compiled.

    A state is ``(layers, first moments, second moments, step)``.
    """
    jnp, tree = jax.numpy, jax.tree_util.tree_map

    def loss_of(layers: Any, x: Any, y: Any) -> Any:
        return jnp.abs(_forward(jax, layers, x) - y).mean()

    def step(state: Any, batch: Any) -> Any:
        layers, first, second, t = state
        loss, gradient = jax.value_and_grad(loss_of)(layers, *batch)
        t = t + 1
        first = tree(lambda m, g: _BETA_1 * m + (1 - _BETA_1) * g, first, gradient)
        second = tree(lambda v, g: _BETA_2 * v + (1 - _BETA_2) * g * g, second, gradient)
        size = learning_rate / (1 - _BETA_1**t)
        unbias = 1 / jnp.sqrt(1 - _BETA_2**t)
        layers = tree(
            lambda w, m, v: w - size * m / (jnp.sqrt(v) * unbias + _EPSILON), layers, first, second
        )
        return (layers, first, second, t), loss

    return jax.jit(lambda state, X, Y: jax.lax.scan(step, state, (X, Y)), donate_argnums=0)


def training_side(task: TrainingTask) -> Side:
    """All steps as one ``lax.scan`` in one compiled call; see `training` for the answer."""
    spec, parameters, X, Y, batch_size, learning_rate, n_answer, n_threads = task
    jax = jax_with(n_threads)
    epoch = _epoch(jax, learning_rate)

    def batches(array: FloatArray) -> Any:
        return jax.numpy.asarray(array.reshape(-1, batch_size, array.shape[1]))

    def start() -> Any:
        first, second = (
            jax.tree_util.tree_map(jax.numpy.zeros_like, _layers(jax, spec, parameters))
            for _ in range(2)
        )
        return _layers(jax, spec, parameters), first, second, jax.numpy.zeros((), "int32")

    state, X_b, Y_b = start(), batches(X), batches(Y)

    def run() -> float:
        nonlocal state
        state, losses = epoch(state, X_b, Y_b)
        return float(np.asarray(jax.block_until_ready(losses)).mean())

    def answer() -> tuple[FloatArray, FloatArray]:
        after, losses = epoch(start(), batches(X[:n_answer]), batches(Y[:n_answer]))
        moved = np.concatenate([np.asarray(array).ravel() for layer in after[0] for array in layer])
        return np.asarray(losses).mean(keepdims=True), moved - parameters

    return Side(run, answer)


def inference_side(
    spec: NetworkSpec, parameters: FloatArray, X: FloatArray, n_answer: int, n_threads: int
) -> Side:
    """Outputs of all rows in one compiled call."""
    jax = jax_with(n_threads)
    layers = _layers(jax, spec, parameters)
    forward = jax.jit(lambda x: _forward(jax, layers, x))
    X_d = jax.numpy.asarray(X)
    return Side(
        lambda: np.asarray(forward(X_d)),
        lambda: (np.asarray(forward(X_d))[:n_answer],),
    )
